//! Calling what users of the producer wrote.
//!
//! Owns: telling errors and panics of theirs from those of this project. Never: keeps what was half done;
//! callers drop it.

use crate::{AnyError, Error, ErrorKind, Result};
use grotto_error::panic_text;
use grotto_state::StateError;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls it; a panic of it becomes an error that says whose it is.
pub(crate) fn guarded<T>(whose: &str, call: impl FnOnce() -> T) -> Result<T> {
    // Whatever a panic leaves half done in the cycle goes with it.
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| {
        let message = format!("{whose} panicked: {}", panic_text(&*panic));
        Error::new(ErrorKind::UserPanic, message)
    })
}

/// The error that a closure ended with: ours as it is, one of another type as the source of ours.
pub(crate) fn told(whose: &str, failed: AnyError) -> Error {
    let ours = failed.downcast::<Error>();
    let ours = ours.or_else(|other| other.downcast::<StateError>().map(Error::from));
    ours.unwrap_or_else(|other| {
        let error = Error::new(ErrorKind::UserError, format!("{whose} failed"));
        error.with_source(other.into_inner())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_says_whose_it_is_and_why() {
        let panics: [(fn(), &str); 3] = [
            (|| panic!("no row {}", 7), "no row 7"),
            (|| panic!("no rows"), "no rows"),
            (|| std::panic::panic_any(7), "without a message"),
        ];
        for (panics, expected) in panics {
            let error = guarded("validator drift", panics).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UserPanic);
            assert_eq!(
                error.message(),
                format!("validator drift panicked: {expected}")
            );
        }
        assert_eq!(guarded("it", || 7).unwrap(), 7);
    }
}
