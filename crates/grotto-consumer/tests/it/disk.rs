//! Files of the host that can be full, or take as long as a test wants.

use grotto_env::{FileLock, FileMark, FileSystem, Locked, Mapped};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime};
use std::{fs, time};

/// A disk below a folder of the host.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    state: Mutex<Behaviour>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Behaviour {
    /// Writes of paths with this in them find no space, after some of their bytes.
    full: Option<String>,
    /// Writes of paths with this in them wait.
    slow: Option<String>,
    waiting: usize,
}

fn matches(part: Option<&String>, path: &Path) -> bool {
    part.is_some_and(|part| path.to_string_lossy().contains(part))
}

impl Disk {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Writes of paths that contain `part` find no space from now on; none do without.
    pub(crate) fn fill(&self, part: Option<&str>) {
        self.state.lock().unwrap().full = part.map(str::to_owned);
    }

    /// Writes of paths that contain `part` wait from now on; all go on without.
    pub(crate) fn slow_down(&self, part: Option<&str>) {
        self.state.lock().unwrap().slow = part.map(str::to_owned);
        self.changed.notify_all();
    }

    /// Waits until a write waits.
    pub(crate) fn wait_for_writer(&self) {
        let state = self.state.lock().unwrap();
        drop(
            self.changed
                .wait_while(state, |state| state.waiting == 0)
                .unwrap(),
        );
    }

    fn meet_slowness(&self, path: &Path) {
        let mut state = self.state.lock().unwrap();
        state.waiting += 1;
        self.changed.notify_all();
        let slow = |state: &mut Behaviour| matches(state.slow.as_ref(), path);
        state = self.changed.wait_while(state, slow).unwrap();
        state.waiting -= 1;
    }
}

impl FileSystem for Disk {
    fn boot(&self) -> Option<String> {
        Some("boot".to_owned())
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|file| Ok(file?.path())).collect()
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let file = match fs::File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        if file.metadata()?.len() > limit {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let mark = self.mark(path)?.ok_or_else(missing)?;
        let bytes = fs::read(path)?.into();
        Ok(Mapped { bytes, mark })
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.meet_slowness(path);
        let is_full = matches(self.state.lock().unwrap().full.as_ref(), path);
        if is_full {
            fs::write(path, &bytes[..bytes.len() / 2])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        fs::write(path, bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn touch(&self, path: &Path, wall_ms: u64) -> io::Result<()> {
        let file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)?;
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_millis(wall_ms))
    }

    fn touched(&self, path: &Path) -> Option<u64> {
        let modified = fs::metadata(path).ok()?.modified().ok()?;
        let since = modified.duration_since(time::UNIX_EPOCH).ok()?;
        u64::try_from(since.as_millis()).ok()
    }

    fn mark(&self, path: &Path) -> io::Result<Option<FileMark>> {
        let found = match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let ns = |seconds: i64, ns: i64| i128::from(seconds) * 1_000_000_000 + i128::from(ns);
        Ok(Some(FileMark {
            number: found.ino(),
            written_ns: ns(found.mtime(), found.mtime_nsec()),
            changed_ns: ns(found.ctime(), found.ctime_nsec()),
            length: found.len(),
        }))
    }

    fn lock(&self, _path: &Path) -> io::Result<Locked> {
        Ok(Locked::Ours(Box::new(Lock)))
    }
}

#[derive(Debug)]
struct Lock;

impl FileLock for Lock {
    fn is_named(&self) -> io::Result<bool> {
        Ok(true)
    }
}
