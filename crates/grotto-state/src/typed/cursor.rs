//! Where typed reading stands.
//!
//! Owns: a record (or its absence) with its binding. Never fails and never allocates.

use super::bind::{Bound, Form, Node, NodeId, Slot};
use super::value::{Element, Owning, Value};
use crate::error::StateResult;
use crate::record::Record;
use crate::view::Shown;

/// A record together with its binding; every accessor is one of these. Without a record, every
/// field reads as null or the default.
#[derive(Clone, Copy)]
pub struct Cursor<'a> {
    record: Option<Record<'a>>,
    node: &'a Node,
    bound: &'a Bound,
}

impl std::fmt::Debug for Cursor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.record {
            Some(record) => Shown::new(record.view()).fmt(f),
            None => f.write_str("absent"),
        }
    }
}

impl<'a> Cursor<'a> {
    pub(crate) const ABSENT: Self = Self {
        record: None,
        node: Node::ABSENT,
        bound: Bound::ABSENT,
    };

    #[inline(always)]
    pub(crate) fn new(record: Record<'a>, node: &'a Node, bound: &'a Bound) -> Self {
        Self {
            record: Some(record),
            node,
            bound,
        }
    }

    /// The record; `None` for one that the dataset does not have.
    #[must_use]
    pub fn record(&self) -> Option<Record<'a>> {
        self.record
    }

    /// Whether a scalar in this column has no value, or the record none.
    #[inline]
    #[must_use]
    pub fn is_null(self, column: usize) -> bool {
        self.record.is_none_or(|record| record.is_null(column))
    }

    /// Reads a field of a struct by its position in the struct.
    #[inline(always)]
    #[must_use]
    pub fn read<V: Value>(self, field: usize) -> V::Ref<'a> {
        V::read(self, self.node.slot(field))
    }

    /// Copies a field of a struct out.
    ///
    /// # Errors
    /// When records nest too deep or are too many.
    pub fn own<V: Value>(self, field: usize, owning: &mut Owning) -> StateResult<V> {
        V::own(self, *self.node.slot(field), owning)
    }

    pub(crate) fn slot(&self, field: usize) -> Slot {
        *self.node.slot(field)
    }

    fn at(self, record: Option<Record<'a>>, node: NodeId) -> Self {
        Self {
            record,
            node: self.bound.node(node),
            bound: self.bound,
        }
    }

    /// Where a field that is not in the record itself is read.
    #[inline(always)]
    pub(crate) fn elsewhere(self, slot: &Slot) -> Self {
        // A copy to lend to the call: were the cursor itself lent, it would have to lie in memory, and
        // every lookup in front of it would write it there.
        let Self {
            record,
            node,
            bound,
        } = self;
        Self {
            record,
            node,
            bound,
        }
        .target(slot)
    }

    #[inline(never)]
    fn target(&self, slot: &Slot) -> Self {
        self.follow(*slot).unwrap_or(Self::ABSENT)
    }

    /// The record a field refers to; `None` for null.
    #[inline]
    pub(crate) fn follow(self, slot: Slot) -> Option<Self> {
        let Form::Reference(target) = slot.form else {
            return None;
        };
        let record = self.record?.follow(slot.column(), target)?;
        Some(self.at(Some(record), slot.node))
    }

    /// The element of a collection that an ordinal stands for. Absent, so that it reads as the
    /// default, should the state be damaged.
    #[inline]
    pub(crate) fn element(self, slot: Slot, ordinal: u32) -> Self {
        let record = match (self.record, slot.form) {
            (Some(record), Form::Reference(target)) => record.jump(target, ordinal),
            _ => None,
        };
        self.at(record, slot.node)
    }

    /// Where a field that is not null is to be read: a cursor and a column.
    #[inline(always)]
    pub(crate) fn some<T: Element>(self, slot: Slot) -> Option<(Self, usize)> {
        match slot.form {
            Form::Absent => None,
            Form::Inline => {
                let null = self.record?.is_null(slot.column());
                (!null).then_some((self, slot.column()))
            }
            Form::Reference(_) => {
                let inner = self.follow(slot)?;
                // A wrapper of null has nothing to give either.
                let null = T::SCALAR.is_some() && inner.record.is_none_or(|r| r.is_null(0));
                (!null).then_some((inner, 0))
            }
        }
    }
}
