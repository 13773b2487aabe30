//! One step of a plan.
//!
//! Owns: what a step needs, and what its blob must say of itself. Never: chooses steps.

use grotto_format::blob::{BlobHeader, BlobKind as HeaderKind};

use crate::source::Source;

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Load a whole state; what was held before does not matter.
    Snapshot {
        /// The version it holds.
        version: u64,
        /// The file.
        blob: Source,
    },
    /// Apply a delta.
    Delta {
        /// The version before.
        from: u64,
        /// The version after.
        to: u64,
        /// The file.
        blob: Source,
    },
    /// Apply a reverse delta.
    Reverse {
        /// The version before, the higher one.
        from: u64,
        /// The version after, the lower one.
        to: u64,
        /// The file.
        blob: Source,
    },
    /// Only the version moves: fences lie between, the state is the same.
    Skip {
        /// The version before.
        from: u64,
        /// The version after.
        to: u64,
    },
}

impl Step {
    /// The file to fetch, if the step needs one.
    pub fn blob(&self) -> Option<&Source> {
        match self {
            Self::Snapshot { blob, .. } | Self::Delta { blob, .. } | Self::Reverse { blob, .. } => {
                Some(blob)
            }
            Self::Skip { .. } => None,
        }
    }

    /// The log says which blob this is; the blob must say the same. What a link tells of is known by
    /// nothing else.
    ///
    /// # Errors
    /// Names what was expected and what was found.
    pub fn check_header(&self, dataset: &str, header: &BlobHeader) -> Result<(), String> {
        let (kind, from, to) = match self {
            Self::Snapshot { version, .. } => (HeaderKind::Snapshot, 0, *version),
            Self::Delta { from, to, .. } => (HeaderKind::Delta, *from, *to),
            Self::Reverse { from, to, .. } => (HeaderKind::Reverse, *from, *to),
            Self::Skip { .. } => return Ok(()),
        };
        if header.dataset != dataset {
            let shown: String = header.dataset.chars().take(100).collect();
            return Err(format!("expected dataset {dataset}, found {shown:?}"));
        }
        if (header.kind, header.from, header.to) == (kind, from, to) {
            return Ok(());
        }
        Err(format!(
            "expected a {} from version {from} to {to}, found a {} from version {} to {}",
            kind.name(),
            header.kind.name(),
            header.from,
            header.to
        ))
    }

    /// The version after the step.
    pub fn to(&self) -> u64 {
        match self {
            Self::Snapshot { version, .. } => *version,
            Self::Delta { to, .. } | Self::Reverse { to, .. } | Self::Skip { to, .. } => *to,
        }
    }
}
