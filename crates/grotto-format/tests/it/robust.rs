//! Bytes that mean harm: every reader gives a value or an error, never a panic.
//!
//! Owns: random bytes, and good files changed at random with their checksums put right again, so
//! that the damage gets past the first check.

use grotto_format::batch::{Column, ColumnKind, MAX_CHUNK_ROWS, decode_ordinals};
use grotto_format::blob::{Blob, BlobHeader, BlobKind, BlobWriter, SectionKind, TypeInfo};
use grotto_format::log::{
    Announcement, CollectedRow, LeaderHint, Lease, LogEntry, Pointer, SnapshotEntry,
};
use grotto_format::{FlatBuilder, Schema, checksum, flat, json};
use proptest::prelude::*;
use proptest::sample::Index;

const SCHEMA: &str = "All @PrimaryKey(l, w) { int i; long l; float f; double d; boolean b; string s; bytes raw;
    String w; Names names; Tags tags; Scores scores; All next; }
    String { string value; } Names List<String>; Tags Set<String> @HashKey(value); Scores Map<String, All>;
    Pairs Map<All, Names>;";

const KINDS: [ColumnKind; 7] = [
    ColumnKind::Fixed(0),
    ColumnKind::Fixed(4),
    ColumnKind::Fixed(8),
    ColumnKind::Var(true),
    ColumnKind::Var(false),
    ColumnKind::Elements(1),
    ColumnKind::Elements(2),
];

fn schema() -> Schema {
    Schema::parse(SCHEMA).unwrap()
}

/// Bytes with more zeros and ones than chance gives: lengths and counts live there.
fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        3 => any::<u8>(), 2 => Just(0_u8), 1 => Just(1), 1 => Just(0x7f), 1 => Just(0x80), 2 => Just(0xff)
    ];
    prop::collection::vec(byte, 0..most)
}

/// A change of bytes: what is at a place is replaced.
fn edits() -> impl Strategy<Value = Vec<(Index, usize, Vec<u8>)>> {
    prop::collection::vec((any::<Index>(), 0_usize..6, bytes(6)), 1..6)
}

fn change(bytes: &mut Vec<u8>, edits: &[(Index, usize, Vec<u8>)]) {
    for (at, gone, new) in edits {
        let start = at.index(bytes.len() + 1);
        let end = (start + gone).min(bytes.len());
        bytes.splice(start..end, new.iter().copied());
    }
}

fn sample_blob() -> Vec<u8> {
    let header = BlobHeader {
        kind: BlobKind::Delta,
        dataset: "cities".into(),
        from: 300,
        to: 301,
        from_checksum: 3,
        to_checksum: 4,
        from_schema_hash: 5,
        schema_hash: 6,
        schema_text: Some(schema().to_string()),
        types: vec![
            TypeInfo {
                shift: 9,
                live: 70_000
            };
            4
        ],
        sections: Vec::new(),
    };
    let mut writer = BlobWriter::new(header, Some(3));
    writer.section(0, 0, SectionKind::Removed, vec![1, 2, 3]);
    writer.section(0, 0, SectionKind::Added, vec![7; 20]);
    writer.section(0, 0, SectionKind::Column(0), vec![9; 500]);
    writer.section(3, 1, SectionKind::Column(700), b"abcdefgh".repeat(90));
    writer.finish().unwrap()
}

/// Puts a right footer behind any bytes.
fn with_footer(body: &[u8]) -> Vec<u8> {
    let mut file = body.to_vec();
    file.extend_from_slice(&(body.len() as u64 + 16).to_le_bytes());
    file.extend_from_slice(&checksum::of_bytes(&file).to_le_bytes());
    file
}

/// Reads everything there is in a blob.
fn read_blob(file: Vec<u8>) {
    let Ok(blob) = Blob::parse(file.into()) else {
        return;
    };
    for index in 0..=blob.header.sections.len() {
        if let Ok(section) = blob.section(index) {
            read_section(&section);
        }
    }
    if let Some(text) = &blob.header.schema_text {
        let _ = Schema::parse(text);
    }
}

fn read_section(section: &[u8]) {
    let _ = decode_ordinals(section, MAX_CHUNK_ROWS);
    for kind in KINDS {
        for rows in [0, 1, 3, section.len()] {
            if let Ok(column) = Column::decode(kind, rows, section) {
                assert_eq!(column.len(), rows);
                (0..=rows).for_each(|row| {
                    let _ = column.value(row);
                });
            }
        }
    }
}

fn read_documents(bytes: &[u8]) {
    let _ = LogEntry::decode(bytes);
    let _ = SnapshotEntry::decode(bytes);
    let _ = CollectedRow::decode(bytes);
    let _ = LeaderHint::decode(bytes);
    let _ = Lease::decode(bytes);
    let _ = Pointer::decode(bytes);
    let _ = Announcement::decode(bytes);
}

/// Puts a right checksum into the last member of a document.
fn with_seal(document: &[u8]) -> Vec<u8> {
    const TAIL: usize = ",\"checksum\":\"0000000000000000\"}".len();
    let body = &document[..document.len().saturating_sub(TAIL)];
    let unsealed = [body, b",\"checksum\":\"\"}"].concat();
    let digits = format!("{:016x}", checksum::of_bytes(&unsealed));
    [body, b",\"checksum\":\"", digits.as_bytes(), b"\"}"].concat()
}

