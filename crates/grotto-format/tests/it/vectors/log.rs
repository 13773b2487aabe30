//! The small documents, by the second reader and by the crate: both accept the same, find the same in
//! it, and refuse the same. Owns nothing.

use super::folder;
use crate::reader::log::{self as second, Blobs, Control, Entry, File, Held, Link};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grotto_format::log::{
    AcceptedVersion, BlobKind, BlobRef, CollectedRow, EntryBlobs, EntryKind, LeaderHint, Lease,
    LogEntry, Pointer, SnapshotEntry,
};
use std::panic::catch_unwind;

pub(super) fn text_of(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

fn file(blob: BlobRef) -> File {
    File {
        name: blob.name,
        length: blob.length,
        checksum: blob.checksum,
    }
}

fn held(entry: &LogEntry, kind: BlobKind) -> Option<Held> {
    let inline = entry.inline(kind).map(|bytes| Held::Inline(bytes.to_vec()));
    inline.or_else(|| entry.blob(kind).map(file).map(Held::File))
}

/// What the crate finds in an entry, as the second reader says it.
fn by_crate(entry: &LogEntry) -> Entry {
    let blobs = entry.blobs.as_ref().map(|blobs| Blobs {
        nonce: match blobs {
            EntryBlobs::Stored(stored) => Some(stored.nonce.0.into()),
            EntryBlobs::Inline(_) => None,
        },
        delta: held(entry, BlobKind::Delta).unwrap(),
        reverse: held(entry, BlobKind::Reverse),
    });
    let links = entry.links.0.iter().map(|link| Link {
        since: link.since,
        from: link.from,
        epoch: link.epoch,
        nonce: (!link.inline).then_some(link.nonce.0.into()),
        delta: link.delta_bytes,
        reverse: link.reverse_bytes,
    });
    let kind = match entry.kind {
        EntryKind::Commit => "commit",
        EntryKind::Fence => "fence",
        EntryKind::Positions => "positions",
    };
    let types = entry.types.clone().into_iter();
    let changed = entry.types.clone().into_iter().filter_map(|(name, ty)| {
        let changed = ty.changed?;
        Some((name, [changed.added, changed.removed, changed.modified]))
    });
    let nested = entry.types.iter().filter(|(_, ty)| ty.nested);
    let snapshot = entry.snapshot.clone();
    Entry {
        dataset: entry.dataset.clone(),
        dataset_id: entry.dataset_id.clone(),
        version: entry.version,
        kind: kind.to_owned(),
        epoch: entry.epoch,
        nonce: entry.nonce.clone(),
        writer: entry.writer.clone(),
        time_ms: entry.time_ms,
        parent: entry.parent,
        state_version: entry.state_version,
        commits: entry.commits,
        blobs,
        snapshot: snapshot.map(|named| (named.version, file(named.blob))),
        links: links.collect(),
        state_checksum: entry.state_checksum,
        types: types
            .map(|(name, ty)| (name, (ty.records, ty.checksum)))
            .collect(),
        nested: nested.map(|(name, _)| name.clone()).collect(),
        changed: changed.collect(),
        schema_hash: entry.schema_hash,
        sources: entry.sources.clone(),
        tags: entry.tags.clone(),
        signature: entry.signature.clone(),
    }
}

fn found_by_both(what: &str, bytes: &[u8]) -> Entry {
    let found = Entry::open(bytes);
    let entry = LogEntry::decode(bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(found, by_crate(&entry), "{what}");
    for (link, linked) in found.links.iter().zip(&entry.links.0) {
        for kind in [BlobKind::Delta, BlobKind::Reverse] {
            let name = (!linked.inline).then(|| linked.name(kind));
            assert_eq!(link.name(kind.folder()), name, "{what}");
        }
    }
    found
}

fn refused_by_both(what: &str, bytes: &[u8]) {
    assert!(LogEntry::decode(bytes).is_err(), "{what}: by the crate");
    let found = catch_unwind(|| Entry::open(bytes));
    assert!(found.is_err(), "{what}: by the second reader");
}

/// A document with one text in the place of another, under a right seal.
pub(super) fn altered(text: &str, from: &str, to: &str) -> Vec<u8> {
    assert!(text.contains(from), "{from}");
    let unsealed = text[..text.len() - 18].replacen(from, to, 1);
    let digits = xxhash_rust::xxh3::xxh3_64(format!("{unsealed}\"}}").as_bytes());
    format!("{unsealed}{digits:016x}\"}}").into_bytes()
}

/// An entry whose links are other bytes, under a right seal.
fn relinked(text: &str, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let at = text.find("\"links\":\"").unwrap() + 9;
    let packed = text[at..].split('"').next().unwrap();
    let mut bytes = STANDARD.decode(packed).unwrap();
    change(&mut bytes);
    altered(text, packed, &STANDARD.encode(bytes))
}

#[test]
fn both_readers_find_the_same_in_every_published_log_entry() {
    let mut count = 0;
    for listed in std::fs::read_dir(folder()).unwrap() {
        let name = listed.unwrap().file_name().into_string().unwrap();
        if !name.starts_with("log-") {
            continue;
        }
        let found = found_by_both(&name, text_of(&name).as_bytes());
        let shares = found.types.values().map(|ty| ty.1);
        let sum = shares.fold(0, u64::wrapping_add);
        assert_eq!(sum, found.state_checksum, "{name}");
        count += 1;
    }
    assert!(count >= 4, "{count} entries");
}

#[test]
fn names_follow_from_what_links_and_blobs_say() {
    let entry = Entry::open(text_of("log-positions.json").as_bytes());
    let names = entry.links.iter().map(|link| link.name("delta"));
    let expected = [
        Some("delta/00000000000000000001-1-12ab34cd.delta".to_owned()),
        Some("delta/00000000000000000004-2-5f0c3a00.delta".to_owned()),
        None,
    ];
    assert_eq!(names.collect::<Vec<_>>(), expected);
    let entry = Entry::open(text_of("log-commit.json").as_bytes());
    let Some(Held::File(reverse)) = entry.blobs.unwrap().reverse else {
        panic!("expected a file")
    };
    let expected = "reverse/00000000000000000004-2-5f0c3a00.reverse";
    assert_eq!((reverse.name.as_str(), reverse.length), (expected, 1005));
}

#[test]
fn both_readers_accept_what_the_specification_lets_vary() {
    let commit = text_of("log-commit.json");
    for (from, to) in [
        (
            "\"signature\":null",
            "\"later\":[1,{\"a\":1.5e3}],\"later\":true,\"signature\":null",
        ),
        (",\"signature\":null", ""),
        ("\"version\":4,\"kind\"", "\"version\" : 4 ,\n\t\"kind\""),
        ("\"dataset\":\"films\"", "\"d\\u0061taset\":\"f\\u0069lms\""),
        ("\"note\":\"a", "\"note\":\"\\ud83c\\udfac\\/"),
        ("{\"length\":1004", "{\"later\":{},\"length\":1004"),
        (
            "\"Studio\":{\"records\":0",
            "\"Studio\":{\"changed\":null,\"records\":0",
        ),
        (
            "\"removed\":20,\"modified\":2",
            "\"removed\":18446744073709551615,\"modified\":0",
        ),
    ] {
        found_by_both(to, &altered(&commit, from, to));
    }
    let fence = text_of("log-fence.json");
    found_by_both("no blobs", &altered(&fence, "\"blobs\":null,", ""));
    let inline = text_of("log-inline.json");
    let way_back = ",\"reverse\":\"YW5kIG9mIHRoZSB3YXkgYmFjaw==\"";
    for instead in ["", ",\"reverse\":null"] {
        let one_way = String::from_utf8(altered(&inline, way_back, instead)).unwrap();
        let bytes = relinked(&one_way, |links| {
            links.pop();
            let flags = links.len() - 4;
            links[flags] &= !1;
        });
        let found = found_by_both(instead, &bytes);
        assert_eq!(found.blobs.unwrap().reverse, None);
    }
}

#[test]
fn both_readers_refuse_an_entry_whose_seal_is_wrong() {
    let text = text_of("log-commit.json");
    let (body, digits) = text[..text.len() - 2].split_at(text.len() - 18);
    let upper = format!("{body}{}\"}}", digits.to_uppercase());
    assert_ne!(upper, text);
    for (what, bytes) in [
        ("another name", text.replacen("films", "filmz", 1)),
        ("upper case", upper),
        (
            "a space",
            format!("{}, \"checksum\":\"{digits}", &body[..body.len() - 13]) + "\"}",
        ),
        ("a line end", format!("{text}\n")),
        ("torn", text[..text.len() - 1].to_owned()),
        ("nothing", String::new()),
    ] {
        assert_ne!(bytes, text, "{what}");
        refused_by_both(what, bytes.as_bytes());
    }
    let with_tag = |length: usize| {
        let tag = format!("\"tags\":{{\"long\":\"{}\",", "y".repeat(length));
        altered(&text, "\"tags\":{", &tag)
    };
    let fixed = with_tag(0).len();
    found_by_both("the longest", &with_tag((1 << 20) - fixed));
    refused_by_both("too long", &with_tag((1 << 20) - fixed + 1));
}

#[test]
fn both_readers_refuse_members_that_come_twice_and_other_spellings() {
    let text = text_of("log-commit.json");
    for (from, to) in [
        ("\"format\":1,", "\"format\":1,\"format\":1,"),
        ("\"version\":4,", "\"version\":4,\"version\":4,"),
        (
            "\"signature\":null",
            "\"signature\":null,\"signature\":null",
        ),
        ("\"signature\":null", "\"checksum\":\"\",\"signature\":null"),
        ("\"wal\":77", "\"wal\":77,\"wal\":77"),
        ("\"note\":", "\"note\":\"x\",\"n\\u006fte\":"),
        ("\"Studio\":", "\"Film\":"),
        ("{\"records\":3", "{\"records\":3,\"records\":3"),
        ("{\"length\":1004", "{\"length\":1004,\"length\":1004"),
        ("{\"version\":1,", "{\"version\":1,\"version\":1,"),
        ("{\"stored\":", "{\"later\":{},\"stored\":"),
        ("\"ffffffffffffffff\"", "\"FFFFFFFFFFFFFFFF\""),
        ("\"ffffffffffffffff\"", "\"fffffffffffffff\""),
        ("\"5f0c3a00\"", "\"5F0C3A00\""),
        ("\"0400000000000abc\"", "\"0400000000000ABC\""),
        ("\"version\":4,", "\"version\":4.0,"),
        ("\"version\":4,", "\"version\":\"4\","),
        ("\"version\":4,", "\"version\":04,"),
        ("\"time_ms\":1700000000000", "\"time_ms\":-1"),
        (
            "\"time_ms\":1700000000000",
            "\"time_ms\":18446744073709551616",
        ),
        ("\"writer\":\"host-1\"", "\"writer\":null"),
        ("\"commits\":2,", ""),
        ("\"kind\":\"commit\"", "\"kind\":\"Commit\""),
        ("\"format\":1,", "\"format\":0,"),
        ("\"format\":1,", "\"format\":2,"),
    ] {
        refused_by_both(to, &altered(&text, from, to));
    }
}

#[test]
fn both_readers_refuse_an_entry_that_contradicts_itself() {
    let commit = text_of("log-commit.json");
    let long = format!("snapshot/{}.snapshot", "x".repeat(192));
    for (from, to) in [
        ("\"version\":4,", "\"version\":5,"),
        ("\"parent\":3,", "\"parent\":2,"),
        ("\"state_version\":4,", "\"state_version\":3,"),
        ("\"commits\":2,", "\"commits\":0,"),
        ("\"commits\":2,", "\"commits\":5,"),
        ("\"epoch\":2,", "\"epoch\":0,"),
        ("\"epoch\":2,", "\"epoch\":1,"),
        ("\"epoch\":2,", "\"epoch\":9007199254740992,"),
        ("\"nonce\":\"5f0c3a\"", "\"nonce\":\"\""),
        ("\"kind\":\"commit\"", "\"kind\":\"fence\""),
        ("{\"version\":1,\"blob\"", "{\"version\":5,\"blob\""),
        ("\"snapshot/0", "\"snapshot/../0"),
        ("\"snapshot/0", "\"snapshot/.0"),
        ("\"snapshot/0", "\"delta/0"),
        ("3a.snapshot\"", "3a.delta\""),
        (
            "snapshot/00000000000000000001-2-5f0c3a.snapshot",
            long.as_str(),
        ),
        ("{\"length\":1004", "{\"length\":1003"),
        (
            "\"reverse\":{\"length\"",
            "\"reverse\":null,\"x\":{\"length\"",
        ),
        ("\"nonce\":\"5f0c3a00\"", "\"nonce\":\"5f0c3a01\""),
        ("\"added\":1,", "\"added\":2,"),
        ("\"added\":1,", "\"added\":18446744073709551615,"),
        ("\"added\":1,", ""),
        (
            "\"added\":1,\"removed\":20,\"modified\":2",
            "\"added\":0,\"removed\":0,\"modified\":0",
        ),
    ] {
        refused_by_both(to, &altered(&commit, from, to));
    }
    let positions = text_of("log-positions.json");
    let (from, to) = ("\"state_version\":6", "\"state_version\":7");
    refused_by_both(to, &altered(&positions, from, to));
}

/// What is done to the bytes of links.
type Change = fn(&mut Vec<u8>);

#[test]
fn both_readers_refuse_links_that_are_out_of_order_or_no_links() {
    let text = text_of("log-commit.json");
    // since 0, epoch 1; a link of 7 bytes; one of 11 with a gap of 2 and a rise of 1.
    let changes: [(&str, Change); 9] = [
        ("the other way round", |links| links[2..].rotate_left(7)),
        ("begins later", |links| links[0] = 1),
        ("a longer gap", |links| links[10] = 3),
        ("a longer rise", |links| links[11] = 2),
        ("an unknown flag", |links| links[2] = 16),
        ("bytes left over", |links| links.push(0)),
        ("one byte less", |links| links.truncate(links.len() - 1)),
        ("its own is missing", |links| links.truncate(9)),
        ("none", Vec::clear),
    ];
    for (what, change) in changes {
        refused_by_both(what, &relinked(&text, change));
    }
    assert_eq!(relinked(&text, |_| ()), text.as_bytes());
    // Base64 that others would let pass.
    for (from, to) in [("7Qc=\"", "7Qc\""), ("7Qc=\"", "7Qd=\"")] {
        refused_by_both(to, &altered(&text, from, to));
    }
}

#[test]
fn both_readers_hold_entries_to_the_most_links() {
    let text = text_of("log-inline.json");
    // Links of no gap and no rise before: from version 6 - 64 there is no way, so the versions move up.
    let with_links = |count: u8| {
        let moved = [
            ("\"version\":6,", "\"version\":70,"),
            ("\"parent\":5,", "\"parent\":69,"),
            ("\"state_version\":6,", "\"state_version\":70,"),
        ];
        let moved = moved.iter().fold(text.clone(), |text, (from, to)| {
            String::from_utf8(altered(&text, from, to)).unwrap()
        });
        relinked(&moved, |links| {
            *links = vec![70 - count, 3];
            (1..count).for_each(|_| links.extend([2, 20]));
            links.extend([3, 20, 19]);
        })
    };
    found_by_both("the most", &with_links(64));
    refused_by_both("one more", &with_links(65));
}

/// Whether the crate and the second reader accept a document.
fn accepted(name: &str, bytes: &[u8]) -> (bool, bool) {
    let by_crate = match name {
        "snapshot-entry.json" => SnapshotEntry::decode(bytes).is_ok(),
        "collected.json" => CollectedRow::decode(bytes).is_ok(),
        "lease.json" => Lease::decode(bytes).is_ok(),
        "accepted.json" => AcceptedVersion::decode(bytes).is_ok(),
        "pin.json" | "channel.json" | "rollout.json" => Pointer::decode(bytes).is_ok(),
        _ => LeaderHint::decode(bytes).is_ok(),
    };
    let second = || match name {
        "snapshot-entry.json" => drop(Control::snapshot_entry(bytes)),
        "collected.json" => drop(Control::collected_row(bytes)),
        "lease.json" => drop(second::Lease::open(bytes)),
        "accepted.json" => drop(Control::accepted_version(bytes)),
        "pin.json" | "channel.json" | "rollout.json" => drop(Control::pointer(bytes)),
        _ => drop(Control::leader_hint(bytes)),
    };
    (by_crate, catch_unwind(second).is_ok())
}

#[test]
fn both_readers_find_the_same_in_the_other_documents() {
    let bytes = text_of("snapshot-entry.json").into_bytes();
    let entry = SnapshotEntry::decode(&bytes).unwrap();
    let told = Control {
        numbers: vec![entry.version, entry.epoch, entry.time_ms],
        texts: vec![entry.dataset, entry.nonce],
        snapshot: Some((entry.state_checksum, file(entry.blob))),
    };
    assert_eq!(Control::snapshot_entry(&bytes), told);
    let bytes = text_of("collected.json").into_bytes();
    let row = CollectedRow::decode(&bytes).unwrap();
    let told = Control {
        numbers: vec![row.version, row.time_ms],
        texts: vec![row.dataset],
        snapshot: None,
    };
    assert_eq!(Control::collected_row(&bytes), told);
    let bytes = text_of("leader.json").into_bytes();
    let hint = LeaderHint::decode(&bytes).unwrap();
    let told = Control {
        numbers: vec![hint.version, hint.epoch, hint.time_ms],
        texts: vec![hint.dataset, hint.writer],
        snapshot: None,
    };
    assert_eq!(Control::leader_hint(&bytes), told);
    let bytes = text_of("accepted.json").into_bytes();
    let found = AcceptedVersion::decode(&bytes).unwrap();
    let checksum = format!("{:016x}", found.state_checksum);
    let told = Control {
        numbers: vec![found.version, found.time_ms],
        texts: vec![
            found.dataset,
            found.dataset_id,
            found.by,
            found.reason,
            checksum,
        ],
        snapshot: None,
    };
    assert_eq!(Control::accepted_version(&bytes), told);
    for name in ["pin.json", "channel.json", "rollout.json"] {
        let bytes = text_of(name).into_bytes();
        let found = Pointer::decode(&bytes).unwrap();
        let texts = [found.dataset, found.dataset_id, found.by, found.reason];
        let mut told = Control {
            numbers: vec![found.version, found.time_ms],
            texts: texts.into_iter().chain(found.channel).collect(),
            snapshot: None,
        };
        if let Some(rollout) = found.rollout {
            for n in 0..100 {
                let name = format!("web-{n}");
                let goes = Control::goes(&rollout.nonce, rollout.share.into(), &name);
                assert_eq!(rollout.includes(Some(&name)), goes, "{name}");
            }
            let (stage, share) = (rollout.stage.into(), rollout.share.into());
            told.numbers
                .extend([rollout.to, stage, share, rollout.wait_ms]);
            told.numbers
                .extend(rollout.stages.into_iter().map(u64::from));
            told.texts.push(rollout.nonce);
            told.texts.extend(rollout.halted);
        }
        assert_eq!(Control::pointer(&bytes), told, "{name}");
    }
}

#[test]
fn both_readers_refuse_pointers_that_say_what_cannot_be() {
    let text = text_of("channel.json");
    let long = |name: &str| format!("\"{name}\":\"{}", "x".repeat(1_001));
    let (by, reason) = (long("by"), long("reason"));
    for (from, to) in [
        ("\"version\":4,", "\"version\":0,"),
        ("\"version\":4,", "\"version\":9007199254740992,"),
        ("\"by\":\"", by.as_str()),
        ("\"reason\":\"", reason.as_str()),
        ("\"reason\":\"", "\"reason\":\"a\\nb"),
        ("\"by\":\"", "\"else\":\""),
        ("\"stable\"", "\"../pin\""),
        ("\"stable\"", "\"\""),
        ("\"stable\"", "4"),
        ("\"dataset_id\":\"", "\"dataset_id\":\"\",\"later\":\""),
    ] {
        let found = accepted("channel.json", &altered(&text, from, to));
        assert_eq!(found, (false, false), "{to}");
    }
    let rollout = text_of("rollout.json");
    for (from, to) in [
        ("\"to\":5", "\"to\":0"),
        ("c0ffee00\",\"stages\"", "C0FFEE00\",\"stages\""),
        ("[100,1000,10000]", "[]"),
        ("[100,1000,10000]", "[100,1000]"),
        ("[100,1000,10000]", "[0,1000,10000]"),
        ("[100,1000,10000]", "[1000,1000,10000]"),
        ("\"stage\":1", "\"stage\":3"),
        ("\"share\":1234", "\"share\":999"),
        ("\"share\":1234", "\"share\":10001"),
        ("\"wait_ms\":300000", "\"wait_ms\":0"),
        ("\"wait_ms\":300000", "\"wait_ms\":604800001"),
        ("web-1 is gone", "web-1\\u001b"),
        ("\"channel\":\"stable\",", ""),
    ] {
        let found = accepted("rollout.json", &altered(&rollout, from, to));
        assert_eq!(found, (false, false), "{to}");
    }
    let none = altered(&text, "\"stable\"", "null");
    assert_eq!(accepted("channel.json", &none), (true, true));
}

#[test]
fn both_readers_refuse_accepted_versions_that_say_what_cannot_be() {
    let text = text_of("accepted.json");
    let long = |name: &str| format!("\"{name}\":\"{}", "x".repeat(1_000));
    let (by, reason) = (long("by"), long("reason"));
    for (from, to) in [
        ("\"version\":4,", "\"version\":0,"),
        ("\"version\":4,", "\"version\":9007199254740992,"),
        ("\"by\":\"", by.as_str()),
        ("\"reason\":\"", reason.as_str()),
        ("\"state_checksum\":\"", "\"state_checksum\":\"0"),
        ("\"by\":\"", "\"else\":\""),
    ] {
        let found = accepted("accepted.json", &altered(&text, from, to));
        assert_eq!(found, (false, false), "{to}");
    }
}

#[test]
fn both_readers_refuse_other_documents_that_were_altered() {
    for name in [
        "snapshot-entry.json",
        "collected.json",
        "leader.json",
        "lease.json",
        "accepted.json",
        "pin.json",
        "channel.json",
        "rollout.json",
    ] {
        let text = text_of(name);
        let version = &text[text.find("\"version\"").unwrap()..];
        let version = &version[..=version.find(',').unwrap()];
        let twice = format!("{version}{version}");
        for (from, to) in [
            (version, twice.as_str()),
            (version, ""),
            ("\"format\":1,", "\"format\":1,\"checksum\":\"\","),
            ("\"format\":1,", "\"format\":2,"),
        ] {
            let found = accepted(name, &altered(&text, from, to));
            assert_eq!(found, (false, false), "{name}: {to}");
        }
        let torn = text.replacen("films", "filmz", 1);
        assert_eq!(accepted(name, torn.as_bytes()), (false, false), "{name}");
        let later = altered(&text, "\"format\":1,", "\"format\":1,\"later\":null,");
        assert_eq!(accepted(name, &later), (true, true), "{name}");
    }
    let text = text_of("snapshot-entry.json");
    for (from, to) in [
        ("\"0123456789abcdef\"", "\"0123456789ABCDEF\""),
        ("\"snapshot/0", "\"snapshot/../0"),
        (".snapshot\"", ".delta\""),
    ] {
        let found = accepted("snapshot-entry.json", &altered(&text, from, to));
        assert_eq!(found, (false, false), "{to}");
    }
    let long = altered(
        &text,
        "\"nonce\":\"",
        &format!("\"nonce\":\"{}", "x".repeat(1 << 16)),
    );
    assert_eq!(accepted("snapshot-entry.json", &long), (false, false));
}
