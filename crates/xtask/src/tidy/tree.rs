//! The files under version control, and those about to be: what git tracks or
//! would add. Never looks at ignored files.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::{Context, Result};

use crate::process;

/// Every tracked file by its path relative to the root. A file that is not text
/// has no content here.
pub(super) struct Tree {
    pub(super) files: BTreeMap<String, Option<String>>,
}

impl Tree {
    /// Reads the tree. A file that git knows but that is gone from the disk is
    /// left out: its deletion is simply not committed yet.
    pub(super) fn load(root: &Path) -> Result<Self> {
        let listing = process::output(
            root,
            "git",
            &[
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ],
        )?;
        let mut files = BTreeMap::new();
        for path in paths(&listing) {
            let full = root.join(&path);
            if full.is_symlink() || full.is_dir() {
                continue;
            }
            match std::fs::read(&full) {
                Ok(bytes) => files.insert(path, text_of(bytes)),
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot read {}", full.display()));
                }
            };
        }
        Ok(Self { files })
    }

    /// The text at `path`, if it is there and is text.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// Every text file with its path.
    pub(super) fn text_files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// Every Rust source file with its path.
    pub(super) fn rust_files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.text_files().filter(|(path, _)| path.ends_with(".rs"))
    }
}

fn paths(listing: &[u8]) -> impl Iterator<Item = String> {
    listing
        .split(|byte| *byte == 0)
        .filter(|path| !path.is_empty())
        .map(|path| String::from_utf8_lossy(path).into_owned())
}

fn text_of(bytes: Vec<u8>) -> Option<String> {
    if bytes.contains(&0) {
        return None;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_cut_at_zero_bytes() {
        let found: Vec<String> = paths(b"a.rs\0dir/b c.md\0").collect();
        assert_eq!(found, ["a.rs", "dir/b c.md"]);
    }

    #[test]
    fn binary_content_is_not_text() {
        assert_eq!(text_of(vec![b'a', 0, b'b']), None);
        assert_eq!(text_of(vec![0xff, 0xfe]), None);
        assert_eq!(text_of(b"plain".to_vec()).as_deref(), Some("plain"));
    }
}
