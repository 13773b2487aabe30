//! `CURRENT`: the small text file that names the newest root.
//!
//! Owns: its text. Never: decides which root is the newest.
//!
//! ```text
//! grotto state 1
//! root 42
//! checksum 0123456789abcdef
//! ```

/// What `CURRENT` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Current {
    /// The root's position in the line of roots.
    pub(crate) seq: u64,
    /// XXH3-64 of the root file.
    pub(crate) checksum: u64,
}

/// Longest text in bytes.
pub(crate) const MAX_BYTES: u64 = 256;

impl Current {
    /// The text of the file.
    pub(crate) fn print(self) -> String {
        format!(
            "grotto state 1\nroot {}\nchecksum {:016x}\n",
            self.seq, self.checksum
        )
    }

    /// Reads the text of the file.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = String::from_utf8_lossy(bytes);
        let lines: Vec<&str> = text.lines().collect();
        let parsed = match lines.as_slice() {
            ["grotto state 1", root, checksum] => Self::from_lines(root, checksum),
            _ => None,
        };
        // A torn write could end in the middle of a number that is still a number.
        match parsed.filter(|current| current.print() == text) {
            Some(current) => Ok(current),
            None => {
                let shown: String = text.chars().take(80).collect();
                Err(format!(
                    "CURRENT: expected format, root and checksum, found {shown:?}"
                ))
            }
        }
    }

    fn from_lines(root: &str, checksum: &str) -> Option<Self> {
        let seq = root.strip_prefix("root ")?.parse().ok()?;
        let checksum = u64::from_str_radix(checksum.strip_prefix("checksum ")?, 16).ok()?;
        Some(Self { seq, checksum })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_back() {
        for (seq, checksum) in [(0, 0), (42, 0x0123_4567_89ab_cdef), (u64::MAX, u64::MAX)] {
            let current = Current { seq, checksum };
            assert_eq!(Current::parse(current.print().as_bytes()), Ok(current));
        }
    }

    #[test]
    fn torn_and_foreign_texts_are_refused() {
        let text = Current {
            seq: 42,
            checksum: 7,
        }
        .print();
        for end in 0..text.len() {
            assert!(
                Current::parse(&text.as_bytes()[..end]).is_err(),
                "first {end} bytes"
            );
        }
        for foreign in [
            "grotto state 2\nroot 1\nchecksum 0\n",
            "root 1\n",
            "\u{0}\u{0}\u{0}",
        ] {
            assert!(Current::parse(foreign.as_bytes()).is_err(), "{foreign:?}");
        }
    }
}
