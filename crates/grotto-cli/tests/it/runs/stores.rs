//! A store that is down, does not answer, fails, or tells what is old or damaged, behind a sidecar with readers.
//!
//! Each case: the last good version is served, health and staleness say so, and all is well again by itself once the
//! store is.

use super::child::{Plan, Reader};
use super::kit::{Connection, Host, degraded, status, until, well};
use super::tell;
use crate::daemon::kit::Daemon;
use crate::kit::copy;
use std::path::{Path, PathBuf};
use std::process::Command;

const ITEMS: i64 = 2_000;
/// Staleness that has to show, beyond what it is while all is well.
const STALE_MS: u64 = 1_500;

/// What is compared in every case.
struct Case {
    host: Host,
    sidecar: Daemon,
    readers: Reader,
    version: u64,
}

impl Case {
    fn new() -> Self {
        let text = "  health_check_interval: 200ms\n  max_errors_per_minute: 100000\n  guards: {hold: false}\n";
        let mut host = Host::new(ITEMS, text);
        host.publisher.publish();
        let (sidecar, version) = host.serving();
        let readers = Reader::start(&Plan::attach(host.state_dir(), 8, ITEMS));
        Self {
            host,
            sidecar,
            readers,
            version,
        }
    }

    /// The version from before the trouble is served, and everybody is told.
    #[track_caller]
    fn serves_on(&mut self, what: &str, reason: &str) {
        let told = degraded(&self.sidecar, reason);
        assert_eq!(told["version"], self.version, "{what}: {told}");
        let offset =
            self.host.publisher.version() - u64::try_from(self.host.publisher.edition()).unwrap();
        let mut connection = Connection::new(&self.sidecar);
        assert_eq!(connection.check(&[0, 17, ITEMS - 1], offset), self.version);
        let edition = i64::try_from(self.version - offset).unwrap();
        self.readers.reaches(edition);
        assert_eq!(
            self.sidecar.get("/ready").json()["status"],
            "degraded",
            "{what}"
        );
        self.stale(what);
        tell(format_args!("{what}: {}", told["reasons"]));
    }

    /// What is served is not known to be the newest for longer and longer.
    #[track_caller]
    fn stale(&self, what: &str) {
        let stale = until(|| {
            status(&self.sidecar)["staleness_ms"]
                .as_u64()
                .filter(|ms| *ms > STALE_MS)
        });
        let metrics = self.sidecar.get("/metrics").body;
        let name = "grotto_consumer_staleness_seconds{";
        let line = metrics.lines().find(|line| line.starts_with(name));
        let seconds: f64 = line.unwrap().rsplit(' ').next().unwrap().parse().unwrap();
        assert!(seconds * 1e3 >= stale as f64, "{what}: {seconds} {stale}");
    }

    /// All is well, with what was published last.
    #[track_caller]
    fn recovers(&mut self) {
        self.host.publisher.publish();
        self.version = self.host.publisher.version();
        well(&self.sidecar, self.version);
        self.readers.reaches(self.host.publisher.edition());
        until(|| {
            status(&self.sidecar)["staleness_ms"]
                .as_u64()
                .filter(|ms| *ms < STALE_MS)
        });
    }

    /// Publishes a version that the sidecar finds changed.
    fn publish_and(&mut self, items: i64, change: impl FnOnce(&mut Self)) {
        self.sidecar.signal("STOP");
        self.host.publisher.resize(items);
        change(self);
        self.sidecar.signal("CONT");
    }

    fn dataset(&self) -> PathBuf {
        self.host.store().join("items")
    }

    /// The newest file of a folder of the dataset.
    fn newest(&self, folder: &str) -> PathBuf {
        let names = self.host.bench.files(&format!("store/items/{folder}"));
        let name = names
            .iter()
            .filter(|name| name.contains(|c: char| c.is_ascii_digit()))
            .max();
        self.dataset().join(folder).join(name.unwrap())
    }
}

