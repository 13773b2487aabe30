//! The numbers of `docs/format/spec.md` against the constants of the code.
//!
//! Owns: reading the tables whose first column is `in code`. A number that is in the text and not
//! in such a table is not checked.

use grotto_format::batch::MAX_ORDINAL;
use grotto_format::blob::{
    self, BLOCK_SHIFTS, Blob, BlobHeader, BlobKind, BlobWriter, MAX_WINDOW_LOG, SectionKind,
};
use grotto_format::limits::{CELL_WEIGHT, ELEMENT_WEIGHT, Limits};
use grotto_format::schema::{MAX_FIELDS, MAX_KEY_PATHS, MAX_NAME};
use grotto_format::{Schema, checksum, flat, json, log};
use std::collections::BTreeMap;

fn spec() -> String {
    std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/format/spec.md"
    ))
    .unwrap()
}

/// Rows of all tables with these columns, cell by cell.
fn rows(spec: &str, columns: &[&str]) -> Vec<Vec<String>> {
    let cells = |line: &str| -> Vec<String> {
        let line = line.trim().trim_start_matches('|').trim_end_matches('|');
        line.split('|')
            .map(|cell| cell.trim().trim_matches('`').to_owned())
            .collect()
    };
    let mut rows = Vec::new();
    let mut lines = spec.lines();
    while let Some(line) = lines.next() {
        if line.starts_with('|')
            && cells(line).starts_with(&columns.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>())
        {
            rows.extend(
                lines
                    .by_ref()
                    .skip(1)
                    .take_while(|line| line.starts_with('|'))
                    .map(cells),
            );
        }
    }
    assert!(!rows.is_empty(), "no table of {columns:?}");
    rows
}

/// `2^32 - 2^16`, `0x1f` or `27`.
fn number(text: &str) -> u64 {
    text.split(" - ").map(term).reduce(|a, b| a - b).unwrap()
}

fn term(text: &str) -> u64 {
    match (text.split_once('^'), text.strip_prefix("0x")) {
        (Some((base, power)), _) => base.parse::<u64>().unwrap().pow(power.parse().unwrap()),
        (None, Some(digits)) => u64::from_str_radix(digits, 16).unwrap(),
        (None, None) => text
            .parse()
            .unwrap_or_else(|_| panic!("{text} is not a number")),
    }
}

#[test]
fn limits_and_seeds_are_those_of_the_code() {
    let told: BTreeMap<String, u64> = rows(&spec(), &["in code", "value"])
        .into_iter()
        .map(|row| (row[0].clone(), number(&row[1])))
        .collect();
    let limits = Limits::FORMAT;
    let code = BTreeMap::from([
        ("KEY_SEED", checksum::KEY_SEED),
        ("NO_SCHEMA_HASH", Schema::default().hash()),
        ("MAX_HEADER", limits.header),
        ("MAX_DATASET_NAME", limits.dataset_name),
        ("MAX_SECTIONS", limits.sections),
        ("MAX_SECTION", limits.section),
        ("MAX_WINDOW_LOG", u64::from(MAX_WINDOW_LOG)),
        ("MAX_CHUNK_ROWS", limits.chunk_rows as u64),
        ("MAX_CHUNK_BYTES", limits.chunk_bytes),
        ("MAX_CHUNK_CELLS", limits.chunk_cells as u64),
        ("MAX_ELEMENTS", limits.elements as u64),
        ("MIN_BLOCK_SHIFT", u64::from(*BLOCK_SHIFTS.start())),
        ("MAX_BLOCK_SHIFT", u64::from(*BLOCK_SHIFTS.end())),
        ("MAX_BLOCKS", limits.blocks as u64),
        ("MAX_BLOCK_WEIGHT", limits.block_weight),
        ("CELL_WEIGHT", CELL_WEIGHT),
        ("ELEMENT_WEIGHT", ELEMENT_WEIGHT),
        ("MAX_ORDINAL", u64::from(MAX_ORDINAL)),
        ("MAX_SCHEMA_TEXT", limits.schema_text),
        ("MAX_TYPES", limits.types),
        ("MAX_FIELDS", MAX_FIELDS as u64),
        ("MAX_NAME", MAX_NAME as u64),
        ("MAX_KEY_PATHS", MAX_KEY_PATHS as u64),
        ("MAX_DEPTH", flat::MAX_DEPTH as u64),
        ("MAX_JSON_TEXT", json::MAX_TEXT as u64),
        ("MAX_ENTRY_BYTES", log::MAX_ENTRY_BYTES as u64),
        ("ENTRY_RESERVE", log::ENTRY_RESERVE as u64),
        ("MAX_CONTROL_BYTES", log::MAX_CONTROL_BYTES as u64),
        ("MAX_LEASE_BYTES", log::MAX_LEASE_BYTES as u64),
        ("MAX_ANNOUNCEMENT_BYTES", log::MAX_ANNOUNCEMENT_BYTES as u64),
        ("MAX_PLAIN_NAME", log::MAX_PLAIN_NAME as u64),
        ("MAX_WORD", log::MAX_WORD as u64),
        ("MAX_REASONS", log::MAX_REASONS as u64),
        ("MAX_REASON", log::MAX_REASON as u64),
        ("MAX_EXPIRY_S", log::MAX_EXPIRY_S),
        ("MAX_LINKS", log::MAX_LINKS as u64),
        ("MAX_VERSION", log::MAX_VERSION),
    ]);
    let code: BTreeMap<String, u64> = code
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    assert_eq!(told, code);
}

