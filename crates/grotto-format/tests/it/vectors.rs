//! The published vectors of `docs/format/vectors`: read, and where the encoding is deterministic
//! written again to the same bytes.
//!
//! Owns: making them once (`GROTTO_BLESS=1` writes what is missing and overwrites nothing). The
//! blobs are made by the tests of `grotto-state`.

mod announcements;
mod blobs;
mod columns;
mod documents;
mod leases;
mod log;
mod records;

use serde_json::Value;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/format/vectors")
}

/// A published file; made only if it is missing and that is wanted.
fn published(name: &str, make: &dyn Fn() -> Vec<u8>) -> Vec<u8> {
    let path = folder().join(name);
    if let Ok(bytes) = std::fs::read(&path) {
        return bytes;
    }
    assert_eq!(
        std::env::var("GROTTO_BLESS").as_deref(),
        Ok("1"),
        "{} is missing",
        path.display()
    );
    std::fs::create_dir_all(folder()).unwrap();
    let bytes = make();
    std::fs::write(path, &bytes).unwrap();
    bytes
}

/// A published table of cases, which must be the one this build makes.
#[track_caller]
fn published_json(name: &str, made: &Value) -> Value {
    let bytes = published(name, &|| {
        let mut text = serde_json::to_vec_pretty(made).unwrap();
        text.push(b'\n');
        text
    });
    let found: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(&found, made, "{name}: this build encodes otherwise");
    found
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2), "{text}");
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
