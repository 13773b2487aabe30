//! Opening a producer.
//!
//! Owns: settings and their defaults. Never reads the environment or a file.

use crate::chores::Chores;
use crate::metrics::Metrics;
use crate::producer::{Core, Producer, Shared};
use crate::restore::Restored;
use crate::takeover::{Taken, check_vacant};
use crate::validate::Validator;
use crate::{Error, Result};
use grotto_env::{MOST_THREADS, default_threads};
use grotto_format::Schema;
use grotto_state::{Declarations, RecordType, SegmentOptions, WriteState};
use grotto_store::{Announcer, Dataset, ErrorKind, LogEntry, Store, Vacancy, WriterOptions};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// zstd level of blobs: the best ratio that still compresses at the speed a cycle needs.
const DEFAULT_LEVEL: i32 = 3;
const DEFAULT_SNAPSHOT_EVERY: u64 = 25;
/// Measured: `docs/design/0011-links-and-inline-blobs.md`.
const DEFAULT_INLINE_BYTES: usize = 8 << 10;

/// Decides by the newest entry whether to take over, and gives the positions that the fence moves with it. May wait for
/// the disk.
pub(crate) type Judge = Arc<dyn Fn(Option<&LogEntry>, Proof) -> Result<Verdict> + Send + Sync>;

/// How certain it is that an entry is the newest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The store said so.
    Told,
    /// It is a fence of this process.
    Fenced,
}

/// Whether this producer may take over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// With positions that the fence moves.
    Lead(BTreeMap<String, u64>),
    /// That depends on whether the entry is the newest one.
    Prove,
}

/// Settings of a producer; see [`Producer::builder`](crate::Producer::builder).
#[derive(Clone)]
pub struct ProducerBuilder {
    pub(crate) name: String,
    pub(crate) store: Store,
    /// Counted over all producers that are opened from this.
    pub(crate) metrics: Metrics,
    pub(crate) schema: Option<Schema>,
    /// Structs that the schema is made of, where it is not given.
    declared: Option<Declarations>,
    pub(crate) writer: WriterOptions,
    pub(crate) lazy_fence: bool,
    /// Fences also where there is no version yet: others may begin the dataset at the same time.
    pub(crate) fence_empty: bool,
    pub(crate) start_over: bool,
    /// Asked before anybody is fenced.
    pub(crate) judge: Option<Judge>,
    pub(crate) segments: SegmentOptions,
    pub(crate) settings: Settings,
}

impl fmt::Debug for ProducerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProducerBuilder({} into {:?})", self.name, self.store)
    }
}

/// What a running producer needs of its settings. Clones share what may change while it runs.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) level: Option<i32>,
    snapshot_every: Arc<AtomicU64>,
    pub(crate) threads: usize,
    /// Longest wait of a shutdown.
    pub(crate) patience: Duration,
    pub(crate) validators: Vec<Arc<dyn Validator>>,
    /// Are told of every version.
    pub(crate) announcers: Vec<Arc<dyn Announcer>>,
}

impl Settings {
    /// Commits between snapshots.
    pub(crate) fn snapshot_every(&self) -> u64 {
        self.snapshot_every.load(Ordering::Relaxed)
    }

    pub(crate) fn set_snapshot_every(&self, commits: u64) {
        self.snapshot_every.store(commits, Ordering::Relaxed);
    }
}

impl ProducerBuilder {
    pub(crate) fn new(name: String, store: Store) -> Self {
        Self {
            metrics: Metrics::new(&name),
            name,
            store,
            schema: None,
            declared: None,
            writer: WriterOptions {
                inline_bytes: DEFAULT_INLINE_BYTES,
                ..WriterOptions::default()
            },
            lazy_fence: false,
            fence_empty: false,
            start_over: false,
            judge: None,
            segments: SegmentOptions::default(),
            settings: Settings {
                level: Some(DEFAULT_LEVEL),
                snapshot_every: Arc::new(AtomicU64::new(DEFAULT_SNAPSHOT_EVERY)),
                threads: default_threads(),
                patience: Duration::from_secs(30),
                validators: Vec::new(),
                announcers: Vec::new(),
            },
        }
    }

