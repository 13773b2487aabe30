//! A file system that refuses once, in the middle of things.

use super::*;
use grotto_env::{FileMark, Locked, Mapped};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The host's, but for listings to be refused.
#[derive(Debug, Default)]
struct Refusing {
    lists: AtomicUsize,
}

impl FileSystem for Refusing {
    fn boot(&self) -> Option<String> {
        Some("boot".to_owned())
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        HostFiles::default().create_folder(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let left = self.lists.load(Ordering::Relaxed);
        if left > 0 {
            self.lists.store(left - 1, Ordering::Relaxed);
            return Err(io::Error::other("scripted"));
        }
        HostFiles::default().list(folder)
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        HostFiles::default().read(path, limit)
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        HostFiles::default().map(path)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        HostFiles::default().write(path, bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        HostFiles::default().rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        HostFiles::default().remove(path)
    }

    fn touch(&self, path: &Path, wall_ms: u64) -> io::Result<()> {
        HostFiles::default().touch(path, wall_ms)
    }

    fn touched(&self, path: &Path) -> Option<u64> {
        HostFiles::default().touched(path)
    }

    fn mark(&self, path: &Path) -> io::Result<Option<FileMark>> {
        HostFiles::default().mark(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Locked> {
        HostFiles::default().lock(path)
    }
}

#[test]
fn a_directory_that_could_not_be_taken_over_is_not_held() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("state");
    let system = Arc::new(Refusing::default());
    let shared = Arc::clone(&system) as Arc<dyn FileSystem>;
    let (mut dir, _) = StateDir::open(shared, &path, DATASET).unwrap();
    let state = State::empty(SEED);
    dir.publish(&state, "id").unwrap();
    std::fs::remove_dir_all(&path).unwrap();
    system.lists.store(1, Ordering::Relaxed);
    assert!(dir.keep_hold().is_err());
    assert!(
        !dir.is_held().unwrap(),
        "nobody would load the state afresh"
    );
    assert!(!dir.keep_hold().unwrap(), "it holds nothing any more");
    assert!(dir.keep_hold().unwrap());
}
