//! What concerns a whole daemon: its listener, health, logs, and the list of its datasets.
//!
//! Owns: names and defaults of these keys. Never: acts on one.

use super::producer::DatasetSettings;
use super::section::{Key, Section, Shown, section, shown_word};
use super::value::{self, Size, Word};
use serde::Deserialize;
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

const MIB: u64 = 1 << 20;

section! {
    /// Section `monitoring`.
    Monitoring {
        /// How often the log tells of rates and queues.
        metrics_interval: Duration = Duration::from_secs(30), "value::duration", live;
        /// Port of the listener; 0 for any that is free.
        health_check_port: u16 = 8081, "value::port";
        /// With histograms.
        enable_detailed_metrics: bool = true, "value::flag", live;
        /// What is logged.
        log_level: LogLevel = LogLevel::Info, "value::word", live;
    }
}

section! {
    /// Section `listeners`.
    Listeners {
        /// Address of the listener. Beyond loopback a token is required.
        address: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST), "value::address";
        /// Longest body of a request, as it comes and unpacked.
        max_body_size: Size = Size(16 * MIB), "value::size::<1024, { 1 << 30 }, _>", live;
        /// Longest time until the headers of a request are there.
        header_timeout: Duration = Duration::from_secs(10), "value::duration";
        /// Longest time until its body is there, and in which nobody reads of the answer.
        body_timeout: Duration = Duration::from_secs(30), "value::duration";
        /// Most connections at once; a few more may ask whether the daemon is well.
        max_connections: u64 = 1024, "value::count::<1, 65_536, _>";
        /// Memory of all bodies together: more of them are told to come again.
        max_body_memory: Size = Size(256 * MIB), "value::size::<{ 64 << 10 }, { 1 << 40 }, _>";
    }
}

section! {
    /// Section `security`.
    Security {
        /// File whose first line is the token that requests must bear.
        token_file: Option<PathBuf> = None, "value::some_path";
    }
}

/// What is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Only what needs somebody.
    Error,
    /// What may need somebody as well.
    Warn,
    /// Each version and each change of condition as well.
    Info,
    /// Each request as well.
    Debug,
    /// Everything.
    Trace,
}

impl Word for LogLevel {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
}

impl LogLevel {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.word()
    }
}

impl Shown for LogLevel {
    fn shown(&self) -> Value {
        shown_word(*self)
    }
}

/// The entries of `datasets` as they are written: with what they do not say at its default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub(super) struct Datasets(Vec<DatasetSettings>);

impl Section for Datasets {
    /// Nothing: what an entry comes to is only known together with the section.
    fn keys(&self, _: &str, _: &mut Vec<Key>) {}
}
