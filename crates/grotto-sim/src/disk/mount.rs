//! A process's view of a disk.
//!
//! Owns: operations that fail, and those of a process that dies in the middle. Never: outlives its
//! process: the locks of a dead one are free.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use grotto_env::{FileLock, FileMark, FileSystem, Locked, Mapped};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Disk, File, Files};
use crate::fault::Fault;

/// Operations in a thousand that fail for no better reason.
const FAILING: u64 = 4;

/// A disk, for one process.
#[derive(Debug)]
pub(crate) struct Mount {
    disk: Arc<Disk>,
    /// Tells it from the mounts of other processes.
    id: u64,
    status: Arc<Mutex<Status>>,
}

#[derive(Debug, Default)]
struct Status {
    dead: bool,
    dies_in: Option<u64>,
    /// Numbers of files that this process has locked.
    locked: BTreeSet<u64>,
}

#[derive(Debug)]
struct Lock {
    disk: Arc<Disk>,
    holder: Arc<Mutex<Status>>,
    path: PathBuf,
    number: u64,
}

impl Mount {
    pub(super) fn new(disk: &Arc<Disk>) -> Arc<Self> {
        let mut files = disk.files.lock();
        files.mounts += 1;
        Arc::new(Self {
            disk: Arc::clone(disk),
            id: files.mounts,
            status: Arc::default(),
        })
    }

    /// The process dies in its operation of this number from now, unless faults end before.
    pub(crate) fn die_in(&self, operations: u64) {
        self.status.lock().dies_in = Some(operations);
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Whoever changes a folder that another process has locked is a second writer.
    fn check_alone(&self, path: &Path) {
        let files = self.disk.files.lock();
        let holder = path.ancestors().find_map(|folder| files.holder(folder));
        drop(files);
        if holder.is_some_and(|holder| holder != self.id) && !self.status.lock().dead {
            let what = format!("two writers: {} is locked by another", path.display());
            self.disk.sim.violation(&self.disk.name, what);
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.status.lock().dead
    }

    pub(crate) fn die(&self) {
        let mut status = self.status.lock();
        status.dead = true;
        let mut files = self.disk.files.lock();
        for number in std::mem::take(&mut status.locked) {
            files.locked.remove(&number);
        }
    }

    /// `true` if the process dies in this operation, which then does at most a part of its work.
    fn enter(&self) -> io::Result<bool> {
        let mut status = self.status.lock();
        if status.dead {
            return Err(io::Error::other("the process is dead"));
        }
        let fails = self.disk.files.lock().fails;
        if let Some(left) = status.dies_in.as_mut().filter(|_| fails) {
            *left = left.saturating_sub(1);
            return Ok(*left == 0);
        }
        Ok(false)
    }

    fn end(&self) -> io::Error {
        self.disk.note("the process dies");
        self.die();
        io::Error::other("the process is dead")
    }

    /// One operation that is done whole or not at all.
    fn whole<T>(
        &self,
        path: &Path,
        work: impl FnOnce(&mut Files) -> io::Result<T>,
    ) -> io::Result<T> {
        let dies = self.enter()?;
        if dies && self.disk.dice.chance(500) {
            return Err(self.end());
        }
        self.fail_at_times(Fault::FailedFile, path)?;
        let done = work(&mut self.disk.files.lock());
        if dies {
            return Err(self.end());
        }
        done
    }

    fn fail_at_times(&self, fault: Fault, path: &Path) -> io::Result<()> {
        let fails = self.disk.files.lock().fails;
        if fails && self.disk.dice.chance(FAILING) {
            self.disk.suffer(fault, path);
            return Err(io::Error::other(fault.name()));
        }
        Ok(())
    }

    /// How much of a write is done, and what it ends in.
    fn fate_of_write(&self, path: &Path, length: u64, dies: bool) -> (u64, Option<io::Error>) {
        let part = self.disk.dice.below(length);
        if dies {
            self.disk.sim.count(Fault::TornWrite);
            return (part, Some(self.end()));
        }
        if self.disk.sim.now() < self.disk.files.lock().full_until {
            self.disk.suffer(Fault::FullDisk, path);
            return (part, Some(ErrorKind::StorageFull.into()));
        }
        match self.fail_at_times(Fault::FailedWrite, path) {
            Err(error) => (part, Some(error)),
            Ok(()) => (length, None),
        }
    }
}

fn parent_of<'a>(files: &Files, path: &'a Path) -> io::Result<&'a Path> {
    let parent = path
        .parent()
        .filter(|parent| files.folders.contains(*parent));
    parent.ok_or_else(|| ErrorKind::NotFound.into())
}

