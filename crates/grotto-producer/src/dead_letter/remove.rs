//! Removes dead letters that were sent again, or that nobody wants any more.
//!
//! Owns: writing a file again without some of its letters. Never: changes a file in place.

use std::path::Path;

use super::letter::Most;
use super::list::{Content, content};
use super::{DeadLetter, DeadLetters, State, TEMP, remove};
use crate::{Error, Result};

impl DeadLetters {
    /// Removes letters by their numbers; gives how many there were. To send letters again, [`list`](Self::list)
    /// them, have them accepted, then take them out: a crash in between keeps them.
    ///
    /// # Errors
    /// `Unavailable` when the disk does not take it. Some of the letters may be gone.
    pub fn take(&self, ids: &[u64]) -> Result<u64> {
        let mut sorted = ids.to_vec();
        sorted.sort_unstable();
        self.remove_where(false, |letter| sorted.binary_search(&letter.id).is_ok())
    }

    /// Removes all letters, or those with numbers up to `through`; gives how many there were.
    ///
    /// # Errors
    /// `Unavailable` when the disk does not take it. Some of the letters may be gone.
    pub fn purge(&self, through: Option<u64>) -> Result<u64> {
        self.remove_where(through.is_none(), |letter| {
            through.is_none_or(|through| letter.id <= through)
        })
    }

    /// Damaged lines go with the first letter that is removed from their file, or with all.
    fn remove_where(&self, all: bool, is_removed: impl Fn(&DeadLetter) -> bool) -> Result<u64> {
        let mut state = self.state.lock();
        state.check_open()?;
        let mut removed = 0;
        for at in (0..state.all.len()).rev() {
            let content = content(&*self.files, &state.all[at].path)?;
            let gone = content.letters.iter().filter(|l| is_removed(l)).count() as u64;
            if gone == 0 && (!all || content.length == 0) {
                continue;
            }
            let is_empty = gone == content.letters.len() as u64;
            removed += gone;
            if is_empty {
                self.remove_file(&mut state, at)?;
            } else {
                self.write_again(&mut state, at, &content, &is_removed)?;
            }
        }
        Ok(removed)
    }

    /// Removes a file; an empty one takes the place of the newest, so that numbers go on from it.
    fn remove_file(&self, state: &mut State, at: usize) -> Result<()> {
        if at + 1 == state.all.len() {
            let number = state.next;
            state.next += 1;
            self.create(state, number)?;
        }
        remove(&*self.files, &state.all[at].path)?;
        state.all.remove(at);
        self.sync()
    }

    fn write_again(
        &self,
        state: &mut State,
        at: usize,
        content: &Content,
        is_removed: &impl Fn(&DeadLetter) -> bool,
    ) -> Result<()> {
        let (mut bytes, mut letters) = (Vec::new(), 0);
        for letter in content.letters.iter().filter(|l| !is_removed(l)) {
            let line = letter.line(letter.id, Most::ALL);
            bytes.extend(line.map_err(|error| {
                Error::internal(format!("cannot write a dead letter: {error}"))
            })?);
            letters += 1;
        }
        if at + 1 == state.all.len() {
            state.current = None;
        }
        let kept = &mut state.all[at];
        // Nothing is appended before it is known which file has the name, also after a crash.
        kept.is_open = false;
        self.replace(&kept.path, &bytes)?;
        (kept.letters, kept.bytes) = (letters, bytes.len() as u64);
        self.sync()?;
        (kept.is_open, kept.is_inherited) = (true, false);
        Ok(())
    }

    pub(super) fn replace(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        let mut temp = path.as_os_str().to_owned();
        temp.push(TEMP);
        let temp = Path::new(&temp);
        let written = self.write_temp(temp, bytes).and_then(|()| {
            let named = self.files.rename(temp, path);
            named.map_err(|error| Error::io("rename", temp, error))
        });
        if written.is_err() {
            // The first error is the one to tell; a leftover is removed when the folder is opened.
            let _ = self.files.remove(temp);
        }
        written
    }

    fn write_temp(&self, temp: &Path, bytes: &[u8]) -> Result<()> {
        remove(&*self.files, temp)?;
        let created = self.files.create(temp);
        let mut file = created.map_err(|error| Error::io("create", temp, error))?;
        let written = file.append(bytes).and_then(|()| file.sync());
        written.map_err(|error| Error::io("write", temp, error))
    }

    pub(super) fn sync(&self) -> Result<()> {
        let synced = self.files.sync_folder(&self.folder);
        synced.map_err(|error| Error::io("sync", &self.folder, error))
    }
}
