//! What can go wrong with a state.
//!
//! Owns: the error type of the crate, and which kind each of its errors is of.

use grotto_error::{Error, ErrorKind};
use grotto_format::WireError;
use grotto_format::blob::BlobError;
use grotto_format::flat::FlatError;

/// Result of this crate.
pub type StateResult<T> = Result<T, StateError>;

/// What can go wrong with a state.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The blob is not intact.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// A section of an intact blob does not hold what it should.
    #[error("section {index} ({what}): {source}")]
    Section {
        /// Position in the section table.
        index: usize,
        /// Type, chunk and kind.
        what: String,
        /// What is wrong.
        source: WireError,
    },
    /// The blob is intact but cannot be applied to this state.
    #[error("{kind} from version {from} to {to} does not apply: {reason}")]
    Mismatch {
        /// Kind of the blob.
        kind: &'static str,
        /// Version it applies to.
        from: u64,
        /// Version it leads to.
        to: u64,
        /// What does not match.
        reason: String,
    },
    /// The result is not what the producer had.
    #[error("state checksum at version {version}: expected {expected:016x}, found {found:016x}")]
    Checksum {
        /// Version that was being built.
        version: u64,
        /// From the blob.
        expected: u64,
        /// Of the state built.
        found: u64,
    },
    /// A record that no state may hold.
    #[error("{type_name} #{ordinal}: {reason}")]
    Unsound {
        /// Type of the record.
        type_name: String,
        /// Its ordinal.
        ordinal: u32,
        /// What was expected and found.
        reason: String,
    },
    /// The schema cannot change like this.
    #[error("{0}")]
    Incompatible(String),
    /// A record does not follow the schema.
    #[error("type {type_name}: {source}")]
    Flat {
        /// Type of the record.
        type_name: String,
        /// What is wrong.
        source: FlatError,
    },
    /// Two records with one primary key.
    #[error("type {type_name}: duplicate key {key}: {first} and {second}")]
    DuplicateKey {
        /// Type of the records.
        type_name: String,
        /// The key.
        key: String,
        /// Where the first came from.
        first: String,
        /// Where the second came from.
        second: String,
    },
    /// A record without a value in its primary key.
    #[error("type {type_name}: primary key {path} is null ({position})")]
    NullKey {
        /// Type of the record.
        type_name: String,
        /// Part of the key that is null.
        path: String,
        /// Where the record came from.
        position: String,
    },
    /// The request does not fit the schema.
    #[error("{0}")]
    Invalid(String),
    /// Something outgrew a limit of the format.
    #[error("limit reached: {0}")]
    Limit(String),
    /// A segment could not be stored.
    #[error("segment could not be stored: {0}")]
    Seal(#[from] std::io::Error),
    /// The bytes of the state contradict each other.
    #[error("state is damaged: {0}")]
    Damaged(String),
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        use StateError as E;
        let kind = match &error {
            E::Blob(_)
            | E::Section { .. }
            | E::Mismatch { .. }
            | E::Checksum { .. }
            | E::Unsound { .. }
            | E::Damaged(_) => ErrorKind::Corrupt,
            E::Seal(error) => ErrorKind::of_io(error),
            E::Incompatible(_)
            | E::Flat { .. }
            | E::DuplicateKey { .. }
            | E::NullKey { .. }
            | E::Invalid(_)
            | E::Limit(_) => ErrorKind::Invalid,
        };
        Self::showing(kind, error)
    }
}
