//! What the sealed documents promise: they come back whole, and nothing else comes back.

use super::*;

fn blob(name: &str) -> BlobRef {
    BlobRef {
        name: name.to_owned(),
        length: 10,
        checksum: 0x0123_4567_89ab_cdef,
    }
}

fn entry() -> LogEntry {
    let (delta, reverse) = (
        blob("delta/00000000000000000003-2-ab.delta"),
        blob("reverse/00000000000000000003-2-ab.reverse"),
    );
    LogEntry {
        format: FORMAT,
        dataset: "cities".to_owned(),
        dataset_id: "c0ffee".to_owned(),
        version: 3,
        kind: EntryKind::Commit,
        epoch: 2,
        nonce: "ab".to_owned(),
        writer: "host-1".to_owned(),
        time_ms: 1_700_000_000_000,
        parent: 2,
        state_version: 3,
        commits: 2,
        blobs: EntryBlobs {
            delta: Some(delta.clone()),
            reverse: Some(reverse.clone()),
        },
        snapshot: Some(SnapshotRef {
            version: 1,
            blob: blob("snapshot/00000000000000000001-1-cd.snapshot"),
        }),
        transitions: vec![Transition {
            since: 1,
            from: 2,
            version: 3,
            delta,
            reverse: Some(reverse),
        }],
        state_checksum: u64::MAX,
        counts: BTreeMap::from([("City".to_owned(), 7)]),
        schema_hash: 1,
        sources: BTreeMap::from([("wal".to_owned(), 99)]),
        tags: BTreeMap::from([("note".to_owned(), "first \"ü\"".to_owned())]),
        signature: None,
    }
}

fn refused(entry: &LogEntry) -> String {
    // Sealed by hand: `encode` itself refuses such an entry, a hostile writer would not.
    let bytes = sealed::seal("log entry", entry, MAX_ENTRY_BYTES).unwrap();
    assert!(entry.encode().is_err(), "encode must refuse it too");
    LogEntry::decode(&bytes).unwrap_err().to_string()
}

#[test]
fn an_entry_comes_back_as_it_was() {
    let bytes = entry().encode().unwrap();
    assert_eq!(LogEntry::decode(&bytes).unwrap(), entry());
    let text = String::from_utf8(bytes).unwrap();
    assert!(
        text.contains("\"state_checksum\":\"ffffffffffffffff\""),
        "{text}"
    );
    assert!(text.ends_with("\"}"), "{text}");
}

#[test]
fn every_altered_byte_is_detected() {
    let bytes = entry().encode().unwrap();
    for position in 0..bytes.len() {
        for bit in 0..8 {
            let mut altered = bytes.clone();
            altered[position] ^= 1 << bit;
            assert!(
                LogEntry::decode(&altered).is_err(),
                "byte {position} bit {bit}"
            );
        }
    }
}

#[test]
fn every_truncation_is_detected() {
    let bytes = entry().encode().unwrap();
    assert!((0..bytes.len()).all(|end| LogEntry::decode(&bytes[..end]).is_err()));
}

#[test]
fn a_field_of_a_newer_writer_is_ignored_but_covered_by_the_checksum() {
    #[derive(Serialize)]
    struct Newer {
        #[serde(flatten)]
        entry: LogEntry,
        colour: &'static str,
    }
    let newer = Newer {
        entry: entry(),
        colour: "blue",
    };
    let mut bytes = sealed::seal("log entry", &newer, MAX_ENTRY_BYTES).unwrap();
    assert_eq!(LogEntry::decode(&bytes).unwrap(), entry());
    let at = bytes.windows(4).position(|w| w == b"blue").unwrap();
    bytes[at] = b'g';
    assert!(matches!(
        LogEntry::decode(&bytes),
        Err(LogError::Altered { .. })
    ));
}

#[test]
fn a_newer_format_is_named_and_refused() {
    let mut newer = entry();
    newer.format = FORMAT + 1;
    let bytes = newer.encode().unwrap();
    let error = LogEntry::decode(&bytes).unwrap_err();
    assert_eq!(
        error.to_string(),
        "log entry has format 2, this build reads up to 1"
    );
}

#[test]
fn blob_names_cannot_leave_their_folder() {
    for name in [
        "delta/../../etc/passwd.delta",
        "/delta/x.delta",
        "delta/a/b.delta",
        "delta/.hidden.delta",
        "snapshot/x.snapshot",
        "delta/x.snapshot",
        "delta/a\0.delta",
        "delta/a#1.delta",
        "delta",
        "",
    ] {
        let mut hostile = entry();
        hostile.blobs.delta = Some(blob(name));
        let message = refused(&hostile);
        assert!(message.contains("blobs.delta"), "{name}: {message}");
    }
    let mut hostile = entry();
    hostile.transitions[0].reverse = Some(blob("reverse/../x.reverse"));
    assert!(refused(&hostile).contains("transitions"));
}

