//! What the sealed documents promise: they come back whole, and nothing else comes back.

use super::*;

fn blob(name: &str) -> BlobRef {
    BlobRef {
        name: name.to_owned(),
        length: 10,
        checksum: 0x0123_4567_89ab_cdef,
    }
}

fn stored(length: u64) -> Stored {
    Stored {
        length,
        checksum: 0x0123_4567_89ab_cdef,
    }
}

fn link(since: u64, from: u64) -> Link {
    Link {
        since,
        from,
        epoch: 2,
        nonce: StepNonce(0xab),
        delta_bytes: 10,
        reverse_bytes: Some(11),
        inline: false,
    }
}

fn entry() -> LogEntry {
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
        blobs: Some(EntryBlobs::Stored(StoredBlobs {
            nonce: StepNonce(0xab),
            delta: stored(10),
            reverse: Some(stored(11)),
        })),
        snapshot: Some(SnapshotRef {
            version: 1,
            blob: blob("snapshot/00000000000000000001-1-cd.snapshot"),
        }),
        links: Links(vec![link(1, 2)]),
        state_checksum: u64::MAX,
        types: BTreeMap::from([("City".to_owned(), summary(7))]),
        schema_hash: 1,
        sources: BTreeMap::from([("wal".to_owned(), 99)]),
        tags: BTreeMap::from([("note".to_owned(), "first \"ü\"".to_owned())]),
        signature: None,
    }
}

fn summary(records: u64) -> TypeSummary {
    TypeSummary {
        changed: None,
        records,
        nested: false,
        checksum: u64::MAX,
    }
}

/// The same commit with its blobs inside.
fn inline() -> LogEntry {
    let blobs = InlineBlobs {
        delta: Bytes::from_static(b"forward"),
        reverse: Some(Bytes::from_static(b"back")),
    };
    let own = Link {
        nonce: StepNonce::default(),
        delta_bytes: 7,
        reverse_bytes: Some(4),
        inline: true,
        ..link(1, 2)
    };
    LogEntry {
        blobs: Some(EntryBlobs::Inline(blobs)),
        links: Links(vec![own]),
        ..entry()
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
        "snapshot/../../etc/passwd.snapshot",
        "/snapshot/x.snapshot",
        "snapshot/a/b.snapshot",
        "snapshot/.hidden.snapshot",
        "delta/x.delta",
        "snapshot/x.delta",
        "snapshot/a\0.snapshot",
        "snapshot/a#1.snapshot",
        "snapshot",
        "",
    ] {
        let mut hostile = entry();
        hostile.snapshot.as_mut().unwrap().blob.name = name.to_owned();
        let message = refused(&hostile);
        assert!(message.contains("snapshot"), "{name}: {message}");
    }
}

#[test]
fn an_entry_that_contradicts_itself_is_refused() {
    type Break = fn(&mut LogEntry);
    let broken: [(&str, Break); 21] = [
        ("version", |e| {
            (e.version, e.parent) = (MAX_VERSION + 1, MAX_VERSION)
        }),
        ("version", |e| {
            (e.version, e.parent) = (u64::MAX, u64::MAX - 1)
        }),
        ("epoch", |e| e.epoch = MAX_VERSION + 1),
        ("epoch", |e| e.epoch = 0),
        ("parent", |e| e.parent = 3),
        ("parent", |e| e.parent = 1),
        ("state_version", |e| e.state_version = 2),
        ("commits", |e| e.commits = 4),
        ("commits", |e| e.commits = 0),
        ("nonce", |e| e.nonce.clear()),
        ("snapshot", |e| e.snapshot.as_mut().unwrap().version = 4),
        ("links", |e| e.links.0.clear()),
        ("links", |e| e.links.0[0].from = 3),
        ("links", |e| e.links.0[0].since = 3),
        ("links", |e| e.links.0[0].epoch = 3),
        ("links", |e| e.links.0[0].epoch = 1),
        ("links", |e| e.links.0[0].nonce = StepNonce(1)),
        ("links", |e| e.links.0[0].delta_bytes = 9),
        ("links", |e| e.links.0[0].reverse_bytes = None),
        ("links", |e| e.links.0[0].inline = true),
        ("links", |e| e.blobs = None),
    ];
    for (position, (field, break_it)) in broken.into_iter().enumerate() {
        let mut hostile = entry();
        break_it(&mut hostile);
        let message = refused(&hostile);
        let field = format!("field {field}: ");
        assert!(message.contains(&field), "{position}: {message}");
    }
    let mut fence = entry();
    fence.kind = EntryKind::Fence;
    fence.state_version = 2;
    fence.links = Links(vec![link(0, 1)]);
    assert!(refused(&fence).contains("expected none without a new state"));
}

