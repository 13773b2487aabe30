//! Starting a pipeline.
//!
//! Owns: opening the log and the dead letters, and the tasks, which it starts again when they panic. Never:
//! waits for the store.

use super::commit;
use super::inner::{Inner, Phase, Running};
use super::journal::Journal;
use super::options::Durability;
use super::publish::{AFTER_PANIC, Command};
use super::reign::{Reign, mark_of};
use super::{Pipeline, PipelineOptions};
use super::{limiter::Limiter, metrics::PipelineMetrics, status::State};
use crate::builder::ProducerBuilder;
use crate::dead_letter::{DeadLetterOptions, DeadLetters};
use crate::wal::{Recovery, STORE_SOURCE, StoreLog, Wal};
use crate::{Error, ErrorKind, Result};
use grotto_env::{AppendFiles, SystemFiles};
use grotto_format::Schema;
use grotto_state::Admission;
use grotto_store::Dataset;
use parking_lot::Mutex;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;
use tokio::sync::{Notify, broadcast, mpsc};

/// Versions that a slow subscriber may be behind.
const REMEMBERED_VERSIONS: usize = 256;

/// Settings of a pipeline; see [`ProducerBuilder::pipeline`].
pub struct PipelineBuilder {
    pub(super) builder: ProducerBuilder,
    pub(super) options: PipelineOptions,
    pub(super) files: Arc<dyn AppendFiles>,
    pub(super) reign: Reign,
    dead_letters: Option<(PathBuf, DeadLetterOptions)>,
}

impl fmt::Debug for PipelineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PipelineBuilder({:?})", self.builder)
    }
}

impl ProducerBuilder {
    /// A pipeline that takes submissions in and publishes them, instead of a producer whose cycles the caller
    /// runs.
    #[must_use]
    pub fn pipeline(self, options: PipelineOptions) -> PipelineBuilder {
        PipelineBuilder {
            builder: self,
            options,
            files: Arc::new(SystemFiles),
            reign: Reign::Anybody,
            dead_letters: None,
        }
    }
}

impl PipelineBuilder {
    /// Keeps what cannot be applied in files of this folder. Without one it is only logged.
    #[must_use]
    pub fn dead_letters(mut self, folder: impl Into<PathBuf>, options: DeadLetterOptions) -> Self {
        self.dead_letters = Some((folder.into(), options));
        self
    }

    /// Another file system for the log and the dead letters: for tests and simulations.
    #[must_use]
    pub fn files(mut self, files: Arc<dyn AppendFiles>) -> Self {
        self.files = files;
        self
    }

