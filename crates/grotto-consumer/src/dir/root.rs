//! Root files: everything of a version but the bytes of its segments.
//!
//! Owns: the bytes of a root file. Never: opens one.
//!
//! A root file is: eight magic bytes, the format number (`u32`, little endian), the body, and the
//! XXH3-64 of everything before it. It is private to hosts of one architecture and one release: a
//! root of another format is discarded and the state downloaded again.

use crate::dir::sums::Sums;
use bincode::config::{Configuration, Fixint, Limit, LittleEndian};
use grotto_env::FileMark;
use grotto_state::Parts;
use xxhash_rust::xxh3::xxh3_64;

/// First bytes of every root file.
const MAGIC: [u8; 8] = *b"GROTTO\x1aR";
/// Format number written into root files.
pub(crate) const FORMAT: u32 = 4;
/// Largest root file in bytes: refused before it is read. Tables take some ten bytes per block of
/// hundreds of records.
pub(crate) const MAX_BYTES: u64 = MAX as u64;
const MAX: usize = 512 << 20;
const HEAD: usize = MAGIC.len() + 4;
const TAIL: usize = 8;

/// Fixed-width integers: a table is mostly addresses that use all their bytes, and decoding is one
/// copy. The limit keeps a corrupt length from reserving memory.
const CODEC: Configuration<LittleEndian, Fixint, Limit<MAX>> = bincode::config::standard()
    .with_fixed_int_encoding()
    .with_limit::<MAX>();

/// What a root file holds.
#[derive(Clone, Debug, bincode::Encode, bincode::Decode)]
pub(crate) struct Root {
    /// Position in the line of roots of this directory.
    pub(crate) seq: u64,
    /// The boot of the host during which all bytes were known to be right; empty if unknown.
    pub(crate) boot_id: String,
    /// Dataset's name.
    pub(crate) dataset: String,
    /// Dataset's identity, chosen when its first log entry was created.
    pub(crate) dataset_id: String,
    /// The segment files in use.
    pub(crate) segments: Vec<SegmentFile>,
    /// The tables.
    pub(crate) parts: Parts,
}

/// A sealed segment file and how to know it is whole.
#[derive(Clone, Debug, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub(crate) struct SegmentFile {
    /// Number that names the file.
    pub(crate) name: u64,
    /// Bytes.
    pub(crate) length: u64,
    /// Checksums of all bytes.
    pub(crate) sums: Sums,
    /// The file that had these bytes when they were known to be right.
    pub(crate) identity: Identity,
}

/// What a file has in common with no other one of a file system, and with none that it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub(crate) struct Identity {
    /// Its number.
    pub(crate) number: u64,
    /// When its bytes were written last, in nanoseconds.
    pub(crate) written_ns: i128,
    /// When anything about it was changed last, in nanoseconds.
    pub(crate) changed_ns: i128,
}

impl From<FileMark> for Identity {
    fn from(mark: FileMark) -> Self {
        Self {
            number: mark.number,
            written_ns: mark.written_ns,
            changed_ns: mark.changed_ns,
        }
    }
}

impl SegmentFile {
    /// Whether another one has the same bytes under the same name. The name alone is not enough: a writer
    /// that lost everything starts to count anew.
    pub(crate) fn has_bytes_of(&self, other: &Self) -> bool {
        self.name == other.name && self.length == other.length && self.sums == other.sums
    }

    /// Whether this is the file that had the bytes when they were known to be right.
    pub(crate) fn is(&self, mark: FileMark) -> bool {
        self.length == mark.length && self.identity == mark.into()
    }
}

