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

/// Letters of a folder with numbers above `after`, in order, at most `limit`. Needs no lock: a process may be
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
    let mut found = Vec::new();
    for (at, number) in numbers.iter().enumerate() {
        // The next file's letters begin at its number.
        let is_below = numbers.get(at + 1).is_some_and(|next| *next <= after);
        if is_below || found.len() >= limit {
            continue;
        }
        let letters = content(files, &path_of(folder, *number))?.letters;
        let wanted = letters.into_iter().filter(|letter| letter.id > after);
        found.extend(wanted.take(limit - found.len()));
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
