//! Settings that must fit each other.
//!
//! Owns: these rules, and naming the key and its place where one is broken. Never: reads a value; what is wrong with
//! one by itself is said where it is read.

mod follow;

use super::environment::{Environment, setting};
use super::locate::locate;
use super::section::duration_text;
use super::value::Size;
use super::{
    DatasetSettings, LeadershipRole, ProducerSettings, Security, Settings, Stdin, folders,
};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::IpAddr;

/// A rule that settings break.
#[derive(Debug)]
pub(super) struct Broken {
    /// The key.
    path: String,
    what: String,
}

impl Broken {
    /// What is wrong with a key.
    pub(super) fn new(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            what: what.into(),
        }
    }

    /// Where the key was set, and what is wrong with it.
    pub(super) fn complaint(&self, text: &str, environment: &Environment) -> String {
        let Self { path, what } = self;
        // An entry of `datasets` has what it does not say from its section.
        let common = common(path);
        let mut paths = std::iter::once(path.as_str()).chain(common.as_deref());
        let place = paths.find_map(|path| {
            if let Some(variable) = setting(environment, path) {
                return Some(format!("environment {variable}: {path}"));
            }
            let (line, column) = locate(text, path)?;
            Some(format!("line {line}, column {column}: {path}"))
        });
        match place {
            Some(place) => format!("{place}: {what}"),
            None => format!("{path}: {what}, by default"),
        }
    }
}

/// The path of the same key in the section, for an entry of `datasets`.
fn common(path: &str) -> Option<String> {
    let (section, entry) = path.split_once(".datasets.")?;
    let (_, rest) = entry.split_once('.')?;
    Some(format!("{section}.{rest}"))
}

fn broken(path: impl Into<String>, what: impl Into<String>) -> Result<(), Broken> {
    Err(Broken::new(path, what))
}

/// Whether all settings fit each other.
pub(super) fn check(settings: &Settings) -> Result<(), Broken> {
    if let Some(consumer) = &settings.consumer {
        follow::check(consumer)?;
    }
    settings.producer.as_ref().map_or(Ok(()), check_producer)
}

fn check_producer(producer: &ProducerSettings) -> Result<(), Broken> {
    check_listener("producer", producer.listeners.address, &producer.security)?;
    // A packed body and what it unpacks to are in memory together.
    let listeners = &producer.listeners;
    at_most(
        "producer",
        "listeners.max_body_size",
        listeners.max_body_size,
        "half of max_body_memory",
        Size(listeners.max_body_memory.0 / 2),
    )?;
    if producer.listed.is_empty() {
        check_dataset("producer", &producer.common)?;
        return folders::check(producer);
    }
    let mut names = BTreeSet::new();
    check_stdin(producer)?;
    for (index, dataset) in producer.listed.iter().enumerate() {
        let at = format!("producer.datasets.{index}");
        check_dataset(&at, dataset)?;
        match &dataset.dataset {
            None => broken(&at, "expected a key `dataset`, found none")?,
            Some(name) if !names.insert(name) => broken(
                format!("{at}.dataset"),
                format!("expected each dataset once, found {name} again"),
            )?,
            Some(_) => {}
        }
    }
    folders::check(producer)
}

/// There is only one standard input.
fn check_stdin(producer: &ProducerSettings) -> Result<(), Broken> {
    let reads = |dataset: &DatasetSettings| dataset.sources.stdin != Stdin::None;
    let mut readers = producer.listed.iter().enumerate();
    let mut readers = readers.by_ref().filter(|(_, dataset)| reads(dataset));
    match (readers.next(), readers.next()) {
        (Some(_), Some((second, _))) => broken(
            format!("producer.datasets.{second}.sources.stdin"),
            "expected one dataset that reads the standard input, found a second one",
        ),
        _ => Ok(()),
    }
}

/// Beyond loopback nobody asks without a token.
fn check_listener(at: &str, address: IpAddr, security: &Security) -> Result<(), Broken> {
    if address.is_loopback() || security.token_file.is_some() {
        return Ok(());
    }
    broken(
        format!("{at}.listeners.address"),
        format!(
            "expected a loopback address, or a {at}.security.token_file as well, found {address}"
        ),
    )
}

fn check_dataset(at: &str, dataset: &DatasetSettings) -> Result<(), Broken> {
    let batching = &dataset.batching;
    let pending = batching.max_pending_records;
    at_most(
        at,
        "batching.max_batch_size",
        batching.max_batch_size,
        "max_pending_records",
        pending,
    )?;
    at_most(
        at,
        "batching.memory_pressure_threshold",
        batching.memory_pressure_threshold,
        "max_pending_records",
        pending,
    )?;
    at_most(
        at,
        "batching.max_batch_bytes",
        batching.max_batch_bytes,
        "max_pending_bytes",
        batching.max_pending_bytes,
    )?;
    check_leadership(at, dataset)?;
    let wal = &dataset.wal;
    at_most(
        at,
        "wal.segment_size",
        wal.segment_size,
        "max_size",
        wal.max_size,
    )?;
    match dataset
        .validation
        .count_drift
        .iter()
        .find(|(_, most)| **most == 0)
    {
        Some((name, _)) => broken(
            format!("{at}.validation.count_drift.{name}"),
            "expected at least 1 percent, found 0",
        ),
        None => Ok(()),
    }
}

/// A lease has room for a heartbeat or two that get lost, and what a standby reads comes once only.
fn check_leadership(at: &str, dataset: &DatasetSettings) -> Result<(), Broken> {
    let (lease, heartbeat) = (dataset.leadership.lease, dataset.leadership.heartbeat);
    if heartbeat > lease / 3 {
        let (lease, heartbeat) = (duration_text(lease), duration_text(heartbeat));
        let what =
            format!("expected at most a third of lease, which is {lease}, found {heartbeat}");
        broken(format!("{at}.leadership.heartbeat"), what)?;
    }
    let stands_by = dataset.leadership.role == LeadershipRole::Standby;
    if stands_by && dataset.sources.stdin != Stdin::None {
        broken(
            format!("{at}.sources.stdin"),
            "expected none where leadership is standby: a standby may never read it",
        )?;
    }
    Ok(())
}

fn at_most<T: PartialOrd + Display>(
    at: &str,
    key: &str,
    value: T,
    limit: &str,
    most: T,
) -> Result<(), Broken> {
    if value <= most {
        return Ok(());
    }
    broken(
        format!("{at}.{key}"),
        format!("expected at most {limit}, which is {most}, found {value}"),
    )
}