#[test]
fn versions_out_of_order_are_refused() {
    let broken: [fn(&mut LogEntry); 8] = [
        |e| e.parent = 3,
        |e| e.state_version = 2,
        |e| e.commits = 4,
        |e| e.commits = 0,
        |e| e.snapshot.as_mut().unwrap().version = 4,
        |e| e.transitions[0].version = 4,
        |e| e.transitions[0].from = 3,
        |e| e.transitions[0].since = 3,
    ];
    for break_it in broken {
        let mut hostile = entry();
        break_it(&mut hostile);
        refused(&hostile);
    }
}

#[test]
fn more_transitions_than_the_limit_are_refused() {
    let mut hostile = entry();
    hostile.transitions = vec![hostile.transitions[0].clone(); MAX_TRANSITIONS + 1];
    assert!(refused(&hostile).contains("33 exceed 32"));
}

#[test]
fn an_entry_past_the_size_limit_is_neither_written_nor_read() {
    let mut large = entry();
    large
        .tags
        .insert("x".to_owned(), "y".repeat(MAX_ENTRY_BYTES));
    assert!(matches!(large.encode(), Err(LogError::TooLarge { .. })));
    let bytes = vec![b' '; MAX_ENTRY_BYTES + 1];
    assert!(matches!(
        LogEntry::decode(&bytes),
        Err(LogError::TooLarge { .. })
    ));
}

#[test]
fn the_largest_commit_leaves_room_for_the_fence_that_repeats_it() {
    let mut commit = entry();
    let with_tag = |mut entry: LogEntry, length: usize| {
        entry.tags.insert("x".to_owned(), "y".repeat(length));
        entry
    };
    commit.counts = BTreeMap::from([("n".repeat(900_000), 7)]);
    let fixed = with_tag(commit.clone(), 0).encode().unwrap().len();
    let most = MAX_ENTRY_BYTES - ENTRY_RESERVE - fixed;
    let largest = with_tag(commit.clone(), most);
    let bytes = largest.encode().unwrap();
    assert_eq!(bytes.len(), MAX_ENTRY_BYTES - ENTRY_RESERVE);
    assert_eq!(LogEntry::decode(&bytes).unwrap(), largest);
    let larger = with_tag(commit, most + 1);
    assert!(matches!(larger.encode(), Err(LogError::TooLarge { .. })));

    let fence = LogEntry {
        kind: EntryKind::Fence,
        version: 4,
        parent: 3,
        blobs: EntryBlobs::default(),
        writer: "w".repeat(ENTRY_RESERVE - 500),
        ..largest
    };
    let bytes = fence.encode().unwrap();
    assert_eq!(LogEntry::decode(&bytes).unwrap(), fence);
}

#[test]
fn the_control_documents_come_back_and_refuse_altered_bytes() {
    let snapshot = SnapshotEntry {
        format: FORMAT,
        dataset: "cities".to_owned(),
        version: 25,
        state_checksum: u64::MAX - 1,
        blob: blob("snapshot/00000000000000000025-2-ab.snapshot"),
        epoch: 2,
        nonce: "ab".to_owned(),
        time_ms: 1,
    };
    let boundary = GcBoundary {
        format: FORMAT,
        dataset: "cities".to_owned(),
        version: 20,
        time_ms: 2,
    };
    let hint = LeaderHint {
        format: FORMAT,
        dataset: "cities".to_owned(),
        version: 30,
        epoch: 2,
        writer: "host-1".to_owned(),
        time_ms: 3,
    };
    let mut bytes = [
        snapshot.encode().unwrap(),
        boundary.encode().unwrap(),
        hint.encode().unwrap(),
    ];
    assert_eq!(SnapshotEntry::decode(&bytes[0]).unwrap(), snapshot);
    assert_eq!(GcBoundary::decode(&bytes[1]).unwrap(), boundary);
    assert_eq!(LeaderHint::decode(&bytes[2]).unwrap(), hint);
    bytes.iter_mut().for_each(|b| b[20] ^= 1);
    assert!(SnapshotEntry::decode(&bytes[0]).is_err());
    assert!(GcBoundary::decode(&bytes[1]).is_err());
    assert!(LeaderHint::decode(&bytes[2]).is_err());
}

#[test]
fn names_carry_version_epoch_and_nonce() {
    let name = BlobKind::Reverse.blob_name(42, 7, "f00");
    assert_eq!(name, "reverse/00000000000000000042-7-f00.reverse");
}
