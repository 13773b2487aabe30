//! What is not as it should be.
//!
//! Owns: the list, and which errors belong into it. Never: ends a walk for something that is damaged.

use crate::failure::{Failure, Outcome};
use grotto::store::{Error, ErrorKind};

/// Something that is not as it should be.
pub(super) struct Fault {
    pub(super) kind: ErrorKind,
    pub(super) message: String,
}

/// All that was found so far.
#[derive(Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn corrupt(&mut self, message: String) {
        let kind = ErrorKind::Corrupt;
        self.0.push(Fault { kind, message });
    }

    pub(super) fn missing(&mut self, message: String) {
        let kind = ErrorKind::Missing;
        self.0.push(Fault { kind, message });
    }

    /// Takes note of damage; anything else ends the walk.
    pub(super) fn tolerate<T>(&mut self, outcome: Result<T, Error>) -> Outcome<Option<T>> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Missing) => {
                self.0.push(Fault {
                    kind: error.kind(),
                    message: error.message().to_owned(),
                });
                Ok(None)
            }
            Err(error) => Err(Failure::from(error)),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_list(self) -> Vec<Fault> {
        self.0
    }
}
