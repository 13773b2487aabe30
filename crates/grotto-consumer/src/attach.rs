//! Attached readers: other processes that map what a consumer's state directory holds.
//!
//! Owns: following `CURRENT`. Never: writes to the directory, locks it, or asks the store.

use crate::dir::{Current, HostFiles, Image, Paths, ReadError, Segments, read_current, read_image};
use crate::error::{Error, Result};
use crate::served::Served;
use crate::watch::{Stop, Wake, Watch};
use grotto_env::{Env, FileSystem};
use grotto_state::State;
use parking_lot::{Condvar, Mutex};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Times that `CURRENT` is read again because what it led to was gone.
const TRIES: usize = 16;

/// Serves the newest state of a state directory that another process writes to.
#[derive(Debug)]
pub struct Attached {
    seen: Arc<Seen>,
    stop: Stop,
    thread: Option<JoinHandle<()>>,
    dataset: String,
    paths: Paths,
    env: Env,
}

/// What the following thread shares with readers.
#[derive(Debug)]
struct Seen {
    served: Served,
    /// Counts changes, to wait for one.
    turn: Mutex<u64>,
    changed: Condvar,
}

/// The thread's own part.
struct Follower {
    paths: Paths,
    dataset: String,
    boot: Option<String>,
    current: Current,
    /// Mapped segments of the served state.
    segments: Segments,
    seen: Arc<Seen>,
}

impl Attached {
    pub(crate) fn open(dir: &Path, env: Env) -> Result<Self> {
        if !dir.is_dir() {
            return Err(Error::invalid(format!(
                "state directory {} does not exist: expected a folder that a consumer writes to",
                dir.display()
            )));
        }
        // Watched before it is read: what changes in between is seen.
        let (watch, stop) = Watch::new(dir)?;
        let paths = Paths::new(dir);
        let boot = HostFiles.boot();
        let image =
            load(&paths, None, &Segments::new(), boot.as_deref()).map_err(|e| refusal(dir, e))?;
        let Some(image) = image else {
            return Err(Error::unavailable(format!(
                "state directory {} holds no state yet: expected a consumer to write to it",
                dir.display()
            )));
        };
        let dataset = image.dataset.clone();
        let seen = Arc::new(Seen {
            served: Served::new(image.state),
            turn: Mutex::new(0),
            changed: Condvar::new(),
        });
        let (current, segments) = (image.current, image.segments);
        let follower = Follower {
            paths: paths.clone(),
            dataset: dataset.clone(),
            boot,
            current,
            segments,
            seen: Arc::clone(&seen),
        };
        let thread = std::thread::Builder::new().name("grotto-attached".to_owned());
        let thread = thread.spawn(move || follower.run(watch));
        let thread =
            thread.map_err(|e| Error::unavailable("cannot start a thread").with_source(e))?;
        Ok(Self {
            seen,
            stop,
            thread: Some(thread),
            dataset,
            paths,
            env,
        })
    }

    /// The newest state. Wait-free; stays readable for as long as it is held.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        self.seen.served.hold()
    }

    /// The version served now.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.state().version()
    }

    /// Name of the dataset.
    #[must_use]
    pub fn dataset(&self) -> &str {
        &self.dataset
    }

    /// Time since the process that writes to the directory last knew that what it holds is the newest
    /// (or the pinned) version, by the wall clock of this host; `None` if it never did. Some seconds
    /// while that process polls; it grows when the store does not answer and when the process is gone.
    #[must_use]
    pub fn staleness(&self) -> Option<Duration> {
        let fresh_ms = HostFiles.touched(&self.paths.fresh())?;
        let now_ms = self.env.clock.wall_ms();
        Some(Duration::from_millis(now_ms.saturating_sub(fresh_ms)))
    }

    /// Waits until another version than `version` is served, at most `timeout`; `None` if none came.
    #[must_use]
    pub fn wait_past(&self, version: u64, timeout: Duration) -> Option<Arc<State>> {
        let other = || Some(self.state()).filter(|state| state.version() != version);
        let mut turn = self.seen.turn.lock();
        // A change is published before its turn is counted, under this lock: none is missed.
        if other().is_none() {
            let same = |_: &mut u64| other().is_none();
            self.seen.changed.wait_while_for(&mut turn, same, timeout);
        }
        other()
    }

    /// Stops following. States that are held stay readable.
    pub fn shutdown(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.stop();
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!(
                dataset = self.dataset,
                "the thread of an attached reader panicked"
            );
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.end();
    }
}

impl Follower {
    fn run(mut self, mut watch: Watch) {
        keep_looking(
            || watch.wait(),
            || {
                let looked = self.look();
                self.seen.served.reclaim();
                looked
            },
        );
    }

    /// Maps what is new.
    fn look(&mut self) -> Result<()> {
        let found = load(
            &self.paths,
            Some(self.current),
            &self.segments,
            self.boot.as_deref(),
        );
        // No news, or a writer that begins anew: either way, what is mapped stays good.
        let Some(image) = found.map_err(|e| refusal(self.paths.dir(), e))? else {
            return Ok(());
        };
        if image.dataset != self.dataset {
            let dir = self.paths.dir().display();
            let (expected, found) = (&self.dataset, &image.dataset);
            return Err(Error::invalid(format!(
                "state directory {dir}: expected dataset {expected}, found {found}"
            )));
        }
        self.current = image.current;
        self.segments = image.segments;
        self.seen.served.replace(Arc::new(image.state));
        *self.seen.turn.lock() += 1;
        self.seen.changed.notify_all();
        Ok(())
    }
}

/// Looks whenever it is woken, until it is stopped. A look that fails or panics is tried again.
fn keep_looking(mut wait: impl FnMut() -> Wake, mut look: impl FnMut() -> Result<()>) {
    let mut failing = false;
    while wait() == Wake::Look {
        let looked = catch_unwind(AssertUnwindSafe(&mut look));
        let panicked = |_| Err(Error::internal("looking at the state directory panicked"));
        match looked.unwrap_or_else(panicked) {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, "cannot follow the state directory; serving on");
            }
            Err(_) => {}
        }
    }
}

/// What `CURRENT` leads to, if it is another than `known`. A writer that is faster than we are may
/// have removed it: then `CURRENT` says what is newer.
fn load(
    paths: &Paths,
    known: Option<Current>,
    reuse: &Segments,
    boot: Option<&str>,
) -> Result<Option<Image>, ReadError> {
    let mut last = ReadError::Vanished("expected a state".to_owned());
    for _ in 0..TRIES {
        let Some(current) =
            read_current(&HostFiles, paths)?.filter(|current| Some(*current) != known)
        else {
            return Ok(None);
        };
        match read_image(&HostFiles, paths, current, reuse, boot) {
            Err(error @ ReadError::Vanished(_)) => last = error,
            other => return other.map(Some),
        }
    }
    Err(last)
}

fn refusal(dir: &Path, error: ReadError) -> Error {
    let dir = dir.display();
    match error {
        ReadError::Vanished(reason) | ReadError::Damaged(reason) => {
            Error::corrupt(format!("state directory {dir}: {reason}"))
        }
        ReadError::Refused(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_panics_does_not_end_the_following() {
        let mut wakes = vec![Wake::Stop, Wake::Look, Wake::Look, Wake::Look];
        let mut looks = 0;
        keep_looking(
            || wakes.pop().unwrap(),
            || {
                looks += 1;
                assert_ne!(looks, 1, "the first look panics");
                Ok(())
            },
        );
        assert_eq!(looks, 3);
    }
}