    /// Starts the pipeline. It takes submissions in at once; the store is asked in the background, for as long as
    /// it takes.
    ///
    /// # Errors
    /// `NoSchema` when none was given; `Invalid` when declared structs make no schema, or there is no tokio runtime
    /// with timers around the call; `Busy` when another process has the log; `Corrupt` when the log is damaged
    /// before its end; `Unavailable` when the disk does not answer.
    pub async fn start(mut self) -> Result<Pipeline> {
        grotto_env::check_runtime().map_err(|e| Error::showing(ErrorKind::Invalid, e))?;
        if self.builder.start_over {
            let message = "a pipeline goes on from what there is: to start over, run a full-state cycle of a producer first";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        if self.options.durability == Durability::Store && self.builder.writer.allow_unfenced {
            let message = "a write-ahead log in the store needs a store that keeps a second writer out: its entries \
                           could be lost to another one";
            return Err(Error::new(ErrorKind::Invalid, message));
        }
        let schema = Arc::new(self.builder.take_schema()?);
        self.builder = self.builder.schema(Schema::clone(&schema));
        let env = self.builder.store.env().clone();
        let (journal, recovery, dead_letters) = self.open_log(&schema).await?;
        let source = match &journal {
            Some(Journal::Host(wal)) => {
                self.builder.writer.mark = Some(mark_of(wal.id()));
                Some(format!("wal:{}", wal.id()))
            }
            Some(Journal::Store(_)) => Some(STORE_SOURCE.to_owned()),
            None => None,
        };
        if journal.is_some() {
            // What is in a log may be published by whoever fenced the others only, and a fence says what was set aside.
            self.builder.lazy_fence = false;
        }
        let (commands, to_obey) = mpsc::unbounded_channel();
        let clock = Arc::clone(&env.clock);
        let inner = Arc::new(Inner {
            name: self.builder.name.clone(),
            source: source.map(Arc::from),
            admission: Admission::new(schema),
            limiter: Mutex::new(Arc::new(Limiter::new(self.options.rate, clock))),
            options: Mutex::new(self.options),
            store: Mutex::new(self.builder.store.clone()),
            builder: self.builder,
            journal: Mutex::new(journal),
            log_changed: Notify::new(),
            dead_letters,
            metrics: PipelineMetrics::new(),
            phase: Mutex::new(Phase::Running),
            phase_changed: Notify::new(),
            room: Mutex::default(),
            room_filled: Notify::new(),
            room_freed: Notify::new(),
            log_is_full: AtomicBool::new(false),
            queue: Mutex::default(),
            queue_filled: Notify::new(),
            flush: AtomicU64::new(0),
            commands,
            progress: Mutex::default(),
            published: broadcast::Sender::new(REMEMBERED_VERSIONS),
            state: Mutex::new(State::new(env.clock.wall_ms())),
            producer: Mutex::new(None),
            committed: AtomicU64::new(0),
            began_at: Mutex::new(recovery.as_ref().map(|recovery| recovery.last)),
            files: self.files,
            reign: Mutex::new(self.reign),
            aside_through: AtomicU64::new(0),
            buried: Mutex::default(),
            recent: Mutex::default(),
            env,
        });
        if let Some(wal) = inner.wal() {
            // Known before the store is: what is appended from now on comes behind it.
            let oldest = recovery.map_or(1, |recovery| recovery.oldest).max(1) - 1;
            inner.queue.lock().begin(oldest.min(wal.last()), wal.last());
        }
        inner.start_tasks(to_obey);
        Ok(Pipeline {
            _running: Arc::new(Running(Arc::clone(&inner))),
            inner,
        })
    }

    /// Opens the log and the dead letters.
    pub(super) async fn open_log(
        &self,
        schema: &Arc<Schema>,
    ) -> Result<(Option<Journal>, Option<Recovery>, Option<Arc<DeadLetters>>)> {
        let env = self.builder.store.env().clone();
        let (files, schema) = (Arc::clone(&self.files), Arc::clone(schema));
        let (durability, options) = (self.options.durability.clone(), self.options.wal.clone());
        let dataset = Dataset::open(self.builder.store.clone(), &self.builder.name)?;
        let (letters, random) = (self.dead_letters.clone(), Arc::clone(&env.random));
        let open = move || -> Result<_> {
            let (journal, recovery) = match durability {
                Durability::Host(folder) => {
                    let nonce = || random.nonce();
                    let (wal, recovery) =
                        Wal::open(Arc::clone(&files), &folder, &schema, options, nonce)?;
                    tracing::info!(?recovery, folder = %folder.display(), "write-ahead log opened");
                    (Some(Journal::Host(Arc::new(wal))), Some(recovery))
                }
                Durability::Store => {
                    let log = StoreLog::new(&dataset, &schema, options);
                    (Some(Journal::Store(Arc::new(log))), None)
                }
                Durability::Published => (None, None),
            };
            let letters =
                letters.map(|(folder, options)| DeadLetters::open(files, &folder, options));
            Ok((journal, recovery, letters.transpose()?.map(Arc::new)))
        };
        let opened = env.blocking(open).await;
        opened.map_err(|e| Error::internal(format!("opening the write-ahead log stopped: {e}")))?
    }
}

impl Inner {
    fn start_tasks(self: &Arc<Self>, to_obey: mpsc::UnboundedReceiver<Command>) {
        let commands = Arc::new(tokio::sync::Mutex::new(to_obey));
        let inner = Arc::clone(self);
        let publish = move || {
            let (inner, commands) = (Arc::clone(&inner), Arc::clone(&commands));
            async move {
                // A store that does not answer must not hold up the end. What was begun is settled by the next
                // start.
                tokio::select! {
                    biased;
                    () = inner.reached(Phase::Ended) => {}
                    () = Arc::clone(&inner).publish_all(&commands) => {}
                }
            }
        };
        let untake = |inner: &Self| inner.queue.lock().untake();
        let publishing = Arc::clone(self).survive("publishing", publish, untake);
        let inner = Arc::clone(self);
        let take_in = move || commit::run(Arc::clone(&inner));
        let settle = |inner: &Self| inner.room.lock().settled();
        let taking_in = Arc::clone(self).survive("taking in", take_in, settle);
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            tokio::join!(publishing, taking_in, Arc::clone(&inner).beat());
            inner.end_all(&inner.ended());
            inner.free_log().await;
            if let Some(letters) = &inner.dead_letters {
                letters.close();
            }
            inner.set_phase(Phase::Closed);
        });
    }

    /// Lets the next pipeline have the log. Reading that was begun may hold it a little longer.
    async fn free_log(&self) {
        let Some(Journal::Host(log)) = self.journal.lock().take() else {
            return;
        };
        while Arc::strong_count(&log) > 1 {
            self.env.sleep(Duration::from_millis(1)).await;
        }
    }

    /// Runs a task until it ends by itself. A panic of it is a defect; what is acknowledged is on the disk, so it
    /// is said aloud and the task begins again.
    async fn survive<F>(
        self: Arc<Self>,
        what: &'static str,
        task: impl Fn() -> F,
        clean_up: fn(&Self),
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        while let Err(error) = tokio::spawn(task()).await {
            if !error.is_panic() {
                // The runtime goes down.
                return;
            }
            self.metrics.panics.inc();
            tracing::error!(dataset = self.name, %error, "{what} panicked and begins again");
            clean_up(&self);
            self.pause(AFTER_PANIC).await;
        }
    }
}
