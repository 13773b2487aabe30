//! Indexes of types whose records are all, or mostly, new.
//!
//! Owns: building them on several threads. Never patches one.

use super::work::Work;
use crate::bitmap;
use crate::error::{StateError, StateResult};
use crate::index::{self, Index, IndexFault, Run, Twins};
use crate::key::{self, KeyInfo};
use crate::segment::items::Kind;
use crate::segment::{ALIGN, Buffer};
use crate::state::State;
use crate::threads::side_by_side;
use grotto_format::schema::TypeId;

/// Builds an index from the keys of a load, in the buffers of the segments being written. Like the
/// others it gives the pairs of records that may have one key, too.
pub(super) fn of_runs(
    runs: Vec<Run>,
    type_name: u64,
    fault: impl Fn(IndexFault) -> StateError,
    work: &mut Work<'_>,
) -> StateResult<(Index, Vec<(u32, u32)>)> {
    debug_assert_eq!(ALIGN, index::LINE, "pages need no padding");
    let depth = index::depth_for(runs.iter().map(Run::len).sum());
    let parallel = if index::is_deep(depth) {
        work.threads
    } else {
        1
    };
    let built = if parallel > 1 {
        side_by_side(work.lend(parallel)?, |part, mut open| {
            let cut = |part: usize| index::RUN_PARTS * part as u32 / parallel as u32;
            let (parts, mut twins) = (cut(part)..cut(part + 1), Twins::default());
            let pages = index::build_parts(&runs, depth, parts, &mut open.buffer, &mut twins);
            (open, pages, twins.pairs)
        })
    } else {
        let entries: Vec<_> = runs.into_iter().map(Run::into_entries).collect();
        side_by_side(work.lend(1)?, |_, mut open| {
            let mut twins = Twins::default();
            let pages = index::build_pages_in(&entries, depth, 0..1 << depth, &mut twins);
            let pages = pages.map(|(pages, mut starts)| {
                let at = open.buffer.put(&pages.bytes);
                starts.iter_mut().for_each(|(start, _)| *start += at);
                starts
            });
            (open, pages, twins.pairs)
        })
    };
    let mut locs = Vec::with_capacity(1 << depth);
    let mut buffers = Vec::with_capacity(built.len());
    let mut pairs = Vec::new();
    for (mut open, pages, twins) in built {
        pairs.extend(twins);
        let first = locs.len();
        for (start, lines) in pages.map_err(&fault)? {
            locs.push(open.loc(start, lines)?);
            work.account(open.slot, u64::from(lines) * index::LINE as u64);
        }
        let (entries, count) = (first as u32..locs.len() as u32, locs.len() - first);
        let items = &mut open.buffer.items;
        items.note_many(type_name, Kind::Index { depth }, entries, count as u64);
        buffers.push(open);
    }
    work.take_back(buffers)?;
    let pages = locs.into();
    Ok((Index { pages, depth }, pairs))
}

/// Builds an index by reading the keys of all records, which may lie in other ones: keys hashed side
/// by side, then pages.
pub(super) fn of_records(
    next: &State,
    id: TypeId,
    info: &KeyInfo,
    fault: impl Fn(IndexFault) -> StateError,
    (out, slot): (&mut Buffer, u16),
    threads: usize,
) -> StateResult<(Index, Vec<(u32, u32)>)> {
    let threads = if next.count(id) < SMALL { 1 } else { threads };
    let blocks = next.ordinal_limit(id) >> next.types[id.index()].shift;
    let hashed = |part: u32| -> Result<Vec<(u64, u32)>, IndexFault> {
        let shift = next.types[id.index()].shift;
        let (first, last) = (
            blocks * part / threads as u32,
            blocks * (part + 1) / threads as u32,
        );
        let mut entries = Vec::with_capacity((next.count(id) as usize) / threads + 1);
        for block in first..last {
            let page = next.bitmap_page(&next.types[id.index()], block as usize);
            for position in bitmap::positions(page) {
                let ordinal = (block << shift) + position;
                let hash = next
                    .row(id, ordinal)
                    .and_then(|record| key::hash_record(&record, info));
                entries.push((hash.ok_or(IndexFault::NullKey(ordinal))?, ordinal));
            }
        }
        Ok(entries)
    };
    let parts = side_by_side((0..threads).collect(), |part, _| hashed(part as u32))
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .map_err(&fault)?;
    let depth = index::depth_for(parts.iter().map(Vec::len).sum());
    let pages = 1_u32 << depth;
    let count = threads.min(pages as usize);
    let built = side_by_side((0..count).collect(), |part, _| {
        let cut = |part: usize| pages * part as u32 / count as u32;
        let (range, mut twins) = (cut(part)..cut(part + 1), Twins::default());
        let built = index::build_pages_in(&parts, depth, range, &mut twins);
        built.map(|(buffer, starts)| (buffer, starts, twins.pairs))
    });
    let mut locs = Vec::with_capacity(pages as usize);
    let mut pairs = Vec::new();
    for part in built {
        let (buffer, starts, twins) = part.map_err(&fault)?;
        pairs.extend(twins);
        let start = out.put(&buffer.bytes);
        for (at, lines) in starts {
            locs.push(Buffer::checked_loc(start + at, slot, lines)?);
        }
    }
    let (kind, count) = (Kind::Index { depth }, locs.len() as u64);
    let name = next.infos[id.index()].name;
    out.items.note_many(name, kind, 0..count as u32, count);
    let pages = locs.into();
    Ok((Index { pages, depth }, pairs))
}

/// Types with fewer records are not worth a thread.
const SMALL: u64 = 1 << 16;
