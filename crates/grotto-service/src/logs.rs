//! The log of a daemon.
//!
//! Owns: its form, JSON unless somebody looks at it, and changing its level while it runs. Never: decides what is
//! worth a line.

use crate::traces::{self, Traces};
use grotto::{Error, Result};
use std::io::IsTerminal as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// What of other libraries is worth a line, whatever the level of our own.
const OTHERS: &str = "warn";

/// The level of the log, which can be changed.
#[derive(Clone)]
pub struct LogControl {
    filter: Option<reload::Handle<EnvFilter, Registry>>,
    /// Directives that the user gave for this run: the configuration does not change them.
    fixed: Option<String>,
    traces: Option<Traces>,
}

impl std::fmt::Debug for LogControl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LogControl({:?})", self.fixed)
    }
}

impl LogControl {
    /// Controls no log: for tests, and for programs that have set up their own.
    #[must_use]
    pub fn none() -> Self {
        Self {
            filter: None,
            fixed: None,
            traces: None,
        }
    }

    /// Sends what was not sent yet. Blocks, for some seconds at most.
    pub fn end(&self) {
        if let Some(traces) = &self.traces {
            traces.end();
        }
    }

    /// Logs from this level on. Where somebody looks, versions have lines of their own, and what is logged at level
    /// info would only hide them.
    ///
    /// # Errors
    /// `Internal` when the log is gone.
    pub fn set(&self, level: &str) -> Result<()> {
        let Some(filter) = &self.filter else {
            return Ok(());
        };
        let level = match level {
            "info" if std::io::stderr().is_terminal() => "warn",
            level => level,
        };
        let changed = filter.reload(directives(level, self.fixed.as_deref()));
        changed.map_err(|e| Error::internal(format!("the level of the log does not change: {e}")))
    }
}

fn directives(level: &str, fixed: Option<&str>) -> EnvFilter {
    let ours = [
        "grotto",
        "grotto_service",
        "grotto_producer",
        "grotto_store",
        "grotto_consumer",
    ];
    let ours: String = ours.map(|name| format!(",{name}={level}")).concat();
    EnvFilter::new(fixed.map_or_else(|| format!("{OTHERS}{ours}"), str::to_owned))
}

/// Sets the log of the process up, on the standard error stream: JSON, one object per line, unless that is a
/// terminal. `fixed` are directives that win over the configuration. `traces_to` is the address of a collector for
/// traces, which are made of the same spans.
///
/// # Errors
/// `Internal` when the process has a log already; `Invalid` when the address is none, or this build sends no traces.
pub fn start_log(fixed: Option<String>, traces_to: Option<&str>) -> Result<LogControl> {
    let (filter, handle) = reload::Layer::new(directives("info", fixed.as_deref()));
    let (traces, layer) = traces_to.map(traces::layer).transpose()?.unzip();
    let registry = tracing_subscriber::registry().with(filter).with(layer);
    let terminal = std::io::stderr().is_terminal();
    let started = if terminal {
        let plain = fmt::layer().with_writer(std::io::stderr).with_target(false);
        registry.with(plain.compact()).try_init()
    } else {
        let json = fmt::layer().json().with_writer(std::io::stderr);
        registry.with(json.flatten_event(true)).try_init()
    };
    started.map_err(|e| Error::internal(format!("the log does not start: {e}")))?;
    log_panics();
    Ok(LogControl {
        filter: Some(handle),
        fixed,
        traces,
    })
}

/// A time as the log has it: a number, which one of more bits would not be.
pub(crate) fn whole_ms(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A panic is in the log too, wherever it happens: a task that panics ends without a word otherwise.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let thread = std::thread::current();
        let reason = grotto::engine::panic_text(panic.payload());
        tracing::error!(place, thread = thread.name(), reason, "a thread panicked");
    }));
}
