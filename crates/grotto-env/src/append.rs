//! Files that only grow, as a log needs them.
//!
//! Owns: the [`AppendFiles`] trait and its versions: [`SystemFiles`] for a host, and for tests
//! [`ForgetfulFiles`], which loses what was not synced. Never: knows what is in a file.

mod forgetful;
mod system;

use std::fmt::Debug;
use std::io;
use std::path::Path;

pub use forgetful::{FileOperation, ForgetfulFiles};
pub use system::SystemFiles;

use crate::Locked;

/// A file system whose files are written at their ends, and which says when bytes and names are on the disk.
///
/// Bytes are on the disk after a [`sync`](AppendFile::sync), names after a [`sync_folder`](Self::sync_folder); what
/// was not synced may be lost, or there in part and in any order, when the host goes down.
pub trait AppendFiles: Debug + Send + Sync {
    /// Creates a folder and those above it, for its owner alone, on the disk when this returns. One that exists
    /// keeps what it holds.
    ///
    /// # Errors
    /// When the system refuses, and for a folder that exists and that others may write to.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Names of the plain files of a folder, in any order.
    ///
    /// # Errors
    /// When there is no such folder, or the system refuses.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Creates an empty file, for its owner alone.
    ///
    /// # Errors
    /// `AlreadyExists` when something has the name, and when the system refuses.
    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>>;

    /// Opens a file, to append at its end.
    ///
    /// # Errors
    /// When there is no such plain file, or the system refuses.
    fn open(&self, path: &Path) -> io::Result<Box<dyn AppendFile>>;

    /// Bytes of a file from an offset on: as many as there are, and at most `limit`.
    ///
    /// # Errors
    /// When there is no such plain file, or the system refuses.
    fn read(&self, path: &Path, offset: u64, limit: usize) -> io::Result<Vec<u8>>;

    /// Length of a file in bytes.
    ///
    /// # Errors
    /// When there is no such plain file, or the system refuses.
    fn length(&self, path: &Path) -> io::Result<u64>;

    /// Removes a file's name.
    ///
    /// # Errors
    /// When there is no such file, or the system refuses.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Gives a file another name at once, in place of what has it.
    ///
    /// # Errors
    /// When there is no such file, or the system refuses.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Returns once the names in a folder are on the disk.
    ///
    /// # Errors
    /// That of the host. The names then count as not written.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Locks a file, which is created if it is missing, until the lock is dropped or the process ends.
    ///
    /// # Errors
    /// When the system refuses; that somebody else has it is not an error.
    fn lock(&self, path: &Path) -> io::Result<Locked>;
}

/// A file that is open for writing at its end.
pub trait AppendFile: Debug + Send {
    /// Appends bytes. May append a part of them when it fails.
    ///
    /// # Errors
    /// When the system refuses, or the disk is full.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Returns once all bytes, and how many there are, are on the disk.
    ///
    /// # Errors
    /// That of the host. Bytes since the last sync then count as not written, also if a later sync succeeds.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts the file to a length.
    ///
    /// # Errors
    /// When the system refuses.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}
