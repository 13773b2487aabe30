//! Waiting, deadlines, and where work for the processor runs.
//!
//! Owns: the only calls of the runtime's timers. In a runtime whose time is paused they pass at once,
//! in order. Never: decides how long.
#![expect(
    clippy::disallowed_methods,
    reason = "this file is the seam the ban points to"
)]

use std::future::Future;
use std::time::Duration;

use crate::Env;

/// Where work for the processor runs, and work that waits for files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Work {
    /// On threads beside those of the async runtime.
    #[default]
    Threads,
    /// Where it is asked for. For a simulation: which thread ends first must not decide anything.
    Inline,
    /// The same, and by chance others go on before it and after it, for a while: as where a thread waits for a
    /// processor. For a simulation in which the seed decides that, too.
    Interleaved,
}

/// A deadline passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed;

/// Work ended without a result: it panicked, or the runtime went down.
#[derive(Debug)]
pub struct Stopped(tokio::task::JoinError);

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Stopped {}

impl Env {
    /// Waits.
    pub async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Waits for `future`, but not longer than `limit`.
    ///
    /// # Errors
    /// [`Elapsed`] when the time is over first.
    pub async fn within<F: Future>(
        &self,
        limit: Duration,
        future: F,
    ) -> Result<F::Output, Elapsed> {
        tokio::time::timeout(limit, future)
            .await
            .map_err(|_| Elapsed)
    }

    /// Runs work that takes the processor, or waits for files, for longer than a task may.
    ///
    /// # Errors
    /// [`Stopped`] when the work panics, or the runtime ends before it.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        match self.work {
            Work::Threads => tokio::task::spawn_blocking(work).await.map_err(Stopped),
            Work::Inline => Ok(work()),
            Work::Interleaved => {
                self.give_way().await;
                let done = work();
                self.give_way().await;
                Ok(done)
            }
        }
    }

    /// Lets other tasks go on by chance.
    async fn give_way(&self) {
        let drawn = self.random.next_u64();
        match drawn % 8 {
            0 => tokio::time::sleep(Duration::from_millis(1 + (drawn >> 8) % 20)).await,
            1 | 2 => tokio::task::yield_now().await,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_runs_beside_the_task_or_within_it() {
        let here = std::thread::current().id();
        let whose = || std::thread::current().id();
        let threads = Env::system().blocking(whose).await.unwrap();
        assert_ne!(threads, here);
        let inline = Env::simulated(1).blocking(whose).await.unwrap();
        assert_eq!(inline, here);
    }

    #[tokio::test]
    async fn work_that_panics_is_an_error() {
        let work = || panic!("scripted");
        assert!(Env::system().blocking(work).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn interleaved_work_lets_others_go_on_and_repeats() {
        let mut passed = Vec::new();
        for _ in 0..2 {
            let env = Env {
                work: Work::Interleaved,
                ..Env::simulated(1)
            };
            for _ in 0..100 {
                env.blocking(|| ()).await.unwrap();
            }
            passed.push(env.clock.monotonic());
        }
        assert_eq!(passed[0], passed[1]);
        assert!(passed[0] > Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_simulated_clock_follows_the_time_that_is_waited_for() {
        let env = Env::simulated(1);
        let (wall, now) = (env.clock.wall_ms(), env.clock.monotonic());
        env.sleep(Duration::from_secs(5)).await;
        assert_eq!(env.clock.monotonic() - now, Duration::from_secs(5));
        assert_eq!(env.clock.wall_ms() - wall, 5_000);
        let late = env.within(Duration::from_secs(1), std::future::pending::<()>());
        assert_eq!(late.await, Err(Elapsed));
        assert_eq!(env.clock.monotonic() - now, Duration::from_secs(6));
    }
}
