//! Where a blob is, and what is known of it before it is fetched.
//!
//! Owns: what the log says of the blobs of a step, wherever it says so. Never: IO.

use bytes::Bytes;
use grotto_format::log::{BlobKind, BlobRef, Link, LogEntry, StepNonce};

/// Bytes of a log entry beside its blobs, as a rule.
const REST_OF_ENTRY: u64 = 4 << 10;

/// A blob that a step needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    name: String,
    length: u64,
    checksum: Option<u64>,
    place: Place,
}

/// Where the bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A file of its own.
    File,
    /// The log entry of a version, whose bytes are not here.
    Entry {
        version: u64,
        kind: BlobKind,
        /// Bytes of the blobs in that entry together.
        both: u64,
    },
    /// A log entry that was read.
    Here(Bytes),
}

impl Source {
    /// Its path under the dataset's prefix. A blob that rides in a log entry has that of the entry, and
    /// behind a `#` what it is: no object has such a name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The checksum of the whole file. Unknown of one that only a link tells of, which is known by its
    /// own footer and header, and of one inside an entry, which the entry's checksum covers.
    pub fn checksum(&self) -> Option<u64> {
        self.checksum
    }

    /// Whether it rides in a log entry.
    pub fn is_inline(&self) -> bool {
        !matches!(self.place, Place::File)
    }

    /// Whether it is yet to be asked for: the bytes of one in an entry that was read are there.
    pub(crate) fn needs_request(&self) -> bool {
        !matches!(self.place, Place::Here(_))
    }

    /// Bytes in memory while it is fetched: of one that rides in an entry all of that, as text and as what
    /// the text holds.
    pub(crate) fn in_flight(&self) -> u64 {
        match self.place {
            Place::File | Place::Here(_) => self.length,
            Place::Entry { both, .. } => {
                let text = both.div_ceil(3).saturating_mul(4);
                text.saturating_add(both).saturating_add(REST_OF_ENTRY)
            }
        }
    }

    /// Its bytes that are in memory.
    pub(crate) fn held(&self) -> u64 {
        match &self.place {
            Place::Here(bytes) => bytes.len() as u64,
            Place::File | Place::Entry { .. } => 0,
        }
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// A blob of the commit that an entry tells of.
    pub fn of(entry: &LogEntry, kind: BlobKind) -> Option<Self> {
        let inline = |bytes: &Bytes| Self {
            name: inline_name(entry.version, kind),
            length: bytes.len() as u64,
            checksum: None,
            place: Place::Here(bytes.clone()),
        };
        let file = || entry.blob(kind).as_ref().map(Self::from);
        entry.inline(kind).map(inline).or_else(file)
    }

    /// The same, without a byte of it.
    pub(crate) fn named_by(entry: &LogEntry, kind: BlobKind) -> Option<Self> {
        let mut source = Self::of(entry, kind)?;
        if let (Place::Here(_), Some(blobs)) = (&source.place, &entry.blobs) {
            source.place = Place::Entry {
                version: entry.version,
                kind,
                both: blobs.delta_bytes() + blobs.reverse_bytes().unwrap_or(0),
            };
        }
        Some(source)
    }

    /// A blob of the step that a link tells of.
    pub fn linked(link: &Link, kind: BlobKind) -> Option<Self> {
        let length = match kind {
            BlobKind::Delta => Some(link.delta_bytes),
            BlobKind::Reverse => link.reverse_bytes,
            BlobKind::Snapshot => None,
        };
        let version = link.version();
        let (name, place) = if link.inline {
            let both = link
                .delta_bytes
                .saturating_add(link.reverse_bytes.unwrap_or(0));
            let place = Place::Entry {
                version,
                kind,
                both,
            };
            (inline_name(version, kind), place)
        } else {
            (link.name(kind), Place::File)
        };
        length.map(|length| Self {
            name,
            length,
            checksum: None,
            place,
        })
    }
}

impl From<&BlobRef> for Source {
    fn from(blob: &BlobRef) -> Self {
        Self {
            name: blob.name.clone(),
            length: blob.length,
            checksum: Some(blob.checksum),
            place: Place::File,
        }
    }
}

/// The nonce of a step whose blobs are uploaded next.
pub(crate) fn fresh_nonce(random: &dyn grotto_env::Random) -> StepNonce {
    // The upper half: the better bits of a weak generator.
    StepNonce((random.next_u64() >> 32) as u32)
}

fn inline_name(version: u64, kind: BlobKind) -> String {
    format!("log/{version:020}.json#{}", kind.folder())
}
