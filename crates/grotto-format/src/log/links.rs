//! Links: the last steps of the state, packed so small that every entry can repeat dozens of them.
//!
//! Owns: their bytes. Never: decides where a step leads; what a link does not say, the name, follows
//! from what it says. Spec: `docs/format/spec.md`, section "Commit log".
//!
//! **Invariant**: links are a chain. Each begins in the state that the one before led to, so a link
//! says only how many versions without a new state lie between.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{BlobKind, Fault, MAX_LINKS, StepNonce};
use crate::wire::{Reader, WireError, put_varint};

/// One past step of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// The oldest version with the same state as `from`; lower than `from` if versions without a new
    /// state lie between.
    pub since: u64,
    /// The version before the step; the step leads to the one after.
    pub from: u64,
    /// Epoch of the entry that made the step.
    pub epoch: u64,
    /// The nonce of its blobs' names; of no meaning where they are inline.
    pub nonce: StepNonce,
    /// Bytes of the delta.
    pub delta_bytes: u64,
    /// Bytes of the reverse delta, where there is one.
    pub reverse_bytes: Option<u64>,
    /// Whether the blobs are in the entry of the step and nowhere else.
    pub inline: bool,
}

impl Link {
    /// The version after the step.
    pub fn version(&self) -> u64 {
        self.from.saturating_add(1)
    }

    /// The name of a blob of the step that is a file of its own.
    pub fn name(&self, kind: BlobKind) -> String {
        self.nonce.name(kind, self.version(), self.epoch)
    }
}

/// The last steps of the state, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links(pub Vec<Link>);

/// The link has a reverse delta.
const REVERSE: u8 = 1;
/// The blobs are in the entry of the step; there is no nonce.
const INLINE: u8 = 2;
/// The number of versions between the steps follows; otherwise there is none.
const GAP: u8 = 4;
/// By how much the epoch is above that of the link before follows; otherwise it is the same.
const RISE: u8 = 8;

impl Links {
    pub(super) fn check(&self, state_version: u64, epoch: u64) -> Result<(), Fault> {
        let refused = |reason: String| Err(("links", reason));
        if self.0.len() > MAX_LINKS {
            return refused(format!("{} exceed {MAX_LINKS}", self.0.len()));
        }
        for pair in self.0.windows(2) {
            let [before, link] = pair else { continue };
            if link.since != before.version() || link.epoch < before.epoch {
                let (found, expected) = (link.since, before.version());
                return refused(format!(
                    "the step from {found} does not follow that to {expected}"
                ));
            }
        }
        for link in &self.0 {
            if link.since > link.from || link.from == u64::MAX {
                let (since, from) = (link.since, link.from);
                return refused(format!("versions {since} to {from} are out of order"));
            }
        }
        let Some(last) = self.0.last() else {
            return Ok(());
        };
        if last.version() != state_version || last.epoch > epoch {
            return refused(format!(
                "the last one leads to version {} of epoch {}, the state is of version {state_version}",
                last.version(),
                last.epoch
            ));
        }
        Ok(())
    }

    fn pack(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let Some(first) = self.0.first() else {
            return out;
        };
        put_varint(&mut out, first.since);
        put_varint(&mut out, first.epoch);
        let mut epoch = first.epoch;
        for link in &self.0 {
            link.put(epoch, &mut out);
            epoch = link.epoch;
        }
        out
    }

    fn unpack(bytes: &[u8]) -> Result<Self, WireError> {
        let mut links = Self::default();
        if bytes.is_empty() {
            return Ok(links);
        }
        let mut reader = Reader::new(bytes);
        let mut since = reader.varint("first version of the links")?;
        let mut epoch = reader.varint("first epoch of the links")?;
        while reader.end("end of the links").is_err() {
            if links.0.len() == MAX_LINKS {
                return reader.fail("at most MAX_LINKS links");
            }
            let link = Link::read(&mut reader, since, epoch)?;
            (since, epoch) = (link.version(), link.epoch);
            links.0.push(link);
        }
        Ok(links)
    }
}

impl Link {
    fn put(&self, epoch: u64, out: &mut Vec<u8>) {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let gap = self.from.saturating_sub(self.since);
        let rise = self.epoch.saturating_sub(epoch);
        out.push(
            flag(self.reverse_bytes.is_some(), REVERSE)
                | flag(self.inline, INLINE)
                | flag(gap > 0, GAP)
                | flag(rise > 0, RISE),
        );
        if gap > 0 {
            put_varint(out, gap);
        }
        if rise > 0 {
            put_varint(out, rise);
        }
        if !self.inline {
            out.extend_from_slice(&self.nonce.0.to_le_bytes());
        }
        put_varint(out, self.delta_bytes);
        if let Some(length) = self.reverse_bytes {
            put_varint(out, length);
        }
    }

    fn read(reader: &mut Reader<'_>, since: u64, epoch: u64) -> Result<Self, WireError> {
        let flags = reader.u8("flags of a link")?;
        if flags > REVERSE | INLINE | GAP | RISE {
            return reader.fail("known flags of a link");
        }
        let from = increased(since, flags & GAP, reader, "versions before a link")?;
        let epoch = increased(epoch, flags & RISE, reader, "rise of the epoch")?;
        let inline = flags & INLINE != 0;
        let nonce = match inline {
            true => StepNonce::default(),
            false => {
                let mut word = [0; 4];
                word.copy_from_slice(reader.take(4, "nonce of a link")?);
                StepNonce(u32::from_le_bytes(word))
            }
        };
        let delta_bytes = reader.varint("bytes of a delta")?;
        let reverse_bytes = match flags & REVERSE {
            0 => None,
            _ => Some(reader.varint("bytes of a reverse delta")?),
        };
        Ok(Self {
            since,
            from,
            epoch,
            nonce,
            delta_bytes,
            reverse_bytes,
            inline,
        })
    }
}

/// `base` and, if there is a flag, the number that follows.
fn increased(
    base: u64,
    flag: u8,
    reader: &mut Reader<'_>,
    expected: &'static str,
) -> Result<u64, WireError> {
    if flag == 0 {
        return Ok(base);
    }
    let more = reader.varint(expected)?;
    match base.checked_add(more) {
        Some(sum) if sum < u64::MAX => Ok(sum),
        _ => reader.fail(expected),
    }
}

impl Serialize for Links {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.pack()))
    }
}

impl<'de> Deserialize<'de> for Links {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        Self::unpack(&bytes).map_err(D::Error::custom)
    }
}
