//! Attached readers: other processes that map what a consumer's state directory holds.
//!
//! Owns: their handle, and the thread or task that follows the directory for them. Never: writes to the
//! directory, locks it, or asks the store.

use crate::dir::{HostFiles, Paths};
use crate::error::{Error, ErrorKind, Result};
use crate::follower::{Follower, Seen};
use crate::watch::{Stop, Watch};
use grotto_env::{Env, FileSystem, ReadMark};
use grotto_state::State;
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

/// Serves the newest state of a state directory that another process writes to.
#[derive(Debug)]
pub struct Attached {
    seen: Arc<Seen>,
    driver: Mutex<Driver>,
    dataset: String,
    system: Arc<dyn FileSystem>,
    paths: Paths,
    env: Env,
    /// Has the writer count this reader; goes when it is dropped.
    _mark: Option<Box<dyn ReadMark>>,
}

/// What follows the directory.
#[derive(Debug)]
enum Driver {
    /// A thread that waits for the host to tell, so that readers need no async runtime.
    Thread {
        stop: Stop,
        thread: Option<JoinHandle<()>>,
    },
    /// A task that ends when the sender is dropped.
    Task(Option<watch::Sender<()>>),
}

impl Attached {
    pub(crate) fn open(dir: &Path, env: Env) -> Result<Self> {
        // Watched before it is read: what changes in between is seen.
        let (mut watch, stop) = Watch::new(dir)?;
        let system: Arc<dyn FileSystem> = Arc::new(HostFiles::default());
        let follower = Follower::new(Arc::clone(&system), dir, Arc::clone(&env.clock))?;
        let attached = Self::over(&follower, system, env);
        let thread = std::thread::Builder::new().name("grotto-attached".to_owned());
        let thread = thread.spawn(move || follower.run(|most| watch.wait(most)));
        let thread =
            thread.map_err(|e| Error::unavailable("cannot start a thread").with_source(e))?;
        let thread = Some(thread);
        *attached.driver.lock() = Driver::Thread { stop, thread };
        Ok(attached)
    }

    pub(crate) fn open_in(dir: &Path, system: Arc<dyn FileSystem>, env: Env) -> Result<Self> {
        grotto_env::check_runtime().map_err(|e| Error::showing(ErrorKind::Invalid, e))?;
        let told = system.watch(dir);
        let follower = Follower::new(Arc::clone(&system), dir, Arc::clone(&env.clock))?;
        let attached = Self::over(&follower, system, env.clone());
        let (stop, stopped) = watch::channel(());
        tokio::spawn(follower.run_as_task(env, told, stopped));
        *attached.driver.lock() = Driver::Task(Some(stop));
        Ok(attached)
    }

    fn over(follower: &Follower, system: Arc<dyn FileSystem>, env: Env) -> Self {
        let folder = follower.paths().dir();
        let mark = system.enter(folder).unwrap_or_else(|error| {
            tracing::debug!(%error, dir = %folder.display(), "the writer cannot count this reader");
            None
        });
        Self {
            seen: follower.seen(),
            driver: Mutex::new(Driver::Task(None)),
            dataset: follower.dataset().to_owned(),
            system,
            paths: follower.paths().clone(),
            env,
            _mark: mark,
        }
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
    /// (or the pinned) version, by the wall clock of this host; `None` if it never did. Up to
    /// that process' check interval, 30 s, while nothing happens; it grows further when the store does not answer and when the process is gone.
    #[must_use]
    pub fn staleness(&self) -> Option<Duration> {
        let fresh_ms = self.system.touched(&self.paths.fresh())?;
        let now_ms = self.env.clock.wall_ms();
        Some(Duration::from_millis(now_ms.saturating_sub(fresh_ms)))
    }

    /// What keeps the state that the directory holds now from being served; `None` if nothing does.
    /// What was served before is served on, and following goes on too.
    #[must_use]
    pub fn trouble(&self) -> Option<Arc<Error>> {
        self.seen.trouble.lock().clone()
    }

    /// Waits until the served version is at least `version`, at most `timeout`; gives the state that is
    /// served then.
    ///
    /// # Errors
    /// `Unavailable` when it does not come in time; [`trouble`](Self::trouble) may say why.
    pub fn wait_for(&self, version: u64, timeout: Duration) -> Result<Arc<State>> {
        let what = format!("version {version}");
        self.wait_until(timeout, &what, |served| served >= version)
    }

    /// Waits until another version than `version` is served, newer or older, at most `timeout`; gives its
    /// state.
    ///
    /// # Errors
    /// As [`wait_for`](Self::wait_for).
    pub fn wait_past(&self, version: u64, timeout: Duration) -> Result<Arc<State>> {
        self.wait_until(timeout, "another version", |served| served != version)
    }

    fn wait_until(
        &self,
        timeout: Duration,
        what: &str,
        is_wanted: impl Fn(u64) -> bool,
    ) -> Result<Arc<State>> {
        let wanted = || Some(self.state()).filter(|state| is_wanted(state.version()));
        let mut turn = self.seen.turn.lock();
        // A change is published before its turn is counted, under this lock: none is missed.
        if wanted().is_none() {
            let missing = |_: &mut u64| wanted().is_none();
            let changed = &self.seen.changed;
            changed.wait_while_for(&mut turn, missing, timeout);
        }
        wanted().ok_or_else(|| {
            let (name, version) = (&self.dataset, self.version());
            Error::unavailable(format!(
                "dataset {name}: expected {what} within {timeout:?}, found version {version}"
            ))
        })
    }

    /// Stops following. States that are held stay readable. To call it again does nothing.
    pub fn shutdown(&self) {
        let mut driver = self.driver.lock();
        let (stop, thread) = match &mut *driver {
            Driver::Thread { stop, thread } => (stop, thread),
            Driver::Task(stop) => return drop(stop.take()),
        };
        stop.stop();
        if let Some(Err(_)) = thread.take().map(JoinHandle::join) {
            tracing::error!(
                dataset = self.dataset,
                "the thread of an attached reader panicked"
            );
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.shutdown();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_runtime_an_error_says_what_is_missing() {
        let system = Arc::new(HostFiles::default());
        let attached = Attached::open_in(Path::new("/"), system, Env::system());
        let error = attached.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let text = error.to_string();
        assert!(
            text.starts_with("expected a tokio runtime around the call"),
            "{text}"
        );
    }
}
