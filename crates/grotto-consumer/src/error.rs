//! How errors of a state become errors of this project, where a blob or a root was to become one.
//!
//! Owns: their kinds. Never: decides what to do about one.

pub use grotto_error::{Error, ErrorKind, Result};
use grotto_state::StateError;

/// A blob or a root that does not become a state: whatever it says, it is what is wrong.
pub(crate) fn no_state(what: &str, source: StateError) -> Error {
    let stands = matches!(source, StateError::Seal(_) | StateError::Limit(_));
    let error = Error::from(source).at(what);
    if stands {
        error
    } else {
        error.of_kind(ErrorKind::Corrupt)
    }
}
