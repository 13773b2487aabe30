//! When files are opened, and what is told of a look that failed.

#[cfg(unix)]
mod parts;

use super::*;
use crate::attach::Attached;
use crate::dir::{HostFiles, StateDir};
use grotto_env::{Locked, Mapped};
use grotto_state::{HashSeed, State};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::Notify;

/// The host's files, counted; reads can be refused, and changes told by hand.
#[derive(Debug, Default)]
struct Counting {
    /// Whatever opens a file or a folder.
    opened: AtomicUsize,
    asked: AtomicUsize,
    refused: AtomicUsize,
    told: Option<Arc<Notify>>,
}

impl Counting {
    fn open(&self) -> io::Result<()> {
        self.opened.fetch_add(1, Relaxed);
        let left = self.refused.load(Relaxed);
        self.refused.store(left.saturating_sub(1), Relaxed);
        match left {
            0 => Ok(()),
            _ => Err(io::Error::other("scripted")),
        }
    }

    fn counts(&self) -> (usize, usize) {
        (self.opened.load(Relaxed), self.asked.load(Relaxed))
    }
}

impl FileSystem for Counting {
    fn boot(&self) -> Option<String> {
        Some("boot".to_owned())
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        HostFiles::default().create_folder(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.open()?;
        HostFiles::default().list(folder)
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        self.open()?;
        HostFiles::default().read(path, limit)
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        self.open()?;
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
        self.asked.fetch_add(1, Relaxed);
        HostFiles::default().mark(path)
    }

    fn watch(&self, _folder: &Path) -> Option<Arc<Notify>> {
        self.told.clone()
    }

    fn lock(&self, path: &Path) -> io::Result<Locked> {
        HostFiles::default().lock(path)
    }
}

/// A folder, and the process that writes to it.
struct Written {
    folder: tempfile::TempDir,
    dir: StateDir,
}

impl Written {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let system = Arc::new(Counting::default());
        let (dir, _) = StateDir::open(system, folder.path(), "places").unwrap();
        let mut written = Self { folder, dir };
        written.publish(1);
        written
    }

    fn publish(&mut self, version: u64) {
        let state = State::empty(HashSeed::new([1, 2])).at_version(version);
        self.dir.publish(&state, "id").unwrap();
    }

    fn attach(&self, counting: &Arc<Counting>) -> Attached {
        let system = Arc::clone(counting) as Arc<dyn FileSystem>;
        Attached::open_in(self.folder.path(), system, Env::simulated(1)).unwrap()
    }
}

async fn wait(time: Duration) {
    Env::simulated(1).sleep(time).await;
}

fn telling() -> Arc<Counting> {
    Arc::new(Counting {
        told: Some(Arc::default()),
        ..Counting::default()
    })
}

#[tokio::test(start_paused = true)]
async fn an_idle_reader_opens_no_file() {
    let mut written = Written::new();
    let counting = telling();
    let attached = written.attach(&counting);
    let (opened, asked) = counting.counts();
    wait(Duration::from_secs(600)).await;
    let idle = counting.counts();
    assert_eq!(idle.0, opened, "files are opened while nothing changes");
    let looks = idle.1 - asked;
    assert!((500..=600).contains(&looks), "{looks} looks in ten minutes");
    // Nobody tells of it: the next look by itself shows it.
    written.publish(2);
    wait(2 * IDLE_INTERVAL).await;
    assert_eq!(attached.version(), 2);
    assert!(counting.counts().0 > opened);
}

#[test]
fn waking_up_for_nothing_opens_no_file() {
    let mut written = Written::new();
    let counting = Arc::new(Counting::default());
    let system = Arc::clone(&counting) as Arc<dyn FileSystem>;
    let follower = Follower::new(system, written.folder.path(), Env::system().clock).unwrap();
    let seen = follower.seen();
    let opened = counting.counts().0;
    let mut left = 1_000;
    follower.run(|_| {
        left -= 1;
        match left {
            0 => return Wake::Stop,
            1 => written.publish(2),
            _ => assert_eq!(counting.counts().0, opened),
        }
        Wake::Look
    });
    assert_eq!(seen.served.hold().version(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_told_is_seen_at_once() {
    let mut written = Written::new();
    let counting = telling();
    let attached = written.attach(&counting);
    wait(IDLE_INTERVAL / 2).await;
    written.publish(2);
    counting.told.as_ref().unwrap().notify_one();
    // Far from the next look without being told.
    wait(Duration::from_millis(1)).await;
    assert_eq!(attached.version(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_state_that_could_not_be_read_is_read_with_the_next_look() {
    let mut written = Written::new();
    let counting = telling();
    let attached = written.attach(&counting);
    assert!(attached.trouble().is_none());
    written.publish(2);
    counting.refused.store(1, Relaxed);
    wait(IDLE_INTERVAL * 3 / 2).await;
    assert_eq!(attached.version(), 1);
    let trouble = attached.trouble().unwrap().to_string();
    assert!(trouble.contains("CURRENT"), "{trouble}");
    wait(IDLE_INTERVAL).await;
    assert_eq!(attached.version(), 2);
    assert!(attached.trouble().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_ended_looks_no_more() {
    let written = Written::new();
    let counting = telling();
    written.attach(&counting).shutdown();
    wait(IDLE_INTERVAL * 3 / 2).await;
    let ended = counting.counts();
    wait(Duration::from_secs(60)).await;
    assert_eq!(counting.counts(), ended);
}

#[test]
fn a_look_that_fails_or_panics_is_told_until_one_succeeds() {
    let trouble = Mutex::default();
    look_or_note(&trouble, || panic!("scripted"));
    let told = trouble.lock().clone().unwrap();
    assert_eq!(told.kind(), crate::error::ErrorKind::Internal);
    look_or_note(&trouble, || Err(Error::corrupt("scripted")));
    let told = trouble.lock().clone().unwrap();
    assert_eq!(told.message(), "scripted");
    look_or_note(&trouble, || Ok(()));
    assert!(trouble.lock().is_none());
}
