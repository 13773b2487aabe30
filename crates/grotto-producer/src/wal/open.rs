//! Opens a log: what is made of a folder after a crash.
//!
//! Owns: the order of segments, what a bad place in one of them means, leftovers. Never: writes to a segment that
//! it finds.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use grotto_env::{AppendFiles, FileLock, Locked};
use grotto_format::Schema;
use parking_lot::Mutex;

use super::append::Writer;
use super::begin::{is_temp, number_of, path_of};
use super::frame::Identity;
use super::index::Index;
use super::keys::Keys;
use super::scan::corrupt;
use super::walk::{Walk, Walked};
use super::{Wal, WalOptions, remove, sync_folder};
use crate::{Error, ErrorKind, Result};

const LOCK: &str = "LOCK";

/// What was found when a log was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Whether the log is new: there was no segment.
    pub is_new: bool,
    /// Number of the oldest entry that is there, whether or not it was published; one more than `last` if none is.
    pub oldest: u64,
    /// Number of the newest entry, 0 if there never was one.
    pub last: u64,
    /// The end of the newest segment that is no whole group: what was written when the process or the host ended,
    /// and never acknowledged unless the log is not synced.
    pub cut: Option<Damage>,
    /// Entries that are lost. Only a log that is not synced loses any, by a crash of the host.
    pub lost: Vec<Damage>,
}

/// A place in a segment from which on it cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub file: PathBuf,
    /// The first byte that does not count.
    pub offset: u64,
    /// Bytes from there to the end of the file.
    pub bytes: u64,
    /// What was expected there.
    pub what: String,
}

/// The segments of a folder.
#[derive(Default)]
struct Found {
    identity: Option<Identity>,
    walked: Vec<Walked>,
    lost: Vec<Damage>,
}

impl Wal {
    /// Opens the log of a folder, or makes one whose identity comes from `nonce`: 32 hexadecimal digits that nobody
    /// can foresee, the first eight of which become [`id`](Self::id) and may be known.
    ///
    /// Entries that were appended under another schema are turned over when they are read.
    ///
    /// # Errors
    /// `Busy` when another process has it; `Corrupt`, with file and offset, when bytes before the end are not those
    /// that were written; `Invalid` for a folder that others may write to; `Unavailable` when the disk does not
    /// take or give something. A full disk is no error: the log is then open and has [`failed`](Self::failed).
    pub fn open(
        files: Arc<dyn AppendFiles>,
        folder: &Path,
        schema: &Schema,
        options: WalOptions,
        nonce: impl FnOnce() -> String,
    ) -> Result<(Self, Recovery)> {
        let lock = enter(&*files, folder)?;
        let schema = Arc::new(schema.clone());
        let mut found = find(&*files, folder, &schema)?;
        let is_new = found.walked.is_empty();
        let identity = match found.identity.take() {
            Some(identity) => identity,
            None => mint(nonce())?,
        };
        let newest = found.walked.last_mut();
        let (cut, copied) = newest.map_or((None, None), |newest| {
            (newest.cut.take(), newest.copied.take())
        });
        let lost = std::mem::take(&mut found.lost);
        let index = index_of(found.walked, &schema, &options, copied.is_some());
        let oldest = index.segments.front().map_or(1, |oldest| oldest.first);
        let last = copied.as_ref().map_or(index.last, |copied| copied.last);
        let writer = Writer {
            current: None,
            copied,
            schema_bytes: schema.to_string().len(),
            schema,
            group: Vec::new(),
        };
        let wal = Self {
            files,
            folder: folder.to_owned(),
            options,
            identity,
            writer: Mutex::new(writer),
            index: Mutex::new(index),
            releasing: Mutex::default(),
            _lock: lock,
        };
        wal.settle_at_start()?;
        let recovery = Recovery {
            is_new,
            oldest,
            last,
            cut,
            lost,
        };
        Ok((wal, recovery))
    }

    /// A disk that does not take the last group now may take it later.
    fn settle_at_start(&self) -> Result<()> {
        let settled = self.settle(&mut self.writer.lock());
        match settled {
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                self.index.lock().failed = Some(error.message().to_owned());
                Ok(())
            }
            settled => settled,
        }
    }
}

/// Makes sure of the folder, and that nobody else has it.
fn enter(files: &dyn AppendFiles, folder: &Path) -> Result<Box<dyn FileLock>> {
    let created = files.create_folder(folder);
    created.map_err(|error| Error::io("create", folder, error))?;
    let path = folder.join(LOCK);
    match files.lock(&path) {
        Ok(Locked::Ours(lock)) => Ok(lock),
        Ok(Locked::Theirs(who)) => Err(Error::new(
            ErrorKind::Busy,
            format!("write-ahead log {} is in use by {who}", folder.display()),
        )),
        Err(error) => Err(Error::io("lock", &path, error)),
    }
}

fn mint(nonce: String) -> Result<Identity> {
    Identity::of_nonce(&nonce).ok_or_else(|| {
        Error::internal("expected 32 hexadecimal digits for the identity of a write-ahead log")
    })
}

/// Removes leftovers and walks through all segments.
fn find(files: &dyn AppendFiles, folder: &Path, schema: &Arc<Schema>) -> Result<Found> {
    // A process may have died before it synced the name of a segment that it began: nothing is built on one that
    // a crash of the host takes away.
    sync_folder(files, folder)?;
    let names = files.list(folder);
    let names = names.map_err(|error| Error::io("list", folder, error))?;
    for temp in names.iter().filter(|name| is_temp(name)) {
        remove(files, &folder.join(temp))?;
    }
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| number_of(name)).collect();
    numbers.sort_unstable();
    let mut found = Found::default();
    for (at, first) in numbers.iter().enumerate() {
        let until = numbers.get(at + 1).copied();
        let path = path_of(folder, *first);
        let mut walked = Walk {
            files,
            path: &path,
            first: *first,
            until,
            schema,
        }
        .walk()?;
        let identity = found.identity.get_or_insert(walked.identity.clone());
        if *identity != walked.identity {
            let what = format!(
                "expected a segment of log {}, found one of log {}",
                identity.id(),
                walked.identity.id()
            );
            return Err(corrupt(&path, 0, &what));
        }
        found.lost.extend(walked.lost.take());
        found.walked.push(walked);
    }
    sync_unsynced(files, &found)?;
    Ok(found)
}

/// What a process wrote that did not sync is in memory only, perhaps.
fn sync_unsynced(files: &dyn AppendFiles, found: &Found) -> Result<()> {
    let Some(newest) = found.walked.last().filter(|newest| !newest.synced) else {
        return Ok(());
    };
    let path = &newest.segment.path;
    let synced = files.open(path).and_then(|mut file| file.sync());
    synced.map_err(|error: io::Error| Error::io("sync", path, error))
}

fn index_of(
    walked: Vec<Walked>,
    schema: &Arc<Schema>,
    options: &WalOptions,
    is_unsettled: bool,
) -> Index {
    let mut index = Index {
        schema: Arc::clone(schema),
        segments: Default::default(),
        last: 0,
        released: 0,
        // Each segment begins with them: they must leave room for entries.
        keys: Keys::new(options.remembered_keys, options.max_bytes / 16),
        failed: None,
        is_unsettled,
    };
    for walked in walked {
        for (key, number) in walked.keys {
            index.keys.add(&key, number);
        }
        index.push(walked.segment);
    }
    index
}