/// A document among the vectors.
fn sample(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/format/vectors");
    std::fs::read(format!("{folder}/{name}")).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(600)
    ))]

    #[test]
    fn any_bytes_are_a_blob_or_refused(body in bytes(200)) {
        read_blob(body.clone());
        read_blob(with_footer(&[&grotto_format::blob::MAGIC[..], &body].concat()));
    }

    #[test]
    fn a_changed_blob_with_a_right_footer_is_a_blob_or_refused(edits in edits()) {
        let mut file = sample_blob();
        file.truncate(file.len() - 16);
        change(&mut file, &edits);
        read_blob(with_footer(&file));
    }

    #[test]
    fn any_bytes_are_a_column_or_refused(bytes in bytes(120)) {
        read_section(&bytes);
    }

    #[test]
    fn any_bytes_are_a_document_or_refused(body in bytes(120)) {
        read_documents(&body);
        read_documents(&with_seal(&body));
    }

    #[test]
    fn a_changed_document_with_a_right_checksum_is_a_document_or_refused(edits in edits()) {
        for name in [
            "log-commit.json",
            "lease.json",
            "lease-told.json",
            "rollout.json",
            "announcement.json",
        ] {
            let mut document = sample(name);
            change(&mut document, &edits);
            read_documents(&with_seal(&document));
        }
    }

    #[test]
    fn any_text_is_a_schema_or_refused(text in "[A-Ca-c{}<>@;,.()/* \n]{0,60}|\\PC{0,40}") {
        if let Ok(schema) = Schema::parse(&text) {
            prop_assert_eq!(&Schema::parse(&schema.to_string()).unwrap(), &schema);
        }
    }

    #[test]
    fn a_changed_schema_is_a_schema_or_refused(edits in edits()) {
        let mut text = SCHEMA.as_bytes().to_vec();
        change(&mut text, &edits);
        let _ = Schema::parse(&String::from_utf8_lossy(&text));
    }

    #[test]
    fn any_bytes_are_a_flat_record_or_refused(bytes in bytes(120)) {
        let schema = schema();
        for id in schema.ids() {
            let valid = flat::validate(&schema, id, &bytes).is_ok();
            let mut text = String::new();
            let printed = json::encode(&schema, id, &bytes, &mut text).is_ok();
            prop_assert!(printed || !valid, "valid and not printable");
            prop_assert!(printed || text.is_empty(), "half a record was printed");
        }
    }

    #[test]
    fn any_text_is_a_record_or_refused(text in "[\\[\\]{}\":,a-e0-9.eE+ -]{0,60}|\\PC{0,40}", key in "\\PC{0,20}") {
        let schema = schema();
        for id in schema.ids() {
            let mut builder = FlatBuilder::new();
            if json::decode(&schema, id, &text, &mut builder).is_ok() {
                prop_assert!(flat::validate(&schema, id, builder.bytes()).is_ok());
            } else {
                prop_assert!(builder.bytes().is_empty());
            }
            let _ = json::decode_key(&schema, id, &key);
        }
    }

    #[test]
    fn a_changed_record_is_a_record_or_refused(edits in edits()) {
        let mut text = br#"{"l":1,"w":"x","i":-5,"f":1e3,"d":"NaN","b":true,"raw":"AAEC","names":["a",{"value":null}],
            "tags":["t"],"scores":{"k":{"l":2,"w":"y"}},"next":{"l":3,"w":"z"}}"#.to_vec();
        change(&mut text, &edits);
        let schema = schema();
        let id = schema.find("All").unwrap();
        let mut builder = FlatBuilder::new();
        if json::decode(&schema, id, &text, &mut builder).is_ok() {
            prop_assert!(flat::validate(&schema, id, builder.bytes()).is_ok());
            let mut printed = String::new();
            json::encode(&schema, id, builder.bytes(), &mut printed).unwrap();
        }
    }
}

#[test]
fn nesting_without_end_is_refused_and_not_followed() {
    let schema = schema();
    let id = schema.find("All").unwrap();
    let deep = format!(
        "{}{}{}",
        r#"{"l":1,"w":"x","next":"#.repeat(100_000),
        "null",
        "}".repeat(100_000)
    );
    assert!(json::decode(&schema, id, deep, &mut FlatBuilder::new()).is_err());
    let brackets = "[".repeat(1 << 20);
    for id in schema.ids() {
        assert!(json::decode(&schema, id, &brackets, &mut FlatBuilder::new()).is_err());
    }
    read_documents(&with_seal(brackets.as_bytes()));
    let mut nested = Vec::new();
    for _ in 0..200 {
        // An object with one field, `next`, that holds what came before.
        nested = [
            &1_u16.to_le_bytes()[..],
            &11_u16.to_le_bytes(),
            &(nested.len() as u32).to_le_bytes(),
            &nested,
        ]
        .concat();
    }
    assert!(flat::validate(&schema, id, &nested).is_err());
    assert!(json::encode(&schema, id, &nested, &mut String::new()).is_err());
}

#[test]
fn a_tiny_column_cannot_claim_more_elements_than_the_limit() {
    use grotto_format::batch::MAX_ELEMENTS;
    let column = |elements: u64| {
        let mut bytes = vec![0];
        bytes.extend_from_slice(&elements.to_le_bytes());
        bytes.extend_from_slice(&[0; 1 + 8 + 1]);
        bytes
    };
    let refused = |elements: usize, rows| {
        Column::decode(ColumnKind::Elements(1), rows, &column(elements as u64))
    };
    assert!(refused(MAX_ELEMENTS + 1, 1).is_err());
    assert!(refused(MAX_ELEMENTS / 2 + 1, 2).is_err());
    assert!(refused(1000, 2).is_ok());
    assert!(refused(usize::MAX, 3).is_err());
    assert!(Column::decode(ColumnKind::Fixed(0), MAX_CHUNK_ROWS + 1, &[0; 10]).is_err());
}
