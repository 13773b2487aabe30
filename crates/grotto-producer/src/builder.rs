//! Opening a producer.
//!
//! Owns: settings and their defaults. Never reads the environment or a file.

use crate::chores::Chores;
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::producer::{Core, Producer, Shared};
use crate::restore::{Restored, restore};
use crate::validate::Validator;
use grotto_format::Schema;
use grotto_state::{State, WriteState};
use grotto_store::{Dataset, ErrorKind, LogEntry, Store, Writer, WriterOptions};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// More threads than this only cost memory.
const MAX_THREADS: usize = 256;

/// zstd level of blobs: the best ratio that still compresses at the speed a cycle needs.
const DEFAULT_LEVEL: i32 = 3;
const DEFAULT_SNAPSHOT_EVERY: u64 = 25;

/// Settings of a producer; see [`Producer::builder`](crate::Producer::builder).
pub struct ProducerBuilder {
    name: String,
    store: Store,
    schema: Option<Schema>,
    writer: WriterOptions,
    lazy_fence: bool,
    start_over: bool,
    pub(crate) settings: Settings,
}

/// What a running producer needs of its settings.
pub(crate) struct Settings {
    pub(crate) level: Option<i32>,
    pub(crate) snapshot_every: u64,
    pub(crate) threads: usize,
    pub(crate) validators: Vec<Box<dyn Validator>>,
}

impl ProducerBuilder {
    pub(crate) fn new(name: &str, store: Store) -> Self {
        let threads = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(8);
        Self {
            name: name.to_owned(),
            store,
            schema: None,
            writer: WriterOptions::default(),
            lazy_fence: false,
            start_over: false,
            settings: Settings {
                level: Some(DEFAULT_LEVEL),
                snapshot_every: DEFAULT_SNAPSHOT_EVERY,
                threads,
                validators: Vec::new(),
            },
        }
    }

    /// Schema of the records. Without one, the schema of the newest version is kept.
    #[must_use]
    pub fn schema(mut self, schema: Schema) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Who this is, for people who read the log: host, service, process.
    #[must_use]
    pub fn writer_id(mut self, writer: &str) -> Self {
        writer.clone_into(&mut self.writer.writer);
        self
    }

    /// zstd level of blobs, `None` for no compression. Default 3.
    #[must_use]
    pub fn compression(mut self, level: Option<i32>) -> Self {
        self.settings.level = level;
        self
    }

    /// A snapshot is written in the background every so many versions, and after the first one.
    /// Default 25; 0 never writes one by itself.
    #[must_use]
    pub fn snapshot_every(mut self, versions: u64) -> Self {
        self.settings.snapshot_every = versions;
        self
    }

    /// Fences at the first commit instead of when opened, so that a producer which finds no change
    /// writes nothing at all: for one-shot commands.
    #[must_use]
    pub fn lazy_fence(mut self, lazy: bool) -> Self {
        self.lazy_fence = lazy;
        self
    }

    /// When the blobs that lead to the newest version are damaged or gone, begins anew instead of
    /// failing to open: the next cycle must be a full-state one, and its version is published as a
    /// snapshot instead of a delta. Consumers keep what they have until then.
    #[must_use]
    pub fn start_over(mut self, start_over: bool) -> Self {
        self.start_over = start_over;
        self
    }

    /// Writes also to a store that does not refuse a second create. Only right where a single
    /// writer is certain by construction.
    #[must_use]
    pub fn allow_unfenced(mut self, allow: bool) -> Self {
        self.writer.allow_unfenced = allow;
        self
    }

    /// Adds a validator; all of them must pass.
    #[must_use]
    pub fn validator(mut self, validator: impl Validator + 'static) -> Self {
        self.settings.validators.push(Box::new(validator));
        self
    }

    /// Threads that decode and encode, 1 to 256. Default: one per processor, at most 8.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.settings.threads = threads.clamp(1, MAX_THREADS);
        self
    }

    /// Fences (unless lazy) and restores the newest version.
    ///
    /// # Errors
    /// When the store cannot be used, does not fence, or no path leads to the newest version.
    pub async fn open(self) -> Result<Producer> {
        let env = self.store.env().clone();
        let dataset = Dataset::open(self.store, &self.name)?;
        let (writer, head) = match self.lazy_fence {
            true => Writer::prepare(dataset, self.writer).await?,
            false => Writer::acquire(dataset, self.writer).await?,
        };
        let (restored, starts_over) = match restore(writer.dataset(), head.as_ref()).await {
            Ok(restored) => (restored, false),
            Err(error) if self.start_over && is_lost(&error) => {
                tracing::warn!(dataset = self.name, %error, "cannot restore the newest version, starting over");
                let restored = Restored {
                    state: State::empty(),
                    newest_snapshot: named_snapshot(head.as_ref()),
                };
                (restored, true)
            }
            Err(error) => return Err(error),
        };
        let Restored {
            state,
            newest_snapshot,
        } = restored;
        let schema = match self.schema {
            Some(schema) => Arc::new(schema),
            None if head.is_some() => Arc::clone(state.schema()),
            None => {
                return Err(Error::invalid(format!(
                    "dataset {} is empty: expected a schema",
                    self.name
                )));
            }
        };
        let mut write = WriteState::new(Arc::new(state));
        write.skip_to(writer.next_version() - 1);
        let mut registry = Registry::default();
        let metrics = Metrics::register(&mut registry);
        let shared = Shared {
            name: self.name,
            writer,
            settings: self.settings,
            env,
            metrics,
            registry,
            state: Mutex::new(Arc::clone(write.state())),
            snapshots: tokio::sync::Mutex::default(),
            chores: Chores::default(),
            last_snapshot: AtomicU64::new(newest_snapshot),
        };
        let core = Core {
            write,
            schema,
            pending: None,
            starts_over,
        };
        Ok(Producer::assemble(shared, core))
    }
}

/// Version of the snapshot that an entry names; 0 for none.
fn named_snapshot(entry: Option<&LogEntry>) -> u64 {
    let snapshot = entry.and_then(|entry| entry.snapshot.as_ref());
    snapshot.map_or(0, |snapshot| snapshot.version)
}

/// Whether no retry brings the newest version back.
fn is_lost(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Missing)
}