/// Why bytes are not a root file of this build.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RootError {
    #[error("not a root file: expected it to start with the magic bytes")]
    Magic,
    #[error("root file of format {found}, this build reads {FORMAT}")]
    Format { found: u32 },
    #[error("root file is altered: checksum expected {expected:016x}, found {found:016x}")]
    Altered { expected: u64, found: u64 },
    #[error("root file does not decode: {0}")]
    Decode(#[from] bincode::error::DecodeError),
    #[error("root file does not encode: {0}")]
    Encode(#[from] bincode::error::EncodeError),
    #[error("root file of {found} bytes exceeds the limit of {MAX_BYTES} bytes")]
    TooLarge { found: usize },
    #[error("root file: expected {expected} bytes of body, found {found}")]
    Surplus { expected: usize, found: usize },
}

impl Root {
    /// The bytes of the file.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, RootError> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend(bincode::encode_to_vec(self, CODEC)?);
        let sum = xxh3_64(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        if bytes.len() > MAX {
            return Err(RootError::TooLarge { found: bytes.len() });
        }
        Ok(bytes)
    }

    /// Reads a root from the bytes of a file; any altered byte is refused.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, RootError> {
        if bytes.len() < HEAD + TAIL || !bytes.starts_with(&MAGIC) {
            return Err(RootError::Magic);
        }
        if bytes.len() > MAX {
            return Err(RootError::TooLarge { found: bytes.len() });
        }
        let (sealed, tail) = bytes.split_at(bytes.len() - TAIL);
        let expected = tail.try_into().map_or(0, u64::from_le_bytes);
        let found = xxh3_64(sealed);
        if found != expected {
            return Err(RootError::Altered { expected, found });
        }
        let format = sealed[MAGIC.len()..HEAD]
            .try_into()
            .map_or(0, u32::from_le_bytes);
        if format != FORMAT {
            return Err(RootError::Format { found: format });
        }
        let body = &sealed[HEAD..];
        let (root, used): (Self, usize) = bincode::decode_from_slice(body, CODEC)?;
        if used != body.len() {
            return Err(RootError::Surplus {
                expected: used,
                found: body.len(),
            });
        }
        Ok(root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grotto_state::{HashSeed, State};

    fn root() -> Root {
        Root {
            seq: 7,
            boot_id: "b".to_owned(),
            dataset: "cities".to_owned(),
            dataset_id: "id".to_owned(),
            segments: vec![SegmentFile {
                name: 3,
                length: 64,
                sums: Sums::of(&[7; 64]),
                identity: Identity {
                    number: 9,
                    written_ns: 1,
                    changed_ns: -1,
                },
            }],
            parts: State::empty(HashSeed::new([0x0a, 0x0b])).to_parts(),
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn the_bytes_of_a_root_are_what_they_were() {
        let golden = [
            "47524f54544f1a5204000000",         // magic, format
            "0700000000000000",                 // seq
            "010000000000000062",               // boot
            "0600000000000000636974696573",     // dataset
            "02000000000000006964",             // identity
            "0100000000000000",                 // one segment
            "03000000000000004000000000000000", // name, length
            "0100000000000000f67cac2f213a0d68", // one checksum
            "0900000000000000",                 // number of the file
            "01000000000000000000000000000000", // written
            "ffffffffffffffffffffffffffffffff", // changed
            "0000000000000000",                 // version
            "0a000000000000000b00000000000000", // seed of hashes
            "0000000000000000",                 // schema
            "0000000000000000",                 // state checksum
            "0000000000000000",                 // slots
            "0000000000000000",                 // types
            "00",                               // all types are kept
            "00",                               // no segment is being emptied
        ];
        let bytes = root().encode().unwrap();
        let (body, sum) = bytes.split_at(bytes.len() - 8);
        assert_eq!(hex(body), golden.concat());
        assert_eq!(sum, xxh3_64(body).to_le_bytes());
    }

    #[test]
    fn every_altered_byte_and_every_truncation_is_refused() {
        let bytes = root().encode().unwrap();
        assert!(Root::decode(&bytes).is_ok());
        for at in 0..bytes.len() {
            let mut altered = bytes.clone();
            altered[at] ^= 0x20;
            assert!(Root::decode(&altered).is_err(), "byte {at}");
            assert!(Root::decode(&bytes[..at]).is_err(), "first {at} bytes");
        }
    }

    fn resealed(body: &[u8]) -> Vec<u8> {
        let mut bytes = body.to_vec();
        bytes.extend_from_slice(&xxh3_64(body).to_le_bytes());
        bytes
    }

    #[test]
    fn bytes_behind_the_root_are_refused() {
        let bytes = root().encode().unwrap();
        let mut body = bytes[..bytes.len() - TAIL].to_vec();
        body.push(0);
        assert!(matches!(
            Root::decode(&resealed(&body)),
            Err(RootError::Surplus { .. })
        ));
    }

    #[test]
    fn a_length_that_lies_is_an_error_and_reserves_nothing() {
        let bytes = root().encode().unwrap();
        for at in HEAD..bytes.len() - TAIL - 8 {
            let mut body = bytes[..bytes.len() - TAIL].to_vec();
            body[at..at + 8].fill(0xff);
            // Not every field is a length; none may panic or reserve what a length claims.
            let _ = Root::decode(&resealed(&body));
        }
    }

    #[test]
    fn a_root_of_another_format_says_so() {
        let bytes = root().encode().unwrap();
        let mut body = bytes[..bytes.len() - TAIL].to_vec();
        body[8] = 9;
        assert!(matches!(
            Root::decode(&resealed(&body)),
            Err(RootError::Format { found: 9 })
        ));
    }
}
