//! Copying a dataset to another store: backup, restore, and the way into and out of an archive.
//!
//! Owns: the order of things, and what a copy may follow. Never: writes to the source, but for the lease that holds
//! its versions back from a collector; never writes over a version of the copy that differs. Decision:
//! `docs/design/0015-a-copy-follows-its-source.md`.
//!
//! **Invariants**
//! - The copy is whole at every moment. Blobs come first, then the announcements of snapshots, then log entries in
//!   rising order: whatever a log entry names is there before it, and the log has no gap that counts.
//! - A version is copied as it is, byte by byte, after everything of it was verified, or not at all.
//! - The copy is never led back or aside: where it holds what the source does not, nothing is written.
//!
//! Any number of copies may run at a time, beside writers and collectors of both stores, and may be stopped anywhere:
//! the next one goes on.

mod blobs;
mod documents;
mod hold;
mod log;
mod plan;
mod recheck;
mod there;

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use grotto_format::log::{BlobRef, LogEntry};
use parking_lot::Mutex;

use crate::dataset::Dataset;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::ConsumerId;

use hold::Hold;

/// Versions copied at a time.
const AT_ONCE: usize = 8;

/// What is copied, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyOptions {
    /// The newest version to copy; that of the source unless set.
    pub up_to: Option<u64>,
    /// A copy that is begun holds the newest snapshot at or below this version, and what follows; all that can be
    /// reached unless set.
    pub from: Option<u64>,
    /// Read all that the copy holds as well, and write what is damaged there again.
    pub recheck: bool,
    /// End before any version becomes visible where anything is damaged.
    pub strict: bool,
    /// Give the copy an identity of its own, so that nobody takes it for the source.
    pub new_identity: bool,
    /// How the source's collector is held off meanwhile; not at all unless set.
    pub hold: Option<CopyHold>,
    /// Versions copied at a time, each with its blobs; 0 counts as 1; 8 unless set.
    pub at_once: usize,
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self {
            up_to: None,
            from: None,
            recheck: false,
            strict: false,
            new_identity: false,
            hold: None,
            at_once: AT_ONCE,
        }
    }
}

/// Whoever copies, as a consumer of the source: its lease holds back what is yet to be copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyHold {
    /// The name of the lease.
    pub id: ConsumerId,
    /// The host, for people.
    pub host: String,
    /// The process, for people.
    pub process: String,
}

/// What a copy tells of its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyStep {
    /// So many versions are to be copied, from now on.
    Versions(u64),
    /// The blobs of a version are there.
    Version(u64),
    /// So many bytes were written.
    Bytes(u64),
}

/// Something of the source, or of the copy, that is damaged or lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyFault {
    /// The version it belongs to.
    pub version: u64,
    /// `Corrupt` or `Missing`.
    pub kind: ErrorKind,
    /// What it is.
    pub message: String,
}

impl fmt::Display for CopyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "version {}: {}", self.version, self.message)
    }
}

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// The identity of the copy.
    pub identity: String,
    /// The newest version of the copy before; 0 if it held nothing.
    pub before: u64,
    /// The oldest version of the copy.
    pub first: u64,
    /// The newest version of the copy.
    pub newest: u64,
    /// The newest version that was asked for.
    pub wanted: u64,
    /// Log entries written.
    pub versions: u64,
    /// Blobs written.
    pub blobs: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Objects of the copy that were damaged or lost, and were written again.
    pub mended: u64,
    /// What is damaged in the source, or in the copy and could not be mended. What it was needed for is left out.
    pub faults: Vec<CopyFault>,
}

/// Called with every [`CopyStep`].
pub type CopyWatch<'a> = &'a (dyn Fn(CopyStep) + Send + Sync);

impl Dataset {
    /// Copies this dataset to the same name in another store, or brings a copy that is there up to date. What is
    /// damaged here is left out and told; where a later snapshot leads on, the copy goes on from that.
    ///
    /// # Errors
    /// `NoDataset` when there is nothing to copy; `Invalid` when the target holds another dataset, or versions that
    /// this one does not have; `Corrupt` when the newest log entry of the target is damaged and no recheck was asked
    /// for; `Missing` when nothing here can be begun from; `Unavailable` or `Overloaded` when a store does not answer
    /// or asks for less. What was copied until then stays.
    pub async fn copy_to(
        &self,
        target: &Self,
        options: &CopyOptions,
        watch: CopyWatch<'_>,
    ) -> Result<Copied> {
        if self.name() != target.name() {
            return Err(Error::invalid(format!(
                "a copy of dataset {} has the same name, as its blobs state it: found {}",
                self.name(),
                target.name()
            )));
        }
        let (source, target) = (self.alone(), target.alone());
        let Some(head) = source.head_past_damage().await?.0 else {
            return Err(Error::new(
                ErrorKind::NoDataset,
                format!("dataset {} has no version to copy", source.name()),
            ));
        };
        let hold = Hold::begin(&source, options.hold.as_ref(), &head).await;
        let copied = tokio::select! {
            copied = run(&source, &target, options, &hold, watch) => copied,
            never = hold.keep() => match never {},
        };
        hold.end().await;
        copied
    }
}

async fn run(
    source: &Dataset,
    target: &Dataset,
    options: &CopyOptions,
    hold: &Hold<'_>,
    watch: CopyWatch<'_>,
) -> Result<Copied> {
    let mut run = Run::prepare(source, target, options, hold, watch).await?;
    if options.recheck {
        run.recheck().await?;
    }
    run.follow().await?;
    run.finish().await
}

