//! Checksums of a sealed file, one for each part of it.
//!
//! Owns: which bytes a checksum is of, and saying which are not what they were. Never: reads a file.

use std::fmt;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// Bytes of one checksum: what is checked in one go, and what damage is narrowed down to.
pub(crate) const CHUNK: usize = 256 << 10;

/// XXH3-64 of every [`CHUNK`] bytes of a file, and of the rest.
#[derive(Clone, Debug, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub(crate) struct Sums(Arc<[u64]>);

/// Bytes that are not what they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    /// The first of them.
    pub(crate) from: u64,
    /// The first after them.
    pub(crate) to: u64,
    pub(crate) expected: u64,
    pub(crate) found: u64,
}

impl Sums {
    /// The checksums of a file with these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(bytes.chunks(CHUNK).map(xxh3_64).collect())
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether they can be those of a file of so many bytes.
    pub(crate) fn fit(&self, length: u64) -> bool {
        length.div_ceil(CHUNK as u64) == self.count() as u64
    }

    /// Compares one part of a file. One that the file does not have is right.
    pub(crate) fn check_at(&self, bytes: &[u8], at: usize) -> Result<(), Damage> {
        let (Some(expected), Some(part)) = (self.0.get(at), bytes.chunks(CHUNK).nth(at)) else {
            return Ok(());
        };
        let (expected, found) = (*expected, xxh3_64(part));
        if found == expected {
            return Ok(());
        }
        let from = (at * CHUNK) as u64;
        Err(Damage {
            from,
            to: from + part.len() as u64,
            expected,
            found,
        })
    }

    /// Compares a whole file.
    pub(crate) fn check(&self, bytes: &[u8]) -> Result<(), Damage> {
        (0..self.count()).try_for_each(|at| self.check_at(bytes, at))
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "bytes {} to {}: checksum expected {:016x}, found {:016x}",
            self.from, self.to, self.expected, self.found
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_that_was_altered_is_named() {
        let bytes: Vec<u8> = (0..2 * CHUNK + 100).map(|i| (i % 251) as u8).collect();
        let sums = Sums::of(&bytes);
        assert_eq!((sums.count(), sums.check(&bytes)), (3, Ok(())));
        let ends = [CHUNK, 2 * CHUNK, bytes.len()];
        for (at, byte) in [(0, 0), (0, CHUNK - 1), (1, CHUNK), (2, bytes.len() - 1)] {
            let mut altered = bytes.clone();
            altered[byte] ^= 1;
            let damage = sums.check(&altered).unwrap_err();
            let expected = ((at * CHUNK) as u64, ends[at] as u64);
            assert_eq!((damage.from, damage.to), expected);
            assert!(
                damage
                    .to_string()
                    .starts_with(&format!("bytes {} to {}: ", expected.0, expected.1))
            );
            assert_eq!(sums.check_at(&altered, at), Err(damage));
        }
    }

    #[test]
    fn a_file_of_another_length_does_not_fit() {
        let sums = Sums::of(&[7; CHUNK + 1]);
        for (length, fits) in [
            (CHUNK, false),
            (CHUNK + 1, true),
            (2 * CHUNK, true),
            (2 * CHUNK + 1, false),
        ] {
            assert_eq!(sums.fit(length as u64), fits, "{length}");
        }
        assert!(Sums::of(&[]).fit(0));
    }
}
