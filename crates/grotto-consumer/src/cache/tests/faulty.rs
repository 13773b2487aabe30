//! The cache on a file system that is slow, full, or fails to read. Owns nothing.

use super::*;
use grotto_env::{FileMark, Locked, Mapped};
use parking_lot::Condvar;
use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc;

/// The host's, but for what a test asks for. Files are named by a part of their paths.
#[derive(Debug, Default)]
struct Faulty {
    host: HostFiles,
    unreadable: Mutex<Option<PathBuf>>,
    full: Mutex<bool>,
    /// Marks and the second halves of writes wait while this is set.
    slow: Mutex<bool>,
    /// Marks as they were when a slow look began.
    marks: Mutex<BTreeMap<PathBuf, Option<FileMark>>>,
    /// How many of them wait.
    waiting: Mutex<usize>,
    changed: Condvar,
}

impl Faulty {
    fn meet_slowness(&self) {
        if !*self.slow.lock() {
            return;
        }
        *self.waiting.lock() += 1;
        self.changed.notify_all();
        let mut slow = self.slow.lock();
        self.changed.wait_while(&mut slow, |slow| *slow);
        drop(slow);
        *self.waiting.lock() -= 1;
    }

    fn be_slow(&self, slow: bool) {
        *self.slow.lock() = slow;
        self.changed.notify_all();
    }

    fn wait_until_somebody_waits(&self) {
        let mut waiting = self.waiting.lock();
        self.changed
            .wait_while(&mut waiting, |waiting| *waiting == 0);
    }
}

impl FileSystem for Faulty {
    fn boot(&self) -> Option<String> {
        None
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.host.create_folder(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let found = self.host.list(folder)?;
        if *self.slow.lock() {
            for path in &found {
                let mark = self.host.mark(path)?;
                self.marks.lock().insert(path.clone(), mark);
            }
        }
        Ok(found)
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
        match &*self.unreadable.lock() {
            Some(unreadable) if unreadable == path => Err(io::Error::other("scripted")),
            _ => self.host.read(path, limit),
        }
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        self.host.map(path)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.host.write(path, &bytes[..bytes.len() / 2])?;
        if *self.full.lock() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.meet_slowness();
        self.host.write(path, bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.host.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.host.remove(path)
    }

    fn touch(&self, path: &Path, wall_ms: u64) -> io::Result<()> {
        self.host.touch(path, wall_ms)
    }

    fn touched(&self, path: &Path) -> Option<u64> {
        self.host.touched(path)
    }

    fn mark(&self, path: &Path) -> io::Result<Option<FileMark>> {
        self.meet_slowness();
        match self.marks.lock().get(path) {
            Some(mark) => Ok(*mark),
            None => self.host.mark(path),
        }
    }

    fn lock(&self, path: &Path) -> io::Result<Locked> {
        self.host.lock(path)
    }
}

fn faulty(kit: &Kit, bytes: u64) -> (Arc<Faulty>, Arc<FolderCache>) {
    let system = Arc::new(Faulty::default());
    let given = Some(Arc::clone(&system) as Arc<dyn FileSystem>);
    (system, Arc::new(kit.open_in(bytes, given).unwrap()))
}

/// Runs something on another thread; `None` if it does not end, which is waited for a minute.
fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, done) = mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    done.recv_timeout(Duration::from_secs(60)).ok()
}

#[test]
fn blobs_come_and_go_while_the_folder_is_looked_at() {
    let kit = Kit::new();
    // By the time of the host, as files have it.
    let host = grotto_env::Env::system().clock;
    kit.clock.set_wall_ms(host.wall_ms());
    let (system, cache) = faulty(&kit, 300);
    for number in 1..=3 {
        cache.put(&key(number), &blob(number));
    }
    kit.clock.advance(HOUR);
    system.be_slow(true);
    let sweeping = Arc::clone(&cache);
    let sweep = std::thread::spawn(move || sweeping.sweep());
    system.wait_until_somebody_waits();
    let asked = Arc::clone(&cache);
    let got = aside(move || {
        // A second look while the first is under way is none.
        asked.sweep();
        let got = asked.get(&key(1));
        asked.refuse(&key(2));
        got
    });
    system.be_slow(false);
    sweep.join().unwrap();
    assert_eq!(got, Some(Some(blob(1))), "it waits for the look");
    assert_eq!(cache.metrics.held(), 200);
    // What was used and what was refused meanwhile is known: there is room for one, and then the third goes first.
    for number in [4, 5] {
        kit.clock.advance(HOUR);
        cache.put(&key(number), &blob(number));
    }
    let left: Vec<u64> = (1..=5).filter(|n| cache.get(&key(*n)).is_some()).collect();
    assert_eq!(left, [1, 4, 5]);
    assert_eq!(kit.names().len(), 3);
    assert_eq!(cache.metrics.held(), 300);
}

#[test]
fn a_blob_that_is_being_written_is_not_found_yet() {
    let kit = Kit::new();
    let (system, cache) = faulty(&kit, 1_000);
    system.be_slow(true);
    let putting = Arc::clone(&cache);
    let put = std::thread::spawn(move || putting.put(&key(1), &blob(1)));
    system.wait_until_somebody_waits();
    let found = cache.get(&key(1));
    system.be_slow(false);
    put.join().unwrap();
    assert_eq!(found, None);
    assert_eq!(failures(&cache, "read"), 0);
    assert_eq!(cache.get(&key(1)), Some(blob(1)));
}

#[test]
fn a_disk_without_space_leaves_nothing_half_written() {
    let kit = Kit::new();
    let (system, cache) = faulty(&kit, 1_000);
    *system.full.lock() = true;
    cache.put(&key(1), &blob(1));
    assert_eq!(failures(&cache, "write"), 1);
    assert_eq!(kit.names(), Vec::<PathBuf>::new());
    assert_eq!(cache.get(&key(1)), None);
    *system.full.lock() = false;
    cache.put(&key(1), &blob(1));
    assert_eq!(cache.get(&key(1)), Some(blob(1)));
}

#[test]
fn a_blob_that_is_gone_or_cannot_be_read_takes_no_room() {
    let kit = Kit::new();
    let (system, cache) = faulty(&kit, 300);
    for number in 1..=3 {
        cache.put(&key(number), &blob(number));
        kit.clock.advance(HOUR);
    }
    *system.unreadable.lock() = Some(cache.path_of(&key(2)));
    assert_eq!(cache.get(&key(2)), None);
    assert_eq!(failures(&cache, "read"), 1);
    *system.unreadable.lock() = None;
    assert_eq!(cache.metrics.held(), 200);
    std::fs::remove_file(cache.path_of(&key(3))).unwrap();
    assert_eq!(cache.get(&key(3)), None);
    assert_eq!(cache.metrics.held(), 100);
    // Room for two more: the first stays.
    for number in [4, 5] {
        cache.put(&key(number), &blob(number));
    }
    let left: Vec<u64> = (1..=5).filter(|n| cache.get(&key(*n)).is_some()).collect();
    assert_eq!(left, [1, 4, 5]);
    cache.refuse(&key(4));
    assert_eq!(cache.metrics.held(), 200);
}
