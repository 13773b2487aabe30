//! Noticing that a state directory has changed.
//!
//! Owns: when to look. Never: reads `CURRENT`.
//!
//! Linux tells through inotify, within microseconds. Where it cannot (no watches left, another
//! system), looking every few milliseconds does: one question for what a cached file is.

use crate::error::Result;
use std::path::Path;
use std::time::Duration;

/// How often to look where nothing tells.
pub(crate) const BLIND_INTERVAL: Duration = Duration::from_millis(5);
/// How often to look although nothing was told: events can be lost when a queue overflows.
pub(crate) const IDLE_INTERVAL: Duration = Duration::from_secs(1);

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wake {
    /// Something may have changed.
    Look,
    /// The reader ends.
    Stop,
}

#[cfg(target_os = "linux")]
pub(crate) use linux::{Stop, Watch};
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::{Stop, Watch};

#[cfg(target_os = "linux")]
mod linux {
    //! inotify for changes, eventfd to stop, poll to wait for both.

    use super::{BLIND_INTERVAL, Duration, Path, Result, Wake};
    use crate::error::Error;
    use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
    use rustix::fd::OwnedFd;
    use rustix::fs::inotify::{CreateFlags, ReadFlags, Reader, WatchFlags, add_watch, init};
    use rustix::io::Errno;
    use std::mem::MaybeUninit;
    use std::path::PathBuf;
    use std::sync::Arc;

    /// Ends a wait for good.
    #[derive(Debug)]
    pub(crate) struct Stop(Arc<OwnedFd>);

    impl Stop {
        pub(crate) fn stop(&self) {
            if let Err(error) = rustix::io::write(&*self.0, &1_u64.to_ne_bytes()) {
                tracing::error!(%error, "cannot wake an attached reader");
            }
        }
    }

    /// Watches a directory.
    #[derive(Debug)]
    pub(crate) struct Watch {
        dir: PathBuf,
        inotify: Option<OwnedFd>,
        stop: Arc<OwnedFd>,
    }

    impl Watch {
        pub(crate) fn new(dir: &Path) -> Result<(Self, Stop)> {
            let stop = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
            let stop = Arc::new(
                stop.map_err(|e| Error::unavailable("cannot create an eventfd").with_source(e))?,
            );
            let inotify = observe(dir);
            // A folder that is not there yet is looked for; one that is there and cannot be watched is worth a line.
            let failed = inotify.as_ref().err();
            if let Some(error) = failed.filter(|error| **error != Errno::NOENT) {
                tracing::info!(%error, "no inotify: looking for new versions every {} ms", BLIND_INTERVAL.as_millis());
            }
            let watch = Self {
                dir: dir.to_owned(),
                inotify: inotify.ok(),
                stop: Arc::clone(&stop),
            };
            Ok((watch, Stop(stop)))
        }

        /// Without inotify, as where it is not available.
        #[cfg(test)]
        pub(crate) fn blind(mut self) -> Self {
            self.inotify = None;
            self.dir = PathBuf::from("/proc/none");
            self
        }

        /// Waits for a change, a while that is at most `most`, or the end.
        pub(crate) fn wait(&mut self, most: Duration) -> Wake {
            let interval = match self.inotify {
                Some(_) => most,
                None => most.min(BLIND_INTERVAL),
            };
            if self.is_stopped_within(interval) {
                return Wake::Stop;
            }
            match self.inotify.as_ref().map(drain) {
                Some(Ok(())) => {}
                // The directory was removed: a writer may create it again.
                Some(Err(_)) => self.inotify = None,
                None => self.inotify = observe(&self.dir).ok(),
            }
            Wake::Look
        }

        fn is_stopped_within(&self, interval: Duration) -> bool {
            let mut fds = vec![PollFd::new(&*self.stop, PollFlags::IN)];
            fds.extend(
                self.inotify
                    .as_ref()
                    .map(|fd| PollFd::new(fd, PollFlags::IN)),
            );
            let nanos = i64::from(interval.subsec_nanos());
            let seconds = i64::try_from(interval.as_secs()).unwrap_or(i64::MAX);
            let timeout = Timespec {
                tv_sec: seconds,
                tv_nsec: nanos,
            };
            match poll(&mut fds, Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {
                    fds.first().is_some_and(|stop| !stop.revents().is_empty())
                }
                Err(error) => {
                    tracing::error!(%error, "an attached reader cannot wait and stops following");
                    true
                }
            }
        }
    }

