//! Where a reader of changes is.
//!
//! Owns: the form of a position, as readers keep it. Never: knows what is there.

use crate::error::{Error, Result};
use grotto_state::State;
use grotto_store::LogEntry;
use std::fmt;
use std::str::FromStr;

/// A version of one dataset: `42.<checksum>@<identity>`. A dataset that was created anew has another identity, and a
/// version that was lost and written anew, or of which other types or fields are kept, another checksum.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    version: u64,
    checksum: u64,
    dataset_id: String,
}

/// Longest identity in bytes that is read.
const LONGEST_ID: usize = 128;

impl Position {
    pub(crate) fn of(state: &State, dataset_id: String) -> Self {
        Self {
            version: state.version(),
            checksum: state.content_checksum(),
            dataset_id,
        }
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Identity of the dataset; empty before its first version.
    #[must_use]
    pub fn dataset_id(&self) -> &str {
        &self.dataset_id
    }

    /// Whether a log entry is of the state that a reader of all types took in.
    pub(crate) fn is_of(&self, entry: &LogEntry) -> bool {
        (self.version, self.checksum) == (entry.version, entry.state_checksum)
    }

    /// Whether this is the state that a reader took in.
    pub(crate) fn is_at(&self, state: &State) -> bool {
        (self.version, self.checksum) == (state.version(), state.content_checksum())
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{:016x}@{}",
            self.version, self.checksum, self.dataset_id
        )
    }
}

impl FromStr for Position {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let read = || {
            let (place, id) = text.split_once('@')?;
            let (version, checksum) = place.split_once('.')?;
            let hex = checksum.len() == 16 && checksum.bytes().all(|b| b.is_ascii_hexdigit());
            let digits = version.bytes().all(|b| b.is_ascii_digit());
            (hex && digits && id.len() <= LONGEST_ID).then_some(())?;
            Some(Self {
                version: version.parse().ok()?,
                checksum: u64::from_str_radix(checksum, 16).ok()?,
                dataset_id: id.to_owned(),
            })
        };
        read().ok_or_else(|| {
            Error::invalid(format!(
                "expected a position such as 42.00c0ffee00c0ffee@3f9c, found {text:.80?}"
            ))
        })
    }
}
