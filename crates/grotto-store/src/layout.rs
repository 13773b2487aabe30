//! Where things lie under a dataset's prefix.
//!
//! Owns: the names of objects, written and read back. Never: touches the store.
//! Spec: `docs/format/spec.md`, section "Store layout".

use object_store::path::Path;

use crate::error::{Error, Result};

/// Longest dataset name in bytes.
const MAX_NAME_BYTES: usize = 100;

/// A checked dataset name and the paths below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    name: String,
}

impl Layout {
    /// Accepts letters, digits, `-`, `_` and `.` (not first): a name becomes a folder of the host.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let fits = !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.starts_with('.');
        if fits && name.bytes().all(plain) {
            return Ok(Self {
                name: name.to_owned(),
            });
        }
        let shown: String = name.chars().take(MAX_NAME_BYTES).collect();
        Err(Error::invalid(format!(
            "dataset name {shown:?}: expected 1 to {MAX_NAME_BYTES} letters, digits, '-', '_' or \
             '.', not starting with '.'"
        )))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn log(&self) -> Path {
        self.at("log")
    }

    pub(crate) fn log_entry(&self, version: u64) -> Path {
        self.at(&format!("log/{version:020}.json"))
    }

    pub(crate) fn snapshots(&self) -> Path {
        self.at("snapshots")
    }

    pub(crate) fn snapshot_entry(&self, version: u64) -> Path {
        self.at(&format!("snapshots/{version:020}.json"))
    }

    pub(crate) fn leader(&self) -> Path {
        self.at("control/leader.json")
    }

    pub(crate) fn collected(&self) -> Path {
        self.at("collected")
    }

    pub(crate) fn collected_row(&self, version: u64) -> Path {
        self.at(&format!("collected/{version:020}.json"))
    }

    pub(crate) fn probe(&self, nonce: &str) -> Path {
        self.at(&format!("control/probe-{nonce}"))
    }

    /// The object of a blob whose name was checked when its entry was decoded.
    pub(crate) fn blob(&self, name: &str) -> Path {
        self.at(name)
    }

    fn at(&self, below: &str) -> Path {
        Path::from(format!("{}/{below}", self.name))
    }
}

/// The version in the name of a log or snapshot entry; `None` for anything else that lies there.
pub(crate) fn version_of(path: &Path) -> Option<u64> {
    let digits = path.filename()?.strip_suffix(".json")?;
    let plain = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_prefix_are_refused() {
        let long = "x".repeat(101);
        for name in [
            "", ".", "..", ".hidden", "a/b", "a\\b", "a b", "a#1", "ä", &long,
        ] {
            assert!(Layout::new(name).is_err(), "{name:?}");
        }
        assert!(Layout::new("geo.cities-v2_EU").is_ok());
    }

    #[test]
    fn versions_are_read_back_from_entry_names_only() {
        let layout = Layout::new("a").unwrap();
        assert_eq!(version_of(&layout.log_entry(42)), Some(42));
        assert_eq!(version_of(&layout.log_entry(u64::MAX)), Some(u64::MAX));
        for name in [
            "42.json",
            "readme.txt",
            "0000000000000000004x.json",
            "99999999999999999999.json",
        ] {
            assert_eq!(
                version_of(&layout.at(&format!("log/{name}"))),
                None,
                "{name}"
            );
        }
    }
}