impl Files {
    fn create(&mut self, path: &Path, bytes: Bytes) -> io::Result<u64> {
        parent_of(self, path)?;
        self.numbers += 1;
        let number = match self.all.get(path) {
            Some(file) => file.number,
            None => self.numbers,
        };
        let file = File {
            number,
            written: self.numbers,
            changed: self.numbers,
            bytes,
            touched_ms: None,
            unsynced: true,
        };
        self.all.insert(path.to_owned(), file);
        Ok(number)
    }
}

impl File {
    fn mark(&self) -> FileMark {
        FileMark {
            number: self.number,
            written_ns: self.written.into(),
            changed_ns: self.changed.into(),
            length: self.bytes.len() as u64,
        }
    }
}

impl FileSystem for Mount {
    fn boot(&self) -> Option<String> {
        Some(format!("boot {}", self.disk.files.lock().boot))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.whole(path, |files| {
            files.folders.extend(path.ancestors().map(Path::to_owned));
            Ok(())
        })
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.whole(folder, |files| {
            if !files.folders.contains(folder) {
                return Err(ErrorKind::NotFound.into());
            }
            let all = files.all.keys();
            let here = all.filter(|path| path.parent() == Some(folder));
            Ok(here.cloned().collect())
        })
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        self.whole(path, |files| match files.all.get(path) {
            Some(file) if file.bytes.len() as u64 > limit => Err(ErrorKind::InvalidData.into()),
            file => Ok(file.map(|file| file.bytes.to_vec())),
        })
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        self.whole(path, |files| {
            let file = files.all.get(path);
            let mapped = file.map(|file| Mapped {
                bytes: file.bytes.clone(),
                mark: file.mark(),
            });
            mapped.ok_or_else(|| ErrorKind::NotFound.into())
        })
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.check_alone(path);
        let dies = self.enter()?;
        let (written, error) = self.fate_of_write(path, bytes.len() as u64, dies);
        let part = Bytes::copy_from_slice(&bytes[..written as usize]);
        self.disk.files.lock().create(path, part)?;
        error.map_or(Ok(()), Err)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check_alone(to);
        self.whole(to, |files| {
            parent_of(files, to)?;
            let file = files.all.remove(from);
            let mut file = file.ok_or_else(|| io::Error::from(ErrorKind::NotFound))?;
            files.numbers += 1;
            file.changed = files.numbers;
            files.all.insert(to.to_owned(), file);
            Ok(())
        })?;
        to.parent().into_iter().for_each(|at| self.disk.tell(at));
        Ok(())
    }

    /// Never fails by chance: what a file system cannot remove stays, which is nobody's fault.
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.check_alone(path);
        if self.enter()? {
            return Err(self.end());
        }
        let removed = self.disk.files.lock().all.remove(path);
        removed
            .map(|_| ())
            .ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn touch(&self, path: &Path, wall_ms: u64) -> io::Result<()> {
        self.check_alone(path);
        self.whole(path, |files| {
            if !files.all.contains_key(path) {
                files.create(path, Bytes::new())?;
            }
            if let Some(file) = files.all.get_mut(path) {
                file.touched_ms = Some(wall_ms);
            }
            Ok(())
        })
    }

    fn touched(&self, path: &Path) -> Option<u64> {
        self.disk.files.lock().all.get(path)?.touched_ms
    }

    fn mark(&self, path: &Path) -> io::Result<Option<FileMark>> {
        self.whole(path, |files| {
            let file = files.all.get(path);
            Ok(file.map(File::mark))
        })
    }

    fn watch(&self, folder: &Path) -> Option<Arc<Notify>> {
        Some(self.disk.watch(folder))
    }

    fn lock(&self, path: &Path) -> io::Result<Locked> {
        let number = self.whole(path, |files| match files.all.get(path) {
            Some(file) => Ok(file.number),
            None => files.create(path, Bytes::new()),
        })?;
        let mut files = self.disk.files.lock();
        if files.locked.contains_key(&number) {
            return Ok(Locked::Theirs("another process".to_owned()));
        }
        files.locked.insert(number, self.id);
        drop(files);
        self.status.lock().locked.insert(number);
        Ok(Locked::Ours(Box::new(Lock {
            disk: Arc::clone(&self.disk),
            holder: Arc::clone(&self.status),
            path: path.to_owned(),
            number,
        })))
    }
}

impl FileLock for Lock {
    fn is_named(&self) -> io::Result<bool> {
        let files = self.disk.files.lock();
        let named = files.all.get(&self.path);
        Ok(named.is_some_and(|file| file.number == self.number))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A dead process has none any more, and somebody else may have this one.
        if self.holder.lock().locked.remove(&self.number) {
            self.disk.files.lock().locked.remove(&self.number);
        }
    }
}
