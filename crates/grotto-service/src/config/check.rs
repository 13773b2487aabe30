//! What the start of a daemon would trip over.
//!
//! Owns: looking at schemas, folders, the token and the port before anything is started. Never: makes or changes
//! anything.

mod follow;

use super::environment::Environment;
use super::rules::Broken;
use super::{DatasetSettings, ProducerSettings, PushSettings, Security, Settings, read_token};
use crate::config::{MAX_BYTES, read_text};
use grotto::store::{Dataset, Store, StoreUrl};
use grotto::{Error, Result, Schema};
use std::net::{IpAddr, TcpListener};
use std::path::{Path, PathBuf};

/// Longest schema text in bytes.
const MAX_SCHEMA: u64 = 1 << 20;

/// Settings that a daemon could start with, as far as can be told without starting it.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The settings.
    pub settings: Settings,
    /// What may be right, but has to be known.
    pub notes: Vec<String>,
}

/// Reads a schema; every complaint names the file, the line and the column.
///
/// # Errors
/// `Invalid` when the file cannot be read or is no schema.
pub fn read_schema(path: &Path) -> Result<Schema> {
    let text = read_text(path, "schema", MAX_SCHEMA)?;
    Schema::parse(&text).map_err(|e| Error::invalid(format!("{}: {e}", path.display())))
}

/// Reads a configuration and looks at all that a start would need.
///
/// # Errors
/// `Invalid`, with the file, and with line, column and key where a key is the reason.
pub fn check(path: &Path, environment: &Environment) -> Result<Checked> {
    let text = read_text(path, "configuration", MAX_BYTES)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let at_file = |complaint| Error::invalid(format!("{}: {complaint}", path.display()));
    let settings = Settings::parse(&text, folder, environment).map_err(at_file)?;
    let mut notes = Vec::new();
    if let Some(producer) = &settings.producer {
        look_at(producer, &mut notes)
            .map_err(|broken| at_file(broken.complaint(&text, environment)))?;
    }
    if let Some(consumer) = &settings.consumer {
        follow::look_at(consumer, &mut notes)
            .map_err(|broken| at_file(broken.complaint(&text, environment)))?;
    }
    Ok(Checked { settings, notes })
}

fn look_at(producer: &ProducerSettings, notes: &mut Vec<String>) -> Result<(), Broken> {
    for (index, dataset) in producer.datasets().iter().enumerate() {
        let at = match producer.listed.is_empty() {
            true => "producer".to_owned(),
            false => format!("producer.datasets.{index}"),
        };
        look_at_dataset(&at, dataset, notes)?;
    }
    look_at_token("producer", &producer.security)?;
    let port = producer.monitoring.health_check_port;
    look_at_port("producer", producer.listeners.address, port, notes)
}

fn look_at_token(section: &str, security: &Security) -> Result<(), Broken> {
    let read = security.token_file.as_deref().map(read_token).transpose();
    read.map(|_| ())
        .map_err(|error| Broken::new(format!("{section}.security.token_file"), error.message()))
}

fn look_at_dataset(
    at: &str,
    dataset: &DatasetSettings,
    notes: &mut Vec<String>,
) -> Result<(), Broken> {
    for (key, missing) in [
        ("dataset", dataset.dataset.is_none()),
        ("schema", dataset.schema.is_none()),
    ] {
        if missing {
            notes.push(format!("`grotto producer` needs {at}.{key}"));
        }
    }
    if let Some(name) = &dataset.dataset {
        look_at_name(at, name)?;
    }
    if let Some(path) = &dataset.schema {
        let schema = read_schema(path);
        let schema =
            schema.map_err(|error| Broken::new(format!("{at}.schema"), error.message()))?;
        look_at_types(at, dataset, &schema)?;
    }
    look_at_store(at, dataset.store.as_ref())?;
    look_at_push(at, &dataset.push, dataset.dataset.as_deref())?;
    usable(&format!("{at}.wal.dir"), &dataset.wal.dir)?;
    usable(&format!("{at}.dead_letter.dir"), &dataset.dead_letter.dir)?;
    match &dataset.sources.folder {
        Some(folder) => usable(&format!("{at}.sources.folder"), folder),
        None => Ok(()),
    }
}

