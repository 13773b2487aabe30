//! The one error of this crate: a kind that says what to do, a message that says what happened.
//!
//! Owns: kinds, and how errors of the object store become kinds. Never: turns "not found" into an
//! error by itself; callers that may rightly find nothing get an `Option`.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::Path;

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

impl ErrorKind {
    /// Whether the store could not be asked, now: nothing is known then of what is in it.
    #[must_use]
    pub fn is_outage(self) -> bool {
        matches!(self, Self::Unavailable | Self::Overloaded)
    }
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

    /// An error of the object store while doing `action` to the object at `path`. `root` is the folder that
    /// the store is, if it is one.
    pub(crate) fn from_store(
        action: &str,
        path: &str,
        root: Option<&Path>,
        source: object_store::Error,
    ) -> Self {
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
            other => match Refusal::of(other) {
                Some(Refusal::Denied) => (ErrorKind::Invalid, "permission denied"),
                Some(Refusal::ReadOnly) => (ErrorKind::Invalid, READ_ONLY),
                Some(Refusal::Throttled) => (ErrorKind::Overloaded, "the store asks for less"),
                None => (ErrorKind::Unavailable, "the store failed"),
            },
        };
        let reason = in_place(reason, root);
        Self::new(kind, format!("cannot {action} {path}: {reason}")).with_source(source)
    }

    /// The host refused to do `action` to the folder of a store.
    pub(crate) fn from_host(action: &str, folder: &Path, source: io::Error) -> Self {
        let mut message = format!("cannot {action} {}", folder.display());
        if source.kind() == io::ErrorKind::ReadOnlyFilesystem {
            message = format!("{message}: {}", in_place(READ_ONLY, Some(folder)));
        }
        Self::invalid(message).with_source(source)
    }
}

const READ_ONLY: &str = "the file system is read-only";

/// A reason that says which file system it is about.
fn in_place(reason: &str, root: Option<&Path>) -> String {
    match root.filter(|_| reason == READ_ONLY) {
        Some(root) => format!("the file system at {} is read-only", root.display()),
        None => reason.to_owned(),
    }
}

/// What a backend refuses without a kind of its own for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// By the host, for want of a permission.
    Denied,
    /// By the host: nothing can be written there.
    ReadOnly,
    /// By a server that has too much to do: 429, or 503, which S3 calls SlowDown.
    Throttled,
}

impl Refusal {
    /// The first refusal among an error and its causes.
    fn of(error: &(dyn StdError + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(refusal) = Self::of_one(error) {
                return Some(refusal);
            }
            next = error.source();
        }
        None
    }

    fn of_one(error: &(dyn StdError + 'static)) -> Option<Self> {
        match error.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(io::ErrorKind::PermissionDenied) => Some(Self::Denied),
            Some(io::ErrorKind::ReadOnlyFilesystem) => Some(Self::ReadOnly),
            Some(_) => None,
            None => matches!(status(error), Some(429 | 503)).then_some(Self::Throttled),
        }
    }
}

/// The status of an HTTP answer that the client has given up on. The type of that error is private, so it
/// is known by how it begins; what a server or a key says stands behind that.
fn status(error: &dyn StdError) -> Option<u16> {
    let text = error.to_string();
    let status = text.strip_prefix("Server returned non-2xx status code: ")?;
    status.get(..3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(kind: io::ErrorKind) -> Error {
        let source = Box::new(io::Error::from(kind));
        let cause = object_store::Error::Generic {
            store: "LocalFileSystem",
            source,
        };
        Error::from_store("create", "x", Some(Path::new("/srv/store")), cause)
    }

    #[test]
    fn a_read_only_file_system_is_named_with_its_place() {
        let error = generic(io::ErrorKind::ReadOnlyFilesystem);
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let expected = "cannot create x: the file system at /srv/store is read-only";
        assert_eq!(error.message(), expected);
        let read_only = io::ErrorKind::ReadOnlyFilesystem.into();
        let error = Error::from_host("create store folder", Path::new("/srv/new"), read_only);
        let expected =
            "cannot create store folder /srv/new: the file system at /srv/new is read-only";
        assert_eq!(error.message(), expected);
    }

    #[test]
    fn a_folder_without_permission_is_no_store_that_will_answer_later() {
        let error = generic(io::ErrorKind::PermissionDenied);
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert_eq!(error.message(), "cannot create x: permission denied");
        let other = generic(io::ErrorKind::TimedOut);
        assert_eq!(other.kind(), ErrorKind::Unavailable);
    }
}