    /// Another store.
    pub(crate) fn store(mut self, store: Store) -> Self {
        self.store = store;
        self
    }

    /// Schema of the records. Without one, the schema of the newest version is kept.
    #[must_use]
    pub fn schema(mut self, schema: Schema) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Adds the type of a struct, with those that it refers to, to the schema: what all declared structs come to
    /// is the schema then, unless [`schema`](Self::schema) gives one.
    #[must_use]
    pub fn declare<T: RecordType>(mut self) -> Self {
        self.declared = Some(self.declared.unwrap_or_default().with::<T>());
        self
    }

    /// Who this is, for people who read the log: host, service, process.
    #[must_use]
    pub fn writer_id(mut self, writer: impl Into<String>) -> Self {
        self.writer.writer = writer.into();
        self
    }

    /// zstd level of blobs, `None` for no compression. Default 3.
    #[must_use]
    pub fn compression(mut self, level: Option<i32>) -> Self {
        self.settings.level = level;
        self
    }

    /// A snapshot is written in the background every so many commits, and after the first one.
    /// Versions that only fence do not count. Default 25; 0 never writes one by itself.
    #[must_use]
    pub fn snapshot_every(mut self, commits: u64) -> Self {
        self.settings.snapshot_every = Arc::new(AtomicU64::new(commits));
        self
    }

    /// Lets the first commit be the fence instead of writing one when opened: a producer that finds no
    /// change writes nothing at all, and one publish is one version. For one-shot commands. Whoever
    /// commits first wins; the other is `Fenced` and begins again on the new version.
    ///
    /// A producer of a dataset that has no version yet, or of a new start, never fences when opened, unless it stood by. A
    /// pipeline with a write-ahead log always does where there is a version.
    #[must_use]
    pub fn lazy_fence(mut self, lazy: bool) -> Self {
        self.lazy_fence = lazy;
        self
    }

    /// Takes over only where a [`Standby`](grotto_store::Standby) found that nobody writes any more: whoever commits
    /// or takes over before makes opening end with `Fenced`.
    #[must_use]
    pub fn only_at(mut self, vacancy: &Vacancy) -> Self {
        let (version, name) = (vacancy.version, self.name.clone());
        self.judge = Some(Arc::new(move |head, _| {
            check_vacant(&name, version, head).map(|()| Verdict::Lead(BTreeMap::new()))
        }));
        self
    }

    /// When the blobs that lead to the newest version, or its log entry, are damaged or gone, begins
    /// anew instead of failing to open: the next cycle must be a full-state one, and its version is published as a
    /// snapshot instead of a delta. Consumers keep what they have until then.
    #[must_use]
    pub fn start_over(mut self, start_over: bool) -> Self {
        self.start_over = start_over;
        self
    }

    /// A delta and a reverse delta of at most so many bytes together ride in the log entry instead of being
    /// objects of their own: a small version is one put for a producer and one get for a consumer.
    /// Default 8 KiB; 0 is never, and more than 256 KiB counts as that.
    #[must_use]
    pub fn inline_blobs(mut self, bytes: usize) -> Self {
        self.writer.inline_bytes = bytes;
        self
    }

    /// Writes also to a store that does not refuse a second create. Only right where a single
    /// writer is certain by construction.
    #[must_use]
    pub fn allow_unfenced(mut self, allow: bool) -> Self {
        self.writer.allow_unfenced = allow;
        self
    }

    /// Keeps segments in another way than the default: for tests that are to reach with little data
    /// what a large dataset reaches.
    #[must_use]
    pub fn segments(mut self, options: SegmentOptions) -> Self {
        self.segments = options;
        self
    }

    /// Adds a validator; all of them must pass.
    #[must_use]
    pub fn validator(mut self, validator: impl Validator + 'static) -> Self {
        self.settings.validators.push(Arc::new(validator));
        self
    }

