//! The folder that a store is: made once, and told from others of its path.
//!
//! Owns: creating it and the folders below. Never: writes a file.

use super::FolderSync;
use std::io::{self, ErrorKind};
use std::path::Path as FsPath;

/// Creates the folders of a new store, and syncs the names of those that were missing.
pub(crate) fn create_root(path: &FsPath, sync: &dyn FolderSync) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    let missing: Vec<&FsPath> = path.ancestors().take_while(|a| !a.exists()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    std::fs::create_dir_all(&path)?;
    missing
        .iter()
        .filter_map(|folder| folder.parent())
        .try_for_each(|parent| sync.sync_folder(parent))
}

/// What tells a folder from others of its path.
#[cfg(unix)]
pub(super) type Identity = (u64, u64);

#[cfg(unix)]
pub(super) fn identity_of(folder: &FsPath) -> io::Result<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    let found = std::fs::metadata(folder)?;
    Ok((found.dev(), found.ino()))
}

/// Elsewhere a folder is told by being there.
#[cfg(not(unix))]
pub(super) type Identity = ();

#[cfg(not(unix))]
pub(super) fn identity_of(folder: &FsPath) -> io::Result<Identity> {
    std::fs::metadata(folder).map(|_| ())
}

/// Creates the folders above a file that are missing, but never the store itself.
pub(super) fn create_folders(path: &FsPath, root: &FsPath) -> io::Result<()> {
    let within = path.ancestors().skip(1).take_while(|a| *a != root);
    let missing: Vec<&FsPath> = within.take_while(|a| !a.exists()).collect();
    for folder in missing.into_iter().rev() {
        match std::fs::create_dir(folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            created => created?,
        }
    }
    Ok(())
}
