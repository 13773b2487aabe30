//! What the fuzz targets share: honest originals to damage, and reading whatever comes of it.
//!
//! Owns: the edits that turn an honest blob into a hostile one. Never judges: a target fails when
//! something panics, hangs, or takes more memory than it is given.
//!
//! The engine and the forge are those of the tests of `grotto-state`, so that a finding can be
//! repeated there.
#![allow(dead_code, clippy::unwrap_used, reason = "shared with tests")]

mod edit;
#[path = "../../../grotto-state/tests/it/engine.rs"]
pub(crate) mod engine;
mod hostile;
mod original;
mod root;
mod wal;

pub use edit::Edits;
pub use original::{LATER, SCHEMA};
pub use root::RootEdits;
pub use wal::WalEdits;

use grotto_format::blob::Blob;
use grotto_format::checksum;

/// Puts a right footer behind any bytes, so that the damage gets past the first check.
#[must_use]
pub fn with_footer(body: &[u8]) -> Vec<u8> {
    let mut file = [&grotto_format::blob::MAGIC[..], body].concat();
    file.extend_from_slice(&(file.len() as u64 + 16).to_le_bytes());
    file.extend_from_slice(&checksum::of_bytes(&file).to_le_bytes());
    file
}

/// Reads everything there is in a blob.
pub fn read_blob(file: Vec<u8>) {
    let Ok(blob) = Blob::parse(file.into()) else {
        return;
    };
    for index in 0..=blob.header.sections.len() {
        if let Ok(section) = blob.section(index) {
            std::hint::black_box(section.len());
        }
    }
}
