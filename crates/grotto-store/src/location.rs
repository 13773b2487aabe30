//! Where a store is: the text a user types, and what it means.
//!
//! Owns: parsing. Never: opens anything.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use url::Url;

use crate::error::{Error, Result};

/// Schemes that are known but have no backend in this build.
const UNBUILT: [&str; 8] = ["s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "https"];

/// Where a store is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// A folder of this host.
    Local(PathBuf),
    /// The memory of this process; gone when its last handle is dropped.
    Memory,
    /// A known kind of store that this build has no backend for. Only the scheme is kept: the rest
    /// may hold credentials, and must not end in a log.
    Unbuilt {
        /// The scheme, such as `s3`.
        scheme: String,
    },
}

impl StoreUrl {
    /// Reads `./folder`, `/folder`, `file:///folder`, `memory:`, or the address of a cloud store.
    ///
    /// # Errors
    /// `Invalid` when it is none of these; the message says what was found.
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
            Some(scheme) if UNBUILT.contains(&scheme) => Ok(Self::Unbuilt {
                scheme: scheme.to_owned(),
            }),
            Some(scheme) => Err(Error::invalid(format!(
                "store address: unknown scheme {scheme:?}, expected a folder, file://, memory:, \
                 s3://, gs:// or az://"
            ))),
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
            Self::Unbuilt { scheme } => write!(f, "{scheme}://…"),
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

    #[test]
    fn credentials_in_a_cloud_address_are_not_kept() {
        let url = StoreUrl::parse("s3://key:secret@bucket/prefix").unwrap();
        assert!(!format!("{url} {url:?}").contains("secret"));
    }
}