    /// Tells consumers of every version that is committed, and of the newest one when opened, so that they look at
    /// once instead of at the end of their wait. Nothing waits for it: a version that is not announced is found by
    /// polling.
    #[must_use]
    pub fn announcer(mut self, announcer: impl Announcer + 'static) -> Self {
        self.settings.announcers.push(Arc::new(announcer));
        self
    }

    /// Threads for work that takes the processor: restoring, taking records in, encoding. 1 to 256; one per
    /// processor, at most 8, unless set.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.settings.threads = threads.clamp(1, MOST_THREADS);
        self
    }

    /// Longest wait of [`Producer::shutdown`] for a cycle and a snapshot under way; 30 s unless set.
    #[must_use]
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.settings.patience = timeout;
        self
    }

    /// Makes the schema of the declared structs, unless one was given.
    fn declare_schema(&mut self) -> Result<()> {
        if let (None, Some(declared)) = (&self.schema, self.declared.take()) {
            self.schema = Some(declared.schema()?);
        }
        Ok(())
    }

    /// The schema that was given or declared.
    pub(crate) fn take_schema(&mut self) -> Result<Schema> {
        self.declare_schema()?;
        self.schema.take().ok_or_else(|| {
            let message = format!(
                "dataset {}: expected a schema of what is submitted",
                self.name
            );
            Error::new(ErrorKind::NoSchema, message)
        })
    }

    /// Becomes the producer of the dataset: takes over, unless lazy, and restores the newest version. A producer whose schema cannot follow
    /// that of the dataset does not take over: it could never publish.
    ///
    /// # Errors
    /// `Invalid` when the declared structs make no schema or the schema cannot follow, the store does not fence, or there is no tokio runtime with
    /// timers around the call; `NoSchema` when the dataset has none yet and none was given;
    /// `Unavailable` when the store does not answer; `Corrupt` or `Missing` when no path leads to the
    /// newest version.
    pub async fn open(mut self) -> Result<Producer> {
        grotto_env::check_runtime().map_err(|e| Error::showing(ErrorKind::Invalid, e))?;
        self.declare_schema()?;
        let env = self.store.env().clone();
        let Taken {
            writer,
            head,
            restored: Restored { state, newest },
            starts_over,
        } = self.take_over().await?;
        let schema = match self.schema {
            Some(schema) => Arc::new(schema),
            None if head.is_some() && !starts_over => Arc::clone(state.schema()),
            None => {
                let why = match starts_over {
                    true => "begins anew",
                    false => "has no version yet to take one from",
                };
                let message = format!("no schema given, and dataset {} {why}", self.name);
                return Err(Error::new(ErrorKind::NoSchema, message));
            }
        };
        let snapshot_at = commits_at(writer.dataset(), head.as_ref(), newest).await?;
        let mut write = WriteState::new(Arc::new(state)).with_segments(self.segments);
        write.skip_to(writer.next_version() - 1);
        let metrics = self.metrics;
        let shared = Shared {
            name: self.name,
            writer,
            settings: self.settings,
            env,
            metrics,
            ended: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
            state: Mutex::new(Arc::clone(write.state())),
            snapshots: tokio::sync::Mutex::default(),
            chores: Chores::default(),
            last_snapshot: AtomicU64::new(snapshot_at),
        };
        let core = Core {
            write,
            schema,
            pending: None,
            settled: Vec::new(),
            starts_over,
        };
        // The fence, or what a predecessor committed and had no time to tell of.
        shared.announce();
        Ok(Producer::assemble(shared, core))
    }
}

/// How many commits the log had at the newest snapshot, which is that of version `newest`; 0 without one.
async fn commits_at(dataset: &Dataset, head: Option<&LogEntry>, newest: u64) -> Result<u64> {
    let Some(head) = head else { return Ok(0) };
    // The one that the head names is known without a look at others.
    let newest = newest.max(head.snapshot.as_ref().map_or(0, |named| named.version));
    match newest {
        0 => Ok(0),
        version if version == head.version => Ok(head.commits),
        version => match dataset.read_entry(version).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(0),
            entry => Ok(entry?.map_or(0, |entry| entry.commits)),
        },
    }
}
