//! The write-ahead log: what was acknowledged and is not in a version yet.
//!
//! Owns: the files of a log folder, the numbers of entries, which idempotency keys are remembered, and what is
//! made of a folder after a crash. Never: knows what was published; callers [`release`](Wal::release) what was.
//! Spec: `docs/format/spec.md`, section "Write-ahead log".
//!
//! A log is a folder of segments, `wal-<first entry>.log`. [`append`](Wal::append) writes its entries as one
//! group at the end of the newest segment, with one write and one sync. Entry numbers rise from 1 without gaps.
//!
//! **Invariants**
//! - An entry is acknowledged, known by its key and read only after it was synced.
//! - A segment whose write or sync failed is never written or synced again: the system may have dropped its
//!   pages. The next append begins another segment, whose first entry is the one after the last that is durable;
//!   whatever the older one holds of that number and later ones was never acknowledged, and is ignored.
//! - The last group of the newest segment may have been written and not synced when a process ended. Opening
//!   copies it to a new segment before anybody sees it, so that no number is given to two entries.
//! - A segment gets its name when its beginning is on the disk: header, remembered keys, copied group.
//! - Segments go from the oldest on, each removal synced before the next, so that no crash leaves a gap.

mod append;
mod begin;
mod codec;
mod entry;
mod frame;
mod index;
mod keys;
pub(crate) mod led;
mod open;
mod options;
mod read;
mod scan;
mod store;
#[cfg(test)]
mod tests;
mod turn;
mod walk;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use grotto_env::{AppendFiles, FileLock};
use grotto_format::Schema;
use parking_lot::Mutex;

pub use codec::{MAX_KEY, MAX_POSITIONS, MAX_SOURCE};
pub use entry::{ReadEntry, RejectedChange, WalChange, WalEntry, WalKeyPart};
pub use open::{Damage, Recovery};
pub use options::WalOptions;
pub use store::{STORE_SOURCE, StoreLog};
pub(crate) use turn::{line_of, line_of_rejected, reject};

use crate::{Error, Result};
use append::Writer;
use frame::Identity;
use index::Index;

/// A write-ahead log, held by this process alone. Every method blocks; threads share it by reference.
#[derive(Debug)]
pub struct Wal {
    files: Arc<dyn AppendFiles>,
    folder: PathBuf,
    options: WalOptions,
    identity: Identity,
    writer: Mutex<Writer>,
    /// Never held while the disk is waited for.
    index: Mutex<Index>,
    /// One at a time: segments go in order.
    releasing: Mutex<()>,
    _lock: Box<dyn FileLock>,
}

impl Wal {
    /// Eight hexadecimal digits, minted with the folder: entry numbers mean something together with them only.
    pub fn id(&self) -> &str {
        self.identity.id()
    }

    /// The schema in use.
    pub(crate) fn schema(&self) -> Arc<Schema> {
        Arc::clone(&self.index.lock().schema)
    }

    /// Number of the newest entry that is durable; 0 before the first one.
    pub fn last(&self) -> u64 {
        self.index.lock().last
    }

    /// Bytes of all files of the log.
    pub fn bytes(&self) -> u64 {
        self.index.lock().bytes()
    }

    /// How it is kept.
    pub fn options(&self) -> &WalOptions {
        &self.options
    }

    /// Whether the last group of an earlier process has yet to be made durable.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.index.lock().is_unsettled
    }

    /// Says what is wrong with an entry that the log could never take.
    ///
    /// # Errors
    /// `Invalid` when a name is too long, or the entry larger than an entry, or than half of the budget, may be.
    pub fn check(&self, entry: &WalEntry, bytes: u64) -> Result<()> {
        let most = self.options.max_entry_bytes.min(self.options.max_bytes / 2);
        if bytes > most {
            let message = format!("a submission of about {bytes} bytes: expected at most {most}");
            return Err(Error::invalid(message));
        }
        let types = self.index.lock().schema.types().len();
        codec::check(entry, types).map_err(Error::invalid)
    }

    /// Bytes that are left of the disk budget.
    pub fn room(&self) -> u64 {
        self.options.max_bytes.saturating_sub(self.bytes())
    }

    /// Whether so many more bytes are within the disk budget.
    pub fn has_room(&self, bytes: u64) -> bool {
        self.bytes().saturating_add(bytes) <= self.options.max_bytes
    }

    /// Files of the log.
    pub fn segments(&self) -> usize {
        self.index.lock().segments.len()
    }

    /// Number of the entry that came with an idempotency key, if it is remembered. Entries that are not durable
    /// yet are not known.
    pub fn known_key(&self, key: &str) -> Option<u64> {
        self.index.lock().keys.find(key)
    }

    /// Why the last append failed; `None` after one that worked. A log that could not begin a segment when it was
    /// opened has failed too: it can be read and released.
    pub fn failed(&self) -> Option<String> {
        self.index.lock().failed.clone()
    }

    /// Says under which schema entries are appended and read from now on. Entries of other schemas are turned
    /// over when they are read. The next append begins a segment.
    ///
    /// # Errors
    /// When what was written without syncing cannot be synced.
    pub fn use_schema(&self, schema: &Schema) -> Result<()> {
        let mut writer = self.writer.lock();
        let schema = Arc::new(schema.clone());
        if index::same(&writer.schema, &schema) {
            return Ok(());
        }
        writer.leave_segment(&self.options)?;
        writer.schema_bytes = schema.to_string().len();
        writer.schema = Arc::clone(&schema);
        self.index.lock().schema = schema;
        Ok(())
    }

    /// Forgets entries up to `through`, and removes the segments that hold no others. The newest segment stays,
    /// for the numbers and keys in it.
    ///
    /// # Errors
    /// `Unavailable` when a file cannot be removed, or its removal not be synced; calling again goes on.
    pub fn release(&self, through: u64) -> Result<()> {
        {
            let mut index = self.index.lock();
            index.released = index.released.max(through.min(index.last));
        }
        self.remove_released()
    }

    /// Removes segments that hold released entries only, oldest first.
    fn remove_released(&self) -> Result<()> {
        let _one_at_a_time = self.releasing.lock();
        loop {
            // The index is free again before the disk is asked.
            let oldest = self.index.lock().oldest_released();
            let Some(path) = oldest else {
                return Ok(());
            };
            remove(&*self.files, &path)?;
            sync_folder(&*self.files, &self.folder)?;
            self.index.lock().drop_oldest(&path);
        }
    }
}

/// Removes a file; one that is gone already is as good.
fn remove(files: &dyn AppendFiles, path: &Path) -> Result<()> {
    match files.remove(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove", path, error))
        }
        _ => Ok(()),
    }
}

fn sync_folder(files: &dyn AppendFiles, folder: &Path) -> Result<()> {
    files
        .sync_folder(folder)
        .map_err(|error| Error::io("sync", folder, error))
}
