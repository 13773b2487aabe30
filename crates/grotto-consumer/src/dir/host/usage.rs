//! Who reads a folder of this host, and how much of it is in memory.
//!
//! Owns: a shared lock on the folder itself, which stands for a reader and goes with its process, however that
//! ends; what `/proc` says of these locks and of this process' maps. Never: writes, or keeps anybody out:
//! nobody takes the folder's lock for himself alone.

use grotto_env::ReadMark;
use parking_lot::Mutex;
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, openat};
use std::io;
use std::path::Path;

/// Held while marks are counted: a second count of this process at the same moment would see the mark by which the
/// first one finds the folder, and take it for a reader.
static COUNTING: Mutex<()> = Mutex::new(());

/// Stands for a reader.
#[derive(Debug)]
pub(super) struct Mark {
    fd: OwnedFd,
}

impl Mark {
    pub(super) fn on(folder: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = openat(rustix::fs::CWD, folder, flags, Mode::empty())?;
        flock(&fd, FlockOperation::NonBlockingLockShared)?;
        Ok(Self { fd })
    }
}

impl ReadMark for Mark {}

/// Marks on a folder. Sees those of processes that this one can see: of other containers none, unless they
/// share the host's numbers of processes.
///
/// A mark of our own says how the folder is called there: file systems that lie over others have another
/// number there than for everybody else. Where it is not listed, nothing is known.
pub(super) fn readers(folder: &Path) -> Option<u64> {
    let _alone = COUNTING.lock();
    let own = Mark::on(folder).ok()?;
    let number = fstat(&own.fd).ok()?.st_ino;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    count(&locks, std::process::id(), number)
}

/// Shared locks on the file that process `pid` has one on, that one not counted.
fn count(locks: &str, pid: u32, number: u64) -> Option<u64> {
    let (pid, ending) = (pid.to_string(), format!(":{number}"));
    let shared = locks.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let kind = [words.next()?, words.next()?, words.next()?];
        // One that waits for a lock has an arrow before its kind.
        (kind == ["FLOCK", "ADVISORY", "READ"]).then_some(())?;
        Some((words.next()?, words.next()?))
    });
    let shared: Vec<(&str, &str)> = shared.collect();
    let own = shared
        .iter()
        .find(|(holder, file)| *holder == pid && file.ends_with(&ending))?;
    let marks = shared.iter().filter(|(_, file)| *file == own.1).count();
    Some((marks as u64).saturating_sub(1))
}

/// Bytes of files below a folder that this process has mapped and that are in its memory.
pub(super) fn resident(folder: &Path) -> Option<u64> {
    let folder = std::fs::canonicalize(folder).ok()?;
    let maps = std::fs::read_to_string("/proc/self/smaps").ok()?;
    Some(sum_resident(&maps, folder.to_str()?))
}

fn sum_resident(maps: &str, folder: &str) -> u64 {
    let mut below = false;
    let mut kilobytes = 0_u64;
    for line in maps.lines() {
        match line.strip_prefix("Rss:") {
            Some(size) if below => {
                let number = size.split_whitespace().next();
                kilobytes += number.and_then(|n| n.parse().ok()).unwrap_or(0);
            }
            Some(_) => {}
            // A map begins with its addresses and ends with its file.
            None if line
                .starts_with(|c: char| c.is_ascii_hexdigit() && !c.is_ascii_uppercase()) =>
            {
                let file = line.find('/').and_then(|at| line.get(at..));
                let rest = file.and_then(|file| file.strip_prefix(folder));
                below = rest.is_some_and(|rest| rest.starts_with('/'));
            }
            None => {}
        }
    }
    kilobytes.saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mark_counts_until_it_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        assert_eq!(readers(dir.path()), Some(0));
        let first = Mark::on(dir.path()).unwrap();
        let second = Mark::on(dir.path()).unwrap();
        let _elsewhere = Mark::on(other.path()).unwrap();
        assert_eq!(readers(dir.path()), Some(2));
        drop(first);
        assert_eq!(readers(dir.path()), Some(1));
        drop(second);
        assert_eq!(readers(dir.path()), Some(0));
        assert_eq!(readers(&dir.path().join("none")), None);
    }

    #[test]
    fn counts_at_the_same_moment_do_not_count_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let count = || (0..200).filter(|_| readers(dir.path()) != Some(0)).count();
        let wrong: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).sum()
        });
        // A process that another test starts has our mark from its fork to its exec.
        assert!(wrong < 40, "{wrong} of 800 counts saw another one");
    }

    #[test]
    fn a_mark_goes_with_its_process_however_that_ends() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("flock")
            .args(["--shared", "--no-fork"])
            .arg(dir.path())
            .args(["sh", "-c", "echo ready; read line"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 5];
        let out = child.stdout.as_mut().unwrap();
        io::Read::read_exact(out, &mut ready).unwrap();
        assert_eq!(readers(dir.path()), Some(1));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(readers(dir.path()), Some(0));
    }

    #[test]
    fn only_shared_locks_on_the_same_file_count() {
        let locks = "\
            1: FLOCK  ADVISORY  READ 7 fe:00:42 0 EOF\n\
            1: -> FLOCK  ADVISORY  READ 9 fe:00:42 0 EOF\n\
            2: FLOCK  ADVISORY  READ 8 fe:00:42 0 EOF\n\
            3: FLOCK  ADVISORY  WRITE 8 fe:00:42 0 EOF\n\
            4: POSIX  ADVISORY  READ 8 fe:00:42 0 EOF\n\
            5: FLOCK  ADVISORY  READ 8 fe:01:42 0 EOF\n\
            6: FLOCK  ADVISORY  READ 8 fe:00:142 0 EOF\n";
        assert_eq!(count(locks, 7, 42), Some(1));
        // Where our own lock does not show, others may not show either.
        assert_eq!(count(locks, 6, 42), None);
        assert_eq!(count("", 7, 42), None);
    }

    #[test]
    fn only_maps_of_files_below_the_folder_count() {
        let maps = "\
            7f00-7f10 r--s 00000000 fe:00 12    /run/cities/segments/1.seg\n\
            Size:                 64 kB\n\
            Rss:                  48 kB\n\
            Pss:                   8 kB\n\
            7f10-7f20 r--s 00000000 fe:00 13    /run/cities/segments/2.seg (deleted)\n\
            Rss:                   4 kB\n\
            7f20-7f30 r--s 00000000 fe:00 14    /run/cities2/segments/1.seg\n\
            Rss:                 100 kB\n\
            7f30-7f40 rw-p 00000000 00:00 0\n\
            Rss:                 200 kB\n";
        assert_eq!(sum_resident(maps, "/run/cities"), 52 * 1024);
        assert_eq!(sum_resident(maps, "/elsewhere"), 0);
    }
}
