//! Where a store is: the text a user types, and what it means.
//!
//! Owns: parsing. Never: opens anything, or shows a credential.

mod access;
mod bucket;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

use crate::error::{Error, Result};

pub use access::Access;
pub use bucket::{BucketUrl, Vendor};

/// Where a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// A folder of this host.
    Local(PathBuf),
    /// The memory of this process; gone when its last handle is dropped.
    Memory,
    /// A bucket of an object store, S3 or one compatible, Google Cloud Storage, Azure Blob.
    Bucket(Box<BucketUrl>),
}

impl StoreUrl {
    /// Reads `./folder`, `/folder`, `file:///folder`, `memory:`, `s3://bucket/prefix`, `gs://bucket/prefix` or
    /// `az://container/prefix`. Behind the prefix may stand settings that are no secret, such as
    /// `?endpoint=https://host`; see [`BucketUrl`].
    ///
    /// # Errors
    /// `Invalid` when it is none of these. The message never repeats what may be a credential.
    pub fn parse(text: &str) -> Result<Self> {
        if text.is_empty() || text.contains('\0') {
            return Err(Error::invalid(
                "store address: expected a folder or url, found none",
            ));
        }
        match scheme_of(text) {
            None => Ok(Self::Local(PathBuf::from(text))),
            Some("memory") => parse_memory(text),
            Some("file") => parse_file(text),
            Some(scheme) => match Vendor::of(scheme) {
                Some(vendor) => BucketUrl::parse(vendor, text)
                    .map(Box::new)
                    .map(Self::Bucket),
                None => Err(Error::invalid(format!(
                    "store address: unknown scheme {scheme:?}, expected a folder, file://, memory:, \
                     s3://, gs:// or az://"
                ))),
            },
        }
    }

    /// The same store with what lets this process in; of no effect on folders and memory.
    #[must_use]
    pub fn with_access(self, access: &Access) -> Self {
        match self {
            Self::Bucket(bucket) => Self::Bucket(Box::new(bucket.with_access(access))),
            other => other,
        }
    }
}

impl FromStr for StoreUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::Memory => f.write_str("memory:"),
            Self::Bucket(bucket) => bucket.fmt(f),
        }
    }
}

/// The scheme, if the text is a URL: `scheme://` of any kind, or one of ours with a bare colon.
/// Everything else is a path, also one with a colon in it.
fn scheme_of(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(':')?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(plain)
        && (rest.starts_with("//") || matches!(scheme, "memory" | "file"));
    is_scheme.then_some(scheme)
}

fn parse_memory(text: &str) -> Result<StoreUrl> {
    if matches!(text, "memory:" | "memory://" | "memory:///") {
        return Ok(StoreUrl::Memory);
    }
    Err(Error::invalid(format!(
        "store address {text:?}: expected memory: with nothing behind it"
    )))
}

fn parse_file(text: &str) -> Result<StoreUrl> {
    let invalid = || {
        Error::invalid(format!(
            "store address {text:?}: expected file:///absolute/folder"
        ))
    };
    // A parser of urls reads `file:shop` and `file://` as folders below the root, which nobody means.
    let folder = text.strip_prefix("file://").unwrap_or_default();
    if !folder.contains('/') {
        return Err(invalid());
    }
    let url = Url::parse(text).map_err(|e| invalid().with_source(e))?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err(invalid());
    }
    url.to_file_path()
        .map(StoreUrl::Local)
        .map_err(|()| invalid())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(path: &str) -> StoreUrl {
        StoreUrl::Local(PathBuf::from(path))
    }

    #[test]
    fn paths_and_urls_are_told_apart() {
        for (text, expected) in [
            ("/var/lib/grotto", local("/var/lib/grotto")),
            ("./data", local("./data")),
            ("data", local("data")),
            ("odd:name", local("odd:name")),
            ("file:///var/a%20b", local("/var/a b")),
            ("memory:", StoreUrl::Memory),
            ("memory://", StoreUrl::Memory),
        ] {
            assert_eq!(StoreUrl::parse(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn addresses_that_mean_nothing_are_refused_with_what_is_expected() {
        for text in [
            "",
            "a\0b",
            "ftp://host/x",
            "memory:x",
            "file://host/x",
            "file:///x?y",
            "file:",
            "file://",
            "file:x",
            "file:/x",
        ] {
            let error = StoreUrl::parse(text).unwrap_err();
            assert!(error.message().contains("expected"), "{text}: {error}");
        }
    }
}
