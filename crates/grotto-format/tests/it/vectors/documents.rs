//! The small JSON documents of a dataset, byte by byte. Owns nothing.

use super::published;
use bytes::Bytes;
use grotto_format::checksum;
use grotto_format::log::{
    AcceptedVersion, BlobKind, BlobRef, CollectedRow, EntryBlobs, EntryKind, FORMAT, InlineBlobs,
    LeaderHint, Lease, LeaseTold, Link, Links, LogEntry, Pointer, RecordChanges, Rollout,
    SnapshotEntry, SnapshotRef, StepNonce, Stored, StoredBlobs, ToldBy, TypeSummary,
};
use std::collections::BTreeMap;

fn blob(kind: BlobKind, version: u64) -> BlobRef {
    BlobRef {
        name: kind.blob_name(version, 2, "5f0c3a"),
        length: 1000 + version,
        checksum: version << 56 | 0xabc,
    }
}

fn stored(version: u64) -> Stored {
    Stored {
        length: 1000 + version,
        checksum: version << 56 | 0xabc,
    }
}

fn summary(records: u64, checksum: u64) -> TypeSummary {
    TypeSummary {
        records,
        changed: None,
        nested: false,
        checksum,
    }
}

/// The fourth version: a fence lies between its state and that of version 1.
fn commit() -> LogEntry {
    let first = Link {
        since: 0,
        from: 0,
        epoch: 1,
        nonce: StepNonce(0x12ab_34cd),
        delta_bytes: 1001,
        reverse_bytes: None,
        inline: false,
    };
    let own = Link {
        since: 1,
        from: 3,
        epoch: 2,
        nonce: StepNonce(0x5f0c_3a00),
        delta_bytes: 1004,
        reverse_bytes: Some(1005),
        inline: false,
    };
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
        blobs: Some(EntryBlobs::Stored(StoredBlobs {
            nonce: StepNonce(0x5f0c_3a00),
            delta: stored(4),
            reverse: Some(stored(5)),
        })),
        snapshot: Some(SnapshotRef {
            version: 1,
            blob: blob(BlobKind::Snapshot, 1),
        }),
        links: Links(vec![first, own]),
        state_checksum: 0x0123_4567_89ab_cdef,
        types: BTreeMap::from([
            ("Director".into(), summary(7, 0x0100_0000_0000_0000)),
            (
                "Film".into(),
                TypeSummary {
                    changed: Some(RecordChanges {
                        added: 1,
                        removed: 20,
                        modified: 2,
                    }),
                    ..summary(3, 0x0023_4567_89ab_cdef)
                },
            ),
            (
                "Studio".into(),
                TypeSummary {
                    nested: true,
                    ..summary(0, 0)
                },
            ),
        ]),
        schema_hash: u64::MAX,
        sources: BTreeMap::from([("wal".into(), 77)]),
        tags: BTreeMap::from([("note".into(), "a \"second\" für 日本".into())]),
        signature: None,
    }
}

/// The sixth version, after a fence: small enough to hold its blobs itself.
fn inline() -> LogEntry {
    let mut entry = LogEntry {
        version: 6,
        epoch: 3,
        parent: 5,
        state_version: 6,
        commits: 3,
        blobs: Some(EntryBlobs::Inline(InlineBlobs {
            delta: Bytes::from_static(b"the bytes of a delta"),
            reverse: Some(Bytes::from_static(b"and of the way back")),
        })),
        tags: BTreeMap::new(),
        ..commit()
    };
    entry.links.0.push(Link {
        since: 4,
        from: 5,
        epoch: 3,
        nonce: StepNonce::default(),
        delta_bytes: 20,
        reverse_bytes: Some(19),
        inline: true,
    });
    entry
}

fn fence() -> LogEntry {
    LogEntry {
        version: 5,
        kind: EntryKind::Fence,
        epoch: 3,
        nonce: "77aa".into(),
        parent: 4,
        blobs: None,
        tags: BTreeMap::new(),
        ..commit()
    }
}

/// The seventh version: two sources were read on, and a note is added, while the state stays.
fn positions() -> LogEntry {
    LogEntry {
        version: 7,
        kind: EntryKind::Positions,
        nonce: "8b10".into(),
        parent: 6,
        blobs: None,
        sources: BTreeMap::from([("feed".into(), 5), ("wal".into(), 90)]),
        tags: BTreeMap::from([("reason".into(), "nothing new".into())]),
        ..inline()
    }
}

/// A consumer that is behind, because it refuses to serve the version after its own.
fn lease() -> Lease {
    Lease {
        format: FORMAT,
        dataset: "films".into(),
        dataset_id: "c0ffee00".into(),
        consumer: "web-1.eu".into(),
        host: "host-1".into(),
        process: "812".into(),
        version: 4,
        newest: 6,
        pinned: None,
        channel: None,
        told: None,
        held: Some(6),
        health: "degraded".into(),
        reasons: vec!["version 6 has 20 \"records\" less".into(), "日本".into()],
        staleness_ms: 61_000,
        running_ms: 86_400_000,
        health_ms: 60_500,
        expires_after_s: 30,
        time_ms: 1_700_000_000_002,
    }
}

