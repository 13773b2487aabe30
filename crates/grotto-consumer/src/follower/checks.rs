//! Looking again at the files that are mapped.
//!
//! Owns: which of them were looked at, and what was found damaged. Does a bounded part at a time, so that
//! whoever follows `CURRENT` notices a new version in between. Never: decides what is served.

use crate::dir::{Held, Looked, Paths, ReadError, Segments, look_at, verify_parts};
use crate::error::{Error, Result};
use grotto_env::{Clock, FileSystem};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How often mapped files are looked at: whether they still are what they were.
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Checksums that are compared in one go, of 256 KiB each: some milliseconds of work.
const PARTS: usize = 64;

/// Looks at all mapped files, pass by pass.
#[derive(Debug)]
pub(super) struct Checks {
    clock: Arc<dyn Clock>,
    /// When this pass began, or the last one.
    begun_at: Duration,
    /// Files that this pass still has to look at.
    left: Vec<u64>,
    /// The file whose bytes are being compared.
    doubtful: Option<Doubtful>,
    /// A mapped file that has other bytes than it had.
    damage: Option<String>,
    /// Mapped files without their names, whose bytes were right.
    gone: BTreeSet<u64>,
    /// Checksums that are compared in one go.
    pub(super) parts: usize,
}

/// A file that is not what it was, by its name.
#[derive(Debug)]
struct Doubtful {
    name: u64,
    looked: Looked,
    /// The first part that was not compared yet.
    next: usize,
}

impl Checks {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            begun_at: clock.monotonic(),
            clock,
            left: Vec::new(),
            doubtful: None,
            damage: None,
            gone: BTreeSet::new(),
            parts: PARTS,
        }
    }

    /// Whether a pass goes on.
    pub(super) fn is_busy(&self) -> bool {
        self.doubtful.is_some()
    }

    /// Other files are served now. A pass goes on with those that still are.
    pub(super) fn forget_findings(&mut self) {
        self.damage = None;
        self.gone.clear();
    }

    /// Begins a pass if it is time for one, and goes on with it up to the next part of a file whose bytes
    /// must be compared. What was found damaged stays so until other files are served.
    pub(super) fn go_on(
        &mut self,
        system: &dyn FileSystem,
        paths: &Paths,
        segments: &mut Segments,
    ) -> Result<()> {
        self.begin_if_due(segments);
        match self.step(system, paths, segments) {
            Ok(()) => {}
            Err((_, ReadError::Refused(error))) => {
                self.end();
                return Err(error);
            }
            Err((name, ReadError::Damaged(reason) | ReadError::Vanished(reason))) => {
                self.end();
                // Mapped anew if it is still to be served: then it has to be the right one.
                segments.remove(&name);
                self.damage = Some(reason);
            }
        }
        match &self.damage {
            None => Ok(()),
            Some(reason) => Err(Error::corrupt(format!(
                "what is served is damaged: {reason}"
            ))),
        }
    }

    fn begin_if_due(&mut self, segments: &Segments) {
        let now = self.clock.monotonic();
        let is_due = now.saturating_sub(self.begun_at) >= CHECK_INTERVAL;
        if self.damage.is_none() && !self.is_busy() && is_due {
            self.begun_at = now;
            self.left = segments.keys().copied().collect();
        }
    }

    fn end(&mut self) {
        self.left.clear();
        self.doubtful = None;
    }

    /// An error comes with the file it is about.
    fn step(
        &mut self,
        system: &dyn FileSystem,
        paths: &Paths,
        segments: &mut Segments,
    ) -> Result<(), (u64, ReadError)> {
        while self.doubtful.is_none() {
            let Some(name) = self.left.pop() else {
                return Ok(());
            };
            if let Some(held) = segments.get(&name) {
                let looked = look_at(system, paths, held).map_err(|error| (name, error))?;
                self.doubtful = self.doubt(name, looked);
            }
        }
        let Some(doubtful) = &mut self.doubtful else {
            return Ok(());
        };
        let name = doubtful.name;
        let done = match segments.get_mut(&name) {
            Some(held) => {
                let compared = doubtful.compare(paths, held, self.parts);
                compared.map_err(|error| (name, error))?
            }
            None => true, // not served any more
        };
        if done {
            self.settle(segments);
        }
        Ok(())
    }

    /// Where the writer has found damage, or somebody removed everything, the names are gone, and only the
    /// bytes can tell.
    fn doubt(&self, name: u64, looked: Looked) -> Option<Doubtful> {
        let is_known = match looked {
            Looked::Same => true,
            Looked::Gone => self.gone.contains(&name),
            Looked::Other(_) => false,
        };
        (!is_known).then_some(Doubtful {
            name,
            looked,
            next: 0,
        })
    }

    /// Notes that the bytes of a file are right.
    fn settle(&mut self, segments: &mut Segments) {
        let Some(Doubtful { name, looked, .. }) = self.doubtful.take() else {
            return;
        };
        match (looked, segments.get_mut(&name)) {
            (Looked::Other(identity), Some(held)) => held.file.identity = identity,
            (Looked::Gone, Some(_)) => {
                self.gone.insert(name);
            }
            _ => {}
        }
    }
}

impl Doubtful {
    /// Compares some parts more; tells whether those were the last.
    fn compare(&mut self, paths: &Paths, held: &Held, parts: usize) -> Result<bool, ReadError> {
        let end = self.next.saturating_add(parts);
        verify_parts(paths, held, self.next..end)?;
        self.next = end;
        Ok(end >= held.file.sums.count())
    }
}
