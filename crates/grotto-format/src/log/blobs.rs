//! The blobs that a log entry tells of: by name, length and checksum, or as they are.
//!
//! Owns: their fields, and the names that follow from version, epoch and nonce. Never: IO, or what is
//! in a blob. Spec: `docs/format/spec.md`, section "Commit log".

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::sealed;

/// What a blob is, which is also the folder it lives in and the ending of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlobKind {
    /// From one version to the next.
    Delta,
    /// From one version to the one before.
    Reverse,
    /// A whole state.
    Snapshot,
}

impl BlobKind {
    /// The folder under the dataset's prefix, and the ending of the name.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Delta => "delta",
            Self::Reverse => "reverse",
            Self::Snapshot => "snapshot",
        }
    }

    /// The name of a blob of this kind. Nobody else picks the same one as long as the nonce is
    /// fresh; the version leads so that listings sort by it.
    pub fn blob_name(self, version: u64, epoch: u64, nonce: &str) -> String {
        let folder = self.folder();
        format!("{folder}/{version:020}-{epoch}-{nonce}.{folder}")
    }
}

/// A published file: where it is and how to know it is whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlobRef {
    /// Path under the dataset's prefix.
    pub name: String,
    /// Length of the file in bytes.
    pub length: u64,
    /// XXH3-64 of the whole file.
    #[serde(with = "sealed::hex_u64")]
    pub checksum: u64,
}

/// The nonce in the names of a delta and its reverse delta. Short, as later entries repeat it: it only
/// keeps apart the attempts of one version and epoch, and blobs are created, never written over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct StepNonce(pub u32);

impl StepNonce {
    /// The name of a blob whose version, epoch and nonce are known.
    pub fn name(self, kind: BlobKind, version: u64, epoch: u64) -> String {
        kind.blob_name(version, epoch, &format!("{:08x}", self.0))
    }
}

/// A file whose name follows from the entry: kind, version, epoch and nonce.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Length of the file in bytes.
    pub length: u64,
    /// XXH3-64 of the whole file.
    #[serde(with = "sealed::hex_u64")]
    pub checksum: u64,
}

/// The blobs of a commit: the way from the version before, and the way back where there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryBlobs {
    /// Files of their own.
    Stored(StoredBlobs),
    /// Small enough to ride in the entry.
    Inline(InlineBlobs),
}

/// Blobs in files of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredBlobs {
    /// What sets their names apart.
    pub nonce: StepNonce,
    /// The way forward.
    pub delta: Stored,
    /// The way back.
    pub reverse: Option<Stored>,
}

/// Blobs that the entry holds itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InlineBlobs {
    /// The way forward.
    #[serde(with = "base64_bytes")]
    pub delta: Bytes,
    /// The way back.
    #[serde(default, with = "base64_option")]
    pub reverse: Option<Bytes>,
}

impl EntryBlobs {
    /// Bytes of the delta.
    pub fn delta_bytes(&self) -> u64 {
        match self {
            Self::Stored(blobs) => blobs.delta.length,
            Self::Inline(blobs) => blobs.delta.len() as u64,
        }
    }

    /// Bytes of the reverse delta.
    pub fn reverse_bytes(&self) -> Option<u64> {
        match self {
            Self::Stored(blobs) => blobs.reverse.map(|blob| blob.length),
            Self::Inline(blobs) => blobs.reverse.as_ref().map(|bytes| bytes.len() as u64),
        }
    }

    /// Whether the entry holds them.
    pub fn is_inline(&self) -> bool {
        matches!(self, Self::Inline(_))
    }

    /// The nonce of their names; of no meaning where they are inline.
    pub fn nonce(&self) -> StepNonce {
        match self {
            Self::Stored(blobs) => blobs.nonce,
            Self::Inline(_) => StepNonce::default(),
        }
    }
}

/// A snapshot that exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotRef {
    /// The version whose state it holds.
    pub version: u64,
    /// The file.
    pub blob: BlobRef,
}

impl Serialize for StepNonce {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{:08x}", self.0))
    }
}

impl<'de> Deserialize<'de> for StepNonce {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = sealed::hex::<D>(deserializer, 8)?;
        u32::try_from(value).map(Self).map_err(D::Error::custom)
    }
}

mod base64_bytes {
    use super::{Bytes, Deserialize, Deserializer, Engine, STANDARD, Serializer};
    use serde::de::Error as _;

    pub(super) fn serialize<S: Serializer>(bytes: &Bytes, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        Ok(Bytes::from(bytes))
    }
}

mod base64_option {
    use super::{Bytes, Deserialize, Deserializer, Engine, STANDARD, Serialize, Serializer};
    use serde::de::Error as _;

    pub(super) fn serialize<S: Serializer>(
        bytes: &Option<Bytes>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let text = bytes.as_ref().map(|bytes| STANDARD.encode(bytes));
        text.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Bytes>, D::Error> {
        let Some(text) = Option::<String>::deserialize(from)? else {
            return Ok(None);
        };
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        Ok(Some(Bytes::from(bytes)))
    }
}
