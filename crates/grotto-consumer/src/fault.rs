//! Steps of a refresh that failed.
//!
//! Owns: what is known about why. Never: decides how to go on.

use crate::error::{Error, ErrorKind};
use grotto_store::plan::Step;

/// A step that failed.
pub(crate) struct Fault {
    pub(crate) error: Error,
    /// The blob to do without.
    pub(crate) blob: Option<String>,
    /// The blob is what the log names, but does not fit what it was applied to.
    pub(crate) misfit: bool,
}

impl Fault {
    pub(crate) fn new(error: Error, step: &Step) -> Self {
        let worth = matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Missing);
        let blob = step.blob().filter(|_| worth).map(|blob| blob.name.clone());
        Self {
            error,
            blob,
            misfit: false,
        }
    }

    /// The bytes of the blob were right, but applying them failed.
    pub(crate) fn misfit(error: Error, step: &Step) -> Self {
        let misfit = error.kind() == ErrorKind::Corrupt;
        Self {
            misfit,
            ..Self::new(error, step)
        }
    }
}
