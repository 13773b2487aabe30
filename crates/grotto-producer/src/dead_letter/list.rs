//! Reads dead letters, also while another process writes them.
//!
//! Owns: which lines count. Never: locks or changes anything.

use std::io;
use std::path::Path;

use grotto_env::AppendFiles;

use super::{DeadLetter, number_of, path_of};
use crate::{Error, Result};

/// Most bytes of a file that are read: more than any file has that was written with reasonable options.
pub(super) const MOST: usize = 1 << 30;

/// Bytes of letters at which a list ends, however many were asked for.
const MOST_LISTED: usize = 4 << 20;

/// What is in a file.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) letters: Vec<DeadLetter>,
    /// Lines that are no letters.
    pub(super) damaged: u64,
    pub(super) length: u64,
    /// Whether it ends with a line that is whole.
    pub(super) is_whole: bool,
}

/// Letters of a folder with numbers above `after`, in order, at most `limit`, and fewer where these are more than
/// 4 MiB: who wants all asks again behind the last one until there are none. Needs no lock: a process may be
/// writing, and what it pushes or removes meanwhile is in the list or not.
///
/// # Errors
/// `Unavailable` when there is no such folder or a file cannot be read.
pub fn list_folder(
    files: &dyn AppendFiles,
    folder: &Path,
    after: u64,
    limit: usize,
) -> Result<Vec<DeadLetter>> {
    let numbers = numbers(&names(files, folder)?);
    let (mut found, mut bytes) = (Vec::new(), 0);
    for (at, number) in numbers.iter().enumerate() {
        // The next file's letters begin at its number.
        let is_below = numbers.get(at + 1).is_some_and(|next| *next <= after);
        if is_below {
            continue;
        }
        let letters = content(files, &path_of(folder, *number))?.letters;
        for letter in letters.into_iter().filter(|letter| letter.id > after) {
            bytes += letter.text.len() + letter.reason.len() + letter.source.len();
            let is_full = bytes > MOST_LISTED && !found.is_empty();
            if is_full || found.len() >= limit {
                return Ok(found);
            }
            found.push(letter);
        }
    }
    Ok(found)
}

pub(super) fn names(files: &dyn AppendFiles, folder: &Path) -> Result<Vec<String>> {
    let names = files.list(folder);
    names.map_err(|error| Error::io("list", folder, error))
}

/// Numbers of the files, oldest first.
pub(super) fn numbers(names: &[String]) -> Vec<u64> {
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| number_of(name)).collect();
    numbers.sort_unstable();
    numbers
}

/// Reads a file at once, so that it is one file even if another takes its name. One that is gone is empty.
pub(super) fn content(files: &dyn AppendFiles, path: &Path) -> Result<Content> {
    let bytes = match files.read(path, 0, MOST) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Content::default()),
        read => read.map_err(|error| Error::io("read", path, error))?,
    };
    let mut content = Content {
        length: bytes.len() as u64,
        is_whole: true,
        ..Content::default()
    };
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        content.is_whole = line.ends_with(b"\n");
        if !content.is_whole {
            // It is being written, or whoever wrote it died.
            break;
        }
        match serde_json::from_slice(line) {
            Ok(letter) => content.letters.push(letter),
            Err(_) => content.damaged += 1,
        }
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::super::{DeadLetterOptions, DeadLetters};
    use super::*;
    use grotto_env::SystemFiles;
    use std::sync::Arc;

    #[test]
    fn a_list_of_large_letters_ends_early_and_goes_on_behind_the_last_one() {
        let dir = tempfile::tempdir().unwrap();
        let options = DeadLetterOptions::default();
        let letters = DeadLetters::open(Arc::new(SystemFiles), dir.path(), options).unwrap();
        assert_eq!(letters.newest(), 0);
        let large = DeadLetter {
            text: "x".repeat(500_000),
            ..DeadLetter::default()
        };
        letters.push(&vec![large; 20]).unwrap();
        let mut found: Vec<u64> = Vec::new();
        loop {
            let after = found.last().copied().unwrap_or(0);
            let listed = letters.list(after, 1_000).unwrap();
            if listed.is_empty() {
                break;
            }
            let bytes: usize = listed.iter().map(|letter| letter.text.len()).sum();
            assert!(bytes <= MOST_LISTED, "{bytes}");
            found.extend(listed.iter().map(|letter| letter.id));
        }
        assert_eq!(found, (1..=20).collect::<Vec<_>>());
        assert_eq!(letters.newest(), 20);
    }
}
