//! The change of one type: removed ordinals, added records, touched blocks and bitmap pages, index.

use super::bulk;
use super::content;
use super::sections::{self, Chunk, TypeSections};
use super::work::Work;
use super::{TypeChanges, TypeWork};
use crate::bitmap;
use crate::block::{self, Added, BlockRef, BlockType};
use crate::error::{StateError, StateResult};
use crate::index::{Index, Run};
use crate::layout::Layout;
use crate::segment::Loc;
use crate::state::{State, TypeState};
use grotto_format::OverLimit;
use grotto_format::blob::Blob;
use grotto_format::checksum;
use grotto_format::schema::TypeId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Tables of a type while they change.
pub(super) struct Tables {
    pub(super) blocks: Vec<Loc>,
    pub(super) bitmaps: Vec<Loc>,
    pub(super) layouts: Vec<Layout>,
    pub(super) live: u64,
    pub(super) checksum: u64,
    pub(super) shift: u8,
}

/// Applies what a blob says about one type. A load also gives the keys it met, if all of them were
/// in its chunks.
pub(super) fn apply_type(
    base: &State,
    id: TypeId,
    shift: u8,
    blob: &Blob,
    sections: &TypeSections,
    threads: usize,
    work: &mut Work<'_>,
) -> StateResult<(TypeState, TypeChanges, Option<Vec<Run>>)> {
    let old = &started_over(&base.types[id.index()], shift);
    if sections.removed.is_none() && sections.chunks.is_empty() {
        return Ok((old.clone(), TypeChanges::default(), None));
    }
    let of = TypeWork {
        id,
        info: &base.infos[id.index()],
        sections,
        limits: blob.limits(),
        threads,
    };
    let mut tables = Tables {
        blocks: old.blocks.to_vec(),
        bitmaps: old.bitmaps.to_vec(),
        layouts: old.layouts.to_vec(),
        live: old.live,
        checksum: old.checksum,
        shift: old.shift,
    };
    let (removed, mut pages) = remove(base, &of, blob, &mut tables)?;
    let mut added = Vec::new();
    if old.blocks.is_empty() && of.sections.chunks.len() > 1 && bulk::is_light(blob, &of) {
        let loaded = bulk::add_all(blob, &of, &base.schema.get(id).name, &mut tables, work)?;
        let added = loaded.ordinals;
        return Ok((
            tables.finish(old.index.clone()),
            TypeChanges { added, removed },
            loaded.keys,
        ));
    }
    let mut chunk = Chunk::default();
    for first in &of.sections.chunks {
        // One at a time, so that the limits of a chunk bound its memory.
        sections::chunk(blob, of.info, *first, &mut chunk, &mut |_| ())?;
        add_chunk(
            base,
            &of,
            &chunk,
            added.last().copied(),
            &mut pages,
            &mut tables,
            work,
        )?;
        added.extend_from_slice(&chunk.ordinals);
        chunk.shrink();
    }
    for (block, page) in pages {
        put_page(&mut tables, work, block, &page)?;
        if bitmap::count(&page) == 0 {
            drop_block(base, id, &mut tables, work, block);
        }
    }
    Ok((
        tables.finish(old.index.clone()),
        TypeChanges { added, removed },
        None,
    ))
}

/// The type as a refresh finds it: without records, blocks of any size may follow, so the tables,
/// whose entries are all empty, start over.
fn started_over(old: &TypeState, shift: u8) -> TypeState {
    if old.live > 0 {
        return old.clone();
    }
    let (blocks, bitmaps, layouts) = (Arc::default(), Arc::default(), Arc::default());
    TypeState {
        shift,
        blocks,
        bitmaps,
        layouts,
        ..old.clone()
    }
}

impl Tables {
    fn finish(mut self, index: Option<Index>) -> TypeState {
        // Empty entries behind the last block would let a state that a chain of deltas led to have more of
        // them than one from a snapshot, and so pass a limit that the other does not.
        let used = self.blocks.iter().rposition(|loc| !loc.is_none());
        let used = used.map_or(0, |last| last + 1);
        self.blocks.truncate(used);
        self.bitmaps.truncate(used);
        TypeState {
            shift: self.shift,
            blocks: self.blocks.into(),
            bitmaps: self.bitmaps.into(),
            layouts: Arc::new(self.layouts),
            index,
            live: self.live,
            checksum: self.checksum,
        }
    }
}

type Pages = BTreeMap<usize, Vec<u8>>;

