//! Where a reader of changes is.
//!
//! Owns: the form of a position, as readers keep it. Never: knows what is there.

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// A version of one dataset: `42@<identity>`. A dataset that was created anew has another identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    version: u64,
    dataset_id: String,
}

impl Position {
    pub(crate) fn new(dataset_id: String, version: u64) -> Self {
        Self {
            version,
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
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.version, self.dataset_id)
    }
}

impl FromStr for Position {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts = text.split_once('@');
        let version = parts.and_then(|(version, _)| version.parse().ok());
        match (version, parts) {
            (Some(version), Some((_, id))) if id.len() <= 128 => {
                Ok(Self::new(id.to_owned(), version))
            }
            _ => Err(Error::invalid(format!(
                "expected a position such as 42@3f9c, found {text:.80?}"
            ))),
        }
    }
}
