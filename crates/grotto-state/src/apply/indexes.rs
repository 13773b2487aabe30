//! The end of a refresh: indexes patched, old segments emptied, the new one sealed.
//!
//! Owns: the order in which that happens. Never touches blocks of the types but to move them.

use super::sound;
use super::work::{Open, Work};
use super::{Changes, Effort, rebuild};
use crate::compact::compact;
use crate::error::{StateError, StateResult};
use crate::index::{self, Change, Index, IndexFault, Run, Twins};
use crate::key;
use crate::segment::items::Kind;
use crate::segment::{ALIGN, Buffer, HugeBuffer, Loc, Segment};
use crate::state::{State, TypeState};
use bytes::Bytes;
use grotto_format::schema::TypeId;
use std::sync::Arc;

/// Records of a type that may have one key, in pairs.
pub(super) type Suspects = Vec<(TypeId, Vec<(u32, u32)>)>;

/// Patches the indexes, empties old segments and seals the new one. `keys` are those that a load has
/// met, by type.
pub(super) fn index_phase(
    base: &State,
    mut types: Vec<TypeState>,
    changes: &Changes,
    keys: Vec<Option<Vec<Run>>>,
    version: u64,
    mut work: Work<'_>,
) -> StateResult<(State, Effort, Suspects)> {
    let (mut left, mut suspects) = (Vec::new(), Suspects::new());
    for (position, (keys, change)) in keys.into_iter().zip(&changes.types).enumerate() {
        let id = TypeId(position as u16);
        let changed = !change.is_empty();
        if let Some(runs) = keys {
            free_pages(base, id, &mut work);
            let (name, fault) = (base.infos[position].name, |e| fault(base, id, e));
            let (index, twins) = rebuild::of_runs(runs, name, fault, &mut work)?;
            types[position].index = Some(index);
            suspects.push((id, twins));
        } else if base.infos[position].key.is_some() && changed {
            left.push(id);
        }
    }
    let assembled = |types, segments| {
        let (schema, infos) = (Arc::clone(&base.schema), Arc::clone(&base.infos));
        State::assemble(version, base.seed, schema, infos, types, segments)
    };
    if !left.is_empty() {
        let found = &mut suspects;
        types = read_and_index(base, types, changes, &left, &assembled, found, &mut work)?;
    }
    let emptying = compact(&mut types, &base.infos, &mut work, base.emptying)?;
    let (segments, effort) = work.finish()?;
    let mut next = assembled(types, segments);
    next.emptying = emptying.filter(|cursor| {
        let victim = next.segments.get(usize::from(cursor.slot));
        victim.is_some_and(|victim| !victim.bytes.is_empty())
    });
    Ok((next, effort, suspects))
}

/// A buffer while it takes part as a segment.
struct Lent(Arc<HugeBuffer>);

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Indexes types whose keys are read from their records. Key parts may be read through references,
/// so the blocks of all types must be readable: unsealed buffers take part as segments meanwhile.
fn read_and_index(
    base: &State,
    types: Vec<TypeState>,
    changes: &Changes,
    left: &[TypeId],
    assembled: &dyn Fn(Vec<TypeState>, Vec<Segment>) -> State,
    suspects: &mut Suspects,
    work: &mut Work<'_>,
) -> StateResult<Vec<TypeState>> {
    let mut lent = Vec::new();
    let mut segments = work.segments.clone();
    let slot = work.slot;
    for mut open in work.lend(work.spare.len() + 1)? {
        let used = open.buffer.bytes.len();
        open.buffer.bytes.resize(used + 8);
        let bytes = Arc::new(open.buffer.bytes);
        segments[usize::from(open.slot)].bytes = Bytes::from_owner(Lent(Arc::clone(&bytes)));
        lent.push((open.slot, bytes, used, open.buffer.items));
    }
    let offset = lent.first().map_or(0, |(_, _, used, _)| *used);
    let mut next = assembled(types, segments);
    let mut pages = Buffer::default();
    for id in left {
        let place = Place { offset, slot };
        let change = &changes.types[id.index()];
        let (index, twins) = index_type(base, &next, *id, change, place, &mut pages, work)?;
        suspects.push((*id, twins));
        next.types[id.index()].index = Some(index);
    }
    let State {
        types, segments, ..
    } = next;
    drop(segments);
    let mut open = Vec::new();
    for (slot, bytes, used, items) in lent.into_iter().rev() {
        let mut bytes = Arc::into_inner(bytes).ok_or_else(|| {
            StateError::Damaged("expected nobody else to hold an unsealed segment".into())
        })?;
        bytes.resize(used);
        let buffer = Buffer { bytes, items };
        open.push(Open { slot, buffer });
    }
    work.take_back(open)?;
    work.buffer.put(&pages.bytes);
    work.buffer.items.append(pages.items);
    work.account(work.slot, pages.bytes.len() as u64);
    Ok(types)
}

