//! The bytes of a log against `docs/format`: the vector is written again to the same bytes, and read by code that
//! knows the specification only.

pub(in crate::wal) mod reader;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use grotto_env::{AppendFiles as _, ForgetfulFiles};
use serde_json::{Value, json};

use super::kit::{FOLDER, NONCE, all, open, segments};
use crate::wal::{WalChange, WalEntry, WalKeyPart, WalOptions};
use crate::wal::{codec, frame, keys, scan};

pub(in crate::wal) fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/format")
}

fn options() -> WalOptions {
    WalOptions {
        segment_bytes: 700,
        remembered_keys: 2,
        ..WalOptions::default()
    }
}

pub(in crate::wal) fn entries() -> Vec<Arc<WalEntry>> {
    let upsert = |flat: &[u8]| WalChange::Upsert {
        type_id: 0,
        position: 1,
        flat: flat.to_vec(),
    };
    let delete = WalChange::Delete {
        type_id: 0,
        position: 300,
        key: vec![
            WalKeyPart::Int(-1),
            WalKeyPart::Long(1 << 40),
            WalKeyPart::Float(1.5),
            WalKeyPart::Double(-0.25),
            WalKeyPart::Boolean(true),
            WalKeyPart::String("é".to_owned()),
            WalKeyPart::Bytes(vec![0, 255]),
        ],
    };
    let plain = |key: Option<&str>, changes: Vec<WalChange>| WalEntry {
        key: key.map(str::to_owned),
        atomic: false,
        source: "http".to_owned(),
        positions: BTreeMap::new(),
        time_ms: 1_700_000_000_000,
        changes,
    };
    let rich = WalEntry {
        atomic: true,
        positions: BTreeMap::from([
            ("a".to_owned(), 250),
            ("b".to_owned(), 251),
            ("c".to_owned(), 70_000),
        ]),
        ..plain(Some("second"), vec![upsert(b"\x01"), delete])
    };
    let entries = [
        plain(Some("first"), vec![upsert(&[7; 300])]),
        rich,
        plain(Some("third"), vec![upsert(&[8; 200])]),
        plain(None, Vec::new()),
        plain(Some("torn"), vec![upsert(&[9; 20])]),
    ];
    entries.map(Arc::new).to_vec()
}

/// A log that died while it wrote its last group, file by file.
fn written() -> BTreeMap<String, Vec<u8>> {
    let files = ForgetfulFiles::new(1);
    let (wal, _) = open(&files, options()).unwrap();
    let entries = entries();
    wal.append(&entries[..2]).unwrap();
    wal.append(&entries[2..3]).unwrap();
    wal.append(&entries[3..4]).unwrap();
    wal.append(&entries[4..]).unwrap();
    drop(wal);
    let names = segments(&files);
    let mut written = BTreeMap::new();
    for (at, name) in names.iter().enumerate() {
        let path = Path::new(FOLDER).join(name);
        let mut bytes = files.read(&path, 0, usize::MAX).unwrap();
        if at + 1 == names.len() {
            bytes.truncate(bytes.len() - 7);
        }
        written.insert(name.clone(), bytes);
    }
    written
}

pub(in crate::wal) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(in crate::wal) fn described(entry: &WalEntry) -> Value {
    let part = |part: &WalKeyPart| match part {
        WalKeyPart::Int(value) => json!({"int": value.to_string()}),
        WalKeyPart::Long(value) => json!({"long": value.to_string()}),
        WalKeyPart::Float(value) => json!({"float": format!("{:08x}", value.to_bits())}),
        WalKeyPart::Double(value) => json!({"double": format!("{:016x}", value.to_bits())}),
        WalKeyPart::Boolean(value) => json!({"boolean": value}),
        WalKeyPart::String(value) => json!({"string": value}),
        WalKeyPart::Bytes(value) => json!({"bytes": hex(value)}),
    };
    let change = |change: &WalChange| {
        let (ty, at) = (change.type_id(), change.position().to_string());
        match change {
            WalChange::Upsert { flat, .. } => {
                json!({"op": "upsert", "type": ty, "position": at, "flat": hex(flat)})
            }
            WalChange::Delete { key, .. } => {
                let key: Vec<Value> = key.iter().map(part).collect();
                json!({"op": "delete", "type": ty, "position": at, "key": key})
            }
        }
    };
    let positions = entry.positions.iter();
    let positions: serde_json::Map<String, Value> = positions
        .map(|(source, at)| (source.clone(), at.to_string().into()))
        .collect();
    json!({
        "key": entry.key,
        "atomic": entry.atomic,
        "source": entry.source,
        "positions": positions,
        "time_ms": entry.time_ms.to_string(),
        "changes": entry.changes.iter().map(change).collect::<Vec<Value>>(),
    })
}

