//! The one error of this crate: a kind that says what to do, a message that says what happened.
//!
//! Owns: kinds, and how errors of the object store become kinds. Never: turns "not found" into an
//! error by itself; callers that may rightly find nothing get an `Option`.

use std::error::Error as StdError;
use std::fmt;

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The store did not answer in time or at all: try again later.
    Unavailable,
    /// Bytes are not those that were written: fetch again, then report.
    Corrupt,
    /// Another writer took over: stop for good.
    Fenced,
    /// A named blob is gone: plan again without it.
    Missing,
    /// Nothing was ever published under this name: check the name, or publish.
    NoDataset,
    /// The request or the configuration is wrong: fix it.
    Invalid,
    /// The store asks for less: slow down.
    Overloaded,
    /// A bug in this project: report it.
    Internal,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "unavailable",
            Self::Corrupt => "corrupt",
            Self::Fenced => "fenced",
            Self::Missing => "missing",
            Self::NoDataset => "no dataset",
            Self::Invalid => "invalid",
            Self::Overloaded => "overloaded",
            Self::Internal => "internal",
        })
    }
}

/// An error of the store layer.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    #[source]
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// A result of the store layer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error that has no deeper cause.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What happened, without the causes below.
    pub fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    pub(crate) fn fenced(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Fenced, message)
    }

    pub(crate) fn missing(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Missing, message)
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// An error of the object store while doing `action` to the object at `path`.
    pub(crate) fn from_store(action: &str, path: &str, source: object_store::Error) -> Self {
        use object_store::Error as E;
        let (kind, reason) = match &source {
            E::NotFound { .. } => (ErrorKind::Missing, "it does not exist"),
            E::InvalidPath { .. } | E::UnknownConfigurationKey { .. } => {
                (ErrorKind::Invalid, "the path or configuration is not valid")
            }
            E::NotSupported { .. } | E::NotImplemented { .. } => {
                (ErrorKind::Invalid, "the store does not support this")
            }
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => {
                (ErrorKind::Invalid, "the store denied permission")
            }
            // Both answer a condition, and every conditional request handles them itself.
            E::AlreadyExists { .. } | E::Precondition { .. } | E::NotModified { .. } => {
                (ErrorKind::Internal, "a condition failed that nobody set")
            }
            // Local folders come without kinds of their own.
            other if is_denied(other) => (ErrorKind::Invalid, "permission denied"),
            _ => (ErrorKind::Unavailable, "the store failed"),
        };
        Self::new(kind, format!("cannot {action} {path}: {reason}")).with_source(source)
    }
}

/// Whether the host refused, which trying again does not change.
fn is_denied(error: &(dyn StdError + 'static)) -> bool {
    use std::io::ErrorKind as K;
    std::iter::successors(Some(error), |error: &&(dyn StdError + 'static)| {
        (*error).source()
    })
    .filter_map(|error| error.downcast_ref::<std::io::Error>())
    .any(|cause| matches!(cause.kind(), K::PermissionDenied | K::ReadOnlyFilesystem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(kind: std::io::ErrorKind) -> Error {
        let source = Box::new(std::io::Error::from(kind));
        let cause = object_store::Error::Generic {
            store: "LocalFileSystem",
            source,
        };
        Error::from_store("create", "x", cause)
    }

    #[test]
    fn a_folder_without_permission_is_no_store_that_will_answer_later() {
        let error = generic(std::io::ErrorKind::PermissionDenied);
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.message(), "cannot create x: permission denied");
        let other = generic(std::io::ErrorKind::TimedOut);
        assert_eq!(other.kind(), ErrorKind::Unavailable);
    }
}
