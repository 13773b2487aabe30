//! The log on the disk of this host.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use grotto_env::SystemFiles;

use super::kit::{NONCE, all, entry, numbers, schema, serial, small};
use crate::wal::{Recovery, Wal, WalOptions, begin};
use crate::{ErrorKind, Result};

fn open(folder: &Path, options: WalOptions) -> Result<(Wal, Recovery)> {
    let files = Arc::new(SystemFiles);
    Wal::open(files, folder, &schema(), options, || NONCE.to_owned())
}

#[test]
fn entries_come_back_in_order_after_a_new_start() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("wal");
    let (wal, recovery) = open(&folder, WalOptions::default()).unwrap();
    assert!(recovery.is_new);
    assert_eq!(wal.id(), "01234567");
    let entries = [
        entry(Some("a"), 1, 10),
        entry(None, 2, 100_000),
        entry(None, 3, 0),
    ];
    assert_eq!(wal.append(&entries).unwrap(), 1..=3);
    assert_eq!(wal.append(&entries[..1]).unwrap(), 4..=4);
    assert_eq!(wal.known_key("a"), Some(4));
    let before = all(&wal);
    let busy = open(&folder, WalOptions::default()).unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::Busy);
    drop(wal);
    let (wal, recovery) = open(&folder, WalOptions::default()).unwrap();
    assert_eq!((recovery.oldest, recovery.last), (1, 4));
    assert_eq!(recovery.cut, None);
    assert_eq!(all(&wal), before);
    assert_eq!(before[1].entry, *entries[1]);
    assert_eq!(wal.known_key("a"), Some(4));
    assert_eq!(wal.append(&entries[..1]).unwrap(), 5..=5);
    assert_eq!(wal.read(5, 1).unwrap().len(), 1);
    assert_eq!(wal.read(6, 1).unwrap(), []);
}

#[test]
fn a_torn_tail_is_cut_and_its_numbers_are_given_again() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = open(dir.path(), WalOptions::default()).unwrap();
    wal.append(&[entry(None, 1, 10)]).unwrap();
    wal.append(&[entry(Some("torn"), 2, 10), entry(None, 3, 10)])
        .unwrap();
    drop(wal);
    let path = begin::path_of(dir.path(), 1);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let (wal, recovery) = open(dir.path(), WalOptions::default()).unwrap();
    assert_eq!(recovery.cut.unwrap().file, path);
    assert_eq!(recovery.last, 1);
    assert_eq!(wal.known_key("torn"), None);
    assert_eq!(wal.append(&[entry(None, 4, 10)]).unwrap(), 2..=2);
    assert_eq!(wal.read(2, 1).unwrap()[0].entry, *entry(None, 4, 10));
}

#[test]
fn released_segments_go_and_the_newest_one_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = open(dir.path(), small()).unwrap();
    for fill in 1..=10 {
        wal.append(&[entry(Some(&format!("k{fill}")), fill, 500)])
            .unwrap();
    }
    assert_eq!(wal.segments(), 10);
    wal.release(7).unwrap();
    assert_eq!(wal.segments(), 3);
    assert_eq!(numbers(&wal), [8, 9, 10]);
    wal.release(10).unwrap();
    assert_eq!(wal.segments(), 1);
    assert_eq!(numbers(&wal), [0; 0]);
    assert_eq!(wal.known_key("k1"), Some(1));
    drop(wal);
    let (wal, _) = open(dir.path(), small()).unwrap();
    assert_eq!(wal.known_key("k1"), Some(1));
    assert_eq!(wal.append(&[entry(None, 1, 1)]).unwrap(), 11..=11);
}

#[test]
fn starting_again_and_again_takes_no_more_room() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = open(dir.path(), WalOptions::default()).unwrap();
    for fill in 1..=3 {
        wal.append(&[entry(Some("key"), fill, 100)]).unwrap();
    }
    drop(wal);
    let mut sizes = Vec::new();
    for _ in 0..5 {
        let (wal, _) = open(dir.path(), WalOptions::default()).unwrap();
        assert_eq!(numbers(&wal), [1, 2, 3]);
        sizes.push((wal.segments(), wal.bytes()));
    }
    assert_eq!(sizes[1..], [sizes[0]; 4]);
}

#[test]
fn threads_append_read_and_release_at_once() {
    const EACH: u64 = 40;
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = open(dir.path(), small()).unwrap();
    let append = |thread: u64| {
        for at in 0..EACH {
            let number = thread * EACH + at;
            let entries = [serial(number, 100), serial(number + 1_000_000, 8)];
            let numbers = wal.append(&entries).unwrap();
            assert_eq!(numbers.end() - numbers.start(), 1);
            assert!(wal.known_key(&format!("key {number}")).is_some());
        }
    };
    let read_all = || {
        let (mut from, mut seen) = (1, BTreeSet::new());
        while from <= 4 * EACH * 2 {
            for read in wal.read(from, 2000).unwrap() {
                assert_eq!(read.number, from, "an entry is missing");
                assert!(
                    seen.insert(read.entry.changes[0].position()),
                    "one comes twice"
                );
                from += 1;
            }
            // What is released is not to be read again; this reader is not behind it.
            wal.release(from.saturating_sub(20)).unwrap();
        }
        seen.len() as u64
    };
    let seen = std::thread::scope(|scope| {
        let reader = scope.spawn(read_all);
        for thread in 0..4 {
            scope.spawn(move || append(thread));
        }
        reader.join().unwrap()
    });
    assert_eq!(seen, 4 * EACH * 2);
    assert!(wal.segments() < 20, "{}", wal.segments());
}

#[test]
fn a_reader_that_released_entries_are_taken_from_goes_on_behind_them() {
    let dir = tempfile::tempdir().unwrap();
    let (wal, _) = open(dir.path(), small()).unwrap();
    for number in 1..=60 {
        wal.append(&[serial(number, 200)]).unwrap();
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for through in 1..=59 {
                wal.release(through).unwrap();
            }
        });
        loop {
            let read = wal.read(0, usize::MAX).unwrap();
            let numbers: Vec<u64> = read.iter().map(|read| read.number).collect();
            let first = numbers[0];
            assert_eq!(numbers, (first..=60).collect::<Vec<u64>>());
            if first == 60 {
                break;
            }
        }
    });
}

#[cfg(unix)]
#[test]
fn a_folder_that_others_may_write_to_and_a_link_in_place_of_the_lock_are_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let (open_to_all, linked) = (dir.path().join("open"), dir.path().join("linked"));
    std::fs::create_dir(&open_to_all).unwrap();
    std::fs::set_permissions(&open_to_all, std::fs::Permissions::from_mode(0o777)).unwrap();
    let refused = open(&open_to_all, small()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(
        std::error::Error::source(&refused)
            .unwrap()
            .to_string()
            .contains("mode 0777"),
        "{refused:?}"
    );
    std::fs::create_dir(&linked).unwrap();
    let target = dir.path().join("precious");
    std::fs::write(&target, b"precious").unwrap();
    std::os::unix::fs::symlink(&target, linked.join("LOCK")).unwrap();
    open(&linked, small()).unwrap_err();
    assert_eq!(std::fs::read(&target).unwrap(), b"precious");
}

#[cfg(unix)]
#[test]
fn files_and_folders_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("a/wal");
    let (wal, _) = open(&folder, small()).unwrap();
    wal.append(&[entry(None, 1, 10)]).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&begin::path_of(&folder, 1)), 0o600);
    assert_eq!(mode(&folder.join("LOCK")), 0o600);
}
