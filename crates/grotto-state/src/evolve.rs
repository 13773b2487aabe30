//! A state under another schema, without touching a record.
//!
//! Owns: moving tables and layouts to the positions of a new schema. Never rewrites blocks: a field
//! that is new reads as null from every existing block, a field that goes stays readable to the
//! content hash until the cycle that removes it has replaced the records that hold it.

use crate::bitmap::page_bytes;
use crate::error::{StateError, StateResult};
use crate::index;
use crate::known::TypeInfo;
use crate::layout::{Dropped, Layout, Slots};
use crate::part;
use crate::segment::{Loc, Segment};
use crate::state::{DEFAULT_SHIFT, State, TypeState};
use grotto_format::batch::ColumnKind;
use grotto_format::schema::{Incompatible, Schema, TypeChange, TypeId, evolve};
use std::collections::HashSet;
use std::sync::Arc;

impl State {
    /// The same records under a new schema. Types that the new schema lacks go with their records.
    ///
    /// # Errors
    /// When the new schema cannot follow the present one.
    pub fn evolved(&self, schema: &Arc<Schema>) -> StateResult<Self> {
        let incompatible = |refused: Incompatible| StateError::Incompatible(refused.to_string());
        let evolution = evolve(&self.known.full, schema).map_err(incompatible)?;
        let known = self.known.under(schema, self.seed);
        let changes = match &known.filter {
            // Columns are those of the fields that are kept.
            Some(_) => evolve(&self.schema, &known.schema).map_err(incompatible)?,
            None => evolution.clone(),
        };
        let mut types = Vec::with_capacity(changes.types.len());
        let mut gone = evolution.removed_types;
        for ((id, change), info) in schema.ids().zip(&changes.types).zip(known.infos.iter()) {
            // Nothing that is kept leads to it any more.
            let left_out = !known.keeps(id);
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
        let mut evolved = Self::assemble(self.version, self.seed, known, types, segments);
        evolved.emptying = self.emptying;
        self.check_grown(&evolved)?;
        Ok(evolved)
    }

    /// Refuses a schema in which something is kept that was left out so far: it is not here.
    fn check_grown(&self, evolved: &Self) -> StateResult<()> {
        let refused = |what: String| {
            let reason = format!(
                "{what} was left out, and what is kept needs it from now on: expected a snapshot"
            );
            Err(StateError::Incompatible(reason))
        };
        for ty in evolved.schema.ids().filter(|id| evolved.keeps(*id)) {
            let ty = evolved.schema.get(ty);
            let Some(old) = self.schema.find(&ty.name) else {
                continue;
            };
            if !self.keeps(old) {
                return refused(format!("type {}", ty.name));
            }
            let old = self.schema.get(old);
            let grown = ty.fields().iter().find(|field| old.leaves_out(&field.name));
            if let Some(field) = grown {
                return refused(format!("field {}.{}", ty.name, field.name));
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
        let at = |old: Option<usize>| {
            old.and_then(|c| layout.slots.get(c))
                .copied()
                .unwrap_or(Slots::ABSENT)
        };
        let gone = (0..before.seeds.len()).filter(|column| !stays.contains(column));
        let mut dropped = layout.dropped.clone();
        dropped.extend(gone.map(|column| Dropped {
            seed: before.seeds[column],
            kind: u8::from(matches!(before.kinds[column], ColumnKind::Var(_))),
            slots: layout.slots[column],
        }));
        // Whether a type is kept by field is the same under every schema.
        let rest = before.rest();
        Layout {
            row: layout.row,
            mask: layout.mask,
            slots: change
                .fields
                .iter()
                .copied()
                .chain(rest.map(Some))
                .map(at)
                .collect(),
            dropped,
        }
    };
    TypeState {
        layouts: ty.layouts.iter().map(layout).collect(),
        ..ty.clone()
    }
}
