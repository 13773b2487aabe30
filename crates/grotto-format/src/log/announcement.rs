//! "This version exists": the message that is pushed to consumers.
//!
//! Owns: its fields and limits. Never: IO, or what anybody makes of one: it is a hint to look, whoever sent it.
//! Spec: `docs/format/spec.md`, section "Announcements".

use serde::{Deserialize, Serialize};

use super::{FORMAT, LogError, MAX_PLAIN_NAME, MAX_VERSION, MAX_WORD, is_plain_name, sealed};

/// Largest announcement in bytes; whoever receives more ignores it unread.
pub const MAX_ANNOUNCEMENT_BYTES: usize = 1 << 10;

/// Says that a version was committed. Lost, repeated, out of order or forged, it changes nothing but when somebody looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Format number, [`super::FORMAT`].
    pub format: u32,
    /// The dataset's name.
    pub dataset: String,
    /// The dataset's identity: one that was created anew under the name is another.
    pub dataset_id: String,
    /// The version.
    pub version: u64,
}

impl Announcement {
    const WHAT: &'static str = "announcement";

    /// Says that a dataset has a version.
    pub fn new(dataset: impl Into<String>, dataset_id: impl Into<String>, version: u64) -> Self {
        Self {
            format: FORMAT,
            dataset: dataset.into(),
            dataset_id: dataset_id.into(),
            version,
        }
    }

    /// The bytes to send.
    ///
    /// # Errors
    /// When it says what [`decode`](Self::decode) would refuse.
    pub fn encode(&self) -> Result<Vec<u8>, LogError> {
        self.check()?;
        sealed::seal(Self::WHAT, self, MAX_ANNOUNCEMENT_BYTES)
    }

    /// Reads one from untrusted bytes.
    ///
    /// # Errors
    /// When the bytes are too many, torn or altered, or say what cannot be; the message names what.
    pub fn decode(bytes: &[u8]) -> Result<Self, LogError> {
        let read: Self = sealed::open(Self::WHAT, bytes, MAX_ANNOUNCEMENT_BYTES)?;
        read.check()?;
        Ok(read)
    }

    fn check(&self) -> Result<(), LogError> {
        let refuse = |field, reason| {
            let what = Self::WHAT;
            Err(LogError::Field {
                what,
                field,
                reason,
            })
        };
        if !is_plain_name(&self.dataset) {
            let reason = format!("expected a name of at most {MAX_PLAIN_NAME} plain characters");
            return refuse("dataset", reason);
        }
        if self.dataset_id.is_empty() || self.dataset_id.len() > MAX_WORD {
            let found = self.dataset_id.len();
            let reason = format!("expected 1 to {MAX_WORD} bytes, found {found}");
            return refuse("dataset_id", reason);
        }
        if !(1..=MAX_VERSION).contains(&self.version) {
            let reason = format!("expected 1 to {MAX_VERSION}, found {}", self.version);
            return refuse("version", reason);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_read_as_it_was_written() {
        let told = Announcement::new("cities", "a1b2", 42);
        assert_eq!(Announcement::decode(&told.encode().unwrap()).unwrap(), told);
        let longest = Announcement::new(
            "c".repeat(MAX_PLAIN_NAME),
            "\u{1}".repeat(MAX_WORD),
            MAX_VERSION,
        );
        assert!(longest.encode().is_ok());
    }

    #[test]
    fn what_is_no_announcement_is_refused() {
        let whole = Announcement::new("cities", "a1b2", 42).encode().unwrap();
        for end in 0..whole.len() {
            assert!(Announcement::decode(&whole[..end]).is_err(), "{end}");
        }
        for at in 0..whole.len() {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            assert!(Announcement::decode(&altered).is_err(), "{at}");
        }
        assert!(Announcement::decode(&vec![b' '; MAX_ANNOUNCEMENT_BYTES + 1]).is_err());
        for (dataset, id, version) in [
            ("", "a", 1),
            ("a/b", "a", 1),
            ("a", "", 1),
            ("a", "a", 0),
            ("a", "a", MAX_VERSION + 1),
        ] {
            let told = Announcement::new(dataset, id, version);
            assert!(told.encode().is_err(), "{told:?}");
            let sealed = sealed::seal("announcement", &told, MAX_ANNOUNCEMENT_BYTES).unwrap();
            assert!(Announcement::decode(&sealed).is_err(), "{told:?}");
        }
    }
}
