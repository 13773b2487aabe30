//! The one error of this crate: a kind that says what to do, a message that says what happened.
//!
//! Owns: how errors of the store, the state and the file system become kinds. Never: decides what
//! to do about one.

use grotto_state::StateError;
pub use grotto_store::ErrorKind;
use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::path::Path;

/// A result of the consumer.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the consumer.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    None,
    /// Its message is ours already: what lies below it is our source.
    Store(grotto_store::Error),
    Other(Box<dyn StdError + Send + Sync>),
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

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.cause = Cause::Other(source.into());
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

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    pub(crate) fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    /// The file system refused to do `action` to `path`.
    pub(crate) fn io(action: &str, path: &Path, source: io::Error) -> Self {
        let message = format!("cannot {action} {}: {}", path.display(), reason(&source));
        Self::new(io_kind(&source), message).with_source(source)
    }

    /// A blob or a root that does not become a state.
    pub(crate) fn state(what: &str, source: StateError) -> Self {
        let kind = match &source {
            StateError::Seal(error) => io_kind(error),
            StateError::Limit(_) => ErrorKind::Invalid,
            _ => ErrorKind::Corrupt,
        };
        Self::new(kind, format!("{what}: {source}")).with_source(source)
    }
}

/// What can be done about a refusal of the file system. A full disk may have room later; a missing
/// permission has to be given by somebody.
fn io_kind(error: &io::Error) -> ErrorKind {
    use io::ErrorKind as K;
    match error.kind() {
        K::PermissionDenied | K::ReadOnlyFilesystem | K::NotADirectory | K::IsADirectory => {
            ErrorKind::Invalid
        }
        _ => ErrorKind::Unavailable,
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
            Cause::Store(error) => error.source(),
            Cause::Other(error) => Some(error.as_ref()),
        }
    }
}

impl From<grotto_store::Error> for Error {
    fn from(error: grotto_store::Error) -> Self {
        let message = error.message().to_owned();
        Self {
            kind: error.kind(),
            message,
            cause: Cause::Store(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn an_error_of_the_store_is_not_its_own_cause() {
        let below = grotto_store::Error::new(ErrorKind::Corrupt, "blob a is torn")
            .with_source(io::Error::other("bit"));
        let error = Error::from(below);
        assert_eq!(error.to_string(), "blob a is torn");
        assert_eq!(
            error.source().map(ToString::to_string).as_deref(),
            Some("bit")
        );
    }
}
