//! Budgets and limits, each crossed.

use std::sync::Arc;

use grotto_env::{FileOperation, ForgetfulFiles};

use super::kit::{all, entry, numbers, open, segments, small};
use crate::ErrorKind;
use crate::wal::{MAX_KEY, MAX_POSITIONS, MAX_SOURCE, WalChange, WalEntry, WalOptions};

#[test]
fn a_log_past_its_budget_takes_nothing_until_something_is_released() {
    let files = ForgetfulFiles::new(1);
    let options = WalOptions {
        max_bytes: 4000,
        ..small()
    };
    let (wal, _) = open(&files, options).unwrap();
    let group = [entry(None, 1, 500)];
    let mut last = 0;
    let refused = loop {
        match wal.append(&group) {
            Ok(numbers) => last = *numbers.end(),
            Err(error) => break error,
        }
    };
    assert_eq!(refused.kind(), ErrorKind::Overloaded);
    assert!(last >= 4 && wal.bytes() <= 4000, "{last} {}", wal.bytes());
    assert!(!wal.has_room(4000 - wal.bytes() + 1) && wal.has_room(4000 - wal.bytes()));
    assert_eq!(wal.failed(), None, "a full budget is no failure");
    assert_eq!(wal.last(), last);
    wal.release(2).unwrap();
    assert_eq!(wal.append(&group).unwrap(), last + 1..=last + 1);
}

#[test]
fn a_newest_segment_of_released_entries_does_not_keep_the_budget() {
    let files = ForgetfulFiles::new(1);
    let options = WalOptions {
        max_bytes: 4000,
        ..small()
    };
    let (wal, _) = open(&files, options).unwrap();
    wal.append(&[entry(Some("key"), 1, 3000)]).unwrap();
    let large = [entry(None, 1, 2000)];
    let refused = wal.append(&large).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Overloaded);
    wal.release(1).unwrap();
    assert_eq!(wal.segments(), 1);
    assert_eq!(wal.append(&large).unwrap(), 2..=2);
    assert_eq!(wal.segments(), 1);
    assert_eq!(wal.known_key("key"), Some(1));
    let never = wal.append(&[entry(None, 1, 4000)]).unwrap_err();
    assert_eq!(never.kind(), ErrorKind::Invalid);
}

#[test]
fn a_full_disk_is_said_and_passes() {
    let files = ForgetfulFiles::new(1);
    let (wal, _) = open(&files, small()).unwrap();
    wal.append(&[entry(None, 1, 10)]).unwrap();
    for room in (0..700).step_by(50) {
        files.set_capacity(Some(wal.bytes() + room));
        let full = wal.append(&[entry(None, 2, 800)]).unwrap_err();
        assert_eq!(full.kind(), ErrorKind::Unavailable);
        assert!(full.message().contains("the disk is full"), "{full}");
        assert_eq!(wal.failed().as_deref(), Some(full.message()));
    }
    assert_eq!((wal.last(), numbers(&wal)), (1, vec![1]));
    files.set_capacity(None);
    assert_eq!(wal.append(&[entry(None, 3, 10)]).unwrap(), 2..=2);
    assert_eq!(wal.failed(), None);
    drop(wal);
    files.reboot();
    let (wal, _) = open(&files, small()).unwrap();
    assert_eq!(numbers(&wal), [1, 2]);
    assert_eq!(all(&wal)[1].entry, *entry(None, 3, 10));
}

