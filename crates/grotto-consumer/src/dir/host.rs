//! The file system of this host.
//!
//! Owns: the calls of the operating system that a state directory makes. Never: knows what a file is for.

mod access;
mod folder;
mod usage;

pub(crate) use access::Access;
pub use access::is_state_mode;

use folder::{Folder, Purpose};
use grotto_env::{FileLock, FileMark, FileSystem, Locked, Mapped, ReadMark, holder, sign};
use parking_lot::Mutex;
use std::ffi::OsStr;
use std::fs::{DirBuilder, File, Metadata, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// The file system of this host. A folder that is created is held open from then on, and what is done
/// below its path is done in that very folder, until another one is created. What only looks (`list`, `mark`,
/// `touched`, and whether a lock still has its name) goes by the path: it is to show what others find there.
#[derive(Debug, Default)]
pub(crate) struct HostFiles {
    access: Access,
    held: Mutex<Option<(PathBuf, Arc<Folder>)>>,
}

/// A locked file.
#[derive(Debug)]
struct HostLock {
    file: File,
    path: PathBuf,
}

impl HostFiles {
    pub(crate) fn with_access(access: Access) -> Self {
        Self {
            access,
            held: Mutex::default(),
        }
    }

    /// The folder of a file, and the file's name in it.
    fn place<'p>(&self, path: &'p Path, purpose: Purpose) -> io::Result<(Arc<Folder>, &'p OsStr)> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let held = self.held.lock().clone();
        if let Some((at, folder)) = held
            && let Ok(below) = parent.strip_prefix(&at)
        {
            let mut folder = folder;
            for part in below.components() {
                if let Component::Normal(part) = part {
                    folder = Arc::new(folder.within(part, purpose)?);
                }
            }
            return Ok((folder, name));
        }
        Ok((Arc::new(Folder::open(parent, purpose)?), name))
    }

    fn open(&self, path: &Path) -> io::Result<Option<File>> {
        match self.place(path, Purpose::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok((folder, name)) => folder.read(name),
        }
    }

    fn holds(&self, folder: &Path) -> bool {
        let held = self.held.lock();
        held.as_ref().is_some_and(|(at, _)| at == folder)
    }
}

impl FileSystem for HostFiles {
    fn boot(&self) -> Option<String> {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let id = text.trim();
        (!id.is_empty()).then(|| id.to_owned())
    }