/// How many records the reading of removed ones looks ahead.
const AHEAD: usize = 8;

/// Clears the bits of removed ordinals in copies of their pages.
fn remove(
    base: &State,
    of: &TypeWork<'_>,
    blob: &Blob,
    tables: &mut Tables,
) -> StateResult<(Vec<u32>, Pages)> {
    let old = &base.types[of.id.index()];
    let removed = sections::removed(blob, of.sections, old.live)?;
    let mut pages = Pages::new();
    for (number, ordinal) in removed.iter().enumerate() {
        // Rows to be hashed are all over memory: the next ones are asked for while this one is read.
        if let Some(ahead) = removed.get(number + 2 * AHEAD) {
            base.prefetch_row(old, *ahead);
        }
        if let Some(record) = removed
            .get(number + AHEAD)
            .and_then(|o| base.row(of.id, *o))
        {
            record.prefetch_values();
        }
        let block = (ordinal >> tables.shift) as usize;
        let position = ordinal & ((1 << tables.shift) - 1);
        let page = pages
            .entry(block)
            .or_insert_with(|| base.bitmap_page(old, block).to_vec());
        let record = base
            .row(of.id, *ordinal)
            .filter(|_| bitmap::is_set(page, position));
        let Some(record) = record else {
            let name = &base.schema.get(of.id).name;
            let reason = format!("expected {name} #{ordinal} to be live before it is removed");
            return Err(super::mismatch(&blob.header, reason));
        };
        bitmap::set(page, position, false);
        tables.checksum = tables
            .checksum
            .wrapping_sub(checksum::record(record.content_hash(), *ordinal));
    }
    tables.live = tables.live.saturating_sub(removed.len() as u64);
    Ok((removed, pages))
}

fn put_page(
    tables: &mut Tables,
    work: &mut Work<'_>,
    block: usize,
    page: &[u8],
) -> StateResult<()> {
    if tables.bitmaps.len() <= block {
        tables.bitmaps.resize(block + 1, Loc::NONE);
    }
    work.free_page(tables.bitmaps[block], tables.shift);
    tables.bitmaps[block] =
        if bitmap::count(page) == 0 && tables.blocks.get(block).is_none_or(|b| b.is_none()) {
            Loc::NONE
        } else {
            work.put(page, 0)?
        };
    Ok(())
}

/// Gives up a block in which nothing lives any more.
fn drop_block(base: &State, id: TypeId, tables: &mut Tables, work: &mut Work<'_>, block: usize) {
    if let Some(old) = base.block_of(&base.types[id.index()], block) {
        work.free_block(tables.blocks[block], &old);
    }
    work.free_page(tables.bitmaps[block], tables.shift);
    tables.blocks[block] = Loc::NONE;
    tables.bitmaps[block] = Loc::NONE;
}

fn add_chunk(
    base: &State,
    of: &TypeWork<'_>,
    chunk: &Chunk,
    before: Option<u32>,
    pages: &mut Pages,
    tables: &mut Tables,
    work: &mut Work<'_>,
) -> StateResult<()> {
    let shift = tables.shift;
    whole_blocks(&base.schema.get(of.id).name, shift, before, &chunk.ordinals)?;
    let contents = content::contents(of.info, &chunk.batch, 0..chunk.ordinals.len());
    for (content, ordinal) in contents.iter().zip(&chunk.ordinals) {
        let record = checksum::record(*content, *ordinal);
        tables.checksum = tables.checksum.wrapping_add(record);
    }
    tables.live += chunk.ordinals.len() as u64;
    let mut at = 0;
    while at < chunk.ordinals.len() {
        let number = chunk.ordinals[at] >> shift;
        let end = at + chunk.ordinals[at..].partition_point(|o| o >> shift == number);
        let positions: Vec<u32> = chunk.ordinals[at..end]
            .iter()
            .map(|o| o & ((1 << shift) - 1))
            .collect();
        let added = Added {
            positions: &positions,
            batch: &chunk.batch,
            first_row: at,
        };
        add_to_block(base, of, number as usize, &added, pages, tables, work)?;
        at = end;
    }
    Ok(())
}

/// Refuses a chunk that shares a block with the one before.
pub(super) fn whole_blocks(
    name: &str,
    shift: u8,
    before: Option<u32>,
    ordinals: &[u32],
) -> StateResult<()> {
    match (before, ordinals.first()) {
        (Some(before), Some(first)) if first >> shift <= before >> shift => Err(
            StateError::Damaged(format!("expected chunks of {name} to hold whole blocks")),
        ),
        _ => Ok(()),
    }
}