/// Has a file say something else until it is put right.
struct Changed {
    path: PathBuf,
    right: Vec<u8>,
}

impl Changed {
    fn new(path: PathBuf, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let right = std::fs::read(&path).unwrap();
        let mut wrong = right.clone();
        change(&mut wrong);
        replace(&path, &wrong);
        Self { path, right }
    }

    fn undo(self) {
        replace(&self.path, &self.right);
    }
}

fn replace(path: &Path, bytes: &[u8]) {
    let beside = path.with_extension("changed");
    std::fs::write(&beside, bytes).unwrap();
    std::fs::rename(&beside, path).unwrap();
}

#[test]
fn a_store_that_is_down_or_fails_leaves_the_last_version_served_and_is_followed_again() {
    let mut case = Case::new();
    let (store, away) = (case.host.store(), case.host.bench.path("away"));
    std::fs::rename(&store, &away).unwrap();
    case.serves_on("down", "store");
    std::fs::rename(&away, &store).unwrap();
    case.recovers();
    // The system refuses to open anything below: too many links.
    std::fs::rename(&store, &away).unwrap();
    std::fs::create_dir_all(&store).unwrap();
    std::os::unix::fs::symlink("items", store.join("items")).unwrap();
    case.serves_on("failing", "store");
    std::fs::remove_dir_all(&store).unwrap();
    std::fs::rename(&away, &store).unwrap();
    case.recovers();
    case.readers.end();
}

#[test]
fn a_store_that_does_not_answer_leaves_the_last_version_served_and_is_followed_again() {
    let mut case = Case::new();
    let newest = case.newest("log");
    let name = newest.file_name().unwrap().to_str().unwrap();
    let (digits, end) = name.split_once('.').unwrap();
    let next: u64 = digits.parse::<u64>().unwrap() + 1;
    let path = newest.with_file_name(format!("{next:0width$}.{end}", width = digits.len()));
    // Whoever opens it waits until somebody opens it to write.
    let made = Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    case.stale("silent");
    let offset = case.version - u64::try_from(case.host.publisher.edition()).unwrap();
    assert_eq!(
        Connection::new(&case.sidecar).check(&[3], offset),
        case.version
    );
    case.readers.reaches(case.host.publisher.edition());
    // Whoever waits is answered, with nothing.
    let pipe = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    drop(pipe);
    case.recovers();
    case.readers.end();
}

#[test]
fn a_store_that_tells_what_is_old_takes_nobody_back() {
    let mut case = Case::new();
    let (store, away) = (case.host.store(), case.host.bench.path("away"));
    let old = case.host.bench.path("old");
    copy(&store, &old);
    case.recovers();
    std::fs::rename(&store, &away).unwrap();
    std::fs::rename(&old, &store).unwrap();
    case.serves_on("old", "");
    std::fs::rename(&store, &old).unwrap();
    std::fs::rename(&away, &store).unwrap();
    case.recovers();
    case.readers.end();
}

#[test]
fn damaged_bytes_of_a_store_are_never_served_and_are_fetched_again_once_they_are_right() {
    type Damage = (&'static str, fn(&mut Vec<u8>));
    let damages: [Damage; 3] = [
        ("altered", |bytes| {
            let at = bytes.len() / 2;
            bytes[at] = !bytes[at];
        }),
        ("cut short", |bytes| bytes.truncate(bytes.len() / 2)),
        ("empty", Vec::clear),
    ];
    let mut case = Case::new();
    case.host.bench.damages();
    for folder in ["log", "delta"] {
        for (what, damage) in damages {
            let mut changed = None;
            // Many items, so that the change is not in the log entry.
            let items = if case.host.publisher.items() == ITEMS {
                30_000
            } else {
                ITEMS
            };
            case.publish_and(items, |case| {
                changed = Some(Changed::new(case.newest(folder), damage));
            });
            case.serves_on(&format!("{folder} {what}"), "the last refresh failed");
            changed.unwrap().undo();
            case.recovers();
        }
    }
    case.readers.end();
}