/// A blob with nothing in it but one section, to see which bytes a kind becomes.
fn bytes_of(kind: BlobKind, section: SectionKind) -> Vec<u8> {
    let header = BlobHeader {
        kind,
        dataset: String::new(),
        from: 0,
        to: 0,
        from_checksum: 0,
        to_checksum: 0,
        from_schema_hash: 0,
        schema_hash: 0,
        schema_text: None,
        types: Vec::new(),
        sections: Vec::new(),
    };
    let mut writer = BlobWriter::new(header, None);
    writer.section(0, 0, section, Vec::new());
    let bytes = writer.finish().unwrap();
    assert!(Blob::parse(bytes.clone().into()).is_ok());
    bytes
}

#[test]
fn kinds_of_blobs_are_those_of_the_code() {
    let rows = rows(&spec(), &["in code", "kind", "value"]);
    let all = [
        BlobKind::Snapshot,
        BlobKind::Delta,
        BlobKind::Reverse,
        BlobKind::Header,
    ];
    assert_eq!(rows.len(), all.len());
    for (row, kind) in rows.iter().zip(all) {
        assert_eq!(
            (row[0].clone(), row[1].as_str()),
            (format!("{kind:?}"), kind.name())
        );
        // Behind the magic, the length of the header and the format number.
        assert_eq!(
            u64::from(bytes_of(kind, SectionKind::Added)[10]),
            number(&row[2])
        );
    }
}

#[test]
fn kinds_of_sections_are_those_of_the_code() {
    let rows = rows(&spec(), &["in code", "kind", "content of the section"]);
    let all = [
        SectionKind::Removed,
        SectionKind::Added,
        SectionKind::Column(0),
    ];
    assert_eq!(rows.len(), all.len());
    for (row, kind) in rows.iter().zip(all) {
        assert_eq!(row[0], format!("{kind:?}"));
        let bytes = bytes_of(BlobKind::Delta, kind);
        // The last entry of the table ends in kind, compressed, raw and checksum, before the footer.
        let at = bytes.len() - blob::FOOTER - 8 - 1 - 1 - 1;
        assert_eq!(u64::from(bytes[at]), number(&row[1]));
    }
}

#[test]
fn magic_and_examples_are_those_of_the_code() {
    let spec = spec();
    let shown: Vec<String> = blob::MAGIC
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert!(spec.contains(&format!("| magic | 8 | `{}` |", shown.join(" "))));
    assert!(spec.contains(&format!("| footer | {} |", blob::FOOTER)));
    assert!(spec.contains(&format!("| format | varint | {} |", blob::FORMAT)));
    assert!(spec.contains(&format!("`format` is {}.", log::FORMAT)));
    let mut ordinals = Vec::new();
    grotto_format::batch::encode_ordinals(&[5, 700], &mut ordinals);
    let shown = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let parts = [
        &ordinals[..1],
        &ordinals[1..9],
        &ordinals[9..10],
        &ordinals[10..],
    ]
    .map(|part| format!("`{}`", shown(part)));
    assert!(
        spec.contains(&format!("Ordinals 5 and 700 are {}.", parts.join(", "))),
        "{}",
        parts.join(", ")
    );
}

#[test]
fn every_vector_is_listed_and_every_listed_one_exists() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/format/vectors");
    let list = std::fs::read_to_string(format!("{folder}/README.md")).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let known = name == "README.md"
            || list.contains(&format!("`{name}`"))
            || list.contains(&format!("`{name}/*`"));
        assert!(known, "{name} is not in the list of vectors");
    }
    let spec = spec();
    let named = spec
        .split("Vectors: ")
        .skip(1)
        .flat_map(|rest| rest.split("\n\n").next().unwrap().split('`'));
    for name in named.filter(|name| name.ends_with(".json") || name.ends_with('/')) {
        assert!(std::path::Path::new(folder).join(name).exists(), "{name}");
    }
}
