//! The error of this crate: a kind that says what to do, a message that says what happened.
//!
//! Owns: how errors of the layers below become kinds.

use grotto_format::schema::SchemaError;
use grotto_state::StateError;
use grotto_store::ErrorKind;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of the producer.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error without a cause below.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// The request is wrong.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// The store, or who else uses it, lets nothing through.
    pub(crate) fn unavailable(message: String, source: grotto_store::Error) -> Self {
        let source = Some(source.into());
        let kind = ErrorKind::Unavailable;
        Self {
            kind,
            message,
            source,
        }
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What happened.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same error with its place in front of the message.
    #[must_use]
    pub(crate) fn at(mut self, place: &str) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }
}

impl From<grotto_store::Error> for Error {
    fn from(error: grotto_store::Error) -> Self {
        Self {
            kind: error.kind(),
            message: error.message().to_owned(),
            source: Some(Box::new(error)),
        }
    }
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        let kind = match &error {
            StateError::Blob(_)
            | StateError::Section { .. }
            | StateError::Mismatch { .. }
            | StateError::Checksum { .. }
            | StateError::Unsound { .. }
            | StateError::Damaged(_) => ErrorKind::Corrupt,
            StateError::Seal(_) => ErrorKind::Unavailable,
            StateError::Incompatible(_)
            | StateError::Flat { .. }
            | StateError::DuplicateKey { .. }
            | StateError::NullKey { .. }
            | StateError::Invalid(_)
            | StateError::Limit(_) => ErrorKind::Invalid,
        };
        Self {
            kind,
            message: error.to_string(),
            source: Some(Box::new(error)),
        }
    }
}

impl From<SchemaError> for Error {
    fn from(error: SchemaError) -> Self {
        Self {
            kind: ErrorKind::Invalid,
            message: error.to_string(),
            source: Some(Box::new(error)),
        }
    }
}