/// Whether a folder can be written to, and a bucket be asked for: nobody is asked here.
fn look_at_store(at: &str, store: Option<&StoreUrl>) -> Result<(), Broken> {
    let key = format!("{at}.store");
    match store {
        Some(StoreUrl::Local(folder)) => usable(&key, folder),
        Some(bucket) => look_at_bucket(key, bucket),
        None => Ok(()),
    }
}

/// Whether versions can be announced: nobody is asked here.
fn look_at_push(at: &str, push: &PushSettings, dataset: Option<&str>) -> Result<(), Broken> {
    let wrong = |key: &str, error: &Error| Broken::new(format!("{at}.push.{key}"), error.message());
    let key = match &push.password_file {
        Some(path) if !path.is_file() => "password_file",
        _ => "url",
    };
    let server = push.server().map_err(|error| wrong(key, &error))?;
    match (server, dataset) {
        (Some(_), Some(dataset)) => push
            .channel_of(dataset)
            .map(|_| ())
            .map_err(|error| wrong("channel", &error)),
        _ => Ok(()),
    }
}

fn look_at_bucket(key: String, bucket: &StoreUrl) -> Result<(), Broken> {
    let opened = Store::open(bucket).map(|_| ());
    opened.map_err(|error| Broken::new(key, error.message()))
}

fn look_at_name(at: &str, name: &str) -> Result<(), Broken> {
    let memory = Store::open(&StoreUrl::Memory);
    let valid = memory.and_then(|store| Dataset::open(store, name));
    valid
        .map(|_| ())
        .map_err(|error| Broken::new(format!("{at}.dataset"), error.message()))
}

/// Types that settings name must be in the schema.
fn look_at_types(at: &str, dataset: &DatasetSettings, schema: &Schema) -> Result<(), Broken> {
    let validation = &dataset.validation;
    let counted = validation.minimum_count.keys();
    let counted = counted.map(|name| (format!("validation.minimum_count.{name}"), name));
    let drift = validation.count_drift.keys();
    let drift = drift.map(|name| (format!("validation.count_drift.{name}"), name));
    let lines = dataset.sources.default_type.iter();
    let lines = lines.map(|name| ("sources.default_type".to_owned(), name));
    for (key, name) in counted.chain(drift).chain(lines) {
        if schema.find(name).is_none() {
            let known: Vec<&str> = schema.types().iter().map(|ty| ty.name.as_str()).collect();
            let what = format!(
                "expected a type of the schema, one of {}, found {name}",
                known.join(", ")
            );
            return Err(Broken::new(format!("{at}.{key}"), what));
        }
    }
    Ok(())
}

/// Whether a folder can be written to, or made.
fn usable(key: &str, folder: &Path) -> Result<(), Broken> {
    unusable(folder).map_or(Ok(()), |what| Err(Broken::new(key, what)))
}

/// Why a folder can neither be written to nor be made.
fn unusable(folder: &Path) -> Option<String> {
    let whole = match folder {
        folder if folder.is_absolute() => folder.to_owned(),
        folder => PathBuf::from(".").join(folder),
    };
    let found = whole.ancestors().find(|path| path.exists());
    let refused = |path: &Path, why: &str| {
        let path = path.display();
        Some(format!(
            "expected a folder that can be written to, found {path}: {why}"
        ))
    };
    match found {
        Some(path) if !path.is_dir() => refused(path, "it is no folder"),
        Some(path) => match writable(path) {
            Ok(()) => None,
            Err(error) => refused(path, &error.to_string()),
        },
        None => refused(folder, "it cannot be made"),
    }
}

#[cfg(unix)]
fn writable(folder: &Path) -> std::io::Result<()> {
    use rustix::fs::{Access, access};
    Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
}

#[cfg(not(unix))]
fn writable(_: &Path) -> std::io::Result<()> {
    Ok(())
}

fn look_at_port(
    section: &str,
    address: IpAddr,
    port: u16,
    notes: &mut Vec<String>,
) -> Result<(), Broken> {
    match TcpListener::bind((address, port)) {
        Ok(_) => Ok(()),
        // The daemon that runs with these settings has it.
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            notes.push(format!(
                "port {port} of {address} is taken: by this daemon, if it runs already"
            ));
            Ok(())
        }
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Err(Broken::new(
            format!("{section}.monitoring.health_check_port"),
            format!("expected a port that may be listened on, found {port}: {error}"),
        )),
        Err(error) => Err(Broken::new(
            format!("{section}.listeners.address"),
            format!("expected an address of this host, found {address}: {error}"),
        )),
    }
}
