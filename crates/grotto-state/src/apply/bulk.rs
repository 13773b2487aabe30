//! Loading a type that has no block yet: chunks hold whole blocks, so they are decoded and laid out
//! side by side, and only put together in order.
//!
//! Owns: the threads of a load; none outlives the call. Gives exactly what taking one chunk after
//! the other gives.

use super::change::{Tables, content_of_row, limit, whole_blocks};
use super::sections::{self, Chunk};
use super::work::Work;
use super::{TypeWork, threads};
use crate::bitmap;
use crate::block::{self, Added, BlockType};
use crate::error::{StateError, StateResult};
use crate::index::{self, Index};
use crate::key::{self, KeyInfo};
use crate::layout::Layout;
use crate::segment::{ALIGN, Buffer, Loc};
use crate::state::State;
use grotto_format::blob::Blob;
use grotto_format::checksum;
use grotto_format::schema::TypeId;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

/// One chunk, laid out as blocks and bitmap pages at the start of a buffer.
struct Built {
    ordinals: Vec<u32>,
    checksum: u64,
    buffer: Buffer,
    /// Per block: number, start, layout (of `layouts`), start of its bitmap page.
    blocks: Vec<(u32, usize, usize, usize)>,
    layouts: Vec<Layout>,
    /// How many of `layouts` the type had when the chunk was begun; they are the type's first ones.
    known: usize,
    /// Bytes of items, padding between them left out.
    used: usize,
}

/// More raw bytes in a chunk, or more columns, and chunks are taken one at a time: several of them side by
/// side would pass the memory that a reader may take.
const LIGHT_BYTES: u64 = 64 << 20;
const LIGHT_COLUMNS: usize = 256;

/// Whether the chunks of a type may be decoded side by side.
pub(super) fn is_light(blob: &Blob, of: &TypeWork<'_>) -> bool {
    let columns = of.info.kinds.len();
    let raw = |first: &usize| {
        let table = blob
            .header
            .sections
            .get(*first..=first + columns)
            .unwrap_or_default();
        table.iter().map(|section| section.raw).sum::<u64>()
    };
    columns <= LIGHT_COLUMNS
        && of
            .sections
            .chunks
            .iter()
            .all(|first| raw(first) <= LIGHT_BYTES)
}

/// Layouts of the type so far, for the chunks to come: without them every chunk would bring its own,
/// and a type has room for only so many.
type Known = Mutex<Arc<Vec<Layout>>>;

fn known(layouts: &Known) -> std::sync::MutexGuard<'_, Arc<Vec<Layout>>> {
    // Nothing can go wrong while it is held, so what a panicking thread left behind is whole.
    layouts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Adds all chunks of a type; returns the ordinals.
