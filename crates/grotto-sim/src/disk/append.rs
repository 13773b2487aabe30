//! Files that only grow, on the simulated disk.
//!
//! Owns: when their operations fail, end a process halfway or meet a full disk. What is then in memory and on the
//! disk is kept by [`ForgetfulFiles`]. Never: outlives the process of its mount.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use grotto_env::{AppendFile, AppendFiles, FileLock, FileOperation, ForgetfulFiles, Locked};
use parking_lot::Mutex;

use super::Disk;
use super::mount::{Mount, Status};
use crate::fault::Fault;

/// The growing files of a disk.
#[derive(Debug, Default)]
pub(super) struct Logs {
    files: Mutex<Option<ForgetfulFiles>>,
    /// Folders that are locked, and the mounts of the processes that have them.
    holders: Mutex<BTreeMap<PathBuf, u64>>,
}

/// Locks that a process holds, by their folders.
pub(super) type Held = BTreeMap<PathBuf, Box<dyn FileLock>>;

impl Logs {
    /// Nothing is drawn for a disk without logs.
    fn files(&self, disk: &Disk) -> ForgetfulFiles {
        let mut files = self.files.lock();
        let files = files.get_or_insert_with(|| ForgetfulFiles::new(disk.dice.seed()));
        files.clone()
    }

    /// The host goes down: of what was not synced, any part is lost.
    pub(super) fn reboot(&self, disk: &Disk) {
        self.holders.lock().clear();
        let files = self.files.lock();
        let lost = files.as_ref().map_or(0, ForgetfulFiles::reboot);
        for _ in 0..lost {
            disk.sim.count(Fault::TornFile);
        }
        if lost > 0 {
            disk.note(&format!(
                "{lost} files and names of logs lost what was not synced"
            ));
        }
    }

    /// Locks of a process that died are free.
    pub(super) fn release(&self, held: Held) {
        let mut holders = self.holders.lock();
        for folder in held.keys() {
            holders.remove(folder);
        }
    }
}

/// A file that a process has open.
#[derive(Debug)]
struct Handle {
    at: Mount,
    path: PathBuf,
    file: Box<dyn AppendFile>,
}

#[derive(Debug)]
struct Lock {
    disk: Arc<Disk>,
    holder: Arc<Mutex<Status>>,
    folder: PathBuf,
    path: PathBuf,
}

impl Mount {
    /// An operation, in which the process may die, or which may fail: both leave a part of it.
    fn log<T>(
        &self,
        kind: FileOperation,
        path: &Path,
        work: impl FnOnce(&ForgetfulFiles) -> io::Result<T>,
    ) -> io::Result<T> {
        let dies = self.enter()?;
        let files = self.disk.logs.files(&self.disk);
        let refused = self.fail_at_times(Fault::FailedFile, path).is_err();
        if dies || refused {
            files.fail_next(kind, 0);
        }
        let done = work(&files);
        if dies {
            return Err(self.end());
        }
        done
    }

    /// The same, for what changes a folder.
    fn change<T>(
        &self,
        kind: FileOperation,
        path: &Path,
        work: impl FnOnce(&ForgetfulFiles) -> io::Result<T>,
    ) -> io::Result<T> {
        let holder = path
            .parent()
            .and_then(|at| self.disk.logs.holders.lock().get(at).copied());
        if holder.is_some_and(|holder| holder != self.id()) && !self.is_dead() {
            let what = format!("two writers: {} is locked by another", path.display());
            self.disk.sim.violation(&self.disk.name, what);
        }
        self.log(kind, path, work)
    }

    fn handle(&self, path: &Path, file: Box<dyn AppendFile>) -> Box<dyn AppendFile> {
        Box::new(Handle {
            at: self.clone(),
            path: path.to_owned(),
            file,
        })
    }
}

impl AppendFiles for Mount {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.log(FileOperation::Create, path, |files| {
            files.create_folder(path)
        })
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.log(FileOperation::Look, folder, |files| files.list(folder))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        let file = self.change(FileOperation::Create, path, |files| files.create(path))?;
        Ok(self.handle(path, file))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        let file = self.log(FileOperation::Look, path, |files| files.open(path))?;
        Ok(self.handle(path, file))
    }

    fn read(&self, path: &Path, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
        self.log(FileOperation::Look, path, |files| {
            files.read(path, offset, limit)
        })
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        self.log(FileOperation::Look, path, |files| files.length(path))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(FileOperation::Name, path, |files| files.remove(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(FileOperation::Name, to, |files| files.rename(from, to))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.log(FileOperation::SyncFolder, path, |files| {
            files.sync_folder(path)
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Locked> {
        let locked = self.log(FileOperation::Create, path, |files| files.lock(path))?;
        let Locked::Ours(lock) = locked else {
            return Ok(locked);
        };
        let folder = path.parent().unwrap_or(path).to_owned();
        let mut holders = self.disk.logs.holders.lock();
        holders.insert(folder.clone(), self.id());
        self.status.lock().logs.insert(folder.clone(), lock);
        Ok(Locked::Ours(Box::new(Lock {
            disk: Arc::clone(&self.disk),
            holder: Arc::clone(&self.status),
            folder,
            path: path.to_owned(),
        })))
    }
}

impl AppendFile for Handle {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Self { at, path, file } = self;
        let disk = &at.disk;
        let is_full = disk.sim.now() < disk.files.lock().full_until;
        at.change(FileOperation::Append, path, |files| {
            if !is_full {
                return file.append(bytes);
            }
            disk.suffer(Fault::FullDisk, path);
            let part = disk.dice.below(bytes.len() as u64);
            files.set_capacity(Some(files.used() + part));
            let appended = file.append(bytes);
            files.set_capacity(None);
            appended
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        let Self { at, path, file } = self;
        at.change(FileOperation::Sync, path, |_| file.sync())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let Self { at, path, file } = self;
        at.change(FileOperation::Truncate, path, |_| file.truncate(length))
    }
}

impl FileLock for Lock {
    fn is_named(&self) -> io::Result<bool> {
        match self.holder.lock().logs.get(&self.folder) {
            Some(lock) => lock.is_named(),
            None => Err(io::Error::other(format!(
                "the process that locked {} is dead",
                self.path.display()
            ))),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A dead process has none any more, and somebody else may have this one.
        let held = self.holder.lock().logs.remove(&self.folder);
        let held = held.into_iter().map(|lock| (self.folder.clone(), lock));
        self.disk.logs.release(held.collect());
    }
}