/// A copy under way.
struct Run<'a> {
    source: &'a Dataset,
    target: &'a Dataset,
    options: &'a CopyOptions,
    hold: &'a Hold<'a>,
    watch: CopyWatch<'a>,
    /// The last log entry to copy.
    last: LogEntry,
    /// What log entries of the copy state.
    identity: String,
    /// Newest version of the copy when it began.
    before: u64,
    tally: Mutex<Tally>,
}

/// What was done so far.
#[derive(Debug, Default)]
struct Tally {
    versions: u64,
    blobs: u64,
    bytes: u64,
    mended: u64,
    faults: Vec<CopyFault>,
    /// Blobs that are known to be in the copy, of which several log entries tell.
    known: HashSet<String>,
    /// Snapshots that copied log entries name, by version.
    named: BTreeSet<(u64, BlobRef)>,
}

/// A version of the source that cannot be copied.
#[derive(Debug)]
struct Trouble {
    version: u64,
    error: Error,
}

impl Trouble {
    /// Damage is trouble with a version; anything else ends the copy.
    fn of(version: u64, error: Error) -> Result<Self> {
        match error.kind() {
            ErrorKind::Corrupt | ErrorKind::Missing => Ok(Self { version, error }),
            _ => Err(error),
        }
    }
}

impl Run<'_> {
    /// Copies until the end, around what is damaged or collected meanwhile.
    async fn follow(&mut self) -> Result<()> {
        let mut floor = self.floor().await?;
        loop {
            let mut plan = self.plan(floor).await?;
            self.hold.only_from(plan.oldest_needed()).await;
            if let Some(trouble) = plan.hole.take() {
                match self.beyond(&trouble).await? {
                    Some(next) => {
                        floor = next;
                        continue;
                    }
                    None => plan.end_before(trouble.version),
                }
            }
            (self.watch)(CopyStep::Versions(plan.versions.len() as u64));
            if let Some(trouble) = self.carry(&plan).await? {
                match self.beyond(&trouble).await? {
                    Some(next) => {
                        floor = next;
                        continue;
                    }
                    None => plan.end_before(trouble.version),
                }
            }
            self.announce(&plan).await?;
            self.accept(&plan).await?;
            self.check_strict()?;
            let trouble = match self.check_begin(&plan).await? {
                Some(trouble) => Some(trouble),
                None => self.write_log(&plan).await?,
            };
            let Some(trouble) = trouble else {
                return Ok(());
            };
            match self.beyond(&trouble).await? {
                Some(next) => floor = next,
                None => return Ok(()),
            }
        }
    }

    /// Takes note of trouble. The version to go on past, if there is a way to go on.
    async fn beyond(&self, trouble: &Trouble) -> Result<Option<u64>> {
        let version = trouble.version;
        if version > self.source.collected().await? {
            self.fault(version, &trouble.error);
        } else {
            tracing::warn!(
                version,
                "collected while it was copied: a newer snapshot leads on"
            );
        }
        let start = self.start_after(version).await?;
        Ok(start.map(|_| version))
    }

    fn check_strict(&self) -> Result<()> {
        match self
            .tally
            .lock()
            .faults
            .first()
            .filter(|_| self.options.strict)
        {
            None => Ok(()),
            Some(fault) => Err(Error::new(fault.kind, fault.to_string())),
        }
    }

    /// A snapshot that nobody needs to get to a version is lost, or was collected meanwhile.
    async fn without(&self, version: u64, error: &Error) -> Result<()> {
        if version > self.source.collected().await? {
            self.fault(version, error);
        }
        Ok(())
    }

    fn fault(&self, version: u64, error: &Error) {
        let fault = CopyFault {
            version,
            kind: error.kind(),
            message: error.to_string(),
        };
        let mut tally = self.tally.lock();
        if !tally.faults.contains(&fault) {
            tracing::warn!(dataset = self.source.name(), %fault, "cannot copy all");
            tally.faults.push(fault);
        }
    }

    fn wrote(&self, bytes: u64) {
        self.tally.lock().bytes += bytes;
        (self.watch)(CopyStep::Bytes(bytes));
    }

    /// What the copy is now; it must be what was asked for, unless something is damaged.
    async fn finish(self) -> Result<Copied> {
        let newest = self.target.head().await?.map_or(0, |head| head.version);
        let last = self.last.version;
        let first = self.first_there().await?;
        let tally = self.tally.into_inner();
        if newest != last && tally.faults.is_empty() {
            let why = match newest < last {
                true => "the source was collected meanwhile",
                false => "somebody else copies or writes as well",
            };
            return Err(Error::unavailable(format!(
                "dataset {}: expected the copy to end at version {last}, found {newest}: {why}",
                self.target.name()
            )));
        }
        if newest == 0 {
            let first = tally.faults.first();
            let why = first.map_or_else(String::new, ToString::to_string);
            return Err(Error::corrupt(format!("nothing could be copied: {why}")));
        }
        Ok(Copied {
            identity: self.identity,
            before: self.before,
            first,
            newest,
            wanted: tally
                .faults
                .iter()
                .map(|fault| fault.version)
                .fold(last, u64::max),
            versions: tally.versions,
            blobs: tally.blobs,
            bytes: tally.bytes,
            mended: tally.mended,
            faults: tally.faults,
        })
    }
}
