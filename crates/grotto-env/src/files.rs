//! The file system, as far as a state directory needs it.
//!
//! Owns: the [`FileSystem`] trait. Its real version is with the state directory, as mapping files is not
//! for this crate. Never: knows what is in a file.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;

/// A file system that one process writes to and others may map.
pub trait FileSystem: Debug + Send + Sync {
    /// This boot of the host, during which what was written can be read, synced or not; `None` where
    /// boots cannot be told apart.
    fn boot(&self) -> Option<String>;

    /// Creates a folder and those above it. Nobody but its owner may write to it. One that exists keeps
    /// what it holds, and is refused if anybody else may write to it.
    ///
    /// # Errors
    /// When the system refuses.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// What a folder holds, in any order.
    ///
    /// # Errors
    /// When there is no such folder, or the system refuses.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;

    /// A small file whole; `None` if there is none.
    ///
    /// # Errors
    /// `InvalidData` for more than `limit` bytes, which are then not read; when the system refuses.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>>;

    /// A file as bytes that stay what they are also when its name is gone, and what marked it before they
    /// could be read. Nobody may write to it any more.
    ///
    /// # Errors
    /// When there is no such file, or the system refuses.
    fn map(&self, path: &Path) -> io::Result<Mapped>;

    /// Creates a file in place of what has its name. May leave a part of it when it fails.
    ///
    /// # Errors
    /// When the system refuses, or the disk is full.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;

    /// Gives a file another name at once, in place of what has it.
    ///
    /// # Errors
    /// When the system refuses.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name.
    ///
    /// # Errors
    /// When there is no such file, or the system refuses.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Sets the time of a file in milliseconds since 1970; creates an empty one if there is none.
    ///
    /// # Errors
    /// When the system refuses.
    fn touch(&self, path: &Path, wall_ms: u64) -> io::Result<()>;

    /// The time of a file; `None` if there is no such file or it has no such time.
    fn touched(&self, path: &Path) -> Option<u64>;

    /// Tells the file that has a name from any that has it later, at less cost than reading it; `None` if
    /// there is none.
    ///
    /// # Errors
    /// When the system refuses.
    fn mark(&self, path: &Path) -> io::Result<Option<FileMark>>;

    /// Lets those read a file that new files are for; tells whether they could not before. `false` where
    /// all may read all files.
    ///
    /// # Errors
    /// When the system refuses.
    fn admit(&self, path: &Path) -> io::Result<bool> {
        let _ = path;
        Ok(false)
    }

    /// Notified when a file of a folder gets its name. Changes may be missed: whoever follows a folder
    /// looks at it now and then all the same. `None` where nothing tells of them in this way.
    fn watch(&self, folder: &Path) -> Option<Arc<Notify>> {
        let _ = folder;
        None
    }

    /// Marks a folder as read by this process, until the mark is dropped or the process ends, however it
    /// ends. `None` where there are no such marks.
    ///
    /// # Errors
    /// When the system refuses; whoever reads may go on without.
    fn enter(&self, folder: &Path) -> io::Result<Option<Box<dyn ReadMark>>> {
        let _ = folder;
        Ok(None)
    }

    /// How many marks a folder has; `None` where the system does not tell.
    fn readers(&self, folder: &Path) -> Option<u64> {
        let _ = folder;
        None
    }

    /// Bytes of the files below a folder that this process has mapped and that are in memory; `None` where
    /// the system does not tell. May take as long as it takes to go through all pages of the process.
    fn resident(&self, folder: &Path) -> Option<u64> {
        let _ = folder;
        None
    }

    /// Locks a file, which is created if it is missing, until the lock is dropped or the process ends.
    ///
    /// # Errors
    /// When the system refuses; that somebody else has it is not an error.
    fn lock(&self, path: &Path) -> io::Result<Locked>;
}

/// What tells a file from others that have its name before or after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMark {
    /// Which file it is; numbers of files that are gone may come again.
    pub number: u64,
    /// When its bytes were written last, in nanoseconds of a clock of the file system.
    pub written_ns: i128,
    /// When anything about it was changed last: bytes, names, mode or owner. Unlike the time of its bytes,
    /// nobody can set it.
    pub changed_ns: i128,
    /// Its length in bytes.
    pub length: u64,
}

/// A file that is mapped.
#[derive(Clone, Debug)]
pub struct Mapped {
    /// Its bytes.
    pub bytes: Bytes,
    /// The file.
    pub mark: FileMark,
}

/// How an attempt to lock a file ended.
#[derive(Debug)]
pub enum Locked {
    /// It is ours.
    Ours(Box<dyn FileLock>),
    /// Somebody else has it, who is named here for people.
    Theirs(String),
}

/// Stands for a reader of a folder while it is held.
pub trait ReadMark: Debug + Send + Sync {}

/// A lock that is held.
pub trait FileLock: Debug + Send + Sync {
    /// Whether the file that is locked still has its name: a lock on another file keeps nobody out.
    ///
    /// # Errors
    /// When the system refuses to tell.
    fn is_named(&self) -> io::Result<bool>;
}