/// Where new pages go: behind what is in the buffer of the segment.
#[derive(Clone, Copy)]
struct Place {
    offset: usize,
    slot: u16,
}

fn fault(base: &State, id: TypeId, fault: IndexFault) -> StateError {
    let name = &base.schema.get(id).name;
    match fault {
        IndexFault::Damage(ordinal) => StateError::Damaged(format!(
            "expected {name} #{ordinal} to have a primary key of its own in the index"
        )),
        IndexFault::NullKey(ordinal) => {
            let reason = "expected no part of the primary key to be null";
            sound::unsound(name, ordinal, reason.to_owned())
        }
        IndexFault::Crowded(count) => StateError::Limit(format!(
            "{name}: {} keys with one hash, found {count}",
            index::MAX_CROWD
        )),
    }
}

/// Gives up the pages of the index that a type had.
fn free_pages(base: &State, id: TypeId, work: &mut Work<'_>) {
    if let Some(old) = &base.types[id.index()].index {
        index::each_page(old).for_each(|loc| work.free_index_page(loc));
    }
}

fn index_type(
    base: &State,
    next: &State,
    id: TypeId,
    change: &super::TypeChanges,
    Place { offset, slot }: Place,
    pages: &mut Buffer,
    work: &mut Work<'_>,
) -> StateResult<(Index, Vec<(u32, u32)>)> {
    let Some(info) = base.infos[id.index()].key.as_ref() else {
        return Ok((Index::default(), Vec::new()));
    };
    let fault = |e| fault(base, id, e);
    let hash = |state: &State, ordinal: u32, missing: fn(u32) -> IndexFault| {
        state
            .row(id, ordinal)
            .and_then(|r| key::hash_record(&r, info))
            .ok_or_else(|| fault(missing(ordinal)))
    };
    let from = offset.div_ceil(ALIGN);
    let old = base.types[id.index()].index.clone().unwrap_or_default();
    check_keys(base, next, id, &change.modified)?;
    if change.added.is_empty() && change.removed.is_empty() {
        return Ok((old, Vec::new()));
    }
    // Rebuilding costs a pass over everything that lives; worth it only when most of it is new.
    if change.added.len() as u64 * 2 > base.types[id.index()].live {
        free_pages(base, id, work);
        let (built, twins) = rebuild::of_records(next, id, info, fault, pages, slot)?;
        return Ok((moved(built, slot, from)?, twins));
    }
    let mut list = Vec::with_capacity(change.added.len() + change.removed.len());
    for ordinal in &change.removed {
        list.push(Change {
            hash: hash(base, *ordinal, IndexFault::Damage)?,
            ordinal: *ordinal,
            add: false,
        });
    }
    for ordinal in &change.added {
        list.push(Change {
            hash: hash(next, *ordinal, IndexFault::NullKey)?,
            ordinal: *ordinal,
            add: true,
        });
    }
    let mut twins = Twins::default();
    index::sort(&mut list);
    twins.note_changes(&old, &base.segments, &list);
    let rehash = |ordinal| {
        next.row(id, ordinal)
            .and_then(|r| key::hash_record(&r, info))
    };
    let mut freed = Vec::new();
    let patched = index::patch(
        &old,
        &base.segments,
        list,
        next.types[id.index()].live,
        &rehash,
        pages,
        slot,
        &mut |loc| freed.push(loc),
    );
    freed.into_iter().for_each(|loc| work.free_index_page(loc));
    let (patched, written) = patched.map_err(fault)?;
    work.effort.table_entries += patched.pages.len() as u64;
    let (name, depth) = (base.infos[id.index()].name, patched.depth);
    for entries in written {
        pages.items.note(name, Kind::Index { depth }, entries);
    }
    Ok((moved(patched, slot, from)?, twins.pairs))
}

/// Refuses a record that changed where it is and has another key now: the index would not lead to it,
/// and those that refer to it would mean another record.
fn check_keys(base: &State, next: &State, id: TypeId, modified: &[u32]) -> StateResult<()> {
    for ordinal in modified {
        let records = base.row(id, *ordinal).zip(next.row(id, *ordinal));
        let same = records.is_some_and(|(before, after)| key::same(&before, &after));
        if !same {
            let name = &base.schema.get(id).name;
            return Err(StateError::Damaged(format!(
                "expected {name} #{ordinal} to keep its primary key when it changes"
            )));
        }
    }
    Ok(())
}

/// Moves new pages from the offsets of their own buffer to where it is appended. The slot was free
/// before, so whatever is in it is new.
fn moved(mut index: Index, slot: u16, by: usize) -> StateResult<Index> {
    let place = |loc: &Loc| match loc.segment == slot {
        true => Buffer::checked_loc(loc.start() + by * ALIGN, slot, loc.tag),
        false => Ok(*loc),
    };
    index.pages = index.pages.iter().map(place).collect::<StateResult<_>>()?;
    Ok(index)
}
