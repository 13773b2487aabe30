//! The lock of a state directory: one writer.
//!
//! Owns: the `LOCK` file. Never: removes it, as another process could then lock another file of the
//! same name. The system releases the lock when its holder ends, however it ends.

use crate::dir::files;
use crate::error::{Error, Result};
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Held for as long as a process writes to a state directory.
#[derive(Debug)]
pub(crate) struct DirLock {
    _file: File,
}

impl DirLock {
    /// Takes the lock, or says who holds it.
    pub(crate) fn take(dir: &Path) -> Result<Self> {
        let path = dir.join("LOCK");
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
        // Only for people who wonder who holds it.
        let note = file
            .set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "{}", std::process::id()));
        note.map_err(|e| Error::io("write", &path, e))?;
        Ok(Self { _file: file })
    }
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
}
