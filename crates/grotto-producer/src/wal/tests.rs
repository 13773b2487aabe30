//! The write-ahead log on the disk of this host.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use grotto_env::SystemFiles;
use grotto_format::Schema;

use super::*;
use crate::ErrorKind;

fn schema() -> Schema {
    Schema::parse("City @PrimaryKey(id) { long id; string name; }").unwrap()
}

fn entry(key: Option<&str>, fill: u8, length: usize) -> Arc<WalEntry> {
    Arc::new(WalEntry {
        key: key.map(str::to_owned),
        atomic: false,
        source: "test".to_owned(),
        positions: BTreeMap::from([("file".to_owned(), u64::from(fill))]),
        time_ms: 7,
        changes: vec![WalChange::Upsert {
            type_id: 0,
            position: 1,
            flat: vec![fill; length],
        }],
    })
}

fn open(folder: &Path, options: WalOptions) -> Result<(Wal, Recovery)> {
    let nonce = || "0123456789abcdef0123456789abcdef".to_owned();
    Wal::open(Arc::new(SystemFiles), folder, &schema(), options, nonce)
}

fn numbers(wal: &Wal) -> Vec<u64> {
    let read = wal.read(0, usize::MAX).unwrap();
    read.iter().map(|read| read.number).collect()
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
    let before = wal.read(1, usize::MAX).unwrap();
    let busy = open(&folder, WalOptions::default()).unwrap_err();
    assert_eq!(busy.kind(), ErrorKind::Busy);
    drop(wal);
    let (wal, recovery) = open(&folder, WalOptions::default()).unwrap();
    assert_eq!((recovery.oldest, recovery.last), (1, 4));
    assert_eq!(recovery.cut, None);
    assert_eq!(wal.read(1, usize::MAX).unwrap(), before);
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
    let options = WalOptions {
        segment_bytes: 1000,
        ..WalOptions::default()
    };
    let (wal, _) = open(dir.path(), options.clone()).unwrap();
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
    let (wal, _) = open(dir.path(), options).unwrap();
    assert_eq!(wal.known_key("k1"), Some(1));
    assert_eq!(wal.append(&[entry(None, 1, 1)]).unwrap(), 11..=11);
}
