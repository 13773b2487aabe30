//! Whether the tables of a state agree with each other.
//!
//! Owns: recomputing what refreshes keep up to date step by step: counts, checksums, live bytes,
//! indexes, reference counts. Reads everything, so it is for tests and for tools that look for damage;
//! never part of a refresh.

use crate::bitmap;
use crate::error::{StateError, StateResult};
use crate::index;
use crate::key;
use crate::segment::room;
use crate::state::{State, TypeState};
use crate::write::{WriteState, for_each_reference};
use grotto_format::checksum;
use grotto_format::schema::TypeId;
use std::collections::BTreeMap;

/// Fails unless `holds`; `what` says what should have been.
fn ensure(holds: bool, what: impl FnOnce() -> String) -> StateResult<()> {
    if holds {
        Ok(())
    } else {
        Err(StateError::Damaged(what()))
    }
}

impl State {
    /// Recomputes what the tables say.
    ///
    /// # Errors
    /// `Damaged`, with the first thing that does not agree.
    #[doc(hidden)]
    pub fn check_invariants(&self) -> StateResult<()> {
        for (id, ty) in self.schema.ids().zip(&self.types) {
            self.check_records(id, ty)?;
            self.check_index(id, ty)?;
        }
        self.check_live_bytes()
    }

    fn check_records(&self, id: TypeId, ty: &TypeState) -> StateResult<()> {
        let name = &self.schema.get(id).name;
        let (mut live, mut sum) = (0, 0_u64);
        for ordinal in self.ordinals(id) {
            let block = self.block_of(ty, (ordinal >> ty.shift) as usize);
            let inside = block.is_some_and(|block| ordinal & ((1 << ty.shift) - 1) < block.rows());
            let record = self.row(id, ordinal).filter(|_| inside);
            let record = record.ok_or_else(|| {
                StateError::Damaged(format!("expected {name} #{ordinal} to have a row"))
            })?;
            ensure(!record.has_dropped_value(), || {
                format!("expected {name} #{ordinal} without removed fields")
            })?;
            sum = sum.wrapping_add(checksum::record(record.content_hash(), ordinal));
            live += 1;
        }
        ensure(live == ty.live, || {
            format!("expected {} live records of {name}, found {live}", ty.live)
        })?;
        ensure(sum == ty.checksum, || {
            format!(
                "expected checksum {:016x} of {name}, found {sum:016x}",
                ty.checksum
            )
        })?;
        for (number, loc) in ty
            .blocks
            .iter()
            .enumerate()
            .filter(|(_, loc)| !loc.is_none())
        {
            let used = bitmap::count(self.bitmap_page(ty, number)) > 0;
            ensure(used, || {
                format!("expected block {number} of {name} at {loc:?} to hold a live record")
            })?;
        }
        Ok(())
    }

    fn check_index(&self, id: TypeId, ty: &TypeState) -> StateResult<()> {
        let (Some(index), Some(info)) = (
            &ty.index,
            self.infos.get(id.index()).and_then(|i| i.key.as_ref()),
        ) else {
            return Ok(());
        };
        let name = &self.schema.get(id).name;
        for ordinal in self.ordinals(id) {
            let hash = self
                .row(id, ordinal)
                .and_then(|record| key::hash_record(&record, info));
            let found = hash
                .is_some_and(|hash| index.candidates(&self.segments, hash).any(|o| o == ordinal));
            ensure(found, || format!("expected {name} #{ordinal} in the index"))?;
        }
        let entries = index.entries(&self.segments);
        ensure(entries == ty.live, || {
            format!(
                "expected {} entries in the index of {name}, found {entries}",
                ty.live
            )
        })
    }