pub(super) fn add_all(
    blob: &Blob,
    of: &TypeWork<'_>,
    name: &str,
    tables: &mut Tables,
    work: &mut Work<'_>,
) -> StateResult<Vec<u32>> {
    let next = AtomicUsize::new(0);
    let shift = tables.shift;
    let layouts = Known::new(Arc::new(tables.layouts.clone()));
    std::thread::scope(|scope| {
        // Bounded, so that a slow sealing thread keeps few chunks in memory.
        let (results, built) = mpsc::sync_channel(threads());
        for _ in 0..threads() {
            let (results, next, layouts) = (results.clone(), &next, &layouts);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(first) = of.sections.chunks.get(number) else {
                        return;
                    };
                    let chunk = sections::chunk(blob, of.info, *first);
                    let so_far = Arc::clone(&known(layouts));
                    let chunk = chunk.and_then(|chunk| build(of, shift, chunk, &so_far));
                    if results.send((number, chunk)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(results);
        put_together(built, name, &layouts, tables, work)
    })
}

fn put_together(
    built: mpsc::Receiver<(usize, StateResult<Built>)>,
    name: &str,
    layouts: &Known,
    tables: &mut Tables,
    work: &mut Work<'_>,
) -> StateResult<Vec<u32>> {
    let mut waiting = BTreeMap::new();
    let (mut next, mut ordinals) = (0, Vec::new());
    for (number, chunk) in built {
        waiting.insert(number, chunk?);
        while let Some(chunk) = waiting.remove(&next) {
            next += 1;
            whole_blocks(
                name,
                tables.shift,
                ordinals.last().copied(),
                &chunk.ordinals,
            )?;
            let before = tables.layouts.len();
            append(&chunk, tables, work)?;
            if tables.layouts.len() > before {
                *known(layouts) = Arc::new(tables.layouts.clone());
            }
            ordinals.extend_from_slice(&chunk.ordinals);
        }
    }
    Ok(ordinals)
}

/// Lays a chunk out in a buffer of its own.
fn build(of: &TypeWork<'_>, shift: u8, chunk: Chunk, layouts: &[Layout]) -> StateResult<Built> {
    let ty = BlockType {
        kinds: &of.info.kinds,
        first: &of.info.first,
    };
    let mut built = Built {
        ordinals: Vec::new(),
        checksum: 0,
        buffer: Buffer::default(),
        blocks: Vec::new(),
        layouts: layouts.to_vec(),
        known: layouts.len(),
        used: 0,
    };
    let mut at = 0;
    while at < chunk.ordinals.len() {
        let number = chunk.ordinals[at] >> shift;
        let end = at + chunk.ordinals[at..].partition_point(|o| o >> shift == number);
        let positions: Vec<u32> = chunk.ordinals[at..end]
            .iter()
            .map(|o| o & ((1 << shift) - 1))
            .collect();
        let mut page = vec![0; bitmap::page_bytes(shift)];
        for (row, position) in (at..end).zip(&positions) {
            bitmap::set(&mut page, *position, true);
            let content = content_of_row(of.info, &chunk.batch, row);
            built.checksum = built
                .checksum
                .wrapping_add(checksum::record(content, chunk.ordinals[row]));
        }
        let added = Added {
            positions: &positions,
            batch: &chunk.batch,
            first_row: at,
        };
        let written = block::rebuild(&ty, &mut built.layouts, None, &added, &mut built.buffer)
            .map_err(limit)?;
        built.used += built.buffer.bytes.len() - written.start + page.len();
        let page_start = built.buffer.put(&page);
        built
            .blocks
            .push((number, written.start, written.layout, page_start));
        at = end;
    }
    built.ordinals = chunk.ordinals;
    Ok(built)
}

/// Adds a chunk to the segment being written.
fn append(chunk: &Built, tables: &mut Tables, work: &mut Work<'_>) -> StateResult<()> {
    let (_, new) = chunk.layouts.split_at(chunk.known.min(chunk.layouts.len()));
    let new = new.iter().map(|layout| shared(&mut tables.layouts, layout));
    let layouts: Vec<usize> = (0..chunk.known).chain(new).collect();
    let start = work.buffer.put(&chunk.buffer.bytes);
    work.account(chunk.used);
    for (number, block, layout, page) in &chunk.blocks {
        let number = *number as usize;
        if tables.blocks.len() <= number {
            tables.blocks.resize(number + 1, Loc::NONE);
            tables.bitmaps.resize(number + 1, Loc::NONE);
        }
        let tag = layouts
            .get(*layout)
            .and_then(|layout| u16::try_from(*layout).ok());
        let tag = tag.ok_or_else(|| StateError::Limit("65,536 layouts of one type".into()))?;
        tables.blocks[number] = work.loc(start + block, tag)?;
        tables.bitmaps[number] = work.loc(start + page, 0)?;
    }
    tables.live += chunk.ordinals.len() as u64;
    tables.checksum = tables.checksum.wrapping_add(chunk.checksum);
    work.spill()
}

/// Position of a layout among those of the type.
fn shared(layouts: &mut Vec<Layout>, layout: &Layout) -> usize {
    layouts
        .iter()
        .position(|known| known == layout)
        .unwrap_or_else(|| {
            layouts.push(layout.clone());
            layouts.len() - 1
        })
}

/// Builds the index of a type from scratch: keys hashed side by side, then pages.
pub(super) fn index(
    next: &State,
    id: TypeId,
    info: &KeyInfo,
    out: &mut Buffer,
    slot: u16,
) -> Result<Index, index::IndexDamage> {
    let threads = if next.count(id) < SMALL { 1 } else { threads() };
    let blocks = next.ordinal_limit(id) >> next.types[id.index()].shift;
    let hashed = |part: u32| -> Result<Vec<(u64, u32)>, index::IndexDamage> {
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
                entries.push((hash.ok_or(index::IndexDamage(ordinal))?, ordinal));
            }
        }
        Ok(entries)
    };
    let parts = side_by_side(threads, hashed)
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    let depth = index::depth_for(parts.iter().map(Vec::len).sum());
    let pages = 1_u32 << depth;
    let built = side_by_side(threads.min(pages as usize), |part| {
        let count = threads.min(pages as usize) as u32;
        index::build_pages_in(
            &parts,
            depth,
            pages * part / count..pages * (part + 1) / count,
        )
    });
    let mut locs = Vec::with_capacity(pages as usize);
    for part in built {
        let (buffer, starts) = part?;
        let start = out.put(&buffer.bytes);
        for (at, lines) in starts {
            locs.push(Buffer::loc(start + at, slot, lines).unwrap_or(Loc::NONE));
        }
    }
    debug_assert_eq!(ALIGN, index::LINE, "pages need no padding");
    Ok(Index {
        pages: locs.into(),
        depth,
    })
}

/// Types with fewer records are not worth a thread.
const SMALL: u64 = 1 << 16;

/// Runs `work` for parts `0..count` on as many threads, this one included.
fn side_by_side<T: Send>(count: usize, work: impl Fn(u32) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let work = &work;
        let others: Vec<_> = (1..count)
            .map(|part| scope.spawn(move || work(part as u32)))
            .collect();
        let mut done = vec![work(0)];
        for other in others {
            match other.join() {
                Ok(part) => done.push(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    })
}
