//! A state under another schema, without touching a record.
//!
//! Owns: moving tables and layouts to the positions of a new schema. Never rewrites blocks: a field
//! that is new reads as null from every existing block, a field that goes stays readable to the
//! content hash until the cycle that removes it has replaced the records that hold it.

use crate::bitmap::page_bytes;
use crate::error::{StateError, StateResult};
use crate::index;
use crate::layout::{Dropped, Layout, Slots};
use crate::part;
use crate::segment::{Loc, Segment};
use crate::state::{DEFAULT_SHIFT, State, TypeInfo, TypeState};
use grotto_format::batch::ColumnKind;
use grotto_format::schema::{Schema, TypeChange, TypeId, evolve};
use std::collections::HashSet;
use std::sync::Arc;

impl State {
    /// The same records under a new schema. Types that the new schema lacks go with their records.
    ///
    /// # Errors
    /// When the new schema cannot follow the present one.
    pub fn evolved(&self, schema: &Arc<Schema>) -> StateResult<Self> {
        let evolution = evolve(&self.schema, schema)
            .map_err(|refused| StateError::Incompatible(refused.to_string()))?;
        let infos = TypeInfo::of_schema(schema, self.seed);
        let mut types = Vec::with_capacity(evolution.types.len());
        let mut gone = evolution.removed_types.clone();
        let kept = self.filter().map(|filter| filter.kept(schema));
        for (position, (change, info)) in evolution.types.iter().zip(infos.iter()).enumerate() {
            let is_kept = |kept: &Vec<bool>| kept.get(position).is_some_and(|kept| *kept);
            // Nothing that is kept leads to it any more.
            let left_out = kept.as_ref().is_some_and(|kept| !is_kept(kept));
            gone.extend(change.old.filter(|_| left_out));
            let old = change
                .old
                .filter(|_| !left_out)
                .and_then(|id| Some((self.types.get(id.index())?, self.infos.get(id.index())?)));
            types.push(match old {
                Some((ty, before)) => moved(ty, before, change),
                None => TypeState::empty(DEFAULT_SHIFT, info.key.is_some()),
            });
        }
        let mut segments = self.segments.clone();
        for gone in gone {
            self.give_up(gone, &mut segments);
        }
        let (version, schema) = (self.version, Arc::clone(schema));
        let mut evolved = Self::assemble(version, self.seed, schema, infos, types, segments);
        evolved.emptying = self.emptying;
        let evolved = evolved.filtered(self.filter().cloned());
        self.check_grown(&evolved)?;
        Ok(evolved)
    }

    /// Refuses a schema in which a kept type leads to one that was left out so far: its records are not here.
    fn check_grown(&self, evolved: &Self) -> StateResult<()> {
        for id in evolved.schema.ids().filter(|id| evolved.keeps(*id)) {
            let name = &evolved.schema.get(id).name;
            if self.schema.find(name).is_some_and(|old| !self.keeps(old)) {
                return Err(StateError::Incompatible(format!(
                    "type {name} was left out, and types that are kept refer to it from now on: expected a snapshot"
                )));
            }
        }
        Ok(())
    }

    /// Takes everything of a type off the live bytes of its segments, which would never be emptied
    /// otherwise.
    fn give_up(&self, gone: TypeId, segments: &mut [Segment]) {
        let Some(ty) = self.types.get(gone.index()) else {
            return;
        };
        self.each_item(ty, &mut |loc, length| {
            if let Some(segment) = segments.get_mut(usize::from(loc.segment)) {
                segment.live = segment.live.saturating_sub(length as u64);
            }
        });
    }

    /// Calls `visit` with every block, bitmap page and index page of a type, and the room it takes. A block
    /// that takes several entries is visited once for each, with their share.
    pub(crate) fn each_item(&self, ty: &TypeState, visit: &mut dyn FnMut(Loc, usize)) {
        for (number, loc) in ty
            .blocks
            .iter()
            .enumerate()
            .filter(|(_, loc)| !loc.is_none())
        {
            let share = self.block_of(ty, number);
            let share = share.map_or(0, |block| part::share(&block, ty.shift, number).bytes);
            visit(*loc, share as usize);
        }
        for loc in ty.bitmaps.iter().filter(|loc| !loc.is_none()) {
            visit(*loc, page_bytes(ty.shift));
        }
        for loc in ty.index.iter().flat_map(index::each_page) {
            visit(loc, usize::from(loc.tag) * index::LINE);
        }
    }

    /// Forgets fields on their way out: no record holds a value in them any more.
    pub(crate) fn without_dropped(mut self) -> Self {
        for ty in &mut self.types {
            if ty.layouts.iter().any(|layout| !layout.dropped.is_empty()) {
                let layouts = ty.layouts.iter().map(|l| Layout {
                    dropped: Vec::new(),
                    ..l.clone()
                });
                ty.layouts = layouts.collect();
            }
        }
        self
    }
}

fn moved(ty: &TypeState, before: &TypeInfo, change: &TypeChange) -> TypeState {
    if before
        .kinds
        .iter()
        .any(|kind| matches!(kind, ColumnKind::Elements(_)))
    {
        return ty.clone();
    }
    let stays: HashSet<usize> = change.fields.iter().flatten().copied().collect();
    let layout = |layout: &Layout| {
        let at = |old: &Option<usize>| {
            old.and_then(|c| layout.slots.get(c))
                .copied()
                .unwrap_or(Slots::ABSENT)
        };
        let gone = (0..layout.slots.len()).filter(|column| !stays.contains(column));
        let mut dropped = layout.dropped.clone();
        dropped.extend(gone.map(|column| Dropped {
            seed: before.seeds[column],
            kind: u8::from(matches!(before.kinds[column], ColumnKind::Var(_))),
            slots: layout.slots[column],
        }));
        Layout {
            row: layout.row,
            mask: layout.mask,
            slots: change.fields.iter().map(at).collect(),
            dropped,
        }
    };
    TypeState {
        layouts: ty.layouts.iter().map(layout).collect(),
        ..ty.clone()
    }
}