#[test]
fn a_log_on_a_full_disk_opens_and_can_be_read_and_released() {
    let files = ForgetfulFiles::new(1);
    let (wal, _) = open(&files, small()).unwrap();
    for fill in 1..=5 {
        wal.append(&[entry(Some("key"), fill, 600)]).unwrap();
    }
    let room = wal.bytes();
    drop(wal);
    files.set_capacity(Some(room));
    files.restart();
    let (wal, recovery) = open(&files, small()).unwrap();
    assert!(wal.failed().unwrap().contains("the disk is full"));
    assert_eq!(recovery.last, 5);
    // The last group may not be on the disk, and nobody sees it before it is.
    assert_eq!((wal.last(), numbers(&wal)), (4, vec![1, 2, 3, 4]));
    assert_eq!(wal.known_key("key"), Some(4));
    assert_eq!(wal.read(5, 1).unwrap_err().kind(), ErrorKind::Unavailable);
    wal.release(4).unwrap();
    assert_eq!(wal.read(5, 1).unwrap()[0].number, 5);
    assert_eq!((wal.last(), wal.known_key("key")), (5, Some(5)));
    assert_eq!(wal.failed(), None);
}

#[test]
fn a_segment_whose_sync_failed_is_never_written_again() {
    let files = ForgetfulFiles::new(1);
    let (wal, _) = open(&files, small()).unwrap();
    wal.append(&[entry(None, 1, 10)]).unwrap();
    files.fail_next(FileOperation::Sync, 0);
    let failed = wal.append(&[entry(Some("lost"), 2, 10)]).unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Unavailable);
    assert!(failed.message().contains("cannot sync"), "{failed}");
    assert_eq!(wal.known_key("lost"), None);
    assert_eq!(wal.append(&[entry(None, 3, 10)]).unwrap(), 2..=2);
    assert_eq!(wal.segments(), 2);
    assert_eq!(all(&wal)[1].entry, *entry(None, 3, 10));
    drop(wal);
    files.reboot();
    let (wal, _) = open(&files, small()).unwrap();
    assert_eq!(all(&wal)[1].entry, *entry(None, 3, 10));
}

#[test]
fn the_newest_keys_are_remembered_from_segment_to_segment() {
    let files = ForgetfulFiles::new(1);
    let options = WalOptions {
        remembered_keys: 3,
        ..small()
    };
    let (wal, _) = open(&files, options.clone()).unwrap();
    for number in 1..=7_u8 {
        wal.append(&[entry(Some(&format!("k{number}")), number, 500)])
            .unwrap();
    }
    wal.append(&[entry(Some("k6"), 8, 500)]).unwrap();
    wal.release(8).unwrap();
    let known = |wal: &crate::wal::Wal| {
        let known = (1..=8).map(|number| wal.known_key(&format!("k{number}")));
        known.map(Option::unwrap_or_default).collect::<Vec<u64>>()
    };
    let expected = [0, 0, 0, 0, 0, 8, 7, 0];
    assert_eq!(known(&wal), expected);
    for _ in 0..3 {
        files.reboot();
        let (wal, _) = open(&files, options.clone()).unwrap();
        assert_eq!(known(&wal), expected);
    }
}

#[test]
fn entries_past_the_limits_are_refused_with_what_was_expected() {
    let files = ForgetfulFiles::new(1);
    let options = WalOptions {
        max_entry_bytes: 100,
        ..small()
    };
    let (wal, _) = open(&files, options).unwrap();
    let base = WalEntry::clone(&entry(None, 1, 1));
    let refuse = |change: &dyn Fn(&mut WalEntry), expected: &str| {
        let mut entry = base.clone();
        change(&mut entry);
        let refused = wal.append(&[Arc::new(entry)]).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        assert!(refused.message().contains(expected), "{refused}");
    };
    refuse(
        &|entry| entry.key = Some("k".repeat(MAX_KEY + 1)),
        "at most 255, found 256",
    );
    refuse(
        &|entry| entry.source = "s".repeat(MAX_SOURCE + 1),
        "found 4097",
    );
    refuse(
        &|entry| {
            let positions = (0..=MAX_POSITIONS).map(|at| (at.to_string(), 1));
            entry.positions = positions.collect();
        },
        "source positions",
    );
    refuse(
        &|entry| entry.changes[0] = delete(7),
        "expected one of 1 types, found type 7",
    );
    refuse(
        &|entry| entry.changes.extend(vec![delete(0); 50]),
        "an entry of at most 100 bytes",
    );
    let none = wal.append(&[]).unwrap_err();
    assert_eq!(none.kind(), ErrorKind::Invalid);
    assert_eq!(wal.append(&[Arc::new(base.clone())]).unwrap(), 1..=1);
}

