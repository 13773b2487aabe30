//! The small JSON documents of a dataset, byte by byte. Owns nothing.

use super::published;
use grotto_format::checksum;
use grotto_format::log::{
    BlobKind, BlobRef, EntryBlobs, EntryKind, FORMAT, GcBoundary, LeaderHint, LogEntry,
    SnapshotEntry, SnapshotRef, Transition,
};
use std::collections::BTreeMap;

fn blob(kind: BlobKind, version: u64) -> BlobRef {
    BlobRef {
        name: kind.blob_name(version, 2, "5f0c3a"),
        length: 1000 + version,
        checksum: version << 56 | 0xabc,
    }
}

fn commit() -> LogEntry {
    let (delta, reverse) = (blob(BlobKind::Delta, 4), blob(BlobKind::Reverse, 4));
    LogEntry {
        format: FORMAT,
        dataset: "films".into(),
        dataset_id: "c0ffee00".into(),
        version: 4,
        kind: EntryKind::Commit,
        epoch: 2,
        nonce: "5f0c3a".into(),
        writer: "host-1".into(),
        time_ms: 1_700_000_000_000,
        parent: 3,
        state_version: 4,
        commits: 2,
        blobs: EntryBlobs {
            delta: Some(delta.clone()),
            reverse: Some(reverse.clone()),
        },
        snapshot: Some(SnapshotRef {
            version: 1,
            blob: blob(BlobKind::Snapshot, 1),
        }),
        transitions: vec![
            Transition {
                since: 0,
                from: 0,
                version: 1,
                delta: blob(BlobKind::Delta, 1),
                reverse: None,
            },
            Transition {
                since: 1,
                from: 3,
                version: 4,
                delta,
                reverse: Some(reverse),
            },
        ],
        state_checksum: 0x0123_4567_89ab_cdef,
        counts: BTreeMap::from([("Film".into(), 3), ("Studio".into(), 0)]),
        schema_hash: u64::MAX,
        sources: BTreeMap::from([("wal".into(), 77)]),
        tags: BTreeMap::from([("note".into(), "a \"second\" für 日本".into())]),
        signature: None,
    }
}

fn fence() -> LogEntry {
    LogEntry {
        version: 5,
        kind: EntryKind::Fence,
        epoch: 3,
        nonce: "77aa".into(),
        parent: 4,
        blobs: EntryBlobs::default(),
        tags: BTreeMap::new(),
        ..commit()
    }
}

fn check(name: &str, made: &[u8], again: &dyn Fn(&[u8]) -> Vec<u8>) {
    let found = published(name, &|| made.to_vec());
    assert_eq!(
        String::from_utf8_lossy(&found),
        String::from_utf8_lossy(made),
        "{name}: this build encodes otherwise"
    );
    assert_eq!(again(&found), found, "{name}");
    // The rule of the checksum, by hand: the digits out, then XXH3 of the rest.
    let digits = found.len() - 18..found.len() - 2;
    let unsealed = [&found[..digits.start], &found[digits.end..]].concat();
    assert_eq!(
        format!("{:016x}", checksum::of_bytes(&unsealed)).as_bytes(),
        &found[digits]
    );
}

#[test]
fn documents_are_written_and_read_as_published() {
    let entry = |bytes: &[u8]| LogEntry::decode(bytes).unwrap().encode().unwrap();
    check("log-commit.json", &commit().encode().unwrap(), &entry);
    check("log-fence.json", &fence().encode().unwrap(), &entry);
    let snapshot = SnapshotEntry {
        format: FORMAT,
        dataset: "films".into(),
        version: 4,
        state_checksum: commit().state_checksum,
        blob: blob(BlobKind::Snapshot, 4),
        epoch: 2,
        nonce: "0b".into(),
        time_ms: 1_700_000_000_001,
    };
    check(
        "snapshot-entry.json",
        &snapshot.encode().unwrap(),
        &|bytes| SnapshotEntry::decode(bytes).unwrap().encode().unwrap(),
    );
    let boundary = GcBoundary {
        format: FORMAT,
        dataset: "films".into(),
        version: 2,
        time_ms: 0,
    };
    check("gc-boundary.json", &boundary.encode().unwrap(), &|bytes| {
        GcBoundary::decode(bytes).unwrap().encode().unwrap()
    });
    let hint = LeaderHint {
        format: FORMAT,
        dataset: "films".into(),
        version: 5,
        epoch: 3,
        writer: "host-2".into(),
        time_ms: u64::MAX,
    };
    check("leader.json", &hint.encode().unwrap(), &|bytes| {
        LeaderHint::decode(bytes).unwrap().encode().unwrap()
    });
}

#[test]
fn members_of_a_later_writer_are_skipped_and_later_formats_refused() {
    let sealed = |body: &str| {
        let sum = checksum::of_bytes(format!("{body},\"checksum\":\"\"}}").as_bytes());
        format!("{body},\"checksum\":\"{sum:016x}\"}}").into_bytes()
    };
    let known = r#"{"format":1,"dataset":"films","version":2,"time_ms":0"#;
    assert!(GcBoundary::decode(&sealed(known)).is_ok());
    assert!(GcBoundary::decode(&sealed(&format!("{known},\"later\":[1]"))).is_ok());
    assert!(GcBoundary::decode(&sealed(&known.replace("\"format\":1", "\"format\":2"))).is_err());
}
