//! Whether a pipeline may be the producer of its dataset, and signs of life while it is.
//!
//! Owns: not taking over from somebody else after the first time, setting aside what another producer overtook, and
//! heartbeats. Never: fences; the producer does.

use super::inner::{Inner, Phase};
use super::journal::Journal;
use super::options::{Durability, PipelineOptions};
use super::{Pipeline, PipelineBuilder};
use crate::aside;
use crate::builder::{Proof, Verdict};
use crate::takeover::check_vacant;
use crate::wal::{Recovery, Wal, led};
use crate::{Error, ErrorKind, Producer, Result};
use grotto_env::{AppendFiles, Env};
use grotto_store::{Dataset, EntryKind, LogEntry, Standby, StandbyOptions, Turn};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// What a pipeline knows of its place among the producers of its dataset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reign {
    /// It may take over from anybody.
    Anybody,
    /// It may take over where nobody has written since this version.
    Vacant(u64),
    /// The same, and it may have fenced there.
    Trying(u64),
    /// It took over, with this epoch: from now on it follows itself only.
    Held(u64),
}

/// The source whose position is the epoch under which a log's entries are published.
pub(super) fn mark_of(wal: &str) -> String {
    format!("lead:{wal}")
}

impl Inner {
    /// Decides by the newest entry whether this pipeline may fence its writer, and gives the positions that the fence
    /// moves: those of entries that were set aside.
    pub(super) fn may_lead(&self, head: Option<&LogEntry>, proof: Proof) -> Result<Verdict> {
        self.check_reign(head)?;
        let (Some(wal), Some(head), Some(source)) = (self.wal(), head, &self.source) else {
            return Ok(Verdict::Lead(BTreeMap::new()));
        };
        let last = self.began_at.lock().unwrap_or_else(|| wal.last());
        let Some(through) = self.aside(&wal)?.set_stale_aside(head, last, proof)? else {
            return Ok(Verdict::Prove);
        };
        self.aside_through.store(through, Ordering::Release);
        let committed = head.sources.get(&**source).copied().unwrap_or(0);
        let moved = (through > committed).then(|| (source.to_string(), through));
        Ok(Verdict::Lead(moved.into_iter().collect()))
    }

    fn check_reign(&self, head: Option<&LogEntry>) -> Result<()> {
        let mut reign = self.reign.lock();
        // A fence of this pipeline that landed without an answer: nobody else wrote.
        if let (Reign::Trying(version), Some(head)) = (*reign, head)
            && head.version == version + 1
            && self.is_own_fence(head)
        {
            *reign = Reign::Trying(head.version);
        }
        match *reign {
            Reign::Anybody => {}
            Reign::Vacant(version) | Reign::Trying(version) => {
                check_vacant(&self.name, version, head)?;
                *reign = Reign::Trying(version);
            }
            Reign::Held(epoch) => self.check_own(epoch, head)?,
        }
        Ok(())
    }

    fn aside<'a>(&'a self, wal: &'a Wal) -> Result<Aside<'a>> {
        Ok(Aside {
            dataset: &self.name,
            files: &*self.files,
            log_folder: log_folder(&self.options.lock())?,
            wal,
            was_led: false,
        })
    }

    fn is_own_fence(&self, head: &LogEntry) -> bool {
        head.kind == EntryKind::Fence && head.writer == self.builder.writer.writer
    }

    /// A pipeline that opens its dataset again follows nobody but itself.
    fn check_own(&self, epoch: u64, head: Option<&LogEntry>) -> Result<()> {
        let Some(head) = head else {
            return Ok(());
        };
        let mark = self.wal().map(|wal| mark_of(wal.id()));
        let marked = mark.and_then(|mark| head.sources.get(&mark).copied());
        let own_fence = || head.epoch == epoch + 1 && self.is_own_fence(head);
        // The fence proves whether an older entry is the newest one.
        if head.epoch <= epoch || marked == Some(head.epoch) || own_fence() {
            return Ok(());
        }
        let message = format!(
            "writer {:?} of epoch {} took over dataset {} from this one of epoch {epoch}",
            head.writer, head.epoch, self.name
        );
        Err(Error::new(ErrorKind::Fenced, message))
    }

    /// Forgets what of the log a person has dealt with and the newest version says is behind.
    pub(super) async fn forget_aside(&self, wal: &Arc<Wal>, committed: u64) {
        let folder = log_folder(&self.options.lock());
        let (files, wal) = (Arc::clone(&self.files), Arc::clone(wal));
        let forget =
            move || aside::forget(&*files, &aside::folder_of(&folder?), wal.id(), committed);
        if let Err(error) = blocking(&self.env, forget).await {
            tracing::warn!(dataset = self.name, %error, "cannot remove notes of what was set aside");
        }
    }