fn delete(type_id: u16) -> WalChange {
    WalChange::Delete {
        type_id,
        position: 1,
        key: Vec::new(),
    }
}

#[test]
fn an_entry_at_every_limit_comes_back() {
    let files = ForgetfulFiles::new(1);
    let options = WalOptions {
        max_bytes: 100 << 20,
        ..WalOptions::default()
    };
    let (wal, _) = open(&files, options.clone()).unwrap();
    let name = |at: usize| format!("{at:0>width$}", width = MAX_SOURCE);
    let largest = WalEntry {
        key: Some("k".repeat(MAX_KEY)),
        source: name(0),
        positions: (0..MAX_POSITIONS).map(|at| (name(at), u64::MAX)).collect(),
        changes: vec![delete(0); 100_000],
        ..WalEntry::clone(&entry(None, 1, 1))
    };
    wal.append(&[Arc::new(largest.clone())]).unwrap();
    assert_eq!(all(&wal)[0].entry, largest);
    drop(wal);
    files.reboot();
    let (wal, _) = open(&files, options).unwrap();
    assert_eq!(all(&wal)[0].entry, largest);
}

#[test]
fn without_sync_a_process_that_dies_loses_nothing_and_a_host_at_most_the_end() {
    let options = WalOptions {
        sync: false,
        ..small()
    };
    let mut lost_some = 0;
    for seed in 0..100 {
        let files = ForgetfulFiles::new(seed);
        let (wal, _) = open(&files, options.clone()).unwrap();
        for fill in 1..=10 {
            wal.append(&[entry(None, fill, 150)]).unwrap();
        }
        let full = segments(&files).len();
        assert!(full > 1);
        drop(wal);
        files.restart();
        let (wal, recovery) = open(&files, options.clone()).unwrap();
        assert_eq!((numbers(&wal).len(), recovery.cut), (10, None));
        for fill in 11..=14 {
            wal.append(&[entry(None, fill, 150)]).unwrap();
        }
        let whole = all(&wal);
        drop(wal);
        files.reboot();
        let (wal, recovery) = open(&files, options.clone()).unwrap();
        let left = all(&wal);
        assert!(left.len() >= 10, "{}", left.len());
        assert_eq!(left, whole[..left.len()]);
        assert!(left.len() == 14 || recovery.last == left.len() as u64);
        lost_some += usize::from(left.len() < 14);
        let next = wal.append(&[entry(None, 1, 1)]).unwrap();
        assert_eq!(*next.start(), left.len() as u64 + 1);
    }
    assert!(lost_some > 10, "{lost_some}");
}

#[test]
fn reading_takes_no_more_than_was_asked_for_but_one_entry() {
    let files = ForgetfulFiles::new(1);
    let (wal, _) = open(&files, WalOptions::default()).unwrap();
    let entries: Vec<_> = (0..2000).map(|at| entry(None, at as u8, 100)).collect();
    wal.append(&entries).unwrap();
    for entry in &entries[..500] {
        wal.append(std::slice::from_ref(entry)).unwrap();
    }
    let (mut from, mut calls) = (1, 0);
    while from <= 2500 {
        let read = wal.read(from, 1000).unwrap();
        assert!((1..=9).contains(&read.len()), "{}", read.len());
        for read in read {
            assert_eq!(read.number, from);
            let at = (from as usize - 1) % 2000;
            assert_eq!(read.entry, *entries[at]);
            from += 1;
        }
        calls += 1;
    }
    assert!(calls > 270, "{calls}");
    assert_eq!(wal.read(7, 0).unwrap().len(), 1);
}
