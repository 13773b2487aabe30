//! Following `CURRENT`: what an attached reader does each time it looks.
//!
//! Owns: which state of the directory is served, and what is wrong with the newest one. Never: decides
//! when to look; that is for a thread of the host, or a task of a simulation.

use crate::dir::{
    Current, Image, Paths, ReadError, Segments, check_exists, read_current, read_image,
};
use crate::error::{Error, Result};
use crate::served::Served;
use crate::watch::{BLIND_INTERVAL, IDLE_INTERVAL, Wake};
use checks::Checks;
use grotto_env::{Clock, Env, FileMark, FileSystem};
use parking_lot::{Condvar, Mutex};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

mod checks;
#[cfg(test)]
mod tests;

/// Between two parts of a check: for whoever ends the reader, or runs on the same thread.
const BREATH: Duration = Duration::from_millis(1);

/// Times that `CURRENT` is read again because what it led to was gone.
const TRIES: usize = 16;

/// What whoever follows shares with readers.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) served: Served,
    /// Counts changes, to wait for one.
    pub(crate) turn: Mutex<u64>,
    pub(crate) changed: Condvar,
    /// What keeps the newest state from being served.
    pub(crate) trouble: Mutex<Option<Arc<Error>>>,
}

/// The part of whoever follows.
pub(crate) struct Follower {
    system: Arc<dyn FileSystem>,
    paths: Paths,
    dataset: String,
    boot: Option<String>,
    current: Current,
    /// The file that said so.
    mark: Option<FileMark>,
    /// Mapped segments of the served state.
    segments: Segments,
    checks: Checks,
    seen: Arc<Seen>,
}

impl Follower {
    /// Maps what the directory holds now.
    pub(crate) fn new(
        system: Arc<dyn FileSystem>,
        dir: &Path,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        check_exists(&*system, dir)?;
        let paths = Paths::new(dir);
        let boot = system.boot();
        // Before it is read: what changes in between is read again.
        let mark = mark(&*system, &paths)?;
        let image = load(&*system, &paths, None, &Segments::new(), boot.as_deref());
        let Some(image) = image.map_err(|e| refusal(dir, e))? else {
            return Err(Error::unavailable(format!(
                "state directory {} holds no state yet: expected a consumer to write to it",
                dir.display()
            )));
        };
        let seen = Seen {
            served: Served::new(image.state, &image.dataset_id),
            turn: Mutex::new(0),
            changed: Condvar::new(),
            trouble: Mutex::default(),
        };
        Ok(Self {
            system,
            paths,
            dataset: image.dataset,
            boot,
            current: image.current,
            mark,
            segments: image.segments,
            checks: Checks::new(clock),
            seen: Arc::new(seen),
        })
    }

    pub(crate) fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.seen)
    }

    pub(crate) fn dataset(&self) -> &str {
        &self.dataset
    }

    pub(crate) fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Looks whenever `wait` says so, until that ends it. It is told how long it may wait.
    pub(crate) fn run(mut self, mut wait: impl FnMut(Duration) -> Wake) {
        while wait(self.patience()) == Wake::Look {
            self.look_again();
        }
    }

    /// How long to wait for a change, at most, before the next look.
    fn patience(&self) -> Duration {
        if self.checks.is_busy() {
            BREATH
        } else {
            IDLE_INTERVAL
        }
    }

    /// The same as a task: looks when the file system tells, now and then all the same, and until the
    /// other end of `stop` is dropped.
    pub(crate) async fn run_as_task(
        mut self,
        env: Env,
        told: Option<Arc<Notify>>,
        mut stop: watch::Receiver<()>,
    ) {
        let most = match told {
            Some(_) => IDLE_INTERVAL,
            None => BLIND_INTERVAL,
        };
        loop {
            let interval = most.min(self.patience());
            let change = async {
                match &told {
                    Some(told) => told.notified().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased; // the same seed of a simulation must take the same branch
                _ = stop.changed() => return,
                _ = env.within(interval, change) => self.look_again(),
            }
        }
    }

    fn look_again(&mut self) {
        let seen = Arc::clone(&self.seen);
        look_or_note(&seen.trouble, || {
            self.look()?;
            let system = &*self.system;
            self.checks.go_on(system, &self.paths, &mut self.segments)
        });
        seen.served.reclaim();
    }

    /// Maps what is new.
    fn look(&mut self) -> Result<()> {
        let mark = mark(&*self.system, &self.paths)?;
        if mark.is_none() || mark == self.mark {
            return Ok(());
        }
        let found = load(
            &*self.system,
            &self.paths,
            Some(self.current),
            &self.segments,
            self.boot.as_deref(),
        );
        // No news, or a writer that begins anew: either way, what is mapped stays good.
        if let Some(image) = found.map_err(|e| refusal(self.paths.dir(), e))? {
            self.serve(image)?;
        }
        self.mark = mark;
        Ok(())
    }

    fn serve(&mut self, image: Image) -> Result<()> {
        if image.dataset != self.dataset {
            let dir = self.paths.dir().display();
            let (expected, found) = (&self.dataset, &image.dataset);
            return Err(Error::invalid(format!(
                "state directory {dir}: expected dataset {expected}, found {found}"
            )));
        }
        self.current = image.current;
        self.segments = image.segments;
        self.checks.forget_findings();
        self.seen
            .served
            .replace(Arc::new(image.state), &image.dataset_id);
        *self.seen.turn.lock() += 1;
        self.seen.changed.notify_all();
        Ok(())
    }
}

/// Notes how a look ended. One that fails or panics is tried again with the next.
fn look_or_note(trouble: &Mutex<Option<Arc<Error>>>, look: impl FnOnce() -> Result<()>) {
    let looked = catch_unwind(AssertUnwindSafe(look));
    let panicked = |_| Err(Error::internal("looking at the state directory panicked"));
    let failed = looked.unwrap_or_else(panicked).err();
    let mut trouble = trouble.lock();
    if let Some(error) = failed.as_ref().filter(|_| trouble.is_none()) {
        tracing::warn!(%error, "cannot follow the state directory; serving on");
    }
    *trouble = failed.map(Arc::new);
}

fn mark(system: &dyn FileSystem, paths: &Paths) -> Result<Option<FileMark>> {
    let path = paths.current();
    let marked = system.mark(&path);
    marked.map_err(|e| Error::io("look at", &path, e))
}

/// What `CURRENT` leads to, if it is another than `known`. A writer that is faster than we are may
/// have removed it: then `CURRENT` says what is newer.
fn load(
    system: &dyn FileSystem,
    paths: &Paths,
    known: Option<Current>,
    reuse: &Segments,
    boot: Option<&str>,
) -> Result<Option<Image>, ReadError> {
    let mut last = ReadError::Vanished("expected a state".to_owned());
    for _ in 0..TRIES {
        let current = read_current(system, paths)?;
        let Some(current) = current.filter(|current| Some(*current) != known) else {
            return Ok(None);
        };
        match read_image(system, paths, current, reuse, boot) {
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
