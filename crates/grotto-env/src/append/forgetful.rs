//! A disk in memory that forgets what was not synced, and fails when told to.
//!
//! Owns: the faults of tests: an operation that fails, a process that dies in one, a full disk, a host that goes
//! down. Never: is deterministic by less than its seed; asks the host for anything.
//!
//! As a real disk does, it keeps what a process wrote when that only dies; loses any part of what was not synced
//! when the host goes down, in any order; and drops the bytes of a sync that failed, which a later sync does not
//! bring back although they can be read until then.

mod disk;
#[cfg(test)]
mod tests;

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use self::disk::{Disk, Name};
use super::{AppendFile, AppendFiles};
use crate::{FileLock, Locked};

/// What a process asks of its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileOperation {
    /// To create a folder, a file or a lock.
    Create,
    /// To look: list, read, length, open.
    Look,
    /// To append bytes.
    Append,
    /// To sync a file.
    Sync,
    /// To cut a file.
    Truncate,
    /// To remove or rename a file.
    Name,
    /// To sync a folder.
    SyncFolder,
}

/// A disk in memory; clones are the same disk.
#[derive(Clone, Debug)]
pub struct ForgetfulFiles(Arc<Mutex<Disk>>);

#[derive(Debug)]
struct Handle {
    disk: Arc<Mutex<Disk>>,
    number: u64,
    /// The process that opened it.
    process: u64,
}

#[derive(Debug)]
struct Lock {
    disk: Arc<Mutex<Disk>>,
    path: PathBuf,
    number: u64,
    process: u64,
}

impl ForgetfulFiles {
    /// An empty disk. What is lost or done in part follows from the seed.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Disk::new(seed))))
    }

    /// Operations so far, whether or not they succeeded.
    pub fn operations(&self) -> u64 {
        self.0.lock().operations
    }

    /// Lets the operation fail that has this number, counted from 1, in whole or after a part of it was done.
    pub fn fail_at(&self, operation: u64) {
        self.0.lock().fails_at = Some(operation);
    }

    /// Lets the next operation of a kind fail, after `skip` of them.
    pub fn fail_next(&self, kind: FileOperation, skip: u64) {
        self.0.lock().fails_next.insert(kind, skip);
    }

    /// Lets the process die in the operation of this number: it is done in part at most, and none follow until
    /// [`restart`](Self::restart).
    pub fn die_at(&self, operation: u64) {
        self.0.lock().dies_at = Some(operation);
    }

    /// Whether the process died.
    pub fn is_dead(&self) -> bool {
        self.0.lock().is_dead
    }

    /// How many bytes all files together may have; `None` for any.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.0.lock().capacity = bytes;
    }

    /// Ends the process and starts another one: locks are free, what was written is there, no fault is planned.
    pub fn restart(&self) {
        self.0.lock().restart();
    }

    /// The host goes down and comes up again: of what was not synced, any part is lost. Tells of how many files
    /// and changes of names something was.
    pub fn reboot(&self) -> u64 {
        let mut disk = self.0.lock();
        let lost = disk.lose();
        disk.restart();
        lost
    }

    /// Puts bytes in place of those of a file, durably, as somebody with a shell could.
    pub fn write(&self, path: &Path, bytes: &[u8]) {
        self.0.lock().write(path, bytes);
    }

    /// Begins an operation: `Err` where it fails and nothing is done.
    fn enter(&self, kind: FileOperation) -> io::Result<(MutexGuard<'_, Disk>, Option<io::Error>)> {
        let mut disk = self.0.lock();
        let fault = disk.enter(kind)?;
        Ok((disk, fault))
    }

    /// An operation that is done whole or not at all; with a fault it may be done all the same.
    fn whole<T>(
        &self,
        kind: FileOperation,
        work: impl FnOnce(&mut Disk) -> io::Result<T>,
    ) -> io::Result<T> {
        let (mut disk, fault) = self.enter(kind)?;
        match fault {
            None => work(&mut disk),
            Some(error) => {
                if disk.toss() {
                    work(&mut disk)?;
                }
                Err(error)
            }
        }
    }
}

