//! A host of a run: a store, who publishes to it, and a sidecar.
//!
//! Owns: starting them, and asking the sidecar. Never: a case of its own.

use super::editions::{Publisher, text, written};
use crate::daemon::kit::{Daemon, PATIENCE};
use crate::kit::Bench;
use crate::sidecar::kit::{configure, start};
use grotto::engine::env::Env;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(2);

pub(super) struct Host {
    pub(super) bench: Bench,
    pub(super) publisher: Publisher,
}

impl Host {
    /// With so many items, and more keys below `consumer` of the configuration.
    pub(super) fn new(items: i64, more: &str) -> Self {
        let bench = Bench::new();
        configure(&bench, more);
        let publisher = Publisher::new(&bench, items);
        Self { bench, publisher }
    }

    pub(super) fn store(&self) -> PathBuf {
        self.bench.path("store")
    }

    pub(super) fn state_dir(&self) -> PathBuf {
        self.bench.path("state")
    }

    /// Starts the sidecar and waits until it serves something; its version.
    pub(super) fn serving(&self) -> (Daemon, u64) {
        let sidecar = start(&self.bench);
        let version = served_after(&sidecar, 0);
        (sidecar, version)
    }

    /// Publishes an edition and waits until the sidecar serves it.
    pub(super) fn publish(&mut self, sidecar: &Daemon) -> u64 {
        let version = self.publisher.publish();
        reach(sidecar, version);
        version
    }
}

/// The first version that is served other than this.
#[track_caller]
pub(super) fn served_after(sidecar: &Daemon, after: u64) -> u64 {
    crate::sidecar::kit::served(sidecar, after)
}

/// Waits until a version or a later one is served.
#[track_caller]
pub(super) fn reach(sidecar: &Daemon, version: u64) {
    let mut served = 0;
    while served < version {
        served = served_after(sidecar, served);
    }
}

/// What the sidecar says of the dataset.
#[track_caller]
pub(super) fn status(sidecar: &Daemon) -> Value {
    sidecar.get("/v1/datasets/items").ok()
}

/// The reasons why the dataset is degraded, once it is.
#[track_caller]
pub(super) fn degraded(sidecar: &Daemon, reason: &str) -> Value {
    until(|| {
        let told = status(sidecar);
        let reasons = told["reasons"].to_string();
        (told["condition"] == "degraded" && reasons.contains(reason)).then_some(told)
    })
}

/// Waits until the sidecar serves this version, knows of none newer, and has nothing to complain of.
#[track_caller]
pub(super) fn well(sidecar: &Daemon, version: u64) {
    until_or(|| {
        let told = status(sidecar);
        let is_newest = told["version"] == version && told["newest"] == version;
        let is_well = is_newest && told["condition"] == "serving";
        is_well.then_some(()).ok_or_else(|| told.to_string())
    });
}

/// Asks until an answer is as it should be.
#[track_caller]
pub(super) fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    until_or(|| ask().ok_or_else(String::new))
}

/// The same; the last answer that was not as it should be is told if none is in time.
#[track_caller]
fn until_or<T>(mut ask: impl FnMut() -> Result<T, String>) -> T {
    let clock = Env::system().clock;
    let begun = clock.monotonic();
    loop {
        match ask() {
            Ok(found) => return found,
            Err(told) => assert!(
                clock.monotonic() - begun < PATIENCE,
                "it does not come: {told}"
            ),
        }
        pause(LOOK);
    }
}

/// Leaves the processor to others for a while.
pub(crate) fn pause(wait: Duration) {
    let (_nobody, nothing) = std::sync::mpsc::channel::<()>();
    // Nothing comes.
    let _ = nothing.recv_timeout(wait);
}

/// A connection to a sidecar that serves many requests.
pub(super) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(super) fn new(sidecar: &Daemon) -> Self {
        let stream = sidecar.connect();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// The records of a type by their keys, and their version.
    pub(super) fn batch(&mut self, type_name: &str, keys: &[i64]) -> (u64, Vec<Value>) {
        let body = json!(keys).to_string();
        let path = format!("/v1/datasets/items/types/{type_name}/records:batch");
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let answer = self.answer();
        let records = answer["records"].as_array().unwrap();
        assert_eq!(records.len(), keys.len());
        (answer["version"].as_u64().unwrap(), records.clone())
    }

    fn answer(&mut self) -> Value {
        let (mut length, mut line) = (0, String::new());
        self.0.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 200"), "{line}");
        while line != "\r\n" {
            line.clear();
            self.0.read_line(&mut line).unwrap();
            if let Some(value) = line.strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    /// Reads some items and makes sure that they are what they have to be at the version of the answer; `offset` is
    /// how far versions are ahead of editions. The version.
    pub(super) fn check(&mut self, ids: &[i64], offset: u64) -> u64 {
        let (version, items) = self.batch("Item", ids);
        let edition = i64::try_from(version - offset).unwrap();
        for (id, item) in ids.iter().zip(items) {
            let edition = written(*id, edition);
            let expected = json!({ "id": id, "edition": edition, "text": text(*id, edition) });
            assert_eq!(item, expected, "version {version}");
        }
        let (version, marks) = self.batch("Mark", &[0, 7]);
        let edition = i64::try_from(version - offset).unwrap();
        let expected = [0, 7].map(|id| json!({ "id": id, "edition": edition }));
        assert_eq!(marks, expected, "version {version}");
        version
    }
}