    /// Renames into the directory are what a new version looks like.
    fn observe(dir: &Path) -> Result<OwnedFd, Errno> {
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        add_watch(
            &inotify,
            dir,
            WatchFlags::MOVED_TO | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF,
        )?;
        Ok(inotify)
    }

    /// Takes all events off the queue; an error if the directory is gone.
    fn drain(inotify: &OwnedFd) -> Result<(), Errno> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(inotify, &mut buffer);
        loop {
            match reader.next() {
                Ok(event)
                    if event
                        .events()
                        .intersects(ReadFlags::IGNORED | ReadFlags::MOVE_SELF) =>
                {
                    return Err(Errno::NOENT);
                }
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod portable {
    //! A channel to stop, its timeout to look.

    use super::{BLIND_INTERVAL, Duration, Path, Result, Wake};
    use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};

    /// Ends a wait for good.
    #[derive(Debug)]
    pub(crate) struct Stop(Sender<()>);

    impl Stop {
        pub(crate) fn stop(&self) {
            // A receiver that is gone has stopped already.
            let _ = self.0.send(());
        }
    }

    /// Looks at intervals.
    #[derive(Debug)]
    pub(crate) struct Watch(Receiver<()>);

    impl Watch {
        pub(crate) fn new(_dir: &Path) -> Result<(Self, Stop)> {
            let (sender, receiver) = channel();
            Ok((Self(receiver), Stop(sender)))
        }

        pub(crate) fn wait(&mut self, most: Duration) -> Wake {
            match self.0.recv_timeout(most.min(BLIND_INTERVAL)) {
                Err(RecvTimeoutError::Timeout) => Wake::Look,
                Ok(()) | Err(RecvTimeoutError::Disconnected) => Wake::Stop,
            }
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_rename_into_the_directory_ends_the_wait() {
        let dir = tempfile::tempdir().unwrap();
        let (mut watch, _stop) = Watch::new(dir.path()).unwrap();
        let temp = dir.path().join("CURRENT.tmp");
        std::fs::write(&temp, "x").unwrap();
        std::fs::rename(&temp, dir.path().join("CURRENT")).unwrap();
        assert_eq!(watch.wait(IDLE_INTERVAL), Wake::Look);
    }

    #[test]
    fn a_wait_ends_when_the_reader_stops() {
        let dir = tempfile::tempdir().unwrap();
        let (mut watch, stop) = Watch::new(dir.path()).unwrap();
        stop.stop();
        assert_eq!(watch.wait(IDLE_INTERVAL), Wake::Stop);
    }

    #[test]
    fn without_inotify_looking_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let (watch, stop) = Watch::new(dir.path()).unwrap();
        let mut watch = watch.blind();
        assert_eq!(watch.wait(IDLE_INTERVAL), Wake::Look);
        stop.stop();
        assert_eq!(watch.wait(IDLE_INTERVAL), Wake::Stop);
    }

    #[test]
    fn a_directory_that_is_created_again_is_watched_again() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("state");
        std::fs::create_dir(&dir).unwrap();
        let (mut watch, _stop) = Watch::new(&dir).unwrap();
        std::fs::remove_dir(&dir).unwrap();
        assert_eq!(watch.wait(IDLE_INTERVAL), Wake::Look);
        std::fs::create_dir(&dir).unwrap();
        // One look finds out that the old one is gone, another that there is a new one.
        for _ in 0..10 {
            assert_eq!(watch.wait(IDLE_INTERVAL), Wake::Look);
            if format!("{watch:?}").contains("inotify: Some") {
                break;
            }
        }
        assert!(format!("{watch:?}").contains("inotify: Some"), "{watch:?}");
    }
}