impl AppendFiles for ForgetfulFiles {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.whole(FileOperation::Create, |disk| {
            disk.folders.extend(path.ancestors().map(Path::to_owned));
            Ok(())
        })
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.whole(FileOperation::Look, |disk| {
            let here = disk
                .names
                .keys()
                .filter(|path| path.parent() == Some(folder));
            let names = here.filter_map(|path| path.file_name()?.to_str());
            let names = names.map(str::to_owned).collect();
            let exists = disk.folders.contains(folder);
            exists.then_some(names).ok_or(ErrorKind::NotFound.into())
        })
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        let (number, process) = self.whole(FileOperation::Create, |disk| {
            if disk.names.contains_key(path) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            Ok((disk.create(path)?, disk.process))
        })?;
        Ok(self.handle(number, process))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        let (number, process) = self.whole(FileOperation::Look, |disk| {
            Ok((disk.number(path)?, disk.process))
        })?;
        Ok(self.handle(number, process))
    }

    fn read(&self, path: &Path, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
        self.whole(FileOperation::Look, |disk| {
            let bytes = disk.bytes(path)?;
            let start = usize::try_from(offset)
                .unwrap_or(usize::MAX)
                .min(bytes.len());
            let end = start.saturating_add(limit).min(bytes.len());
            Ok(bytes[start..end].to_vec())
        })
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        self.whole(FileOperation::Look, |disk| {
            Ok(disk.bytes(path)?.len() as u64)
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.whole(FileOperation::Name, |disk| {
            disk.number(path)?;
            disk.name(Name::Remove(path.to_owned()));
            Ok(())
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.whole(FileOperation::Name, |disk| {
            let number = disk.number(from)?;
            if from.parent() != to.parent() {
                return Err(ErrorKind::InvalidInput.into());
            }
            disk.name(Name::Rename(from.to_owned(), to.to_owned(), number));
            Ok(())
        })
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let (mut disk, fault) = self.enter(FileOperation::SyncFolder)?;
        match fault {
            None => disk.sync_folder(path),
            Some(error) => return Err(error),
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Locked> {
        let (number, process) = self.whole(FileOperation::Create, |disk| {
            let number = match disk.number(path) {
                Ok(number) => number,
                Err(_) => disk.create(path)?,
            };
            Ok((number, disk.process))
        })?;
        // An attempt that failed holds nothing.
        let is_ours = self.0.lock().locked.insert(number);
        Ok(match is_ours {
            false => Locked::Theirs("another process".to_owned()),
            true => Locked::Ours(Box::new(Lock {
                disk: Arc::clone(&self.0),
                path: path.to_owned(),
                number,
                process,
            })),
        })
    }
}

impl ForgetfulFiles {
    fn handle(&self, number: u64, process: u64) -> Box<dyn AppendFile> {
        Box::new(Handle {
            disk: Arc::clone(&self.0),
            number,
            process,
        })
    }
}

impl Handle {
    fn enter(&self, kind: FileOperation) -> io::Result<(MutexGuard<'_, Disk>, Option<io::Error>)> {
        let mut disk = self.disk.lock();
        if disk.process != self.process {
            return Err(io::Error::other("the process is dead"));
        }
        let fault = disk.enter(kind)?;
        Ok((disk, fault))
    }
}

impl AppendFile for Handle {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (mut disk, fault) = self.enter(FileOperation::Append)?;
        match fault {
            None => disk.append(self.number, bytes),
            Some(error) => {
                let part = disk.below(bytes.len() + 1);
                disk.append(self.number, &bytes[..part])?;
                Err(error)
            }
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let (mut disk, fault) = self.enter(FileOperation::Sync)?;
        disk.sync(self.number, fault.is_none());
        fault.map_or(Ok(()), Err)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let (mut disk, fault) = self.enter(FileOperation::Truncate)?;
        if fault.is_none() || disk.toss() {
            disk.truncate(self.number, length);
        }
        fault.map_or(Ok(()), Err)
    }
}

impl FileLock for Lock {
    fn is_named(&self) -> io::Result<bool> {
        Ok(self.disk.lock().names.get(&self.path) == Some(&self.number))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut disk = self.disk.lock();
        // Somebody else may have that of a dead process.
        if disk.process == self.process {
            disk.locked.remove(&self.number);
        }
    }
}
