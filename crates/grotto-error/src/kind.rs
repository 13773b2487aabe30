//! What to do about an error.
//!
//! Owns: the kinds, and which of them a refusal of the file system is. Never: what an error of another layer
//! means; each crate says so in one place, where its errors become this one.

use std::fmt;
use std::io;

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store, the disk or the other side did not answer in time or at all: try again later.
    Unavailable,
    /// The store asks for less: slow down.
    Overloaded,
    /// Another process holds what only one may have: wait for it, or choose another.
    Busy,
    /// Another writer took over: stop for good.
    Fenced,
    /// Bytes are not those that were written: fetch again, then report.
    Corrupt,
    /// A named blob is gone: plan again without it.
    Missing,
    /// Nothing was ever published under this name: check the name, or publish.
    NoDataset,
    /// The dataset has no schema yet: say what its records look like.
    NoSchema,
    /// The request, the records or the configuration are wrong: mend them.
    Invalid,
    /// A closure of the caller failed with an error of its own, which is the source: do what that one asks for.
    UserError,
    /// A closure, listener or validator of the caller panicked: mend it.
    UserPanic,
    /// A bug in this project: report it.
    Internal,
}

impl ErrorKind {
    /// Every kind.
    pub const ALL: &[Self] = &[
        Self::Unavailable,
        Self::Overloaded,
        Self::Busy,
        Self::Fenced,
        Self::Corrupt,
        Self::Missing,
        Self::NoDataset,
        Self::NoSchema,
        Self::Invalid,
        Self::UserError,
        Self::UserPanic,
        Self::Internal,
    ];

    /// Whether the store could not be asked, now: nothing is known then of what is in it.
    #[must_use]
    pub fn is_outage(self) -> bool {
        matches!(self, Self::Unavailable | Self::Overloaded)
    }

    /// What can be done about a refusal of the file system. A full disk may have room later; a missing
    /// permission has to be given by somebody.
    #[must_use]
    pub fn of_io(error: &io::Error) -> Self {
        use io::ErrorKind as K;
        match error.kind() {
            K::PermissionDenied
            | K::ReadOnlyFilesystem
            | K::NotADirectory
            | K::IsADirectory
            | K::InvalidInput => Self::Invalid,
            _ => Self::Unavailable,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "unavailable",
            Self::Overloaded => "overloaded",
            Self::Busy => "busy",
            Self::Fenced => "fenced",
            Self::Corrupt => "corrupt",
            Self::Missing => "missing",
            Self::NoDataset => "no dataset",
            Self::NoSchema => "no schema",
            Self::Invalid => "invalid",
            Self::UserError => "user error",
            Self::UserPanic => "user panic",
            Self::Internal => "internal",
        })
    }
}
