//! The change of one type: removed ordinals, added records, touched blocks and bitmap pages, index.
//!
//! Owns: the tables while they change. Never writes a block: units do.

use super::bulk;
use super::content;
use super::live::Live;
use super::sections::{self, Chunk, TypeSections};
use super::sound::Demands;
use super::unit::Unit;
use super::work::Work;
use super::{TypeChanges, TypeWork};
use crate::bitmap;
use crate::block::{self, Added};
use crate::error::{StateError, StateResult};
use crate::index::{Index, Run};
use crate::layout::Layout;
use crate::part;
use crate::segment::Loc;
use crate::segment::items::{self, Kind};
use crate::state::{State, Stored, TypeState};
use grotto_format::OverLimit;
use grotto_format::blob::Blob;
use grotto_format::checksum;
use grotto_format::schema::TypeId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Tables of a type while they change.
pub(super) struct Tables {
    /// Hash of the type's name.
    pub(super) name: u64,
    pub(super) blocks: Vec<Loc>,
    pub(super) bitmaps: Vec<Loc>,
    pub(super) layouts: Vec<Layout>,
    pub(super) live: u64,
    pub(super) checksum: u64,
    pub(super) shift: u8,
    pub(super) span: u8,
    pub(super) stored: Stored,
}

/// Applies what a blob says about one type. A load also gives the keys it met, if all of them were
/// in its chunks.
pub(super) fn apply_type(
    base: &State,
    id: TypeId,
    blob: &Blob,
    sections: &TypeSections,
    alive: &[Option<Live<'_>>],
    threads: usize,
    work: &mut Work<'_>,
) -> StateResult<(TypeState, TypeChanges, Option<Vec<Run>>)> {
    let before = &base.types[id.index()];
    if sections.removed.is_none() && sections.chunks.is_empty() && before.live > 0 {
        return Ok((before.clone(), TypeChanges::default(), None));
    }
    // The header has as many types as the state.
    let old = &prepared(before, blob.header.types[id.index()].shift);
    if sections.removed.is_none() && sections.chunks.is_empty() {
        return Ok((old.clone(), TypeChanges::default(), None));
    }
    let of = TypeWork {
        id,
        info: &base.infos[id.index()],
        old,
        sections,
        demands: Demands::new(&base.schema, id, alive),
        limits: blob.limits(),
        threads,
    };
    work.effort.table_entries += (old.blocks.len() + old.bitmaps.len()) as u64;
    let mut tables = Tables {
        name: of.info.name,
        blocks: old.blocks.to_vec(),
        bitmaps: old.bitmaps.to_vec(),
        layouts: old.layouts.to_vec(),
        live: old.live,
        checksum: old.checksum,
        shift: old.shift,
        span: old.span,
        stored: old.stored,
    };
    if old.shift < before.shift {
        drop_empty(base, old, &mut tables, work);
    }
    let (removed, mut pages) = remove(base, &of, blob, &mut tables)?;
    let mut added = Vec::new();
    if old.blocks.is_empty() && of.sections.chunks.len() > 1 && bulk::is_light(blob, &of) {
        let loaded = bulk::add_all(blob, &of, &base.schema.get(id).name, &mut tables, work)?;
        let added = loaded.ordinals;
        return Ok((
            tables.finish(old.index.clone()),
            TypeChanges::of_blob(removed, added),
            loaded.keys,
        ));
    }
    let mut chunk = Chunk::default();
    for first in &of.sections.chunks {
        // One at a time, so that the limits of a chunk bound its memory.
        sections::chunk(blob, of.info, *first, &mut chunk, &mut |_| ())?;
        of.demands.check(&chunk)?;
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
        if bitmap::count(&page) > 0 {
            put_page(&mut tables, work, block, &page)?;
        } else {
            drop_entry(base, old, &mut tables, work, block);
        }
    }
    Ok((
        tables.finish(old.index.clone()),
        TypeChanges::of_blob(removed, added),
        None,
    ))
}

/// The type as a refresh finds it: without records, the tables, whose entries are all empty, start
/// over; with blocks smaller than before, the tables are cut finer.
fn prepared(old: &TypeState, span: u8) -> TypeState {
    if old.live > 0 {
        let cut = old.cut_to(span);
        return TypeState { span, ..cut };
    }
    let (blocks, bitmaps, layouts) = (Arc::default(), Arc::default(), Arc::default());
    TypeState {
        shift: span,
        span,
        stored: Stored::default(),
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
            span: self.span,
            stored: self.stored,
            blocks: self.blocks.into(),
            bitmaps: self.bitmaps.into(),
            layouts: self.layouts.into(),
            index,
            live: self.live,
            checksum: self.checksum,
        }
    }
}

