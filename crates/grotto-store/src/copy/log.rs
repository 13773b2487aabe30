//! Copying log entries: what makes versions visible in the copy.
//!
//! Owns: their order, and the row that says which versions the copy never had. Never: writes over an entry.

use bytes::Bytes;
use futures::StreamExt;
use grotto_format::log::{LogEntry, MAX_ENTRY_BYTES};

use super::plan::{Plan, own_snapshot};
use super::{Run, Trouble};
use crate::control::unencodable;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::object::Created;

/// Entries of the source read ahead.
const READ_AHEAD: usize = 8;

/// A log entry with its bytes.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) entry: LogEntry,
    pub(super) bytes: Bytes,
}

/// The log entry of a version as it lies in a store; `None` if there is none.
pub(super) async fn raw_entry(dataset: &Dataset, version: u64) -> Result<Option<Raw>> {
    let path = dataset.layout.log_entry(version);
    let decode = |bytes: &[u8]| {
        let entry = LogEntry::decode(bytes)?;
        let bytes = Bytes::copy_from_slice(bytes);
        Ok(Raw { entry, bytes })
    };
    let read = dataset.read_document(&path, MAX_ENTRY_BYTES, decode);
    let Some(raw) = read.await? else {
        return Ok(None);
    };
    dataset.check_dataset(&path, &raw.entry.dataset)?;
    if raw.entry.version != version {
        return Err(Error::corrupt(format!(
            "{path}: expected version {version}, found {}",
            raw.entry.version
        )));
    }
    Ok(Some(raw))
}

impl Run<'_> {
    /// A log entry of the source, of the dataset that is copied.
    pub(super) async fn ours(&self, version: u64) -> Result<Raw> {
        let path = self.source.layout.log_entry(version);
        let raw = raw_entry(self.source, version).await?;
        let raw =
            raw.ok_or_else(|| Error::missing(format!("log entry {path} is gone from the source")))?;
        let (expected, found) = (&self.last.dataset_id, &raw.entry.dataset_id);
        if expected != found {
            return Err(Error::corrupt(format!(
                "{path}: expected dataset identity {expected}, found {found}"
            )));
        }
        Ok(raw)
    }

    /// Creates the log entries of the planned versions, or those before the first one that is damaged.
    pub(super) async fn write_log(&self, plan: &Plan) -> Result<Option<Trouble>> {
        let first = plan.first_without_gap();
        // Of a copy that has nothing yet, so that nobody begins another dataset there; and of one that was stopped
        // before it said so.
        if plan.there.is_empty() {
            self.say_first(plan, first).await?;
        } else if plan.there.contains(&first) && first > plan.collected + 1 {
            match self.begins_there(first).await? {
                true => self.say_first(plan, first).await?,
                false => {
                    let lost = "its log entry is gone from the copy, and from the source as well";
                    self.fault(first - 1, &Error::missing(lost));
                }
            }
        }
        let mut before: Option<LogEntry> = None;
        let versions = futures::stream::iter(plan.versions.iter().copied());
        let mut entries = std::pin::pin!(
            versions
                .map(|version| async move { (version, self.ours(version).await) })
                .buffered(READ_AHEAD)
        );
        while let Some((version, read)) = entries.next().await {
            let raw = match read.and_then(|raw| follows(before.as_ref(), raw)) {
                Ok(raw) => raw,
                Err(error) => return Trouble::of(version, error).map(Some),
            };
            self.create_entry(&raw).await?;
            if version == first && !plan.there.is_empty() {
                self.say_first(plan, first).await?;
            }
            before = Some(raw.entry);
        }
        Ok(None)
    }

    /// Whether somebody who has nothing can get to the version that the copy begins with.
    pub(super) async fn check_begin(&self, plan: &Plan) -> Result<Option<Trouble>> {
        let Some(version) = plan.begin.filter(|begin| *begin > 1) else {
            return Ok(None);
        };
        let own = self.ours(version).await;
        if own.is_ok_and(|raw| own_snapshot(&raw.entry).is_some()) {
            return Ok(None);
        }
        if self.target.announcement(version).await?.is_some() {
            return Ok(None);
        }
        let error = Error::missing("its snapshot is gone from the source");
        Ok(Some(Trouble { version, error }))
    }

    /// Whether the copy can begin with a version that is there.
    async fn begins_there(&self, version: u64) -> Result<bool> {
        let entry = self.target.read_entry(version).await?;
        let own = entry.as_ref().and_then(own_snapshot).is_some();
        Ok(own || self.target.read_snapshot_or_warn(version).await?.is_some())
    }

    /// Declares the versions before the first one gone, as they are not in the copy.
    async fn say_first(&self, plan: &Plan, first: u64) -> Result<()> {
        let gone = first.saturating_sub(1);
        if gone > plan.collected {
            self.target.raise_collected(gone).await?;
        }
        Ok(())
    }

    async fn create_entry(&self, raw: &Raw) -> Result<()> {
        let version = raw.entry.version;
        let store = &self.target.store;
        let path = self.target.layout.log_entry(version);
        let bytes = self.for_target(raw)?;
        let create = || store.create(&path, bytes.clone());
        if store.writing(create).await? == Created::New {
            self.tally.lock().versions += 1;
            self.wrote(bytes.len() as u64);
            return Ok(());
        }
        match self.target.read_entry(version).await? {
            Some(found) if self.is_copy(&raw.entry, &found) => store.confirm(&path).await,
            Some(_) => Err(self.aside(version)),
            None => Err(Error::unavailable(format!(
                "{path} exists and does not: the store contradicts itself"
            ))),
        }
    }

    /// The bytes of an entry as the copy has them.
    pub(super) fn for_target(&self, raw: &Raw) -> Result<Bytes> {
        if raw.entry.dataset_id == self.identity {
            return Ok(raw.bytes.clone());
        }
        let entry = LogEntry {
            dataset_id: self.identity.clone(),
            ..raw.entry.clone()
        };
        Ok(entry.encode().map_err(unencodable)?.into())
    }
}

/// What every writer keeps from one entry to the next.
fn follows(before: Option<&LogEntry>, raw: Raw) -> Result<Raw> {
    let Some(before) = before.filter(|before| before.version + 1 == raw.entry.version) else {
        return Ok(raw);
    };
    let entry = &raw.entry;
    let keeps = entry.parent == before.version
        && entry.epoch >= before.epoch
        && entry.commits >= before.commits;
    if keeps {
        return Ok(raw);
    }
    Err(Error::corrupt(format!(
        "its log entry does not follow that of version {}: parent {}, epoch {} after {}, commits {} after {}",
        before.version, entry.parent, entry.epoch, before.epoch, entry.commits, before.commits
    )))
}
