//! How errors of the object store become errors of this project.
//!
//! Owns: their kinds. Never: turns "not found" into an error by itself; callers that may rightly find nothing get
//! an `Option`.

mod answer;

use answer::Answer;
pub use grotto_error::{Error, ErrorKind, Result};
use std::error::Error as StdError;
use std::io;
use std::path::Path;

/// What a store is, for those who read an error of it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// Memory, or whatever the caller wrapped.
    Unnamed,
    /// A folder of this host.
    Folder(&'a Path),
    /// A bucket, as its address names it.
    Bucket(&'a str),
}

/// An error of the object store while doing `action` to the object at `path`.
pub(crate) fn from_store(
    action: &str,
    path: &str,
    place: Place<'_>,
    source: object_store::Error,
) -> Error {
    if let (Place::Bucket(bucket), Some(answer)) = (place, Answer::of(&source)) {
        let message = format!("cannot {action} {path} in {bucket}: {}", answer.reason);
        return Error::new(answer.kind, message).with_source(source);
    }
    let (kind, reason) = judge(&source);
    let message = match place {
        Place::Unnamed => format!("cannot {action} {path}: {reason}"),
        Place::Folder(root) => format!("cannot {action} {path}: {}", in_folder(reason, root)),
        Place::Bucket(bucket) => format!("cannot {action} {path} in {bucket}: {reason}"),
    };
    Error::new(kind, message).with_source(source)
}

fn judge(source: &object_store::Error) -> (ErrorKind, &'static str) {
    use object_store::Error as E;
    match source {
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
    }
}

/// Whether a store could not be asked, whatever it is.
pub(crate) fn is_outage(error: &object_store::Error) -> bool {
    let answer = Answer::of(error).map(|answer| answer.kind);
    answer.unwrap_or_else(|| judge(error).0).is_outage()
}

/// Whether "not found" is about all of a bucket instead of one object in it.
pub(crate) fn is_without_bucket(error: &object_store::Error) -> bool {
    Answer::of(error).is_some_and(|answer| answer.kind == ErrorKind::Invalid)
}

/// The host refused to do `action` to the folder of a store.
pub(crate) fn from_host(action: &str, folder: &Path, source: io::Error) -> Error {
    let mut message = format!("cannot {action} {}", folder.display());
    if source.kind() == io::ErrorKind::ReadOnlyFilesystem {
        message = format!("{message}: {}", in_folder(READ_ONLY, folder));
    }
    Error::invalid(message).with_source(source)
}

const READ_ONLY: &str = "the file system is read-only";

/// A reason that says which file system it is about.
fn in_folder(reason: &str, root: &Path) -> String {
    match reason == READ_ONLY {
        true => format!("the file system at {} is read-only", root.display()),
        false => reason.to_owned(),
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
        from_store("create", "x", Place::Folder(Path::new("/srv/store")), cause)
    }

    #[test]
    fn a_read_only_file_system_is_named_with_its_place() {
        let error = generic(io::ErrorKind::ReadOnlyFilesystem);
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let expected = "cannot create x: the file system at /srv/store is read-only";
        assert_eq!(error.message(), expected);
        let read_only = io::ErrorKind::ReadOnlyFilesystem.into();
        let error = from_host("create store folder", Path::new("/srv/new"), read_only);
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