#[test]
fn links_come_back_over_gaps_and_epochs_and_without_a_way_back() {
    let mut long = inline();
    long.version = 40;
    long.parent = 39;
    long.state_version = 40;
    long.epoch = 9;
    let own = Link {
        since: 31,
        from: 39,
        epoch: 9,
        ..long.links.0[0]
    };
    let before = Link {
        reverse_bytes: None,
        delta_bytes: u64::MAX,
        epoch: 5,
        nonce: StepNonce(u32::MAX),
        ..link(3, 30)
    };
    long.links = Links(vec![link(1, 2), before, own]);
    let found = LogEntry::decode(&long.encode().unwrap()).unwrap();
    assert_eq!(found, long);
    assert_eq!(
        found.links.0[1].name(BlobKind::Delta),
        "delta/00000000000000000031-5-ffffffff.delta"
    );
    // A link that does not go on where the one before ended.
    long.links.0[1].since = 4;
    assert!(long.encode().is_err());
}

#[test]
fn an_entry_with_its_blobs_inside_comes_back_as_it_was() {
    let bytes = inline().encode().unwrap();
    let found = LogEntry::decode(&bytes).unwrap();
    assert_eq!(found, inline());
    assert_eq!(found.inline(BlobKind::Reverse).unwrap(), "back");
    assert_eq!(found.blob(BlobKind::Delta), None, "no file of its own");
}

#[test]
fn packed_links_with_unknown_flags_or_bytes_left_over_are_refused() {
    let text = String::from_utf8(entry().encode().unwrap()).unwrap();
    let at = text.find("\"links\":\"").unwrap() + 9;
    let end = at + text[at..].find('"').unwrap();
    let sealed = |packed: &str| {
        let unsealed = format!("{}{packed}{}", &text[..at], &text[end..text.len() - 31]);
        let bytes = format!("{unsealed},\"checksum\":\"\"}}");
        let checksum = xxhash_rust::xxh3::xxh3_64(bytes.as_bytes());
        format!("{unsealed},\"checksum\":\"{checksum:016x}\"}}")
    };
    let decode = |packed: &str| LogEntry::decode(sealed(packed).as_bytes());
    // since 1, epoch 2; reverse and a gap of 1; nonce; lengths.
    assert_eq!(&text[at..end], "AQIFAasAAAAKCw==");
    assert_eq!(decode("AQIFAasAAAAKCw==").unwrap(), entry());
    for (packed, reason) in [
        ("AQIVAasAAAAKCw==", "known flags"),
        ("AQIFAasAAAAKCwA=", "nonce of a link"),
        ("AQIFAasAAAAK", "bytes of a reverse delta"),
        ("AQIFAasAAAAKCx==", "Invalid last symbol"),
        ("AQIFAasAAAAKCw", "padding"),
        ("AQIF////////////AasAAAAKCw==", "versions before a link"),
    ] {
        let message = decode(packed).unwrap_err().to_string();
        assert!(message.contains(reason), "{packed}: {message}");
    }
}