pub(super) type Pages = BTreeMap<usize, Vec<u8>>;

/// How many records the reading of removed ones looks ahead.
const AHEAD: usize = 8;

/// Clears the bits of removed ordinals in copies of their pages.
fn remove(
    base: &State,
    of: &TypeWork<'_>,
    blob: &Blob,
    tables: &mut Tables,
) -> StateResult<(Vec<u32>, Pages)> {
    let old = of.old;
    let removed = sections::removed(blob, of.sections, old.live)?;
    let mut pages = Pages::new();
    for (number, ordinal) in removed.iter().enumerate() {
        // Rows to be hashed are all over memory: the next ones are asked for while this one is read.
        if let Some(ahead) = removed.get(number + 2 * AHEAD) {
            base.prefetch_row(&base.types[of.id.index()], *ahead);
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

/// Puts a page of bits into the place of the one before.
pub(super) fn put_page(
    tables: &mut Tables,
    work: &mut Work<'_>,
    entry: usize,
    page: &[u8],
) -> StateResult<()> {
    if tables.bitmaps.len() <= entry {
        tables.bitmaps.resize(entry + 1, Loc::NONE);
    }
    work.free_page(tables.bitmaps[entry], tables.shift);
    tables.bitmaps[entry] = Loc::NONE;
    if bitmap::count(page) > 0 {
        tables.bitmaps[entry] = work.put(page, 0)?;
        let numbers = items::numbers(entry as u32, tables.shift);
        let items = &mut work.buffer.items;
        items.note(tables.name, Kind::Bitmap, numbers);
    }
    Ok(())
}

/// Gives up the part of a block of the base that an entry stands for.
pub(super) fn free_entry(
    base: &State,
    old: &TypeState,
    tables: &mut Tables,
    work: &mut Work<'_>,
    entry: usize,
) {
    let loc = tables.blocks.get(entry).filter(|loc| !loc.is_none());
    if let (Some(loc), Some(block)) = (loc, base.block_of(old, entry)) {
        let share = part::share(&block, tables.shift, entry);
        work.free(*loc, share.bytes as usize);
        tables.stored.bytes = tables.stored.bytes.saturating_sub(share.bytes);
        tables.stored.rows = tables.stored.rows.saturating_sub(share.rows);
        tables.blocks[entry] = Loc::NONE;
    }
}

/// Gives up an entry in which nothing lives any more.
fn drop_entry(
    base: &State,
    old: &TypeState,
    tables: &mut Tables,
    work: &mut Work<'_>,
    entry: usize,
) {
    free_entry(base, old, tables, work, entry);
    work.free_page(tables.bitmaps[entry], tables.shift);
    tables.bitmaps[entry] = Loc::NONE;
}

/// Gives up the entries of tables cut finer in which nothing lives.
fn drop_empty(base: &State, old: &TypeState, tables: &mut Tables, work: &mut Work<'_>) {
    for entry in 0..tables.blocks.len() {
        let empty = bitmap::count(base.bitmap_page(old, entry)) == 0;
        if empty && !tables.blocks[entry].is_none() {
            drop_entry(base, old, tables, work, entry);
        }
    }
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
    let span = tables.span;
    whole_blocks(&base.schema.get(of.id).name, span, before, &chunk.ordinals)?;
    let contents = content::contents(of.info, &chunk.batch, 0..chunk.ordinals.len());
    for (content, ordinal) in contents.iter().zip(&chunk.ordinals) {
        let record = checksum::record(*content, *ordinal);
        tables.checksum = tables.checksum.wrapping_add(record);
    }
    tables.live += chunk.ordinals.len() as u64;
    let mut at = 0;
    while at < chunk.ordinals.len() {
        let number = chunk.ordinals[at] >> span;
        let end = at + chunk.ordinals[at..].partition_point(|o| o >> span == number);
        let positions: Vec<u32> = chunk.ordinals[at..end]
            .iter()
            .map(|o| o & ((1 << span) - 1))
            .collect();
        let added = Added {
            positions: &positions,
            batch: &chunk.batch,
            first_row: at,
        };
        Unit::open(base, of, number, tables, pages).add(&added, tables, work)?;
        at = end;
    }
    Ok(())
}

/// Refuses a chunk that shares a block with the one before.
pub(super) fn whole_blocks(
    name: &str,
    span: u8,
    before: Option<u32>,
    ordinals: &[u32],
) -> StateResult<()> {
    match (before, ordinals.first()) {
        (Some(before), Some(first)) if first >> span <= before >> span => Err(StateError::Damaged(
            format!("expected chunks of {name} to hold whole blocks"),
        )),
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
