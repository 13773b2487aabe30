//! What an entry is.
//!
//! Owns: the types that callers append and read. Never: their bytes, which are in `codec`.

use std::collections::BTreeMap;

use grotto_format::json::KeyPart;

/// One acknowledged unit: applied whole if `atomic`, else change by change.
#[derive(Clone, Debug, PartialEq)]
pub struct WalEntry {
    /// Idempotency key of the sender, at most [`MAX_KEY`](super::MAX_KEY) bytes.
    pub key: Option<String>,
    /// Whether all changes are applied or none.
    pub atomic: bool,
    /// Where it came from, for messages; at most [`MAX_SOURCE`](super::MAX_SOURCE) bytes.
    pub source: String,
    /// Source positions reached with it; at most [`MAX_POSITIONS`](super::MAX_POSITIONS).
    pub positions: BTreeMap<String, u64>,
    /// Wall time of its acceptance in milliseconds since 1970.
    pub time_ms: u64,
    /// The changes, in order.
    pub changes: Vec<WalChange>,
}

/// One change of an entry. Types are positions in the schema that the log uses when the entry is appended or read.
#[derive(Clone, Debug, PartialEq, bincode::Encode, bincode::Decode)]
pub enum WalChange {
    /// A record to add, or to put in place of the one with its key.
    Upsert {
        /// Position of the type in the schema.
        type_id: u16,
        /// Where in the source, such as a line, for messages.
        position: u64,
        /// The record in flat form.
        flat: Vec<u8>,
    },
    /// A record to delete.
    Delete {
        /// Position of the type in the schema.
        type_id: u16,
        /// Where in the source, such as a line, for messages.
        position: u64,
        /// The parts of its primary key.
        key: Vec<WalKeyPart>,
    },
}

/// One part of a primary key.
#[derive(Clone, Debug, PartialEq, bincode::Encode, bincode::Decode)]
pub enum WalKeyPart {
    /// 32-bit signed integer.
    Int(i32),
    /// 64-bit signed integer.
    Long(i64),
    /// IEEE 754 single precision.
    Float(f32),
    /// IEEE 754 double precision.
    Double(f64),
    /// True or false.
    Boolean(bool),
    /// Text.
    String(String),
    /// Any bytes.
    Bytes(Vec<u8>),
}

/// An entry as it comes back.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadEntry {
    /// Its number.
    pub number: u64,
    /// The entry, under the schema in use.
    pub entry: WalEntry,
    /// Changes that do not fit the schema in use and are not in the entry. If it is atomic, then all of them.
    pub rejected: Vec<RejectedChange>,
}

/// A change that was appended under another schema and does not fit the one in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedChange {
    /// Whether it deletes a record.
    pub is_delete: bool,
    /// Name of its type in the schema that it was appended under.
    pub type_name: String,
    /// Where in the source it was.
    pub position: u64,
    /// Why it does not fit.
    pub reason: String,
    /// The record in JSON, or `{"op":"delete",…}`: what a sender would send.
    pub text: String,
}

impl WalChange {
    /// Position of its type in the schema.
    #[must_use]
    pub fn type_id(&self) -> u16 {
        match self {
            Self::Upsert { type_id, .. } | Self::Delete { type_id, .. } => *type_id,
        }
    }

    /// Where in the source it was.
    #[must_use]
    pub fn position(&self) -> u64 {
        match self {
            Self::Upsert { position, .. } | Self::Delete { position, .. } => *position,
        }
    }
}

impl From<KeyPart> for WalKeyPart {
    fn from(part: KeyPart) -> Self {
        match part {
            KeyPart::Int(value) => Self::Int(value),
            KeyPart::Long(value) => Self::Long(value),
            KeyPart::Float(value) => Self::Float(value),
            KeyPart::Double(value) => Self::Double(value),
            KeyPart::Boolean(value) => Self::Boolean(value),
            KeyPart::String(value) => Self::String(value),
            KeyPart::Bytes(value) => Self::Bytes(value),
        }
    }
}

impl From<WalKeyPart> for KeyPart {
    fn from(part: WalKeyPart) -> Self {
        match part {
            WalKeyPart::Int(value) => Self::Int(value),
            WalKeyPart::Long(value) => Self::Long(value),
            WalKeyPart::Float(value) => Self::Float(value),
            WalKeyPart::Double(value) => Self::Double(value),
            WalKeyPart::Boolean(value) => Self::Boolean(value),
            WalKeyPart::String(value) => Self::String(value),
            WalKeyPart::Bytes(value) => Self::Bytes(value),
        }
    }
}
