//! Adds dead letters.
//!
//! Owns: rotation and the limit. Never: reads.

use super::list::MOST;
use super::{DeadLetter, DeadLetters, Kept, State, path_of, remove};
use crate::{Error, Result};

/// Lines for one file.
#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    letters: u64,
}

impl DeadLetters {
    /// Adds letters, which are on the disk when this returns. Their numbers follow those of all before; past the
    /// limit the oldest file goes.
    ///
    /// # Errors
    /// `Unavailable` when the disk is full or does not take it. Some of the letters may be there all the same.
    pub fn push(&self, letters: &[DeadLetter]) -> Result<()> {
        let mut state = self.state.lock();
        state.check_open()?;
        let mut lines = Lines::default();
        for letter in letters {
            let line = letter
                .line(state.next, self.options.kept())
                .map_err(|error| Error::internal(format!("cannot write a dead letter: {error}")))?;
            if lines.letters > 0 && !self.fits(&state, lines.bytes.len() + line.len()) {
                self.write(&mut state, std::mem::take(&mut lines))?;
            }
            // A number is used up even if the letter cannot be written: a part of it may be there.
            state.next += 1;
            lines.bytes.extend(line);
            lines.letters += 1;
        }
        if lines.letters == 0 {
            return Ok(());
        }
        self.write(&mut state, lines)
    }

    /// Whether so many more bytes fit the newest file, or would be the first ones of the next one.
    fn fits(&self, state: &State, bytes: usize) -> bool {
        let newest = state.all.last().filter(|newest| newest.is_open);
        let before = newest.map_or(0, |newest| newest.bytes);
        let fits = |before: u64| before + bytes as u64 <= self.options.file();
        fits(before) || (before > 0 && fits(0))
    }

    fn write(&self, state: &mut State, lines: Lines) -> Result<()> {
        let length = lines.bytes.len() as u64;
        let is_full = |kept: &Kept| kept.bytes > 0 && kept.bytes + length > self.options.file();
        if state
            .all
            .last()
            .is_none_or(|kept| !kept.is_open || is_full(kept))
        {
            state.current = None;
            self.create(state, state.next - lines.letters)?;
        }
        self.make_room(state, length);
        self.take_over(state)?;
        let appended = self.append(state, &lines.bytes);
        let Some(newest) = state.all.last_mut() else {
            return Err(Error::internal("there is no dead letter file"));
        };
        match appended {
            Ok(()) => {
                newest.letters += lines.letters;
                newest.bytes += length;
                Ok(())
            }
            Err((action, error)) => {
                // Its end is unknown, and its pages may be dropped: the next letters get another file.
                newest.is_open = false;
                let left = self.files.length(&newest.path);
                newest.bytes = left.unwrap_or(newest.bytes + length);
                state.current = None;
                Err(Error::io(action, &newest.path, error))
            }
        }
    }

    fn append(
        &self,
        state: &mut State,
        bytes: &[u8],
    ) -> std::result::Result<(), (&'static str, std::io::Error)> {
        let State { all, current, .. } = state;
        let file = match current {
            Some(file) => file,
            None => {
                let path = all.last().map(|newest| newest.path.clone());
                let opened = self.files.open(&path.unwrap_or_default());
                current.insert(opened.map_err(|error| ("open", error))?)
            }
        };
        let before = all.last().map_or(0, |newest| newest.bytes);
        if let Err(error) = file.append(bytes) {
            // Gives back the space; what cannot be cut off is a line that is not whole, or letters too many.
            let _ = file.truncate(before);
            return Err(("append to", error));
        }
        file.sync().map_err(|error| ("sync", error))
    }

    /// Writes the newest file again, unless this process did: its pages may not be those on the disk.
    fn take_over(&self, state: &mut State) -> Result<()> {
        let Some(newest) = state.all.last_mut().filter(|newest| newest.is_inherited) else {
            return Ok(());
        };
        // Whatever fails, it is not known which file has the name.
        newest.is_open = false;
        let bytes = self.files.read(&newest.path, 0, MOST);
        let bytes = bytes.map_err(|error| Error::io("read", &newest.path, error))?;
        self.replace(&newest.path, &bytes)?;
        self.sync()?;
        (newest.is_open, newest.is_inherited) = (true, false);
        Ok(())
    }

    /// Creates the next file.
    pub(super) fn create(&self, state: &mut State, number: u64) -> Result<()> {
        let path = path_of(&self.folder, number);
        let created = self.files.create(&path);
        let file = created.map_err(|error| Error::io("create", &path, error))?;
        state.all.push(Kept {
            path,
            letters: 0,
            bytes: 0,
            is_open: true,
            is_inherited: false,
        });
        state.current = Some(file);
        let synced = self.files.sync_folder(&self.folder);
        synced.map_err(|error| {
            state.current = None;
            if let Some(newest) = state.all.last_mut() {
                newest.is_open = false;
            }
            Error::io("sync", &self.folder, error)
        })
    }

    /// Removes the oldest files until so many more bytes are within the limit.
    fn make_room(&self, state: &mut State, bytes: u64) {
        while state.all.len() > 1 && state.bytes() + bytes > self.options.max_bytes {
            let oldest = state.all.remove(0);
            // A file that cannot be removed takes room, but keeps nobody from going on.
            match remove(&*self.files, &oldest.path) {
                Ok(()) => tracing::warn!(
                    letters = oldest.letters,
                    file = %oldest.path.display(),
                    "dead letters are dropped: there are more than the limit"
                ),
                Err(error) => {
                    tracing::warn!(%error, "a dead letter file past the limit cannot be removed");
                }
            }
            state.dropped += oldest.letters;
        }
    }
}
