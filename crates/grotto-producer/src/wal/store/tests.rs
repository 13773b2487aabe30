//! The bytes of slots against `docs/format`: the vector is written again to the same bytes, and read by code that knows
//! the specification only.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::object::{Header, Kind, Object, encode, encode_frames, fence_length};
use crate::wal::tests::format::reader::{self, Bytes as Reader};
use crate::wal::tests::format::{described, docs, entries, vector_of};
use crate::wal::tests::kit::{NONCE, schema};

const DATASET: &str = "cities";

/// A fence, and a group behind two entries that are gone.
fn slots() -> [(&'static str, Bytes); 2] {
    let header = |kind, first, count| Header {
        kind,
        epoch: 7,
        nonce: NONCE.to_owned(),
        first,
        count,
    };
    let schema = schema();
    let entries: Vec<_> = entries().into_iter().take(2).collect();
    let frames = encode_frames(&entries, &schema, u64::MAX).unwrap();
    let fence = header(Kind::Fence, 3, 0);
    let group = header(Kind::Entries, 3, 2);
    [
        ("00000000000000000004.log", encode(DATASET, &fence, "", &[])),
        (
            "00000000000000000005.log",
            encode(DATASET, &group, &schema.to_string(), &frames),
        ),
    ]
}

fn document() -> Value {
    let entries = entries();
    let entries = (3..).zip(&entries).take(2);
    let entries: Map<String, Value> = entries
        .map(|(number, entry)| (number.to_string(), described(entry)))
        .collect();
    let slot = |kind: &str, schema: String, entries: Map<String, Value>| {
        json!({
            "kind": kind, "epoch": "7", "nonce": NONCE, "first": "3", "dataset": DATASET, "schema": schema,
            "entries": entries,
        })
    };
    json!({
        "00000000000000000004.log": slot("fence", String::new(), Map::new()),
        "00000000000000000005.log": slot("entries", schema().to_string(), entries),
    })
}

/// What a slot says, by the specification alone.
fn read(bytes: &[u8]) -> Value {
    let (body, crc) = bytes.split_at(bytes.len() - 4);
    assert_eq!(crc, crc32fast::hash(body).to_le_bytes());
    let mut fields = Reader(body);
    assert_eq!(fields.take(8), b"GROTTO\x1aS");
    assert_eq!(fields.u32(), 1);
    let kind = ["fence", "entries"][fields.u32() as usize - 1];
    let epoch = fields.u64();
    let mut text = |length: usize| String::from_utf8(fields.take(length).to_vec()).unwrap();
    let nonce = text(32);
    let (first, count) = (fields.u64(), fields.u32());
    let (name, schema) = (fields.u32() as usize, fields.u32() as usize);
    let mut text = |length: usize| String::from_utf8(fields.take(length).to_vec()).unwrap();
    let (name, schema) = (text(name), text(schema));
    let mut entries = Map::new();
    for number in (first..).take(count as usize) {
        let head = fields.take(8);
        let payload = fields.take(u32::from_le_bytes(head[..4].try_into().unwrap()) as usize);
        let summed = [&head[..4], payload].concat();
        assert_eq!(head[4..], crc32fast::hash(&summed).to_le_bytes());
        entries.insert(number.to_string(), reader::entry(&mut Reader(payload)));
    }
    assert!(fields.0.is_empty());
    json!({
        "kind": kind, "epoch": epoch.to_string(), "nonce": nonce,
        "first": first.to_string(), "dataset": name, "schema": schema, "entries": entries,
    })
}

fn vector(name: &str, made: &[u8]) -> Vec<u8> {
    vector_of("wal-store", name, made)
}

fn description() -> Value {
    let made = serde_json::to_string_pretty(&document()).unwrap() + "\n";
    serde_json::from_slice(&vector("wal-store.json", made.as_bytes())).unwrap()
}

#[test]
fn the_vector_is_written_again_to_the_same_bytes() {
    for (name, bytes) in slots() {
        assert_eq!(vector(name, &bytes), bytes, "{name}");
    }
    assert_eq!(description(), document());
}

#[test]
fn the_vector_is_read() {
    for (name, bytes) in slots() {
        let found = Bytes::from(vector(name, &bytes));
        let object = Object::decode(&found, DATASET).unwrap();
        assert_eq!(object.header.first, 3);
        let keys = object.keys().unwrap();
        let expected = match object.header.kind {
            Kind::Fence => vec![],
            Kind::Entries => vec![("first".to_owned(), 3), ("second".to_owned(), 4)],
        };
        assert_eq!(keys, expected);
    }
}

#[test]
fn code_that_knows_the_specification_only_reads_the_vector() {
    let read: Map<String, Value> = slots()
        .into_iter()
        .map(|(name, bytes)| (name.to_owned(), read(&vector(name, &bytes))))
        .collect();
    assert_eq!(Value::from(read), description());
}

#[test]
fn a_fence_is_shorter_than_any_slot_with_entries() {
    let [(_, fence), (_, group)] = slots();
    assert_eq!(fence.len() as u64, fence_length(DATASET));
    assert!(group.len() > fence.len());
    let spec = std::fs::read_to_string(docs().join("spec.md")).unwrap();
    let row = format!(
        "| `MAX_SLOT_BYTES` | 2^{} |",
        grotto_store::MAX_SLOT_BYTES.ilog2()
    );
    assert!(spec.contains(&row), "{row}");
}

/// Bytes that say more than there is, with a checksum that is right.
#[test]
fn a_slot_that_lies_is_refused() {
    let [(_, fence), (_, group)] = slots();
    let lies: [(&Bytes, usize, &[u8], &str); 8] = [
        (&group, 8, &[2], "format"),
        (&group, 12, &[3], "kind 1 or 2"),
        (&group, 12, &[1], "no entry in a fence"),
        (&fence, 12, &[2], "at least one entry"),
        (&group, 56, &[0; 8], "entry numbers"),
        (&group, 56, &[255; 8], "entry numbers"),
        (&group, 64, &[3], "whole slot"),
        (&group, 72, &[255, 255, 255, 127], "schema of at most"),
    ];
    for (bytes, at, lie, expected) in lies {
        let mut bytes = bytes.to_vec();
        bytes[at..at + lie.len()].copy_from_slice(lie);
        let body = bytes.len() - 4;
        let crc = crc32fast::hash(&bytes[..body]);
        bytes[body..].copy_from_slice(&crc.to_le_bytes());
        let bad = Object::decode(&bytes.into(), DATASET).unwrap_err();
        assert!(bad.contains(expected), "{at}: {bad}");
    }
    let entries = Arc::new(entries().remove(0));
    let error = encode_frames(&[Arc::clone(&entries)], &schema(), 10).unwrap_err();
    assert!(error.message().contains("at most 10 bytes"), "{error}");
}
