//! Which work can be done next.
//!
//! Owns: how far each type is. A type takes batches in order, each once it is parsed and the types it
//! refers to have taken it. Never works itself.

use super::Batch;
use grotto_format::schema::TypeId;
use std::collections::VecDeque;
use std::sync::Arc;

/// Something to do.
#[derive(Debug)]
pub(super) enum Task {
    /// Parse a batch.
    Parse(u64, Batch),
    /// Let a type take its records of a batch.
    Take(u64, TypeId, Arc<Batch>),
    Stop,
}

#[derive(Debug, Default)]
struct Progress {
    /// Batches taken.
    taken: u64,
    /// Whether the next one is being taken.
    running: bool,
}

#[derive(Debug)]
pub(super) struct Board {
    /// Types that each type refers to.
    children: Vec<Vec<TypeId>>,
    types: Vec<Progress>,
    /// Batches that not every type has taken, `None` before they are parsed.
    batches: VecDeque<Option<Arc<Batch>>>,
    /// Number of the first of them.
    first: u64,
}

impl Board {
    pub(super) fn new(children: Vec<Vec<TypeId>>) -> Self {
        Self {
            types: children.iter().map(|_| Progress::default()).collect(),
            children,
            batches: VecDeque::new(),
            first: 0,
        }
    }

    /// Takes note of a parsed batch; returns what can be done now.
    pub(super) fn parsed(&mut self, number: u64, batch: Batch) -> Vec<Task> {
        let at = (number - self.first) as usize;
        if self.batches.len() <= at {
            self.batches.resize(at + 1, None);
        }
        self.batches[at] = Some(Arc::new(batch));
        self.ready()
    }

    /// Takes note that a type has taken its next batch; returns what can be done now, and batches that
    /// are done with.
    pub(super) fn taken(&mut self, id: TypeId) -> (Vec<Task>, Vec<Batch>) {
        let progress = &mut self.types[id.index()];
        progress.taken += 1;
        progress.running = false;
        let behind = self.types.iter().map(|ty| ty.taken).min();
        let mut done = Vec::new();
        while behind > Some(self.first) {
            self.first += 1;
            // Tasks drop theirs before they report.
            done.extend(self.batches.pop_front().flatten().and_then(Arc::into_inner));
        }
        (self.ready(), done)
    }

    fn ready(&mut self) -> Vec<Task> {
        let mut ready = Vec::new();
        for position in 0..self.types.len() {
            let number = self.types[position].taken;
            let batch = self.batches.get((number - self.first) as usize);
            let mut children = self.children[position].iter();
            if self.types[position].running
                || !children.all(|child| self.types[child.index()].taken > number)
            {
                continue;
            }
            if let Some(Some(batch)) = batch {
                self.types[position].running = true;
                let id = TypeId(position as u16);
                ready.push(Task::Take(number, id, Arc::clone(batch)));
            }
        }
        ready
    }
}