fn document() -> Value {
    let entries = entries();
    let whole = entries.iter().zip(1..).take(4);
    let entries: serde_json::Map<String, Value> = whole
        .map(|(entry, number)| (number.to_string(), described(entry)))
        .collect();
    json!({
        "id": &NONCE[..8],
        "schema": super::kit::schema().to_string(),
        "remembered_keys": {"second": "2", "third": "3"},
        "entries": entries,
    })
}

fn vector(name: &str, made: &[u8]) -> Vec<u8> {
    vector_of("wal", name, made)
}

/// A file of a vector; made anew where it is not there and that is wanted.
pub(in crate::wal) fn vector_of(folder: &str, name: &str, made: &[u8]) -> Vec<u8> {
    let path = docs().join("vectors").join(folder).join(name);
    if !path.exists() && std::env::var_os("GROTTO_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, made).unwrap();
    }
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn description() -> Value {
    let made = serde_json::to_string_pretty(&document()).unwrap() + "\n";
    serde_json::from_slice(&vector("wal.json", made.as_bytes())).unwrap()
}

#[test]
fn the_vector_is_written_again_to_the_same_bytes() {
    let written = written();
    assert_eq!(written.len(), 2, "{:?}", written.keys());
    for (name, bytes) in &written {
        assert_eq!(hex(&vector(name, bytes)), hex(bytes), "{name}");
    }
    assert_eq!(description(), document());
}

#[test]
fn the_vector_is_opened() {
    let files = ForgetfulFiles::new(1);
    files.create_folder(Path::new(FOLDER)).unwrap();
    for (name, bytes) in written() {
        files.write(&Path::new(FOLDER).join(&name), &vector(&name, &bytes));
    }
    let (wal, recovery) = open(&files, options()).unwrap();
    assert_eq!((wal.id(), recovery.last), (&NONCE[..8], 4));
    assert!(recovery.cut.is_some());
    let read = all(&wal);
    let read: Vec<&WalEntry> = read.iter().map(|read| &read.entry).collect();
    let entries = entries();
    let entries: Vec<&WalEntry> = entries[..4].iter().map(|entry| &**entry).collect();
    assert_eq!(read, entries);
    let keys = ["first", "second", "third", "torn"].map(|key| wal.known_key(key));
    assert_eq!(keys, [None, Some(2), Some(3), None]);
}

#[test]
fn code_that_knows_the_specification_only_reads_the_vector() {
    let segments: Vec<(u64, Vec<u8>)> = written()
        .iter()
        .map(|(name, bytes)| {
            let digits = name.strip_prefix("wal-").unwrap().strip_suffix(".log");
            (digits.unwrap().parse().unwrap(), vector(name, bytes))
        })
        .collect();
    assert_eq!(reader::read(&segments), description());
}

#[test]
fn the_limits_of_the_specification_are_those_of_the_code() {
    let spec = std::fs::read_to_string(docs().join("spec.md")).unwrap();
    let table = spec.split("| of a log | value |").nth(1).unwrap();
    let rows = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let told: BTreeMap<String, u64> = rows
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let value = match cells[2].split_once('^') {
                Some((base, power)) => base
                    .parse::<u64>()
                    .unwrap()
                    .pow(power.parse::<u32>().unwrap()),
                None => cells[2].parse().unwrap(),
            };
            (cells[1].trim_matches('`').to_owned(), value)
        })
        .collect();
    let code = BTreeMap::from([
        ("MAX_FRAME", frame::MAX_FRAME as u64),
        ("MAX_GROUP", frame::MAX_GROUP as u64),
        ("MAX_KEY", codec::MAX_KEY as u64),
        ("MAX_SOURCE", codec::MAX_SOURCE as u64),
        ("MAX_POSITIONS", codec::MAX_POSITIONS as u64),
        ("MAX_NUMBER", scan::MAX_NUMBER),
        ("MAX_REMEMBERED", keys::MAX_REMEMBERED as u64),
    ]);
    let code: BTreeMap<String, u64> = code.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
    assert_eq!(told, code);
}
