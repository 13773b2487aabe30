//! The end of a refresh: indexes patched, old segments folded, the new one sealed.
//!
//! Owns: the order in which that happens. Never touches blocks of the types but to move them.

use super::work::Work;
use super::{Changes, bulk};
use crate::error::{StateError, StateResult};
use crate::index::{self, Change, Index};
use crate::key;
use crate::segment::Loc;
use crate::state::{State, TypeState};
use bytes::Bytes;
use grotto_format::schema::TypeId;
use std::sync::Arc;

/// Patches the indexes, folds old segments and seals the new one.
pub(super) fn index_phase(
    base: &State,
    types: Vec<TypeState>,
    changes: &Changes,
    version: u64,
    mut work: Work<'_>,
) -> StateResult<State> {
    // Key parts may be read through references, so the blocks of all types must be readable first:
    // the unsealed buffer takes part as a segment for as long as the indexes are built.
    let slot = usize::from(work.slot);
    let mut blocks = std::mem::take(&mut work.buffer.bytes);
    let used = blocks.len();
    blocks.extend_from_slice(&[0; 8]);
    let mut segments = work.segments.clone();
    segments[slot].bytes = Bytes::from(blocks);
    let assembled = |types, segments| {
        State::assemble(
            version,
            Arc::clone(&base.schema),
            Arc::clone(&base.infos),
            types,
            segments,
        )
    };
    let mut next = assembled(types, segments);
    let mut pages = crate::segment::Buffer::default();
    for (position, change) in changes.types.iter().enumerate() {
        let id = TypeId(position as u16);
        if base.infos[position].key.is_some()
            && !(change.added.is_empty() && change.removed.is_empty())
        {
            let index = index_type(base, &next, id, change, used, &mut pages, &mut work)?;
            next.types[position].index = Some(index);
        }
    }
    let State {
        types, segments, ..
    } = next;
    let mut blocks = take_back(segments, slot)?;
    blocks.truncate(used);
    blocks.resize(used.next_multiple_of(crate::segment::ALIGN), 0);
    blocks.extend_from_slice(&pages.bytes);
    work.buffer.bytes = blocks;
    work.account(pages.bytes.len());
    let mut types = types;
    crate::fold::fold(&mut types, &mut work)?;
    Ok(assembled(types, work.finish()?))
}

/// The buffer, back from its time as a segment; nobody else holds it.
fn take_back(mut segments: Vec<crate::segment::Segment>, slot: usize) -> StateResult<Vec<u8>> {
    if slot >= segments.len() {
        return Err(StateError::Damaged(
            "expected the slot of the new segment".into(),
        ));
    }
    Ok(Vec::from(segments.swap_remove(slot).bytes))
}

fn index_type(
    base: &State,
    next: &State,
    id: TypeId,
    change: &super::TypeChanges,
    offset: usize,
    pages: &mut crate::segment::Buffer,
    work: &mut Work<'_>,
) -> StateResult<Index> {
    let Some(info) = base.infos[id.index()].key.as_ref() else {
        return Ok(Index::default());
    };
    let damage = |ordinal: u32| {
        let name = &base.schema.get(id).name;
        StateError::Damaged(format!(
            "expected {name} #{ordinal} to have a primary key of its own in the index"
        ))
    };
    let hash = |state: &State, ordinal: u32| {
        state
            .row(id, ordinal)
            .and_then(|r| key::hash_record(&r, info))
            .ok_or_else(|| damage(ordinal))
    };
    let from = offset.div_ceil(crate::segment::ALIGN);
    let slot = work.slot;
    let old = base.types[id.index()].index.clone().unwrap_or_default();
    // Rebuilding costs a pass over everything that lives; worth it only when most of it is new.
    if change.added.len() as u64 * 2 > base.types[id.index()].live {
        index::each_page(&old).for_each(|loc| work.free_index_page(loc));
        let built = bulk::index(next, id, info, pages, slot)
            .map_err(|index::IndexDamage(ordinal)| damage(ordinal))?;
        return Ok(moved(built, slot, from));
    }
    let mut list = Vec::with_capacity(change.added.len() + change.removed.len());
    for ordinal in &change.removed {
        list.push(Change {
            hash: hash(base, *ordinal)?,
            ordinal: *ordinal,
            add: false,
        });
    }
    for ordinal in &change.added {
        list.push(Change {
            hash: hash(next, *ordinal)?,
            ordinal: *ordinal,
            add: true,
        });
    }
    let rehash = |ordinal| {
        next.row(id, ordinal)
            .and_then(|r| key::hash_record(&r, info))
    };
    let mut freed = Vec::new();
    let patched = index::patch(
        &old,
        &base.segments,
        list,
        &rehash,
        pages,
        slot,
        &mut |loc| freed.push(loc),
    );
    freed.into_iter().for_each(|loc| work.free_index_page(loc));
    let patched = patched.map_err(|index::IndexDamage(ordinal)| damage(ordinal))?;
    Ok(moved(patched, slot, from))
}

/// Moves new pages from the offsets of their own buffer to where it is appended. The slot was free
/// before, so whatever is in it is new.
fn moved(mut index: Index, slot: u16, by: usize) -> Index {
    let place = |loc: &Loc| match loc.segment == slot {
        true => Loc {
            unit: loc.unit + by as u32,
            ..*loc
        },
        false => *loc,
    };
    index.pages = index.pages.iter().map(place).collect();
    index
}
