//! The write state: the committed state of a producer, and what it takes to find the difference to
//! the next one.
//!
//! Owns: the content index of value types, reference counts, cycles. Never publishes: a cycle ends
//! as [`Encoded`] blobs, and [`WriteState::advance`] makes it the committed state once they are.
//!
//! **Invariant:** between cycles, the content index holds exactly the live records of unkeyed types
//! and every reference count equals the number of references from live records.

mod alloc;
mod bulk;
mod cycle;
mod equal;
mod finish;
mod flatkey;
mod intern;
mod references;
mod release;
mod room;
mod stage;
mod staging;

pub use cycle::{Cycle, Mode, Savepoint};
pub use finish::{Counts, Encoded};

use crate::error::StateResult;
use crate::record::Record;
use crate::state::State;
use grotto_format::schema::{FieldType, Schema, TypeId, TypeKind};
use hashbrown::HashTable;
use intern::Row;
use references::References;
use std::sync::Arc;

/// What the producer knows about one type beyond its records.
#[derive(Clone, Debug, Default)]
pub(crate) struct Children {
    /// Live ordinals by content hash; empty for keyed types, which are found by key.
    pub(crate) by_content: HashTable<u32>,
    /// References from live records, per ordinal.
    pub(crate) references: References,
}

impl Children {
    /// The committed record of an unkeyed type that equals `row`.
    fn find(&self, base: &State, row: &Row<'_>, content: u64) -> Option<u32> {
        let same = |ordinal: &u32| {
            let record = base.row(row.id, *ordinal);
            record.is_some_and(|record| row.equals(&record))
        };
        self.by_content.find(content, same).copied()
    }
}

/// The committed state of a producer.
#[derive(Debug)]
pub struct WriteState {
    state: Arc<State>,
    pub(crate) children: Arc<Vec<Children>>,
}

impl WriteState {
    /// Starts from a state: the empty one, or one that was restored.
    #[must_use]
    pub fn new(state: Arc<State>) -> Self {
        let schema = Arc::clone(state.schema());
        let mut children: Vec<Children> = schema.ids().map(|_| Children::default()).collect();
        for id in schema.ids() {
            let keyed = schema.get(id).key().is_some();
            if !keyed {
                let table = &mut children[id.index()].by_content;
                table.reserve(state.count(id) as usize, |_| 0);
            }
            for ordinal in state.ordinals(id) {
                let Some(record) = state.row(id, ordinal) else {
                    continue;
                };
                if !keyed {
                    let hash = |ordinal: &u32| content_hash(&state, id, *ordinal);
                    children[id.index()].by_content.insert_unique(
                        record.content_hash(),
                        ordinal,
                        hash,
                    );
                }
                for_each_reference(&schema, &record, &mut |to, child| {
                    // What leads nowhere, in a damaged state, is not worth counting.
                    if state.is_live(to, child) {
                        children[to.index()].references.add(child, 1);
                    }
                });
            }
        }
        Self {
            state,
            children: Arc::new(children),
        }
    }

    /// The committed state.
    #[must_use]
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Moves on to a version with the same records: what a log entry without blobs leads to.
    pub fn skip_to(&mut self, version: u64) {
        self.state = Arc::new(self.state.at_version(version));
    }

    /// Starts a cycle under a schema.
    ///
    /// # Errors
    /// When the schema cannot follow the present one.
    pub fn begin(&self, schema: &Arc<Schema>, mode: Mode) -> StateResult<Cycle> {
        Cycle::new(
            Arc::clone(&self.state),
            Arc::clone(&self.children),
            Arc::clone(schema),
            mode,
        )
    }

    /// Makes the outcome of a cycle the committed state, after its log entry was created.
    pub fn advance(&mut self, encoded: Encoded) {
        let Encoded { next, advance, .. } = encoded;
        // Unique unless a cycle is still held somewhere; then this costs a copy, no more.
        let old = Arc::make_mut(&mut self.children);
        let mut children: Vec<Children> = advance
            .iter()
            .map(|ty| {
                ty.old
                    .and_then(|old_id| old.get_mut(old_id))
                    .map(std::mem::take)
                    .unwrap_or_default()
            })
            .collect();
        for (position, (children, advance)) in children.iter_mut().zip(&advance).enumerate() {
            let id = TypeId(position as u16);
            for (ordinal, hash) in &advance.forget {
                if let Ok(entry) = children.by_content.find_entry(*hash, |o| o == ordinal) {
                    entry.remove();
                }
            }
            for (ordinal, by) in &advance.recount {
                children.references.add(*ordinal, *by);
            }
            for (ordinal, hash) in &advance.remember {
                children
                    .by_content
                    .insert_unique(*hash, *ordinal, |o| content_hash(&next, id, *o));
            }
        }
        self.children = Arc::new(children);
        self.state = next;
    }
}

fn content_hash(state: &State, id: TypeId, ordinal: u32) -> u64 {
    state
        .row(id, ordinal)
        .map_or(0, |record| record.content_hash())
}

/// Calls `visit` for every reference a record holds.
pub(crate) fn for_each_reference(
    schema: &Schema,
    record: &Record<'_>,
    visit: &mut dyn FnMut(TypeId, u32),
) {
    match &schema.get(record.type_id()).kind {
        TypeKind::Object(object) => {
            for (column, field) in object.fields.iter().enumerate() {
                if let FieldType::Reference(to) = field.ty
                    && !record.is_null(column)
                {
                    visit(to, record.word(column) as u32);
                }
            }
        }
        kind => {
            for (i, ordinal) in record.elements(0).enumerate() {
                if let Some(to) = intern::element_type(kind, i) {
                    visit(to, ordinal);
                }
            }
        }
    }
}
