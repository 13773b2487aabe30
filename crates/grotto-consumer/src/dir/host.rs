//! The file system of this host.
//!
//! Owns: the calls of the operating system that a state directory makes. Never: knows what a file is for.

use grotto_env::{FileLock, FileMark, FileSystem, Locked};
use std::fs::{DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;

/// The file system of this host.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HostFiles;

/// A locked file.
#[derive(Debug)]
struct HostLock {
    file: File,
    path: PathBuf,
}

/// Options that give new files to their owner alone: a state holds what its records hold.
fn options() -> OpenOptions {
    #[allow(unused_mut, reason = "only some platforms have modes")]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

impl FileSystem for HostFiles {
    fn boot(&self) -> Option<String> {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let id = text.trim();
        (!id.is_empty()).then(|| id.to_owned())
    }

    /// One that exists keeps its mode: who made it may have opened it to a group on purpose.
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        std::fs::read_dir(folder)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect()
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut bytes = Vec::new();
        file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            let reason = format!("expected at most {limit} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        }
        Ok(Some(bytes))
    }

    fn map(&self, path: &Path) -> io::Result<Bytes> {
        grotto_mmap::map_sealed_path(path)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = options()
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)?;
        file.write_all(bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn touch(&self, path: &Path, wall_ms: u64) -> io::Result<()> {
        let file = options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        file.set_modified(UNIX_EPOCH + Duration::from_millis(wall_ms))
    }

    fn touched(&self, path: &Path) -> Option<u64> {
        let modified = std::fs::metadata(path).and_then(|found| found.modified());
        let since = modified.ok()?.duration_since(UNIX_EPOCH).ok()?;
        u64::try_from(since.as_millis()).ok()
    }

    fn mark(&self, path: &Path) -> io::Result<Option<FileMark>> {
        match std::fs::metadata(path) {
            Ok(found) => Ok(Some(mark_of(&found))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn lock(&self, path: &Path) -> io::Result<Locked> {
        let mut file = options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
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
}

impl FileLock for HostLock {
    fn is_named(&self) -> io::Result<bool> {
        let own = self.file.metadata()?;
        match std::fs::metadata(&self.path) {
            Ok(named) => Ok(is_same(&own, &named)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(unix)]
fn mark_of(found: &Metadata) -> FileMark {
    use std::os::unix::fs::MetadataExt;
    FileMark {
        number: found.ino(),
        written_ns: i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec()),
        length: found.len(),
    }
}

#[cfg(not(unix))]
fn mark_of(found: &Metadata) -> FileMark {
    let written = found.modified().ok();
    let since = written.and_then(|written| written.duration_since(UNIX_EPOCH).ok());
    FileMark {
        number: 0,
        written_ns: since.map_or(0, |since| since.as_nanos() as i128),
        length: found.len(),
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

/// Only for people who wonder who holds a lock: a disk that is full keeps nobody from serving.
fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(32).read_to_string(&mut text);
    match read.map(|_| text.trim().parse::<u32>()) {
        Ok(Ok(pid)) => format!("process {pid}"),
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn files_and_folders_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let folder = dir.path().join("a/b");
        HostFiles.create_folder(&folder).unwrap();
        HostFiles.write(&folder.join("file"), b"x").unwrap();
        HostFiles.touch(&folder.join("time"), 1).unwrap();
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join("file")), 0o600);
        assert_eq!(mode(&folder.join("time")), 0o600);
    }

    #[test]
    fn a_file_in_place_of_another_has_another_mark() {
        let dir = tempfile::tempdir().unwrap();
        let (path, next) = (dir.path().join("file"), dir.path().join("next"));
        assert_eq!(HostFiles.mark(&path).unwrap(), None);
        HostFiles.write(&path, b"one").unwrap();
        let first = HostFiles.mark(&path).unwrap();
        assert_eq!(HostFiles.mark(&path).unwrap(), first);
        HostFiles.write(&next, b"two").unwrap();
        HostFiles.rename(&next, &path).unwrap();
        let second = HostFiles.mark(&path).unwrap();
        assert!(first.is_some() && second.is_some());
        assert_ne!(first, second);
    }

    #[test]
    fn a_file_past_the_limit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, [0; 10]).unwrap();
        let read = |limit| HostFiles.read(&path, limit);
        assert_eq!(read(10).unwrap().map(|b| b.len()), Some(10));
        assert!(read(9).is_err());
        let none = dir.path().join("none");
        assert!(HostFiles.read(&none, 9).unwrap().is_none());
    }
}
