//! Dead letters: records that were refused, kept for a person, with reason, source and position.
//!
//! Owns: the files of a folder, their size, and what is removed from them. Never: decides what is refused, or
//! sends anything again.
//!
//! A folder holds files of NDJSON, `dead-<number>.ndjson`, a letter per line. Numbers rise, also over restarts
//! and removals; a file's name is a number that is at most that of its first letter. Past the limit the oldest
//! file goes. Another process may [`list_folder`] while this one writes.
//!
//! **Invariants**
//! - A letter is on the disk when `push` returns, unless it was pushed out by the limit.
//! - Nothing is appended behind a line that may not be whole, nor to a file whose write or sync failed. The
//!   newest file of an earlier process is written again before it gets more.
//! - A line that is damaged costs itself only: dead letters never keep a producer from starting.

mod letter;
mod list;
mod push;
mod remove;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use grotto_env::{AppendFile, AppendFiles, FileLock, Locked};
use parking_lot::Mutex;

pub use letter::DeadLetter;
pub use list::list_folder;

use crate::{Error, ErrorKind, Result};
use letter::Most;
use list::{Content, content};

/// Most bytes of the source, the type and the reason of a letter that are kept.
const MAX_WORDS: usize = 4 << 10;
const LOCK: &str = "LOCK";
/// Ending of a file that is written again without some of its letters, and has no name yet.
const TEMP: &str = ".tmp";

/// How much is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterOptions {
    /// Bytes of all files together; past it the oldest file goes.
    pub max_bytes: u64,
    /// Size at which a file is followed by another one; at most half of `max_bytes` is used.
    pub max_file_bytes: u64,
    /// Bytes of a letter's text that are kept; at most a sixteenth of a file is used.
    pub max_text_bytes: usize,
}

impl Default for DeadLetterOptions {
    fn default() -> Self {
        Self {
            max_bytes: 256 << 20,
            max_file_bytes: 8 << 20,
            max_text_bytes: 512 << 10,
        }
    }
}

impl DeadLetterOptions {
    fn file(&self) -> u64 {
        self.max_file_bytes.min(self.max_bytes / 2)
    }

    /// A line takes less than a file, even where each of its bytes is escaped.
    fn kept(&self) -> Most {
        let part = |of: u64| usize::try_from(self.file() / of).unwrap_or(usize::MAX);
        Most {
            text: self.max_text_bytes.min(part(16)),
            words: MAX_WORDS.min(part(64)),
        }
    }
}

/// The dead letters of a folder, held by this process alone. Every method blocks; threads share it by reference.
#[derive(Debug)]
pub struct DeadLetters {
    files: Arc<dyn AppendFiles>,
    folder: PathBuf,
    options: DeadLetterOptions,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Oldest first.
    all: Vec<Kept>,
    /// The newest file, if it can be appended to.
    current: Option<Box<dyn AppendFile>>,
    next: u64,
    dropped: u64,
    /// `None` once they are closed.
    lock: Option<Box<dyn FileLock>>,
}

/// A file.
#[derive(Clone, Debug)]
struct Kept {
    path: PathBuf,
    letters: u64,
    bytes: u64,
    /// Whether a letter may be appended: it ends with a whole line, and nothing failed.
    is_open: bool,
    /// Whether an earlier process wrote it, whose last sync may have failed.
    is_inherited: bool,
}

impl DeadLetters {
    /// Opens the dead letters of a folder, which is created if it is missing.
    ///
    /// # Errors
    /// `Busy` when another process has it; `Invalid` for a folder that others may write to; `Unavailable` when the
    /// disk does not give something.
    pub fn open(
        files: Arc<dyn AppendFiles>,
        folder: &Path,
        options: DeadLetterOptions,
    ) -> Result<Self> {
        let created = files.create_folder(folder);
        created.map_err(|error| Error::io("create", folder, error))?;
        let lock = lock(&*files, folder)?;
        // A process may have died before it synced the name of a file that letters are appended to from now on.
        let synced = files.sync_folder(folder);
        synced.map_err(|error| Error::io("sync", folder, error))?;
        let names = list::names(&*files, folder)?;
        for temp in names.iter().filter(|name| is_temp(name)) {
            remove(&*files, &folder.join(temp))?;
        }
        let mut state = State {
            all: Vec::new(),
            current: None,
            next: 1,
            dropped: 0,
            lock: Some(lock),
        };
        for number in list::numbers(&names) {
            let path = path_of(folder, number);
            let Content {
                letters,
                damaged,
                length,
                is_whole,
            } = content(&*files, &path)?;
            if damaged > 0 {
                tracing::warn!(damaged, file = %path.display(), "lines of a dead letter file are damaged");
            }
            let newest = letters.iter().map(|letter| letter.id).max();
            let used = newest.unwrap_or(number).max(number);
            state.next = state.next.max(used.saturating_add(1));
            state.all.push(Kept {
                path,
                letters: letters.len() as u64,
                bytes: length,
                is_open: is_whole,
                is_inherited: true,
            });
        }
        Ok(Self {
            files,
            folder: folder.to_owned(),
            options,
            state: Mutex::new(state),
        })
    }

    /// Leaves the folder to the next process. Listing goes on; nothing is added or removed any more.
    pub fn close(&self) {
        let mut state = self.state.lock();
        (state.current, state.lock) = (None, None);
    }

    /// Number of letters.
    pub fn count(&self) -> u64 {
        self.state.lock().all.iter().map(|kept| kept.letters).sum()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.state.lock().bytes()
    }

    /// Letters that the limit pushed out since the folder was opened.
    pub fn dropped(&self) -> u64 {
        self.state.lock().dropped
    }

    /// The highest number that a letter had so far; 0 before the first one.
    pub fn newest(&self) -> u64 {
        self.state.lock().next - 1
    }

    /// Letters with numbers above `after`, in order, at most `limit`, and fewer where these are large: see
    /// [`list_folder`].
    ///
    /// # Errors
    /// `Unavailable` when a file cannot be read.
    pub fn list(&self, after: u64, limit: usize) -> Result<Vec<DeadLetter>> {
        list_folder(&*self.files, &self.folder, after, limit)
    }
}

impl State {
    fn check_open(&self) -> Result<()> {
        match &self.lock {
            Some(_) => Ok(()),
            None => Err(Error::unavailable("dead letters are closed")),
        }
    }

    fn bytes(&self) -> u64 {
        self.all.iter().map(|kept| kept.bytes).sum()
    }
}

fn lock(files: &dyn AppendFiles, folder: &Path) -> Result<Box<dyn FileLock>> {
    let path = folder.join(LOCK);
    match files.lock(&path) {
        Ok(Locked::Ours(lock)) => Ok(lock),
        Ok(Locked::Theirs(who)) => Err(Error::new(
            ErrorKind::Busy,
            format!("dead letters {} are in use by {who}", folder.display()),
        )),
        Err(error) => Err(Error::io("lock", &path, error)),
    }
}

fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("dead-{number:020}.ndjson"))
}

fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("dead-")?.strip_suffix(".ndjson")?;
    let plain = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// Whether a file is what a process left behind that died while it removed letters.
fn is_temp(name: &str) -> bool {
    name.strip_suffix(TEMP).and_then(number_of).is_some()
}

/// Removes a file; one that is gone already is as good.
fn remove(files: &dyn AppendFiles, path: &Path) -> Result<()> {
    match files.remove(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove", path, error))
        }
        _ => Ok(()),
    }
}
