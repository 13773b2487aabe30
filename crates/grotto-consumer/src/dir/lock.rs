//! The lock of a state directory: one writer.
//!
//! Owns: the `LOCK` file. Never: removes it, as another process could then lock another file of the
//! same name. The system releases the lock when its holder ends, however it ends.

use crate::dir::files;
use crate::error::{Error, Result};
use std::fs::{File, Metadata, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Held for as long as a process writes to a state directory.
#[derive(Debug)]
pub(crate) struct DirLock {
    file: File,
    path: PathBuf,
}

impl DirLock {
    /// Takes the lock, or says who holds it.
    pub(crate) fn take(dir: &Path) -> Result<Self> {
        let path = dir.join("LOCK");
        loop {
            let open = files::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(&path);
            let mut file = open.map_err(|e| Error::io("write to state directory", dir, e))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(held(dir, &mut file)),
                Err(TryLockError::Error(e)) => return Err(Error::io("lock", &path, e)),
            }
            let mut lock = Self {
                file,
                path: path.clone(),
            };
            // Between opening and locking the folder may have been removed and made again: then
            // somebody else can lock the file that has the name now.
            if lock.is_held()? {
                lock.sign()?;
                return Ok(lock);
            }
        }
    }

    /// Whether the file that is locked still has its name. A lock on a file without one keeps nobody
    /// out.
    pub(crate) fn is_held(&self) -> Result<bool> {
        let failed = |e| Error::io("look at", &self.path, e);
        let own = self.file.metadata().map_err(failed)?;
        match std::fs::metadata(&self.path) {
            Ok(named) => Ok(is_same(&own, &named)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    /// Only for people who wonder who holds it.
    fn sign(&mut self) -> Result<()> {
        let file = &mut self.file;
        let note = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()));
        note.map_err(|e| Error::io("write", &self.path, e))
    }
}

#[cfg(unix)]
fn is_same(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Elsewhere a file that is open cannot be removed.
#[cfg(not(unix))]
fn is_same(_: &Metadata, _: &Metadata) -> bool {
    true
}

fn held(dir: &Path, file: &mut File) -> Error {
    let mut text = String::new();
    let holder = match file
        .take(32)
        .read_to_string(&mut text)
        .map(|_| text.trim().parse::<u32>())
    {
        Ok(Ok(pid)) => format!("process {pid}"),
        _ => "another process".to_owned(),
    };
    let dir = dir.display();
    Error::invalid(format!(
        "state directory {dir} is in use by {holder}: attach to it, or choose another"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_writer_is_refused_and_told_who_holds_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirLock::take(dir.path()).unwrap();
        let error = DirLock::take(dir.path()).unwrap_err();
        let holder = format!("process {}", std::process::id());
        assert!(error.message().contains(&holder), "{error}");
        drop(lock);
        assert!(DirLock::take(dir.path()).is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_without_its_name_is_not_held() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("state");
        std::fs::create_dir(&dir).unwrap();
        let lock = DirLock::take(&dir).unwrap();
        assert!(lock.is_held().unwrap());
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(!lock.is_held().unwrap());
        std::fs::create_dir(&dir).unwrap();
        let other = DirLock::take(&dir).unwrap();
        assert!(other.is_held().unwrap());
        assert!(!lock.is_held().unwrap());
    }
}