#[test]
fn more_links_than_the_limit_are_refused() {
    let mut hostile = entry();
    let last = hostile.version - 1;
    hostile.version += MAX_LINKS as u64;
    hostile.parent = hostile.version - 1;
    hostile.state_version = hostile.version;
    let chain = (last..hostile.version).map(|from| link(from, from));
    hostile.links = Links(chain.collect());
    assert_eq!(hostile.links.0.len(), MAX_LINKS + 1);
    assert!(refused(&hostile).contains("at most MAX_LINKS"));
    hostile.links.0.remove(0);
    assert_eq!(
        LogEntry::decode(&hostile.encode().unwrap()).unwrap(),
        hostile
    );
}

#[test]
fn members_that_come_twice_and_upper_case_digits_are_refused() {
    let text = String::from_utf8(entry().encode().unwrap()).unwrap();
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        let unsealed = text[..text.len() - 31].replacen(from, to, 1);
        let bytes = format!("{unsealed},\"checksum\":\"\"}}");
        let checksum = xxhash_rust::xxh3::xxh3_64(bytes.as_bytes());
        let bytes = format!("{unsealed},\"checksum\":\"{checksum:016x}\"}}");
        LogEntry::decode(bytes.as_bytes()).unwrap_err().to_string()
    };
    for (from, to) in [
        ("\"version\":3", "\"version\":3,\"version\":3"),
        ("\"wal\":99", "\"wal\":99,\"wal\":99"),
        ("\"note\":", "\"note\":\"x\",\"note\":"),
        (
            "\"City\":{\"records\":7",
            "\"City\":{\"records\":7,\"records\":7",
        ),
    ] {
        let message = changed(from, to);
        assert!(message.contains("duplicate"), "{message}");
    }
    let upper = changed("\"ffffffffffffffff\"", "\"FFFFFFFFFFFFFFFF\"");
    assert!(upper.contains("16 lowercase hexadecimal digits"), "{upper}");
    let upper = changed("\"000000ab\"", "\"000000AB\"");
    assert!(upper.contains("8 lowercase hexadecimal digits"), "{upper}");
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
    commit.types = BTreeMap::from([("n".repeat(900_000), summary(7))]);
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
        blobs: None,
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
    let boundary = CollectedRow {
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
        resigned: false,
    };
    let mut bytes = [
        snapshot.encode().unwrap(),
        boundary.encode().unwrap(),
        hint.encode().unwrap(),
    ];
    assert_eq!(SnapshotEntry::decode(&bytes[0]).unwrap(), snapshot);
    assert_eq!(CollectedRow::decode(&bytes[1]).unwrap(), boundary);
    assert_eq!(LeaderHint::decode(&bytes[2]).unwrap(), hint);
    bytes.iter_mut().for_each(|b| b[20] ^= 1);
    assert!(SnapshotEntry::decode(&bytes[0]).is_err());
    assert!(CollectedRow::decode(&bytes[1]).is_err());
    assert!(LeaderHint::decode(&bytes[2]).is_err());
}

#[test]
fn names_carry_version_epoch_and_nonce() {
    let name = BlobKind::Reverse.blob_name(42, 7, "f00");
    assert_eq!(name, "reverse/00000000000000000042-7-f00.reverse");
}

#[test]
fn changes_that_do_not_fit_the_records_are_refused() {
    let changed = |added: u64, removed: u64, modified: u64| {
        let mut entry = entry();
        let changed = RecordChanges {
            added,
            removed,
            modified,
        };
        entry.types.get_mut("City").unwrap().changed = Some(changed);
        entry
    };
    for right in [changed(3, 9, 4), changed(0, 1, 0), changed(0, 0, 7)] {
        assert_eq!(LogEntry::decode(&right.encode().unwrap()).unwrap(), right);
    }
    for (wrong, words) in [
        (changed(0, 0, 0), "0 added, 0 removed and 0 modified"),
        (changed(4, 0, 4), "4 added, 0 removed and 4 modified"),
        (changed(u64::MAX, 1, 1), "18446744073709551615 added"),
    ] {
        let refusal = refused(&wrong);
        assert!(refusal.starts_with("log entry: field types: "), "{refusal}");
        assert!(refusal.contains(words), "{refusal}");
        assert!(
            refusal.ends_with("do not fit 7 records of City"),
            "{refusal}"
        );
    }
}
