//! The threads of the pipeline.
//!
//! Owns: starting and ending them, the channels between them and the caller, the first error. All
//! channels are bounded; batches go round and are used again. Never decides what can be done next.

use super::board::{Board, Task};
use super::lane::Lane;
use super::{Batch, Ground, children_of};
use crate::error::StateError;
use crate::write::stage::Stage;
use crossbeam_channel::{Receiver, Sender, bounded};
use grotto_format::schema::TypeId;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// The first error in the order of records: batch, record in it, and which work met it.
type Failure = ((u64, u32, usize), StateError);

#[derive(Debug)]
struct Shared {
    ground: Ground,
    lanes: Vec<Mutex<Lane>>,
    board: Mutex<Board>,
    failure: Mutex<Option<Failure>>,
    failed: AtomicBool,
    stopped: AtomicBool,
    tasks: Sender<Task>,
    threads: usize,
}

/// Nothing is left half-done under these locks but by a thread that panicked, and its panic is passed on.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn fail(&self, failure: Failure) {
        let mut first = lock(&self.failure);
        if first.as_ref().is_none_or(|(at, _)| failure.0 < *at) {
            *first = Some(failure);
        }
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Tells every thread to end. Only once: the channel has room for one such task for each, and a
    /// thread that still works must find room for what it hands on.
    fn stop(&self) {
        if self.stopped.swap(true, Ordering::Relaxed) {
            return;
        }
        for _ in 0..self.threads {
            // There is room for it.
            let _ = self.tasks.try_send(Task::Stop);
        }
    }
}

/// Stops the other threads when one panics: nobody may wait for what it will not do.
struct StopOnPanic<'a>(&'a Shared);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop();
        }
    }
}

fn work(shared: &Shared, tasks: &Receiver<Task>, free: &Sender<Batch>) {
    let _stop = StopOnPanic(shared);
    for task in tasks {
        let ready = match task {
            Task::Stop => return,
            Task::Parse(number, mut batch) => {
                if let Some((record, error)) = batch.parse(&shared.ground) {
                    shared.fail(((number, record, 0), error));
                }
                lock(&shared.board).parsed(number, batch)
            }
            Task::Take(number, id, batch) => {
                let mut lane = lock(&shared.lanes[id.index()]);
                let (ordinals, failed) = lane.take(&shared.ground, &batch);
                drop(lane);
                if let Some((record, error)) = failed {
                    shared.fail(((number, record, 1 + id.index()), error));
                }
                // Only this task sets it.
                let _ = batch.ordinals[id.index()].set(ordinals);
                drop(batch);
                let (ready, done) = lock(&shared.board).taken(id);
                for mut batch in done {
                    batch.clear();
                    let _ = free.send(batch);
                }
                ready
            }
        };
        for task in ready {
            // There is room for all tasks that can be at once; closed means that everything stops.
            let _ = shared.tasks.send(task);
        }
    }
}

/// The threads, while they run.
#[derive(Debug)]
pub(super) struct Running {
    shared: Arc<Shared>,
    free: Receiver<Batch>,
    batches: usize,
    sent: u64,
    threads: Vec<JoinHandle<()>>,
}

impl Running {
    pub(super) fn start(ground: Ground, stages: Vec<Stage>, threads: usize) -> Self {
        let (types, batches) = (stages.len(), 2 * threads + 2);
        let (tasks, todo) = bounded(types + batches + threads);
        let (cleared, free) = bounded(batches);
        for _ in 0..batches {
            let _ = cleared.send(Batch::default());
        }
        let lanes = stages.into_iter().enumerate();
        let shared = Arc::new(Shared {
            lanes: lanes
                .map(|(id, stage)| Mutex::new(Lane::new(TypeId(id as u16), stage)))
                .collect(),
            board: Mutex::new(Board::new(children_of(&ground.schema))),
            ground,
            failure: Mutex::new(None),
            failed: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            tasks,
            threads,
        });
        let mut running = Self {
            shared: Arc::clone(&shared),
            free,
            batches,
            sent: 0,
            threads: Vec::with_capacity(threads),
        };
        for _ in 0..threads {
            let (shared, todo, cleared) = (Arc::clone(&shared), todo.clone(), cleared.clone());
            // Panics when the system has no thread left; those that run are ended with `running`.
            let thread = std::thread::spawn(move || work(&shared, &todo, &cleared));
            running.threads.push(thread);
        }
        running
    }

    /// Whether a record was refused; [`finish`](Self::finish) says why.
    pub(super) fn has_failed(&self) -> bool {
        self.shared.failed.load(Ordering::Relaxed)
    }

    /// Sends a batch; gives back an empty one. `None` when the threads are gone.
    pub(super) fn send(&mut self, batch: Batch) -> Option<Batch> {
        let empty = self.free.recv().ok()?;
        let sent = self.shared.tasks.send(Task::Parse(self.sent, batch));
        self.sent += 1;
        sent.ok().map(|()| empty)
    }

    /// Waits until everything sent was taken, and ends the threads.
    pub(super) fn finish(mut self) -> (Vec<Stage>, Option<StateError>) {
        for _ in 0..self.batches {
            if self.free.recv().is_err() {
                break;
            }
        }
        self.end();
        let mut lanes = Vec::new();
        for lane in &self.shared.lanes {
            lanes.push(std::mem::take(&mut lock(lane).stage));
        }
        let failure = lock(&self.shared.failure).take();
        (lanes, failure.map(|(_, error)| error))
    }

    fn end(&mut self) {
        self.shared.stop();
        for thread in self.threads.drain(..) {
            if let Err(panic) = thread.join()
                && !std::thread::panicking()
            {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
