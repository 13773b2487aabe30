//! The write state: the committed state of a producer, and what it takes to find the difference to
//! the next one.
//!
//! Owns: the content index of value types, reference counts, cycles. Never publishes: a cycle ends
//! as [`Encoded`] blobs, and [`WriteState::advance`] makes it the committed state once they are.
//!
//! **Invariant:** between cycles, the content index holds exactly the live records of unkeyed types
//! and every reference count equals the number of references from live records.

mod admission;
mod alloc;
mod as_is;
mod bits;
mod blobs;
mod bulk;
mod cycle;
mod equal;
mod finish;
mod flatkey;
mod intern;
mod latest;
mod references;
mod referrers;
mod release;
mod room;
mod size;
mod sources;
mod stage;
mod staging;
mod table;

pub use admission::Admission;
pub use cycle::{Cycle, Mode, Savepoint};
pub use finish::{Counts, Encoded};
pub use sources::show_position;

use crate::error::StateResult;
use crate::record::Record;
use crate::segment::SegmentOptions;
use crate::state::State;
use grotto_format::schema::{FieldType, Schema, TypeId, TypeKind};
use intern::Row;
use references::References;
use std::sync::Arc;
use table::ContentTable;

/// What the producer knows about one type beyond its records. A copy shares all that neither it nor the
/// original changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Children {
    /// Live ordinals by value hash; empty for keyed types, which are found by key.
    pub(crate) by_content: ContentTable,
    /// References from live records, per ordinal.
    pub(crate) references: References,
}

impl Children {
    /// The committed record of an unkeyed type that equals `row`.
    fn find(&self, base: &State, row: &Row<'_>, lookup: u64) -> Option<u32> {
        let same = |ordinal: u32| {
            let record = base.row(row.id, ordinal);
            record.is_some_and(|record| row.equals(&record))
        };
        self.by_content.find(lookup, same)
    }
}

/// The committed state of a producer. A copy shares all that neither it nor the original changes.
#[derive(Clone, Debug)]
pub struct WriteState {
    state: Arc<State>,
    segments: SegmentOptions,
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
                // A damaged state may count more records than it has room for.
                let count = state.count(id).min(u64::from(state.ordinal_limit(id)));
                children[id.index()].by_content.reserve(count as usize);
            }
            for ordinal in state.ordinals(id) {
                let Some(record) = state.row(id, ordinal) else {
                    continue;
                };
                if !keyed {
                    let table = &mut children[id.index()].by_content;
                    let rehash = |ordinal| value_hash(&state, id, ordinal);
                    table.insert(record.value_hash(), ordinal, rehash);
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
            segments: SegmentOptions::default(),
            children: Arc::new(children),
        }
    }

    /// Keeps segments in another way than the default.
    #[must_use]
    pub fn with_segments(mut self, options: SegmentOptions) -> Self {
        self.segments = options;
        self
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
        let mut cycle = Cycle::new(
            Arc::clone(&self.state),
            Arc::clone(&self.children),
            Arc::clone(schema),
            mode,
        )?;
        cycle.segments = self.segments;
        Ok(cycle)
    }

    /// Makes the outcome of a cycle the committed state, after its log entry was created.
    pub fn advance(&mut self, encoded: Encoded) {
        // A cycle that is still held keeps what it began with: then this copies what changes, no more.
        let children = Arc::unwrap_or_clone(std::mem::take(&mut self.children));
        *self = self.after(children, &encoded);
    }

    /// What [`advance`](Self::advance) will make of this once the log entry is created: the next cycle can begin
    /// there before. Both share all that the cycle did not change.
    #[must_use]
    pub fn ahead(&self, encoded: &Encoded) -> Self {
        self.after(Vec::clone(&self.children), encoded)
    }

    fn after(&self, mut old: Vec<Children>, encoded: &Encoded) -> Self {
        let (next, advance) = (&encoded.next, &encoded.advance);
        let mut children = Vec::with_capacity(advance.len());
        for (position, advance) in advance.iter().enumerate() {
            let id = TypeId(position as u16);
            let mut of_type = match advance.old.and_then(|old_id| old.get_mut(old_id)) {
                Some(old) => std::mem::take(old),
                None => Children::default(),
            };
            let (before, old_id) = (&self.state, TypeId(advance.old.unwrap_or(position) as u16));
            for (ordinal, hash) in &advance.forget {
                let rehash = |ordinal| value_hash(before, old_id, ordinal);
                of_type.by_content.remove(*hash, *ordinal, rehash);
            }
            for (ordinal, by) in &advance.recount {
                of_type.references.add(*ordinal, *by);
            }
            of_type.by_content.reserve(advance.remember.len());
            for (ordinal, hash) in &advance.remember {
                let rehash = |ordinal| value_hash(next, id, ordinal);
                of_type.by_content.insert(*hash, *ordinal, rehash);
            }
            children.push(of_type);
        }
        Self {
            state: Arc::clone(next),
            segments: self.segments,
            children: Arc::new(children),
        }
    }
}

fn value_hash(state: &State, id: TypeId, ordinal: u32) -> u64 {
    let record = state.row(id, ordinal);
    record.map_or(0, |record| record.value_hash())
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
                if let Some(to) = element_type(kind, i) {
                    visit(to, ordinal);
                }
            }
        }
    }
}

/// Type of the element at a position of a collection's element list.
fn element_type(kind: &TypeKind, position: usize) -> Option<TypeId> {
    match kind {
        TypeKind::List { element } | TypeKind::Set { element, .. } => Some(*element),
        TypeKind::Map { key, value, .. } => Some(if position.is_multiple_of(2) {
            *key
        } else {
            *value
        }),
        TypeKind::Object(_) => None,
    }
}