/// A block that weighs within the limit and is larger than any layout makes it.
pub(super) fn too_large(block::TooLarge(bytes): block::TooLarge) -> StateError {
    let most = block::MAX_BLOCK;
    StateError::Damaged(format!(
        "expected a block of at most {most} bytes, found {bytes}"
    ))
}

/// A block that no reader accepts.
pub(super) fn too_heavy(
    name: &str,
    ordinals: std::ops::Range<u64>,
    over: &OverLimit,
) -> StateError {
    let (first, end) = (ordinals.start, ordinals.end);
    StateError::Limit(format!(
        "type {name}, the block of records #{first} to #{}: {over}: make its records smaller, or move \
         what is large into types of its own",
        end - 1
    ))
}

fn add_to_block(
    base: &State,
    of: &TypeWork<'_>,
    number: usize,
    added: &Added<'_>,
    pages: &mut Pages,
    tables: &mut Tables,
    work: &mut Work<'_>,
) -> StateResult<()> {
    let old_type = &base.types[of.id.index()];
    let page = pages.remove(&number);
    let mut page = page.unwrap_or_else(|| base.bitmap_page(old_type, number).to_vec());
    page.resize(bitmap::page_bytes(tables.shift), 0);
    let still_there = still_there(base, of, number, added);
    let live = || bitmap::positions(&page).collect::<Vec<u32>>();
    let old = base.block_of(old_type, number);
    let ty = BlockType {
        kinds: &of.info.kinds,
        first: &of.info.first,
    };
    block::check_weight(&ty, old, live, added, of.limits.block_weight).map_err(|over| {
        let first = (number as u64) << tables.shift;
        let ordinals = first..first + (1 << tables.shift);
        too_heavy(&base.schema.get(of.id).name, ordinals, &over)
    })?;
    let kept = if still_there { Vec::new() } else { live() };
    for position in added.positions {
        // An ordinal freed by this very blob is taken too: readers of the base hold its rows.
        let taken = bitmap::is_set(&page, *position)
            || bitmap::is_set(base.bitmap_page(old_type, number), *position);
        if taken {
            let ordinal = (number << tables.shift) as u32 + position;
            let name = &base.schema.get(of.id).name;
            return Err(StateError::Damaged(format!(
                "expected {name} #{ordinal} to be free before it is added"
            )));
        }
        bitmap::set(&mut page, *position, true);
    }
    if still_there {
        return put_page(tables, work, number, &page);
    }
    if tables.blocks.len() <= number {
        tables.blocks.resize(number + 1, Loc::NONE);
    }
    let loc = tables.blocks[number];
    let old = old.filter(|_| !loc.is_none());
    tables.blocks[number] = write_block(&ty, loc, old, &kept, added, &mut tables.layouts, work)?;
    put_page(tables, work, number, &page)?;
    work.spill()
}

/// Whether dead rows of the block already hold all the added records: those of a version that is
/// being returned to, whose block was not written since. Setting their bits is all it takes then;
/// without this, a reverse delta would copy every block that lost a record.
fn still_there(base: &State, of: &TypeWork<'_>, number: usize, added: &Added<'_>) -> bool {
    let ty = &base.types[of.id.index()];
    let Some(block) = base.block_of(ty, number) else {
        return false;
    };
    added.positions.iter().enumerate().all(|(i, position)| {
        let record = base.row(of.id, ((number as u32) << ty.shift) + position);
        *position < block.rows()
            && record.is_some_and(|record| {
                record.holds(&of.info.kinds, added.batch, added.first_row + i)
            })
    })
}

fn write_block(
    ty: &BlockType<'_>,
    loc: Loc,
    old: Option<BlockRef<'_>>,
    kept: &[u32],
    added: &Added<'_>,
    layouts: &mut Vec<Layout>,
    work: &mut Work<'_>,
) -> StateResult<Loc> {
    if let Some(old) = old {
        work.free_block(loc, &old);
        if let Some(start) = block::patch(ty, old, kept, added, &mut work.buffer) {
            return work.placed(start, loc.tag);
        }
    }
    let old = old.filter(|_| !kept.is_empty()).map(|old| (old, kept));
    let written = block::rebuild(ty, layouts, old, added, &mut work.buffer).map_err(too_large)?;
    let tag = u16::try_from(written.layout)
        .map_err(|_| StateError::Limit("65,536 layouts of one type".into()))?;
    work.placed(written.start, tag)
}
