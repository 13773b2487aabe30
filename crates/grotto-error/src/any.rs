//! Whatever the closure of a caller ended with.
//!
//! Owns: taking in any error by `?`. Never: says what to do about it; whoever called the closure does.

use std::error::Error as StdError;
use std::fmt;

/// An error of any type, as closures of callers end with it: the `?` operator makes it from every error there
/// is, and from text.
///
/// ```
/// use grotto_error::AnyError;
///
/// fn fill(text: &str) -> Result<i64, AnyError> {
///     let number: i64 = text.parse()?;
///     if number < 0 {
///         return Err("expected a number from 0 on".into());
///     }
///     Ok(number)
/// }
/// assert_eq!(fill("x").unwrap_err().to_string(), "invalid digit found in string");
/// ```
///
/// As it takes in every error, it is none itself: use [`into_inner`](Self::into_inner).
pub struct AnyError(Box<dyn StdError + Send + Sync>);

impl AnyError {
    /// The error itself, if it is of this type.
    ///
    /// # Errors
    /// It unchanged, if it is of another type.
    pub fn downcast<E: StdError + 'static>(self) -> Result<E, Self> {
        self.0.downcast().map(|error| *error).map_err(Self)
    }

    /// The error itself.
    #[must_use]
    pub fn into_inner(self) -> Box<dyn StdError + Send + Sync> {
        self.0
    }
}

impl<E: Into<Box<dyn StdError + Send + Sync>>> From<E> for AnyError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Debug for AnyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for AnyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, ErrorKind};

    #[test]
    fn an_error_comes_back_as_what_it_was() {
        let failed = || -> Result<(), AnyError> { Err(Error::corrupt("a blob is torn"))? };
        let other = failed().unwrap_err().downcast::<fmt::Error>().unwrap_err();
        let error: Error = other.downcast().unwrap();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn text_is_an_error_too() {
        let error = AnyError::from("no row 7");
        assert_eq!(error.to_string(), "no row 7");
        assert_eq!(format!("{error:?}"), "\"no row 7\"");
        assert_eq!(error.into_inner().to_string(), "no row 7");
    }
}
