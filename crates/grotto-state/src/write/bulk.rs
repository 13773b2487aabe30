//! Records of a full cycle taken in on several threads.
//!
//! Owns: the pipeline. Callers fill batches; batches are parsed in any order; then each type takes its
//! records of one batch after the other, once the types it refers to have taken theirs. Types are the
//! unit of work because within a type order decides ordinals: so the outcome is the same to the byte
//! whatever the number of threads. Never holds more than a few batches: the caller waits for a free one.
//!
//! Not for every schema: types that contain themselves, and keys behind references, are taken in one
//! record at a time.

mod board;
mod lane;
mod parse;
mod running;

use super::Children;
use super::as_is::Compared;
use super::cycle::{Cycle, Mode};
use super::sources::Sources;
use crate::error::{StateError, StateResult};
use crate::state::State;
use grotto_format::schema::{FieldType, Schema, TypeId, TypeKind};
use parse::{Given, Parser, Rows};
use running::Running;
use std::sync::{Arc, OnceLock};

/// Bytes of flat records that make a batch: large enough that handing it over costs nothing beside the
/// work, small enough that it stays in the cache.
const BATCH: usize = 256 << 10;
/// No ordinal: [`grotto_format::batch::MAX_ORDINAL`] is below it.
const NONE: u32 = u32::MAX;

/// What all threads read.
#[derive(Debug)]
struct Ground {
    base: Arc<State>,
    schema: Arc<Schema>,
    children: Arc<Vec<Children>>,
    old_of: Vec<Option<usize>>,
    anchored: Arc<[bool]>,
    compared: Arc<Compared>,
    sources: Sources,
}

/// Some records on their way.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    given: Vec<Given>,
    /// Per type, once parsed.
    rows: Vec<Rows>,
    /// Per type, once taken: the ordinal of each row.
    ordinals: Vec<OnceLock<Vec<u32>>>,
}

impl Batch {
    fn parse(&mut self, ground: &Ground) -> Option<(u32, StateError)> {
        let types = ground.schema.types().len();
        self.rows.resize_with(types, Rows::default);
        self.ordinals.resize_with(types, OnceLock::new);
        for (number, given) in self.given.iter().enumerate() {
            let mut parser = Parser {
                ground,
                bytes: &self.bytes,
                rows: &mut self.rows,
                given: number as u32,
                position: given.position,
            };
            let flat = &self.bytes[given.start..given.start + given.length];
            if let Err(error) = parser.record(given.id, flat, 0) {
                return Some((number as u32, error));
            }
        }
        None
    }

    /// Makes room for other records. What a record larger than a batch took is given back.
    fn clear(&mut self) {
        if self.bytes.capacity() > 4 * BATCH {
            *self = Self::default();
            return;
        }
        self.bytes.clear();
        self.given.clear();
        self.rows.iter_mut().for_each(Rows::clear);
        self.ordinals.clear();
    }
}

/// Records to be taken in later, and the threads that do it.
#[derive(Debug, Default)]
pub(super) struct Bulk {
    /// Threads that may be used; with one, records are taken in as they come.
    threads: usize,
    /// Whether the schema allows it, once that is known.
    fits: Option<bool>,
    filling: Batch,
    running: Option<Running>,
    /// An error that nobody was told yet.
    late: Option<StateError>,
}

impl Bulk {
    pub(super) fn is_empty(&self) -> bool {
        self.running.is_none() && self.filling.given.is_empty() && self.late.is_none()
    }
}

impl Cycle {
    /// Lets [`add_later`](Self::add_later) use this many threads beside the calling one.
    pub fn use_threads(&mut self, threads: usize) {
        self.bulk.threads = threads;
    }

    /// Full cycles: as [`add`](Self::add), but the record may be taken in on other threads, and what
    /// is wrong with it be told by a later call, at the latest by [`finish`](Self::finish).
    ///
    /// # Errors
    /// As [`add`](Self::add), of this record or one before.
    pub fn add_later(&mut self, id: TypeId, flat: &[u8], position: u64) -> StateResult<()> {
        self.check(id, Mode::Full, "added record")?;
        let schema = &self.schema;
        if self.bulk.threads < 2 || !*self.bulk.fits.get_or_insert_with(|| fits(schema)) {
            return self.add(id, flat, position);
        }
        let position = self.sources.number(position);
        let batch = &mut self.bulk.filling;
        batch.given.push(Given {
            id,
            start: batch.bytes.len(),
            length: flat.len(),
            position,
        });
        batch.bytes.extend_from_slice(flat);
        if batch.bytes.len() < BATCH {
            return Ok(());
        }
        let mut running = match self.bulk.running.take() {
            Some(running) => running,
            None => self.start(),
        };
        let sent = running.send(std::mem::take(&mut self.bulk.filling));
        let failed = running.has_failed();
        self.bulk.running = Some(running);
        match sent {
            Some(empty) if !failed => {
                self.bulk.filling = empty;
                Ok(())
            }
            _ => self.take_in(),
        }
    }