    fn check_live_bytes(&self) -> StateResult<()> {
        let mut live = vec![0_u64; self.segments.len()];
        let mut items = BTreeMap::new();
        let mut outside = false;
        for ty in &self.types {
            self.each_item(ty, &mut |loc, length| {
                outside |= live
                    .get_mut(usize::from(loc.segment))
                    .map(|sum| *sum += room(length))
                    .is_none();
                outside |= items.insert((loc.segment, loc.start()), length).is_some();
            });
        }
        ensure(!outside, || {
            "expected every item once, and in a segment".into()
        })?;
        for (slot, (segment, live)) in self.segments.iter().zip(&live).enumerate() {
            let said = segment.live;
            ensure(said == *live, || {
                format!("expected {live} live bytes in segment {slot}, found {said}")
            })?;
            ensure(segment.bytes.is_empty() == (said == 0), || {
                format!("expected segment {slot} to be of use")
            })?;
        }
        let pairs = items.iter().zip(items.iter().skip(1));
        let overlap = pairs
            .into_iter()
            .find(|((a, length), (b, _))| a.0 == b.0 && a.1 + **length > b.1);
        ensure(overlap.is_none(), || {
            format!("expected items side by side, found {overlap:?}")
        })
    }
}

impl index::Index {
    /// Entries of all pages.
    fn entries(&self, segments: &[crate::segment::Segment]) -> u64 {
        let pages = index::each_page(self).filter_map(|loc| {
            let segment = segments.get(usize::from(loc.segment))?;
            segment
                .bytes
                .get(loc.start()..loc.start() + usize::from(loc.tag) * index::LINE)
        });
        pages.map(index::entries_in).sum()
    }
}

impl WriteState {
    /// Recomputes content indexes and reference counts, and checks the committed state.
    ///
    /// # Errors
    /// `Damaged`, with the first thing that does not agree.
    #[doc(hidden)]
    pub fn check_invariants(&self) -> StateResult<()> {
        let state = self.state();
        state.check_invariants()?;
        let schema = state.schema();
        let mut counts: BTreeMap<(TypeId, u32), u32> = BTreeMap::new();
        for id in schema.ids() {
            for record in state.scan(id) {
                for_each_reference(schema, &record, &mut |to, child| {
                    *counts.entry((to, child)).or_default() += 1
                });
            }
        }
        let dangling = counts
            .keys()
            .find(|(id, ordinal)| !state.is_live(*id, *ordinal));
        ensure(dangling.is_none(), || {
            format!("expected references to live records only, found {dangling:?}")
        })?;
        for id in schema.ids() {
            self.check_children(id, &counts)?;
        }
        Ok(())
    }

    fn check_children(&self, id: TypeId, counts: &BTreeMap<(TypeId, u32), u32>) -> StateResult<()> {
        let (state, name) = (self.state(), &self.state().schema().get(id).name);
        let Some(children) = self.children.get(id.index()) else {
            return Err(StateError::Damaged(format!("expected an entry for {name}")));
        };
        let counted: BTreeMap<(TypeId, u32), u32> = children
            .references
            .nonzero()
            .map(|(ordinal, count)| ((id, ordinal), count))
            .collect();
        let right: BTreeMap<_, _> = counts
            .iter()
            .filter(|((ty, _), _)| *ty == id)
            .map(|(k, v)| (*k, *v))
            .collect();
        ensure(counted == right, || {
            format!("expected references {right:?} to {name}, found {counted:?}")
        })?;
        let keyed = state.schema().get(id).key().is_some();
        let expected = if keyed { 0 } else { state.count(id) };
        let found = children.by_content.len() as u64;
        ensure(found == expected, || {
            format!("expected {expected} {name} in the content index, found {found}")
        })?;
        for record in state.scan(id).filter(|_| !keyed) {
            let ordinal = record.ordinal();
            let found = children
                .by_content
                .find(record.content_hash(), |o| *o == ordinal);
            ensure(found.is_some(), || {
                format!("expected {name} #{ordinal} in the content index")
            })?;
            let referred = state.schema().is_top_level(id) || counts.contains_key(&(id, ordinal));
            ensure(referred, || {
                format!("expected {name} #{ordinal} to be referred to")
            })?;
        }
        Ok(())
    }
}
