//! Sealing of small JSON documents: a checksum as the last member, over every byte before it.
//!
//! Owns: the seal and the format number check. Never knows a document's fields.
//! Spec: `docs/format/spec.md`, section "Commit log".

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{FORMAT, LogError};

/// What stands between the last field and the sixteen digits.
const SEAL: &[u8] = b",\"checksum\":\"";
/// What stands after the digits.
const END: &[u8] = b"\"}";
/// Length of the whole seal with its digits.
const SEAL_BYTES: usize = SEAL.len() + 16 + END.len();

/// The document as JSON with its seal.
pub(super) fn seal<T: Serialize>(
    what: &'static str,
    document: &T,
    limit: usize,
) -> Result<Vec<u8>, LogError> {
    let mut bytes =
        serde_json::to_vec(document).map_err(|source| LogError::Json { what, source })?;
    bytes.pop(); // the closing brace, which follows the seal instead
    let digits = digits_over(&bytes);
    bytes.extend_from_slice(SEAL);
    bytes.extend_from_slice(digits.as_bytes());
    bytes.extend_from_slice(END);
    if bytes.len() > limit {
        return Err(LogError::TooLarge {
            what,
            found: bytes.len(),
            limit,
        });
    }
    Ok(bytes)
}

/// Reads a sealed document: length, seal, format number, then fields.
pub(super) fn open<T: DeserializeOwned>(
    what: &'static str,
    bytes: &[u8],
    limit: usize,
) -> Result<T, LogError> {
    if bytes.len() > limit {
        return Err(LogError::TooLarge {
            what,
            found: bytes.len(),
            limit,
        });
    }
    check_seal(what, bytes)?;
    let json = |source| LogError::Json { what, source };
    let head: Head = serde_json::from_slice(bytes).map_err(json)?;
    if head.format == 0 || head.format > FORMAT {
        return Err(LogError::Format {
            what,
            found: head.format,
            supported: FORMAT,
        });
    }
    serde_json::from_slice(bytes).map_err(json)
}

/// The fields that every format has. The seal was read before; that it is a field too refuses a second one.
#[derive(Deserialize)]
struct Head {
    format: u32,
    #[serde(rename = "checksum")]
    _checksum: IgnoredAny,
}

fn check_seal(what: &'static str, bytes: &[u8]) -> Result<(), LogError> {
    let split = bytes
        .len()
        .checked_sub(SEAL_BYTES)
        .ok_or(LogError::NoChecksum { what })?;
    let (body, seal) = bytes.split_at(split);
    let stated = seal
        .strip_prefix(SEAL)
        .and_then(|rest| rest.strip_suffix(END))
        .ok_or(LogError::NoChecksum { what })?;
    let found = digits_over(body);
    // Compared as text, not as numbers: an upper-case digit is an altered byte too.
    if stated == found.as_bytes() {
        return Ok(());
    }
    Err(LogError::Altered {
        what,
        expected: String::from_utf8_lossy(stated).into_owned(),
        found,
    })
}

/// The checksum of a document whose bytes before the seal are `body`, as sixteen digits.
fn digits_over(body: &[u8]) -> String {
    let mut unsealed = Vec::with_capacity(body.len() + SEAL.len() + END.len());
    unsealed.extend_from_slice(body);
    unsealed.extend_from_slice(SEAL);
    unsealed.extend_from_slice(END);
    format!("{:016x}", xxh3_64(&unsealed))
}

/// A number of so many lowercase hexadecimal digits. Upper case would be another text for the same
/// value, and two texts of one document.
pub(super) fn hex<'de, D: Deserializer<'de>>(
    deserializer: D,
    digits: usize,
) -> Result<u64, D::Error> {
    let text = String::deserialize(deserializer)?;
    let plain =
        text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !plain {
        let shown: String = text.chars().take(32).collect();
        return Err(D::Error::custom(format!(
            "expected {digits} lowercase hexadecimal digits, found {shown:?}"
        )));
    }
    u64::from_str_radix(&text, 16).map_err(D::Error::custom)
}

/// A 64-bit number as sixteen lowercase hexadecimal digits: JSON readers in other languages lose
/// bits of large plain numbers.
pub(super) mod hex_u64 {
    use serde::{Deserializer, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        value: &u64,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{value:016x}"))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<u64, D::Error> {
        super::hex(deserializer, 16)
    }
}

/// An object whose members are names of the user's. One that comes twice is refused: readers would
/// not agree which of the two counts.
pub(super) fn unique<'de, D, T>(deserializer: D) -> Result<BTreeMap<String, T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Unique<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Unique<T> {
        type Value = BTreeMap<String, T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((name, value)) = members.next_entry::<String, T>()? {
                let shown: String = name.chars().take(100).collect();
                if map.insert(name, value).is_some() {
                    return Err(A::Error::custom(format!("duplicate member {shown:?}")));
                }
            }
            Ok(map)
        }
    }

    deserializer.deserialize_map(Unique(PhantomData))
}
