//! Looking after files that were sealed: whether they still are what they were.
//!
//! Owns: finding damage in a directory that this process writes to, and dropping what is damaged. Never:
//! loads anything again.

use super::StateDir;
use crate::dir::read::ReadError;
use crate::dir::sums::CHUNK;
use crate::dir::trust::{self, altered};
use crate::error::{Error, Result};
use grotto_state::State;
use std::collections::BTreeSet;

/// What a look at the files showed.
#[derive(Debug)]
pub(crate) enum Soundness {
    /// They are what they were.
    Same,
    /// Some are other files with the right bytes: the root should say so.
    Renewed,
    /// One of them has other bytes, or is gone.
    Damaged(Error),
}

impl StateDir {
    /// Compares the files of the newest root with what they were when they were sealed. Their bytes are
    /// read only where a file is another one, or was changed. Where it is another one, so are the bytes that
    /// `served` has mapped: these are looked at too.
    ///
    /// # Errors
    /// When the system refuses to tell.
    pub(crate) fn check_files(&mut self, served: &State) -> Result<Soundness> {
        let Some((_, names)) = self.roots.last() else {
            return Ok(Soundness::Same);
        };
        let mut renewed = Vec::new();
        for file in names.iter().filter_map(|name| self.files.get(name)) {
            let path = self.paths.segment(file.name);
            let mark = self.system.mark(&path);
            let mark = mark.map_err(|e| Error::io("look at", &path, e))?;
            if mark.is_some_and(|mark| file.is(mark)) {
                continue;
            }
            if mark.is_some_and(|mark| mark.number != file.identity.number) {
                let mapped = served.segments().find(|at| at.name() == file.name);
                let checked = mapped.map_or(Ok(()), |at| file.sums.check(at.bytes()));
                if let Err(damage) = checked {
                    return Ok(Soundness::Damaged(Error::corrupt(altered(&path, &damage))));
                }
            }
            let looked =
                trust::map_one(&*self.system, &path, file.clone()).and_then(|(held, _)| {
                    let checked = held.file.sums.check(&held.bytes);
                    let damaged = |damage| ReadError::Damaged(altered(&path, &damage));
                    checked.map_err(damaged).map(|()| held.file)
                });
            match looked {
                Ok(file) => renewed.push(file),
                Err(ReadError::Refused(error)) => return Err(error),
                Err(ReadError::Damaged(reason) | ReadError::Vanished(reason)) => {
                    return Ok(Soundness::Damaged(Error::corrupt(reason)));
                }
            }
        }
        if renewed.is_empty() {
            return Ok(Soundness::Same);
        }
        self.files
            .extend(renewed.into_iter().map(|file| (file.name, file)));
        Ok(Soundness::Renewed)
    }

    /// Drops all that was published: nobody attaches to it any more, nor does the next start find it.
    pub(crate) fn discard(&mut self) {
        self.unlink(&self.paths.current());
        let roots = self.roots.drain(..).map(|(seq, _)| self.paths.root(seq));
        let sealed: BTreeSet<u64> = self.sealed.iter().copied().collect();
        let files = self.files.extract_if(.., |name, _| !sealed.contains(name));
        let files = files.map(|(name, _)| self.paths.segment(name));
        let gone: Vec<_> = roots.chain(files).collect();
        gone.iter().for_each(|path| self.unlink(path));
    }

    /// Compares a part of a segment's bytes with what was sealed; tells how many bytes that were, none past
    /// its end.
    pub(crate) fn check_part(
        &self,
        segment: u64,
        bytes: &[u8],
        part: usize,
    ) -> std::result::Result<Option<u64>, String> {
        let Some(file) = self.files.get(&segment) else {
            return Ok(None);
        };
        let damage = |damage| altered(&self.paths.segment(segment), &damage);
        file.sums.check_at(bytes, part).map_err(damage)?;
        Ok(bytes.chunks(CHUNK).nth(part).map(|part| part.len() as u64))
    }

    /// Compares the checksums of a state's segments with those of their files when they were sealed.
    pub(crate) fn check(&self, state: &State) -> Result<()> {
        for segment in state.segments() {
            let Some(file) = self.files.get(&segment.name()) else {
                continue;
            };
            let checked = file.sums.check(segment.bytes());
            let path = self.paths.segment(segment.name());
            checked.map_err(|damage| Error::corrupt(altered(&path, &damage)))?;
        }
        Ok(())
    }
}
