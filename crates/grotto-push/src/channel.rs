//! Names of channels: what Redis calls a channel, and NATS a subject.
//!
//! Owns: which names both take. Never: opens one.

use crate::{Error, Result};
use std::fmt;

/// Most bytes of a name.
const LONGEST: usize = 200;

/// A channel on which versions are announced.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Channel(String);

impl Channel {
    /// Reads a name: 1 to 200 letters, digits, `-`, `_`, and `.` between them.
    ///
    /// # Errors
    /// `Invalid` when it is none.
    pub fn parse(name: &str) -> Result<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        // NATS has no subjects with an empty part.
        let whole = name.split('.').all(|part| !part.is_empty());
        if name.len() <= LONGEST && name.bytes().all(plain) && whole {
            return Ok(Self(name.to_owned()));
        }
        let shown: String = name.chars().take(LONGEST).collect();
        Err(Error::invalid(format!(
            "channel {shown:?}: expected 1 to {LONGEST} letters, digits, '-' or '_', with '.' between them"
        )))
    }

    /// The channel of a dataset, unless another one is agreed upon: `grotto.<dataset>`.
    ///
    /// # Errors
    /// `Invalid` for a dataset with a `.` at the end or two of them side by side, which needs another name.
    pub fn of(dataset: &str) -> Result<Self> {
        Self::parse(&format!("grotto.{dataset}"))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_both_servers_take_and_match_nothing_else() {
        for name in ["a", "grotto.cities", "A-1_b.c"] {
            assert_eq!(Channel::parse(name).unwrap().as_str(), name);
        }
        let long = "a".repeat(LONGEST + 1);
        for name in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a b",
            "a*",
            "grotto.>",
            "a\r\nPUB x",
            "ä",
            &long,
        ] {
            let error = Channel::parse(name).unwrap_err();
            assert!(error.message().contains("expected"), "{name}: {error}");
        }
        assert_eq!(Channel::of("cities").unwrap().as_str(), "grotto.cities");
        assert!(Channel::of("cities.").is_err());
    }
}