    /// Notes that the dataset is this pipeline's, before it publishes anything.
    pub(super) async fn reigns(&self, producer: &Producer) {
        let writer = &producer.shared.writer;
        let Some(epoch) = writer.epoch() else { return };
        *self.reign.lock() = Reign::Held(epoch);
        // The first entry of a dataset is the fence: before it there is nothing that a store could answer with.
        let (Some(head), Some(_)) = (writer.head(), self.wal()) else {
            return;
        };
        let (files, folder) = (Arc::clone(&self.files), log_folder(&self.options.lock()));
        let note = move || led::note(&*files, &folder?, &head.dataset_id, epoch);
        // A disk that is full must not keep from publishing what fills it.
        if let Err(error) = blocking(&self.env, note).await {
            let dataset = self.name.as_str();
            tracing::warn!(dataset, %error, "cannot note beside the write-ahead log that this host leads");
        }
    }

    /// Gives signs of life, and looks whether another producer took over, until the pipeline ends.
    pub(super) async fn beat(self: Arc<Self>) {
        let Some(heartbeat) = self.options.lock().heartbeat else {
            return;
        };
        loop {
            self.pause(heartbeat).await;
            if self.phase() >= Phase::Ended {
                return;
            }
            let Some(producer) = self.producer.lock().clone() else {
                continue;
            };
            match producer.shared.writer.look_out().await {
                Ok(()) => producer.shared.give_sign(),
                Err(error) if error.kind() == ErrorKind::Fenced => {
                    self.fail(&error);
                    self.set_phase(Phase::Ended);
                    return;
                }
                // The store is asked again all the time by those who publish.
                Err(error) => {
                    tracing::debug!(dataset = self.name, %error, "no sign of life could be given");
                }
            }
        }
    }
}

fn log_folder(options: &PipelineOptions) -> Result<PathBuf> {
    let folder = options.durability.folder();
    folder
        .map(Path::to_owned)
        .ok_or_else(|| Error::internal("a write-ahead log has no folder"))
}

/// Where entries of a log are set aside.
struct Aside<'a> {
    dataset: &'a str,
    files: &'a dyn AppendFiles,
    log_folder: PathBuf,
    wal: &'a Wal,
    /// Whether what is in the log was acknowledged by a process that led. One that takes over from anybody acknowledges
    /// before it has: where no version knows of its log, nobody overtook it.
    was_led: bool,
}

impl Aside<'_> {
    /// Sets aside what was acknowledged up to `last` and not published, if others have published since; the last entry
    /// that was ever set aside. `None` where that depends on whether `head` is the newest entry.
    fn set_stale_aside(&self, head: &LogEntry, last: u64, proof: Proof) -> Result<Option<u64>> {
        let (wal, folder) = (self.wal, aside::folder_of(&self.log_folder));
        let before = aside::through(self.files, &folder, wal.id())?;
        let mark = head.sources.get(&mark_of(wal.id()));
        let is_stale = mark.map_or(self.was_led, |epoch| *epoch != head.epoch);
        if !is_stale {
            return Ok(Some(before));
        }
        let source = format!("wal:{}", wal.id());
        let committed = head.sources.get(&source).copied().unwrap_or(0);
        let first = committed.max(before) + 1;
        // What an earlier process wrote last may not be known yet.
        wal.settle_now()?;
        if first > last {
            return Ok(Some(before));
        }
        if proof == Proof::Told && is_of_before(self.files, &self.log_folder, head)? {
            return Ok(None);
        }
        let schema = wal.schema();
        aside::write(self.files, &folder, wal, &schema, first..=last)?;
        let submissions = last + 1 - first;
        tracing::warn!(
            dataset = self.dataset,
            submissions,
            folder = %folder.display(),
            taken_over_by = head.writer,
            "set aside what was acknowledged here and not published before another producer took over: see grotto set-aside"
        );
        Ok(Some(last))
    }
}

/// Whether an entry is older than what this host wrote since: that of a store that answers with what it had a while ago,
/// or of a log that was restored to what it was.
fn is_of_before(files: &dyn AppendFiles, log_folder: &Path, head: &LogEntry) -> Result<bool> {
    let led = led::newest(files, log_folder, &head.dataset_id)?;
    Ok(led.is_some_and(|led| head.epoch < led))
}

/// What a standby knows of its log.
#[derive(Debug, Default)]
struct Left {
    /// What was to be set aside is.
    is_done: bool,
    /// The mark of the log, once it was opened.
    mark: Option<String>,
    /// Since when the store shows nothing but entries older than what this host wrote, by the monotonic clock.
    behind_since: Option<Duration>,
}