/// One that stays where it is.
fn pinned_lease() -> Lease {
    Lease {
        pinned: Some(4),
        held: None,
        health: "ready".into(),
        reasons: Vec::new(),
        ..lease()
    }
}

/// One that a channel leads.
fn told_lease() -> Lease {
    Lease {
        channel: Some("stable".into()),
        told: Some(LeaseTold {
            by: ToldBy::Channel,
            version: 4,
        }),
        pinned: None,
        ..pinned_lease()
    }
}

/// What everybody is to serve.
fn pin() -> Pointer {
    Pointer {
        format: FORMAT,
        dataset: "films".into(),
        dataset_id: commit().dataset_id,
        channel: None,
        version: 4,
        by: "ada@host-1".into(),
        reason: "5 lacks the \"silent\" films".into(),
        time_ms: 1_700_000_000_002,
        rollout: None,
    }
}

/// One that serves nothing yet.
fn fresh_lease() -> Lease {
    Lease {
        dataset_id: String::new(),
        version: 0,
        newest: 0,
        held: None,
        health: "starting".into(),
        reasons: Vec::new(),
        health_ms: 0,
        running_ms: 0,
        staleness_ms: 0,
        ..lease()
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
    check("log-inline.json", &inline().encode().unwrap(), &entry);
    check("log-fence.json", &fence().encode().unwrap(), &entry);
    check("log-positions.json", &positions().encode().unwrap(), &entry);
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
    let boundary = CollectedRow {
        format: FORMAT,
        dataset: "films".into(),
        version: 2,
        time_ms: 0,
    };
    check("collected.json", &boundary.encode().unwrap(), &|bytes| {
        CollectedRow::decode(bytes).unwrap().encode().unwrap()
    });
    let accepted = AcceptedVersion {
        format: FORMAT,
        dataset: "films".into(),
        dataset_id: commit().dataset_id,
        version: 4,
        state_checksum: commit().state_checksum,
        by: "ada@host-1".into(),
        reason: "the \"silent\" films came in".into(),
        time_ms: 1_700_000_000_002,
    };
    check("accepted.json", &accepted.encode().unwrap(), &|bytes| {
        AcceptedVersion::decode(bytes).unwrap().encode().unwrap()
    });
    let hint = LeaderHint {
        format: FORMAT,
        dataset: "films".into(),
        version: 5,
        epoch: 3,
        writer: "host-2".into(),
        time_ms: u64::MAX,
        resigned: false,
    };
    check("leader.json", &hint.encode().unwrap(), &|bytes| {
        LeaderHint::decode(bytes).unwrap().encode().unwrap()
    });
    let again = |bytes: &[u8]| Lease::decode(bytes).unwrap().encode().unwrap();
    check("lease.json", &lease().encode().unwrap(), &again);
    check(
        "lease-pinned.json",
        &pinned_lease().encode().unwrap(),
        &again,
    );
    check("lease-fresh.json", &fresh_lease().encode().unwrap(), &again);
    check("lease-told.json", &told_lease().encode().unwrap(), &again);
    let again = |bytes: &[u8]| Pointer::decode(bytes).unwrap().encode().unwrap();
    check("pin.json", &pin().encode().unwrap(), &again);
    let channel = Pointer {
        channel: Some("stable".into()),
        reason: String::new(),
        ..pin()
    };
    check("channel.json", &channel.encode().unwrap(), &again);
    let rollout = Pointer {
        rollout: Some(Rollout {
            to: 5,
            nonce: "00000000c0ffee00".into(),
            stages: vec![100, 1_000, 10_000],
            stage: 1,
            share: 1_234,
            wait_ms: 300_000,
            halted: Some("web-1 is gone".into()),
        }),
        ..channel
    };
    check("rollout.json", &rollout.encode().unwrap(), &again);
}

#[test]
fn members_of_a_later_writer_are_skipped_and_later_formats_refused() {
    let sealed = |body: &str| {
        let sum = checksum::of_bytes(format!("{body},\"checksum\":\"\"}}").as_bytes());
        format!("{body},\"checksum\":\"{sum:016x}\"}}").into_bytes()
    };
    let known = r#"{"format":1,"dataset":"films","version":2,"time_ms":0"#;
    assert!(CollectedRow::decode(&sealed(known)).is_ok());
    assert!(CollectedRow::decode(&sealed(&format!("{known},\"later\":[1]"))).is_ok());
    assert!(CollectedRow::decode(&sealed(&known.replace("\"format\":1", "\"format\":2"))).is_err());
}
