//! Files that have no name yet.
//!
//! Owns: where they are, and how they are filled. Never: gives one its name.

use super::root::create_folders;
use object_store::PutPayload;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path as FsPath, PathBuf};

/// A new file beside `path`, with a name that listings hide; creates the folders that are missing.
pub(super) fn create_staged(path: &FsPath, root: &FsPath) -> io::Result<(File, PathBuf)> {
    let mut number = 1_u64;
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(format!("#{number}"));
        let staged = PathBuf::from(name);
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&staged)
        {
            Ok(file) => return Ok((file, staged)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            Err(error) if error.kind() == ErrorKind::NotFound => create_folders(path, root)?,
            Err(error) => return Err(error),
        }
    }
}

/// Positional, by a call that nothing else in the process makes: threads are woken by plain writes, and
/// tests fail the writes of data alone.
#[cfg(unix)]
pub(super) fn write_parts(file: &mut File, payload: &PutPayload) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    let mut at = 0;
    for part in payload {
        file.write_all_at(part, at)?;
        at += part.len() as u64;
    }
    Ok(())
}

#[cfg(not(unix))]
pub(super) fn write_parts(file: &mut File, payload: &PutPayload) -> io::Result<()> {
    use std::io::Write as _;
    payload.iter().try_for_each(|part| file.write_all(part))
}

/// Removes a staged file that is of no use any more; the sweep finds what stays.
pub(super) fn discard(staged: &FsPath) {
    if let Err(error) = std::fs::remove_file(staged) {
        tracing::debug!(%error, path = %staged.display(), "a staged file stays behind");
    }
}
