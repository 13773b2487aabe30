//! Finding out what is in an archive.
//!
//! Owns: what a header may say. Never: reads what a file in it holds.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use tar::EntryType;

use super::is_member;
use crate::error::{Error, Result};

/// Files that an archive may have; each takes some hundred bytes of memory.
const MOST_MEMBERS: usize = 4 << 20;
/// What lengths in an archive are multiples of.
const BLOCK: u64 = 512;
/// Bytes of zeros that end an archive.
const END: u64 = 2 * BLOCK;

/// Where a file lies in an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) at: u64,
    pub(super) length: u64,
}

/// The files of an archive, by name.
pub(super) fn members(mut file: &File) -> Result<BTreeMap<String, Member>> {
    let length = file.metadata().map_err(unreadable)?.len();
    let mut members = BTreeMap::new();
    let mut end = 0;
    let mut archive = tar::Archive::new(file);
    // Raw: a name or a length that stands elsewhere than in its header is not looked for.
    let entries = archive.entries_with_seek().map_err(unreadable)?.raw(true);
    for entry in entries {
        let entry = entry.map_err(no_archive)?;
        let header = entry.header();
        let at = entry.raw_file_position();
        let size = header.entry_size().map_err(no_archive)?;
        let padded = size.checked_next_multiple_of(BLOCK);
        let after = padded.and_then(|padded| at.checked_add(padded));
        // One that is longer than the file is the last, and found when its end is looked for.
        end = after.ok_or_else(cut)?;
        let name = header.path_bytes().into_owned();
        let name = String::from_utf8_lossy(&name).into_owned();
        match header.entry_type() {
            EntryType::Directory => continue,
            EntryType::Regular if is_member(&name) => {}
            _ => return Err(strange(&name)),
        }
        if members.len() >= MOST_MEMBERS {
            return Err(Error::invalid(format!(
                "expected at most {MOST_MEMBERS} files, found more"
            )));
        }
        let member = Member { at, length: size };
        if members.insert(name.clone(), member).is_some() {
            return Err(Error::corrupt(format!("{name} is in it twice")));
        }
    }
    check_end(&mut file, end, length)?;
    if members.is_empty() {
        return Err(Error::invalid(
            "expected the files of a dataset, found none",
        ));
    }
    Ok(members)
}

/// The end is marked: whoever was stopped while writing left a shorter file.
fn check_end(file: &mut &File, end: u64, length: u64) -> Result<()> {
    if length.saturating_sub(end) < END {
        return Err(cut());
    }
    let mut mark = [0; END as usize];
    file.seek(SeekFrom::Start(end)).map_err(unreadable)?;
    file.read_exact(&mut mark).map_err(unreadable)?;
    match mark.iter().all(|byte| *byte == 0) {
        true => Ok(()),
        false => Err(cut()),
    }
}

fn cut() -> Error {
    Error::corrupt("it is cut: expected an end mark behind the last file")
}

fn strange(name: &str) -> Error {
    let shown: String = name.chars().take(100).collect();
    Error::invalid(format!(
        "expected plain files of a dataset, such as cities/log/….json, found {shown:?}"
    ))
}

fn unreadable(source: io::Error) -> Error {
    let kind = crate::ErrorKind::of_io(&source);
    Error::new(kind, "it cannot be read").with_source(source)
}

/// A file of another kind, or an altered header: nothing tells the two apart.
fn no_archive(source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::UnexpectedEof => cut(),
        _ => Error::corrupt("it is no tar archive, or altered").with_source(source),
    }
}
