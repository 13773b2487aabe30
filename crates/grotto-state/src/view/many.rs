//! Many keys in one call.
//!
//! Owns: the order of memory accesses. A single lookup waits for an index line, then for a row; a
//! group of lookups first asks for all index lines, then for all rows, and only then compares, so
//! that the waits overlap. Never answers differently from [`State::find`].

use crate::block::HEADER;
use crate::error::{StateError, StateResult};
use crate::index::Candidates;
use crate::key::{self, Key, KeyInfo};
use crate::record::Record;
use crate::state::{State, TypeState};
use grotto_format::schema::TypeId;
use grotto_mmap::prefetch;

/// Lookups in flight: more than memory can serve at once would only push each other out.
const GROUP: usize = 16;

/// A lookup in flight: the first ordinal that may be it, and those after it.
struct Pending<'a> {
    first: Option<u32>,
    rest: Candidates<'a>,
}

impl State {
    /// The records with these primary keys, in the order of the keys. Faster than one
    /// [`find`](Self::find) after the other, the more so the larger the dataset.
    ///
    /// # Errors
    /// When the type has no primary key, or a key has another shape.
    pub fn find_many<K: Key>(
        &self,
        type_id: TypeId,
        keys: &[K],
    ) -> StateResult<Vec<Option<Record<'_>>>> {
        let mut found = Vec::with_capacity(keys.len());
        self.for_each_found(type_id, keys, |record| found.push(record))?;
        Ok(found)
    }

    pub(crate) fn for_each_found<'a, K: Key>(
        &'a self,
        type_id: TypeId,
        keys: &[K],
        mut take: impl FnMut(Option<Record<'a>>),
    ) -> StateResult<()> {
        let info = self
            .infos
            .get(type_id.index())
            .and_then(|info| info.key.as_ref());
        let (Some(info), Some(ty)) = (info, self.ty(type_id)) else {
            let name = &self.schema().get(type_id).name;
            return Err(StateError::Invalid(format!(
                "type {name} has no primary key"
            )));
        };
        let mut pending = Vec::with_capacity(GROUP);
        for group in keys.chunks(GROUP) {
            self.look_up(type_id, info, ty, group, &mut pending)?;
            for (key, pending) in group.iter().zip(pending.drain(..)) {
                let ordinals = pending.first.into_iter().chain(pending.rest);
                let mut records = ordinals.filter_map(|ordinal| self.row(type_id, ordinal));
                take(records.find(|record| key::matches(record, info, key)));
            }
        }
        Ok(())
    }

    /// Reads the index for a group of keys and asks for the rows it names.
    fn look_up<'a, K: Key>(
        &'a self,
        type_id: TypeId,
        info: &KeyInfo,
        ty: &'a TypeState,
        group: &[K],
        pending: &mut Vec<Pending<'a>>,
    ) -> StateResult<()> {
        let Some(index) = &ty.index else {
            return Ok(());
        };
        for key in group {
            key::check(info, key, self.schema(), type_id)?;
            let rest = index.candidates(&self.segments, key.hash());
            pending.push(Pending { first: None, rest });
        }
        for lookup in pending {
            lookup.first = lookup.rest.next();
            if let Some(ordinal) = lookup.first {
                self.prefetch_row(ty, ordinal);
            }
        }
        Ok(())
    }

    pub(crate) fn prefetch_row(&self, ty: &TypeState, ordinal: u32) {
        let Some(loc) = ty.blocks.get((ordinal >> ty.shift) as usize) else {
            return;
        };
        let Some(segment) = self.segments.get(usize::from(loc.segment)) else {
            return;
        };
        let Some(layout) = ty.layouts.get(usize::from(loc.tag)) else {
            return;
        };
        let (position, row) = (
            (ordinal & ((1 << ty.shift) - 1)) as usize,
            layout.row as usize,
        );
        let start = loc.start() + HEADER + position * row;
        prefetch(segment.bytes(), start);
        // A row may reach into the next cache line.
        prefetch(segment.bytes(), start + row);
    }
}
