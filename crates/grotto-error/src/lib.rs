//! The one error of Grotto: a kind that says what to do, a message that says what happened.
//!
//! Owns: the error that store, state, producer and consumer give. Never: turns "not found" into an error by
//! itself; callers that may rightly find nothing get an `Option`.
#![forbid(unsafe_code)]

mod any;
mod kind;
mod panic;

pub use any::AnyError;
pub use kind::ErrorKind;
pub use panic::panic_text;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A result with the error of this project.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong: [`kind`](Self::kind) says what to do about it, [`message`](Self::message) what happened, and
/// [`source`](StdError::source) what lies below it, which the message does not repeat.
///
/// ```
/// use grotto_error::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Busy, "state directory /srv/state is in use");
/// assert_eq!(error.to_string(), "state directory /srv/state is in use");
/// assert_eq!(error.kind().to_string(), "busy");
/// ```
///
/// Cheap to clone: whoever asked and whoever listens get the same.
#[derive(Clone, Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    cause: Cause,
}

#[derive(Clone, Debug)]
enum Cause {
    None,
    /// Its message is ours already: what lies below it is our source.
    Shown(Arc<dyn StdError + Send + Sync>),
    Below(Arc<dyn StdError + Send + Sync>),
}

impl Error {
    /// An error that has no deeper cause.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            kind,
            message,
            cause: Cause::None,
        }
    }

    /// An error that says what `inner` says; what lies below that is its source.
    pub fn showing(kind: ErrorKind, inner: impl StdError + Send + Sync + 'static) -> Self {
        Self {
            kind,
            message: inner.to_string(),
            cause: Cause::Shown(Arc::new(inner)),
        }
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.cause = Cause::Below(Arc::from(source.into()));
        self
    }

    /// The same error with its place in front of the message.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// The same error, that goes on with what another one says.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.message = format!("{}; {}", self.message, other.message);
        self
    }

    /// The same error, seen by somebody who has to do something else about it.
    #[must_use]
    pub fn of_kind(mut self, kind: ErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What happened, without the causes below.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The error of an inner part that this one stands for, if it is of that type.
    #[must_use]
    pub fn inner<E: StdError + 'static>(&self) -> Option<&E> {
        match &self.cause {
            Cause::None => None,
            Cause::Shown(error) | Cause::Below(error) => error.downcast_ref(),
        }
    }

    /// The store did not answer.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// Bytes are not those that were written.
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    /// Another writer took over.
    pub fn fenced(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Fenced, message)
    }

    /// A named blob is gone.
    pub fn missing(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Missing, message)
    }

    /// The request is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// A bug in this project.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// The file system refused to do `action` to `path`.
    pub fn io(action: &str, path: &Path, source: io::Error) -> Self {
        let message = format!("cannot {action} {}: {}", path.display(), reason(&source));
        Self::new(ErrorKind::of_io(&source), message).with_source(source)
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull => "the disk is full".to_owned(),
        io::ErrorKind::QuotaExceeded => "the disk quota is used up".to_owned(),
        io::ErrorKind::ReadOnlyFilesystem => "the file system is read-only".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotFound => "it does not exist".to_owned(),
        io::ErrorKind::NotADirectory => "expected a folder, found a file".to_owned(),
        _ => error.to_string(),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.cause {
            Cause::None => None,
            Cause::Shown(error) => error.source(),
            Cause::Below(error) => Some(error.as_ref()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_full_disk_is_to_be_tried_again_and_a_missing_permission_is_not() {
        let path = Path::new("/state");
        let full = Error::io("write", path, io::ErrorKind::StorageFull.into());
        assert_eq!(full.kind(), ErrorKind::Unavailable);
        assert_eq!(full.message(), "cannot write /state: the disk is full");
        let denied = Error::io("write", path, io::ErrorKind::PermissionDenied.into());
        assert_eq!(denied.kind(), ErrorKind::Invalid);
    }

    #[test]
    fn what_a_message_shows_is_not_its_source_too() {
        let below = Error::corrupt("blob a is torn").with_source(io::Error::other("bit"));
        let error = Error::showing(ErrorKind::Unavailable, below);
        assert_eq!(error.to_string(), "blob a is torn");
        let source = error.source().map(ToString::to_string);
        assert_eq!(source.as_deref(), Some("bit"));
        let inner: Option<&Error> = error.inner();
        assert_eq!(inner.map(Error::kind), Some(ErrorKind::Corrupt));
    }

    #[test]
    fn a_place_comes_in_front() {
        let error = Error::invalid("expected a number").at("line 7");
        assert_eq!(error.message(), "line 7: expected a number");
    }

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        let names: BTreeSet<String> = ErrorKind::ALL.iter().map(ToString::to_string).collect();
        assert_eq!(names.len(), ErrorKind::ALL.len());
    }
}
