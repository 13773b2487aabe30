//! Threads that answer requests.
//!
//! Owns: the threads, a runtime of its own in each, and which of them takes a connection. Never: accepts or reads one.
//!
//! A connection stays with its thread. In the runtime that everything else runs in, a worker that wakes up for one request
//! wakes another one to look for more of them, which for answers as short as these takes as long as the answer.

use grotto::{Error, Result};
use std::future::Future;
use std::sync::{Arc, mpsc};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Threads that end with this; what still runs on them is dropped.
#[derive(Debug)]
pub(crate) struct Crew(Vec<Hand>);

/// One thread.
#[derive(Debug)]
struct Hand {
    runtime: Handle,
    /// Held once here, and once by every connection of the thread.
    load: Arc<()>,
    _end: oneshot::Sender<()>,
}

impl Crew {
    /// # Errors
    /// `Unavailable` when the system gives no thread.
    pub(crate) fn new(count: usize) -> Result<Self> {
        let hands = (0..count.max(1)).map(|_| Hand::new());
        Ok(Self(hands.collect::<Result<_>>()?))
    }

    /// Runs a task on the thread with the fewest of them.
    pub(crate) fn spawn<F>(&self, tasks: &mut JoinSet<()>, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Some(hand) = self
            .0
            .iter()
            .min_by_key(|hand| Arc::strong_count(&hand.load))
        else {
            return;
        };
        let load = Arc::clone(&hand.load);
        let task = async move {
            task.await;
            drop(load);
        };
        tasks.spawn_on(task, &hand.runtime);
    }
}

impl Hand {
    fn new() -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::unavailable("cannot start a thread that answers requests").with_source(error)
        };
        let (tell, told) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name("grotto-answers".to_owned());
        let work = move || {
            // Made here: it must not be dropped on a thread of another runtime.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => {
                    // Who asked waits for this.
                    let _ = tell.send(Err(error));
                    return;
                }
            };
            if tell.send(Ok(runtime.handle().clone())).is_ok() {
                // Nothing is ever sent: it ends when the other side is dropped.
                let _ = runtime.block_on(ended);
            }
            runtime.shutdown_background();
        };
        thread.spawn(work).map_err(failed)?;
        let runtime = told
            .recv()
            .map_err(|_| failed(std::io::ErrorKind::Other.into()))?;
        Ok(Self {
            runtime: runtime.map_err(failed)?,
            load: Arc::new(()),
            _end: end,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::ThreadId;
    use tokio::sync::{mpsc, watch};

    #[tokio::test]
    async fn tasks_are_spread_and_stay_with_their_thread() {
        let crew = Crew::new(2).unwrap();
        let (tell, mut told) = mpsc::unbounded_channel::<(ThreadId, ThreadId)>();
        let (go, went) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for _ in 0..6 {
            let (tell, mut went) = (tell.clone(), went.clone());
            crew.spawn(&mut tasks, async move {
                let first = std::thread::current().id();
                went.wait_for(|go| *go).await.unwrap();
                tell.send((first, std::thread::current().id())).unwrap();
            });
        }
        go.send(true).unwrap();
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap();
        }
        drop(tell);
        let mut threads = Vec::new();
        while let Some((first, last)) = told.recv().await {
            assert_eq!(first, last);
            threads.push(first);
        }
        let of = |thread| threads.iter().filter(|other| **other == thread).count();
        assert_eq!(
            threads.iter().map(|thread| of(*thread)).collect::<Vec<_>>(),
            [3; 6]
        );
        assert!(!threads.contains(&std::thread::current().id()));
    }

    #[tokio::test]
    async fn what_still_runs_ends_with_the_threads() {
        let crew = Crew::new(1).unwrap();
        let mut tasks = JoinSet::new();
        crew.spawn(&mut tasks, std::future::pending());
        drop(crew);
        assert!(tasks.join_next().await.unwrap().unwrap_err().is_cancelled());
    }
}