    fn start(&mut self) -> Running {
        let ground = Ground {
            base: Arc::clone(&self.base),
            schema: Arc::clone(&self.schema),
            children: Arc::clone(&self.children),
            old_of: self.old_of.clone(),
            anchored: Arc::clone(&self.anchored),
            compared: Arc::clone(&self.compared),
            sources: self.sources.clone(),
        };
        let stages = std::mem::take(&mut self.stages);
        Running::start(ground, stages, self.bulk.threads)
    }

    /// Takes in the records of a source before another one is named; an error is told later.
    pub(super) fn take_in_of_source(&mut self) {
        if !self.bulk.is_empty() {
            self.bulk.late = self.take_in().err();
        }
    }

    /// Waits until all records given to [`add_later`](Self::add_later) are taken in.
    ///
    /// # Errors
    /// As [`add`](Self::add), of the first record with which something is wrong.
    pub fn take_in(&mut self) -> StateResult<()> {
        if let Some(error) = self.bulk.late.take() {
            return Err(error);
        }
        let rest = std::mem::take(&mut self.bulk.filling);
        let Some(mut running) = self.bulk.running.take() else {
            // Too few for threads.
            return rest.given.iter().try_for_each(|given| {
                let flat = &rest.bytes[given.start..given.start + given.length];
                self.add_numbered(given.id, flat, given.position)
            });
        };
        if !rest.given.is_empty() {
            running.send(rest);
        }
        let (stages, error) = running.finish();
        self.stages = stages;
        error.map_or(Ok(()), Err)
    }
}

/// The types that each type refers to.
fn children_of(schema: &Schema) -> Vec<Vec<TypeId>> {
    let of = |id: TypeId| match &schema.get(id).kind {
        TypeKind::Object(object) => {
            let fields = object.fields.iter();
            fields
                .filter_map(|field| match field.ty {
                    FieldType::Reference(to) => Some(to),
                    _ => None,
                })
                .collect()
        }
        TypeKind::List { element } | TypeKind::Set { element, .. } => vec![*element],
        TypeKind::Map { key, value, .. } => vec![*key, *value],
    };
    schema.ids().map(of).collect()
}

/// Whether types can take their records one after the other: none contains itself, and keys are in the
/// records themselves.
fn fits(schema: &Schema) -> bool {
    let own_key = |id| {
        let key = schema.get(id).key();
        key.is_none_or(|key| key.paths.iter().all(|path| path.steps.len() == 1))
    };
    schema.ids().all(own_key) && !has_circle(&children_of(schema))
}

/// Whether some type refers to itself, be it through others. Types all of whose children are done are
/// done; what is left is in a circle, or leads to one.
fn has_circle(children: &[Vec<TypeId>]) -> bool {
    let mut parents: Vec<Vec<usize>> = vec![Vec::new(); children.len()];
    let mut waits: Vec<usize> = children.iter().map(Vec::len).collect();
    for (parent, child) in children
        .iter()
        .enumerate()
        .flat_map(|(p, c)| c.iter().map(move |c| (p, c)))
    {
        if let Some(parents) = parents.get_mut(child.index()) {
            parents.push(parent);
        }
    }
    let mut done: Vec<usize> = (0..children.len()).filter(|ty| waits[*ty] == 0).collect();
    let mut left = children.len();
    while let Some(child) = done.pop() {
        left -= 1;
        for parent in &parents[child] {
            waits[*parent] -= 1;
            if waits[*parent] == 0 {
                done.push(*parent);
            }
        }
    }
    left > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circle(children: &[&[u16]]) -> bool {
        let children: Vec<Vec<TypeId>> = children
            .iter()
            .map(|of| of.iter().map(|child| TypeId(*child)).collect())
            .collect();
        has_circle(&children)
    }

    #[test]
    fn circles_of_any_length_are_found_and_nothing_else() {
        assert!(!circle(&[]));
        assert!(!circle(&[&[1, 2], &[2], &[]]));
        // Twice the same child, and a child that several have.
        assert!(!circle(&[&[1, 1, 2], &[2, 2], &[]]));
        assert!(circle(&[&[0]]));
        assert!(circle(&[&[1], &[2], &[0]]));
        assert!(circle(&[&[1], &[2], &[1], &[]]));
        assert!(!circle(&[&[], &[0], &[1], &[2]]));
    }

    /// Would not end in the time of a test run if each type looked at all others.
    #[test]
    fn a_chain_of_types_is_followed_once_from_either_end() {
        let length = 60_000_u16;
        let down = |at: u16| (at + 1 < length).then_some(TypeId(at + 1));
        let up = |at: u16| at.checked_sub(1).map(TypeId);
        let mut chains: [Vec<Vec<TypeId>>; 2] = [
            (0..length)
                .map(|at| down(at).into_iter().collect())
                .collect(),
            (0..length).map(|at| up(at).into_iter().collect()).collect(),
        ];
        assert!(!has_circle(&chains[0]) && !has_circle(&chains[1]));
        chains[0][usize::from(length) - 1].push(TypeId(0));
        assert!(has_circle(&chains[0]));
    }
}
