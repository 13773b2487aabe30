//! Work for requests that takes the processor.
//!
//! Owns: how much of it is done at once. Never: knows what it is.

use grotto::engine::env::Env;
use grotto::{Error, Result};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Turns, as many as work may be done at once.
#[derive(Debug)]
pub(crate) struct Turns {
    free: Arc<Semaphore>,
    env: Env,
}

impl Turns {
    pub(crate) fn new(count: usize, env: Env) -> Self {
        let free = Arc::new(Semaphore::new(count.max(1)));
        Self { free, env }
    }

    /// Does work beside the threads that answer, once it is its turn.
    ///
    /// # Errors
    /// `Internal` when it ends early.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        // Goes with the work, which goes on when whoever asked for it is gone.
        let turn = Arc::clone(&self.free).acquire_owned().await;
        let work = move || {
            let _turn = turn;
            work()
        };
        let done = self.env.blocking(work).await;
        done.map_err(|e| Error::internal("the work for a request ended early").with_source(e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn work_keeps_its_turn_when_nobody_waits_for_it_any_more() {
        let turns = Turns::new(1, Env::system());
        let (tell, told) = tokio::sync::oneshot::channel();
        let (go, gone) = mpsc::channel::<()>();
        let asked = turns.work(move || {
            tell.send(()).unwrap();
            gone.recv().unwrap();
        });
        tokio::select! {
            biased;
            _ = asked => unreachable!("it waits"),
            begun = told => begun.unwrap(),
        }
        // Whoever asked for it is gone, and it is still being done.
        assert_eq!(turns.free.available_permits(), 0);
        go.send(()).unwrap();
        assert_eq!(turns.work(|| 7).await.unwrap(), 7);
        assert_eq!(turns.free.available_permits(), 1);
    }
}
