//! Entries as bytes: the one place where the write-ahead log uses `bincode`.
//!
//! Owns: the payload of a frame, and what an entry may hold at most. Never: frames and checksums.
//!
//! A payload is the head of the entry and then its changes one by one, so that a count in damaged bytes takes no
//! memory before the changes are there.

use std::collections::BTreeMap;

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::error::{DecodeError, EncodeError};

use super::entry::{WalChange, WalEntry};
use super::frame::MAX_FRAME;
use super::keys::MAX_REMEMBERED;

/// Longest idempotency key in bytes.
pub const MAX_KEY: usize = 255;
/// Longest name of a source in bytes.
pub const MAX_SOURCE: usize = 4 << 10;
/// Most source positions of an entry, each with a name of at most [`MAX_SOURCE`] bytes.
pub const MAX_POSITIONS: usize = 1 << 10;
/// Most bytes that a head takes: twice what the limits above allow.
const MAX_HEAD: usize = 2 * MAX_POSITIONS * MAX_SOURCE;

const HEAD: Configuration<LittleEndian, Varint, Limit<MAX_HEAD>> =
    bincode::config::standard().with_limit();
const CHANGE: Configuration<LittleEndian, Varint, Limit<{ MAX_FRAME }>> =
    bincode::config::standard().with_limit();

/// Key, whether atomic, source, positions, time, number of changes.
type Head = (
    Option<String>,
    bool,
    String,
    BTreeMap<String, u64>,
    u64,
    u32,
);

/// Why a payload is no entry.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadEntry {
    #[error("expected an entry: {0}")]
    Decode(#[from] DecodeError),
    #[error("expected the end of an entry, found {0} more bytes")]
    Rest(usize),
    #[error("expected at most {MAX_REMEMBERED} remembered keys")]
    Keys,
}

/// Says what is wrong with an entry under a schema of so many types.
pub(super) fn check(entry: &WalEntry, types: usize) -> Result<(), String> {
    let at_most = |what: &str, most: usize, found: usize| {
        if found <= most {
            return Ok(());
        }
        Err(format!("{what}: expected at most {most}, found {found}"))
    };
    let key = entry.key.as_ref().map_or(0, String::len);
    at_most("bytes of an idempotency key", MAX_KEY, key)?;
    at_most("bytes of a source's name", MAX_SOURCE, entry.source.len())?;
    at_most("source positions", MAX_POSITIONS, entry.positions.len())?;
    let longest = entry.positions.keys().map(String::len).max();
    at_most(
        "bytes of a source's name",
        MAX_SOURCE,
        longest.unwrap_or_default(),
    )?;
    check_types(entry, types)
}

/// Says which change is of no type of a schema.
pub(super) fn check_types(entry: &WalEntry, types: usize) -> Result<(), String> {
    let mut ids = entry.changes.iter().map(WalChange::type_id);
    match ids.find(|id| usize::from(*id) >= types) {
        None => Ok(()),
        Some(id) => Err(format!("expected one of {types} types, found type {id}")),
    }
}

/// Appends the payload of an entry.
pub(super) fn encode(entry: &WalEntry, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let changes = u32::try_from(entry.changes.len())
        .map_err(|_| EncodeError::Other("expected fewer changes in an entry"))?;
    let head = (
        &entry.key,
        entry.atomic,
        &entry.source,
        &entry.positions,
        entry.time_ms,
        changes,
    );
    bincode::encode_into_std_write(head, out, HEAD)?;
    for change in &entry.changes {
        bincode::encode_into_std_write(change, out, CHANGE)?;
    }
    Ok(())
}

/// The entry that a payload is.
pub(super) fn decode(payload: &[u8]) -> Result<WalEntry, BadEntry> {
    let (head, mut at): (Head, usize) = bincode::decode_from_slice(payload, HEAD)?;
    let (key, atomic, source, positions, time_ms, count) = head;
    let mut changes = Vec::new();
    for _ in 0..count {
        let rest = payload.get(at..).unwrap_or_default();
        let (change, used): (WalChange, usize) = bincode::decode_from_slice(rest, CHANGE)?;
        changes.push(change);
        at += used;
    }
    match payload.len().saturating_sub(at) {
        0 => Ok(WalEntry {
            key,
            atomic,
            source,
            positions,
            time_ms,
            changes,
        }),
        rest => Err(BadEntry::Rest(rest)),
    }
}

/// The idempotency key of the entry that a payload is.
pub(super) fn decode_key(payload: &[u8]) -> Result<Option<String>, BadEntry> {
    let (key, _): (Option<String>, usize) = bincode::decode_from_slice(payload, HEAD)?;
    Ok(key)
}

/// Appends a remembered key and the number of its entry.
pub(super) fn encode_key(key: &str, number: u64, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    bincode::encode_into_std_write((key, number), out, HEAD).map(|_| ())
}

/// Remembered keys, oldest first, until the payload ends.
pub(super) fn decode_keys(mut payload: &[u8]) -> Result<Vec<(String, u64)>, BadEntry> {
    let mut keys = Vec::new();
    while !payload.is_empty() {
        let (key, used): ((String, u64), usize) = bincode::decode_from_slice(payload, HEAD)?;
        if keys.len() == MAX_REMEMBERED {
            return Err(BadEntry::Keys);
        }
        keys.push(key);
        payload = payload.get(used..).unwrap_or_default();
    }
    Ok(keys)
}
