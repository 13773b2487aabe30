//! The lock of a state directory: one writer.
//!
//! Owns: the `LOCK` file. Never: removes it, as another process could then lock another file of the
//! same name. The system releases the lock when its holder ends, however it ends.

use crate::error::{Error, ErrorKind, Result};
use grotto_env::{FileLock, FileSystem, Locked};
use std::path::{Path, PathBuf};

/// Held for as long as a process writes to a state directory.
#[derive(Debug)]
pub(crate) struct DirLock {
    lock: Box<dyn FileLock>,
    path: PathBuf,
}

impl DirLock {
    /// Takes the lock, or says who holds it.
    pub(crate) fn take(system: &dyn FileSystem, dir: &Path) -> Result<Self> {
        let path = dir.join("LOCK");
        loop {
            let locked = system
                .lock(&path)
                .map_err(|e| Error::io("write to state directory", dir, e))?;
            let path = path.clone();
            let lock = match locked {
                Locked::Ours(lock) => Self { lock, path },
                Locked::Theirs(holder) => return Err(held(dir, &holder)),
            };
            // Between opening and locking the folder may have been removed and made again: then
            // somebody else can lock the file that has the name now.
            if lock.is_held()? {
                return Ok(lock);
            }
        }
    }

    /// Whether the file that is locked still has its name. A lock on a file without one keeps nobody
    /// out.
    pub(crate) fn is_held(&self) -> Result<bool> {
        let named = self.lock.is_named();
        named.map_err(|e| Error::io("look at", &self.path, e))
    }
}

fn held(dir: &Path, holder: &str) -> Error {
    let dir = dir.display();
    let message =
        format!("state directory {dir} is in use by {holder}: attach to it, or choose another");
    Error::new(ErrorKind::Busy, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dir::host::HostFiles;

    #[test]
    fn a_second_writer_is_refused_and_told_who_holds_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirLock::take(&HostFiles::default(), dir.path()).unwrap();
        let error = DirLock::take(&HostFiles::default(), dir.path()).unwrap_err();
        let holder = format!("process {}", std::process::id());
        assert!(error.message().contains(&holder), "{error}");
        drop(lock);
        assert!(DirLock::take(&HostFiles::default(), dir.path()).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_without_its_name_is_not_held() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("state");
        std::fs::create_dir(&dir).unwrap();
        let lock = DirLock::take(&HostFiles::default(), &dir).unwrap();
        assert!(lock.is_held().unwrap());
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(!lock.is_held().unwrap());
        std::fs::create_dir(&dir).unwrap();
        let other = DirLock::take(&HostFiles::default(), &dir).unwrap();
        assert!(other.is_held().unwrap());
        assert!(!lock.is_held().unwrap());
    }
}