impl PipelineBuilder {
    /// Waits until nobody writes the dataset any more, and gives a pipeline that takes over there, or ends as
    /// `Fenced` if somebody else does first. What this host had acknowledged and not published before another
    /// producer took over is set aside meanwhile. `on_look` is told of every look.
    ///
    /// # Errors
    /// `NoSchema` and `Invalid` as [`start`](Self::start); `Busy` when another process has the log; `Corrupt` when it
    /// is damaged; `Unavailable` when the disk does not take what is set aside. A store that does not answer is waited for.
    pub async fn stand_by(
        mut self,
        options: StandbyOptions,
        mut on_look: impl FnMut(&Standby, &Result<Turn>),
    ) -> Result<Self> {
        let dataset = Dataset::open(self.builder.store.clone(), &self.builder.name)?;
        let env = self.builder.store.env().clone();
        let mut standby = Standby::new(dataset, self.builder.writer.writer.clone(), options);
        let mut left = Left::default();
        loop {
            let turn = standby.look().await;
            on_look(&standby, &turn);
            if let (Ok(_), Some(head)) = (&turn, standby.head())
                && !left.is_done
            {
                let (head, lease) = (head.clone(), standby.options().lease);
                self.set_left_aside(head, &mut left, lease).await?;
            }
            if let Ok(Turn::Ours(vacancy)) = turn {
                self.reign = Reign::Vacant(vacancy.version);
                self.builder.fence_empty = true;
                return Ok(self);
            }
            env.sleep(standby.options().look_every).await;
        }
    }

    /// Sets aside what others overtook, once the store shows them.
    async fn set_left_aside(
        &mut self,
        head: LogEntry,
        left: &mut Left,
        lease: Duration,
    ) -> Result<()> {
        let Durability::Host(folder) = self.options.durability.clone() else {
            left.is_done = true;
            return Ok(());
        };
        let is_own = |mark: &String| head.sources.get(mark) == Some(&head.epoch);
        if left.mark.as_ref().is_some_and(is_own) || self.is_behind(&head, left, lease).await? {
            return Ok(());
        }
        let schema = Arc::new(self.builder.take_schema()?);
        self.builder.schema = Some(grotto_format::Schema::clone(&schema));
        let (journal, recovery, _) = self.open_log(&schema).await?;
        let (Some(Journal::Host(wal)), Some(Recovery { last, .. })) = (journal, recovery) else {
            left.is_done = true;
            return Ok(());
        };
        if is_own(left.mark.insert(mark_of(wal.id()))) {
            return Ok(());
        }
        let (files, name) = (Arc::clone(&self.files), self.builder.name.clone());
        let set_aside = move || {
            let aside = Aside {
                dataset: &name,
                files: &*files,
                log_folder: folder,
                wal: &wal,
                was_led: true,
            };
            aside.set_stale_aside(&head, last, Proof::Fenced)
        };
        blocking(self.builder.store.env(), set_aside).await?;
        left.is_done = true;
        Ok(())
    }

    /// Whether the store shows only what is older than what this host wrote: no longer than a lease, or the log was
    /// restored.
    async fn is_behind(&self, head: &LogEntry, left: &mut Left, lease: Duration) -> Result<bool> {
        let Some(folder) = self.options.durability.folder().map(Path::to_owned) else {
            return Ok(false);
        };
        let (files, head) = (Arc::clone(&self.files), head.clone());
        let look = move || is_of_before(&*files, &folder, &head);
        if !blocking(self.builder.store.env(), look).await? {
            left.behind_since = None;
            return Ok(false);
        }
        let now = self.builder.store.env().clock.monotonic();
        let since = *left.behind_since.get_or_insert(now);
        Ok(now.saturating_sub(since) < lease)
    }
}

async fn blocking<T: Send + 'static>(
    env: &Env,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = env.blocking(work).await;
    done.map_err(|e| Error::internal(format!("what concerns the write-ahead log stopped: {e}")))?
}

impl Pipeline {
    /// Publishes what is acknowledged, ends, and asks whoever stands by to take over at once.
    ///
    /// # Errors
    /// `Unavailable` when that could not be published in time: the pipeline has then ended without asking anybody.
    /// `Fenced` when another producer took over.
    pub async fn hand_over(&self) -> Result<u64> {
        let drained = self.shutdown().await;
        if let Some(error) = self.failure() {
            return Err(error);
        }
        let producer = self.producer().ok_or_else(|| self.inner.not_open())?;
        if drained.left > 0 {
            return Err(Error::unavailable(format!(
                "dataset {}: {} submissions could not be published in time: this producer stays the one that \
                 publishes them",
                self.inner.name, drained.left
            )));
        }
        producer.shared.writer.resign().await?;
        Ok(producer.version())
    }

    /// Waits until the pipeline has ended and its log is free.
    pub async fn closed(&self) {
        self.inner.reached(Phase::Closed).await;
    }

    /// Why the pipeline does nothing any more; `None` while it does, and after a shutdown.
    #[must_use]
    pub fn failure(&self) -> Option<Error> {
        self.inner.state.lock().failure.clone()
    }
}