    /// One that exists keeps its mode unless another was asked for: who made it may have opened it to a
    /// group on purpose.
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        if path.parent().is_some_and(|parent| self.holds(parent)) {
            let (folder, name) = self.place(path, Purpose::Write)?;
            return folder.make(name, self.access);
        }
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(self.access.of_folders());
        builder.create(path)?;
        let folder = Folder::open(path, Purpose::Write)?;
        folder.admit(self.access)?;
        *self.held.lock() = Some((path.to_owned(), Arc::new(folder)));
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        std::fs::read_dir(folder)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect()
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.open(path)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            let reason = format!("expected at most {limit} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(Some(bytes))
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        let file = self.open(path)?.ok_or(io::ErrorKind::NotFound)?;
        // Before it is mapped: a later change is one that shows.
        let mark = mark_of(&file.metadata()?);
        let bytes = grotto_mmap::map_sealed(&file)?;
        Ok(Mapped { bytes, mark })
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let (folder, name) = self.place(path, Purpose::Write)?;
        folder.create(name, self.access)?.write_all(bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (folder, from_name) = self.place(from, Purpose::Write)?;
        match (from.parent() == to.parent(), to.file_name()) {
            (true, Some(to_name)) => folder.rename(from_name, to_name),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let (folder, name) = self.place(path, Purpose::Write)?;
        folder.remove(name)
    }

    fn touch(&self, path: &Path, wall_ms: u64) -> io::Result<()> {
        let (folder, name) = self.place(path, Purpose::Write)?;
        let file = match folder.open_own(name, self.access) {
            // Its bytes say nothing: what is in its place can go.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                folder.create(name, self.access)?
            }
            opened => opened?,
        };
        file.set_modified(UNIX_EPOCH + Duration::from_millis(wall_ms))
    }

    fn touched(&self, path: &Path) -> Option<u64> {
        let modified = std::fs::symlink_metadata(path).and_then(|found| found.modified());
        let since = modified.ok()?.duration_since(UNIX_EPOCH).ok()?;
        u64::try_from(since.as_millis()).ok()
    }

    fn mark(&self, path: &Path) -> io::Result<Option<FileMark>> {
        match std::fs::symlink_metadata(path) {
            Ok(found) => Ok(Some(mark_of(&found))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn admit(&self, path: &Path) -> io::Result<bool> {
        let (folder, name) = self.place(path, Purpose::Write)?;
        folder.admit_file(name, self.access)
    }

    fn enter(&self, folder: &Path) -> io::Result<Option<Box<dyn ReadMark>>> {
        let mark = usage::Mark::on(folder)?;
        Ok(Some(Box::new(mark)))
    }

    fn readers(&self, folder: &Path) -> Option<u64> {
        usage::readers(folder)
    }

    fn resident(&self, folder: &Path) -> Option<u64> {
        usage::resident(folder)
    }

    fn lock(&self, path: &Path) -> io::Result<Locked> {
        let (folder, name) = self.place(path, Purpose::Write)?;
        let file = folder.open_own(name, self.access)?;
        lock_file(file, path)
    }
}

fn lock_file(mut file: File, path: &Path) -> io::Result<Locked> {
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Locked::Theirs(holder(&mut file))),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    if let Err(error) = sign(&mut file) {
        tracing::warn!(%error, path = %path.display(), "cannot note who holds the lock");
    }
    let path = path.to_owned();
    Ok(Locked::Ours(Box::new(HostLock { file, path })))
}

impl FileLock for HostLock {
    fn is_named(&self) -> io::Result<bool> {
        let own = self.file.metadata()?;
        match std::fs::symlink_metadata(&self.path) {
            Ok(named) => Ok((own.dev(), own.ino()) == (named.dev(), named.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn mark_of(found: &Metadata) -> FileMark {
    let nanos = |seconds, nanos| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    FileMark {
        number: found.ino(),
        written_ns: nanos(found.mtime(), found.mtime_nsec()),
        changed_ns: nanos(found.ctime(), found.ctime_nsec()),
        length: found.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_folders_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let folder = dir.path().join("a/b");
        HostFiles::default().create_folder(&folder).unwrap();
        HostFiles::default()
            .write(&folder.join("file"), b"x")
            .unwrap();
        HostFiles::default().touch(&folder.join("time"), 1).unwrap();
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join("file")), 0o600);
        assert_eq!(mode(&folder.join("time")), 0o600);
    }

    #[test]
    fn a_file_in_place_of_another_has_another_mark() {
        let dir = tempfile::tempdir().unwrap();
        let (path, next) = (dir.path().join("file"), dir.path().join("next"));
        assert_eq!(HostFiles::default().mark(&path).unwrap(), None);
        HostFiles::default().write(&path, b"one").unwrap();
        let first = HostFiles::default().mark(&path).unwrap();
        assert_eq!(HostFiles::default().mark(&path).unwrap(), first);
        HostFiles::default().write(&next, b"two").unwrap();
        HostFiles::default().rename(&next, &path).unwrap();
        let second = HostFiles::default().mark(&path).unwrap();
        assert!(first.is_some() && second.is_some());
        assert_ne!(first, second);
    }

    #[test]
    fn a_lock_that_cannot_be_signed_is_held_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("LOCK");
        std::fs::write(&path, b"").unwrap();
        // Not opened for writing.
        let locked = lock_file(File::open(&path).unwrap(), &path).unwrap();
        let Locked::Ours(lock) = locked else {
            panic!("{locked:?}");
        };
        assert!(lock.is_named().unwrap());
        let other = HostFiles::default().lock(&path).unwrap();
        assert!(matches!(other, Locked::Theirs(_)), "{other:?}");
    }

    #[test]
    fn a_file_past_the_limit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, [0; 10]).unwrap();
        let read = |limit| HostFiles::default().read(&path, limit);
        assert_eq!(read(10).unwrap().map(|b| b.len()), Some(10));
        assert!(read(9).is_err());
        let none = dir.path().join("none");
        assert!(HostFiles::default().read(&none, 9).unwrap().is_none());
    }
}
