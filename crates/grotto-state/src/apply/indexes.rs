//! The end of a refresh: indexes patched, old segments emptied, the new one sealed.
//!
//! Owns: the order in which that happens. Never touches blocks of the types but to move them.

use super::sound;
use super::work::{Open, Work};
use super::{Changes, Effort, rebuild};
use crate::compact::compact;
use crate::error::{StateError, StateResult};
use crate::index::{self, Change, Index, IndexFault, Keys, LINE, Patch, Run, Split};
use crate::key::{self, KeyInfo};
use crate::segment::items::Kind;
use crate::segment::{Buffer, HugeBuffer, Segment};
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
        let known = Arc::clone(&base.known);
        State::assemble(version, base.seed, known, types, segments)
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
    let slot = work.slot_beside()?;
    let (mut lent, mut segments) = (Vec::new(), work.segments.clone());
    for mut open in work.lend(work.spare.len() + 1)? {
        let used = open.buffer.bytes.len();
        open.buffer.bytes.resize(used + 8);
        let bytes = Arc::new(open.buffer.bytes);
        segments[usize::from(open.slot)].bytes = Bytes::from_owner(Lent(Arc::clone(&bytes)));
        lent.push((open.slot, bytes, used, open.buffer.items));
    }
    let mut next = assembled(types, segments);
    let mut pages = Buffer::default();
    for id in left {
        let change = &changes.types[id.index()];
        let (index, twins) = index_type(base, &next, *id, change, slot, &mut pages, work)?;
        suspects.push((*id, twins));
        next.types[id.index()].index = Some(index);
    }
    let State {
        mut types,
        segments,
        ..
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
    keep_pages(pages, slot, &mut types, left, work)?;
    Ok(types)
}

/// Keeps new pages, which have a slot of their own so far. Many stay a segment: to copy them costs more,
/// and the next refresh that touches as many leaves nothing of it to be moved, as no block is in it. Few go
/// behind the blocks, or there would be twice as many segments.
fn keep_pages(
    pages: Buffer,
    slot: u16,
    types: &mut [TypeState],
    left: &[TypeId],
    work: &mut Work<'_>,
) -> StateResult<()> {
    let new = |index: &Index| -> u64 {
        let pages = index::each_page(index).filter(|loc| loc.segment == slot);
        pages.map(|loc| u64::from(loc.tag) * LINE as u64).sum()
    };
    let indexes = left
        .iter()
        .filter_map(|id| types[id.index()].index.as_ref());
    let live = indexes.map(new).sum();
    if pages.bytes.len() >= work.options.seal_at / APART {
        work.account(slot, live);
        let buffer = pages;
        return work.seal_open(Open { slot, buffer });
    }
    let to = (work.slot, work.buffer.put(&pages.bytes));
    work.buffer.items.append(pages.items);
    work.account(work.slot, live);
    for id in left {
        if let Some(index) = &mut types[id.index()].index {
            move_pages(index, slot, to)?;
        }
    }
    Ok(())
}

/// Pages of this part of a full segment have one of their own.
const APART: usize = 4;

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
    slot: u16,
    pages: &mut Buffer,
    work: &mut Work<'_>,
) -> StateResult<(Index, Vec<(u32, u32)>)> {
    let Some(info) = base.infos[id.index()].key.as_ref() else {
        return Ok((Index::default(), Vec::new()));
    };
    let fault = |e| fault(base, id, e);
    let old = base.types[id.index()].index.clone().unwrap_or_default();
    check_keys(base, next, id, &change.modified)?;
    if change.added.is_empty() && change.removed.is_empty() {
        return Ok((old, Vec::new()));
    }
    // Rebuilding costs a pass over everything that lives; worth it only when most of it is new.
    if change.added.len() as u64 * 2 > base.types[id.index()].live {
        free_pages(base, id, work);
        return rebuild::of_records(next, id, info, fault, (pages, slot), work.threads);
    }
    let mut list = Vec::with_capacity(change.added.len() + change.removed.len());
    let (before, after) = (Rows::of(base, id, info), Rows::of(next, id, info));
    hash_all(&before, &change.removed, false, &mut list)
        .map_err(|ordinal| fault(IndexFault::Damage(ordinal)))?;
    hash_all(&after, &change.added, true, &mut list)
        .map_err(|ordinal| fault(IndexFault::NullKey(ordinal)))?;
    let patch = Patch {
        index: &old,
        segments: &base.segments,
        count: next.types[id.index()].live,
        keys: &after,
        slot,
        split: Split::over(work.threads),
    };
    let patched = patch.apply(list, pages).map_err(fault)?;
    let freed = patched.freed.into_iter();
    freed.for_each(|loc| work.free_index_page(loc));
    let index = patched.index;
    work.effort.table_entries += index.pages.len() as u64;
    let (name, depth) = (base.infos[id.index()].name, index.depth);
    for entries in patched.written {
        pages.items.note(name, Kind::Index { depth }, entries);
    }
    Ok((index, patched.twins))
}

/// How many records the hashing of keys looks ahead.
const AHEAD: usize = 8;

/// Keys of the records of a type.
struct Rows<'a> {
    state: &'a State,
    id: TypeId,
    info: &'a KeyInfo,
}

impl<'a> Rows<'a> {
    fn of(state: &'a State, id: TypeId, info: &'a KeyInfo) -> Self {
        Self { state, id, info }
    }
}

impl Keys for Rows<'_> {
    fn hash(&self, ordinal: u32) -> Option<u64> {
        let record = self.state.row(self.id, ordinal)?;
        key::hash_record(&record, self.info)
    }

    fn prefetch(&self, ordinal: u32) {
        if let Some(ty) = self.state.ty(self.id) {
            self.state.prefetch_row(ty, ordinal);
        }
    }
}

/// Hashes the keys of records. Gives the first one without a key as its error.
fn hash_all(
    rows: &Rows<'_>,
    ordinals: &[u32],
    add: bool,
    list: &mut Vec<Change>,
) -> Result<(), u32> {
    for (number, ordinal) in ordinals.iter().enumerate() {
        // Rows are all over memory: the next ones are asked for while this one is read.
        if let Some(ahead) = ordinals.get(number + AHEAD) {
            rows.prefetch(*ahead);
        }
        let (ordinal, hash) = (*ordinal, rows.hash(*ordinal).ok_or(*ordinal)?);
        list.push(Change { hash, ordinal, add });
    }
    Ok(())
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

/// Moves pages from the slot that they were written under to where they were put.
fn move_pages(index: &mut Index, slot: u16, (to, start): (u16, usize)) -> StateResult<()> {
    for loc in Arc::make_mut(&mut index.pages) {
        if loc.segment == slot {
            *loc = Buffer::checked_loc(start + loc.start(), to, loc.tag)?;
        }
    }
    Ok(())
}
