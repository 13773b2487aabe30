//! Loading a type that has no block yet: chunks hold whole blocks, so they are decoded and laid out
//! side by side, and only put together in order.
//!
//! Owns: the threads of a load; none outlives the call. Each writes into a buffer of its own, which
//! becomes a segment as it is. Gives the records that taking one chunk after the other gives.

mod order;

use super::TypeWork;
use super::change::{Tables, too_heavy, too_large, whole_blocks};
use super::content;
use super::sections::{self, Chunk};
use super::work::{Open, Work};
use crate::bitmap;
use crate::block::{self, Added, BlockType, Kept};
use crate::error::{StateError, StateResult};
use crate::index::Run;
use crate::layout::Layout;
use crate::segment::items::{self, Kind};
use crate::segment::{Loc, room, slot_number};
use crate::state::Stored;
use grotto_format::blob::Blob;
use grotto_format::checksum;
use order::Order;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// One chunk, laid out as blocks and bitmap pages in a buffer.
struct Built {
    type_name: u64,
    ordinals: Vec<u32>,
    checksum: u64,
    /// Where the buffer becomes a segment.
    slot: u16,
    blocks: Vec<BuiltBlock>,
    /// How many layouts the type had when the chunk was begun; they are the type's first ones.
    known: usize,
    /// Those that the chunk brings, which come behind them.
    layouts: Vec<Layout>,
    /// Bytes that its items take.
    used: u64,
    stored: Stored,
    /// Keys by hash, if they could be read from the chunk.
    keys: Option<Run>,
}

struct BuiltBlock {
    number: u32,
    block: Loc,
    /// Position among the known layouts and those of the chunk.
    layout: usize,
    page: Loc,
}

/// What threads tell the one that puts chunks together.
enum Message {
    Chunk(usize, StateResult<Built>),
    /// Nothing more goes into this buffer.
    Full(Open),
    /// There are no more chunks; something more may go into this buffer.
    Rest(Open),
}

/// Records that were loaded: their ordinals, and all their keys if the chunks had them.
pub(super) struct Loaded {
    pub(super) ordinals: Vec<u32>,
    pub(super) keys: Option<Vec<Run>>,
}

/// More raw bytes in a chunk, or more columns, and chunks are taken one at a time: several of them side by
/// side would pass the memory that a reader may take.
const LIGHT_BYTES: u64 = 64 << 20;
const LIGHT_COLUMNS: usize = 256;

/// Whether the chunks of a type may be decoded side by side.
pub(super) fn is_light(blob: &Blob, of: &TypeWork<'_>) -> bool {
    let columns = of.info.width();
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

/// Bytes of memory for the chunks that all threads decode at a time. Chunks of this project take less than
/// an eighth of it each; a hostile one may be small and claim much more, and then others wait for it.
const MEMORY: u64 = 256 << 20;

/// Chunks per thread that may be begun before the first one of them is in the tables.
const AHEAD: usize = 2;

/// What the threads of a load share.
struct Shared<'a> {
    blob: &'a Blob,
    of: &'a TypeWork<'a>,
    name: &'a str,
    shift: u8,
    order: Order,
    next: AtomicUsize,
    next_slot: AtomicUsize,
    seal_at: usize,
}

/// Adds all chunks of a type.
pub(super) fn add_all(
    blob: &Blob,
    of: &TypeWork<'_>,
    name: &str,
    tables: &mut Tables,
    work: &mut Work<'_>,
) -> StateResult<Loaded> {
    let count = of.threads.min(of.sections.chunks.len());
    let buffers = work.lend(count)?;
    let shared = Shared {
        blob,
        of,
        name,
        shift: tables.shift,
        order: Order::new(AHEAD * count, MEMORY, &tables.layouts),
        next: AtomicUsize::new(0),
        next_slot: AtomicUsize::new(work.segments.len()),
        seal_at: work.options.seal_at,
    };
    std::thread::scope(|scope| {
        // Bounded, so that a slow sealing thread keeps few full buffers in memory.
        let (results, built) = mpsc::sync_channel(count);
        for open in buffers {
            let (results, shared) = (results.clone(), &shared);
            scope.spawn(move || shared.build_all(open, &results));
        }
        drop(results);
        put_together(built, name, &shared.order, tables, work)
    })
}

impl Shared<'_> {
    /// Builds one chunk after the other until there are none, or nobody wants them any more.
    fn build_all(&self, mut open: Open, results: &mpsc::SyncSender<Message>) {
        let part = self.order.take_part();
        let (mut chunk, mut held) = (Chunk::default(), 0);
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(first) = self.of.sections.chunks.get(number) else {
                // Nobody waits for it after an error.
                let _ = results.send(Message::Rest(open));
                return part.done();
            };
            let so_far = self.order.begin(number);
            let mut reserve = |needed| self.order.reserve(number, &mut held, needed);
            let decoded =
                sections::chunk(self.blob, self.of.info, *first, &mut chunk, &mut reserve);
            let checked = decoded.and_then(|()| self.of.demands.check(&chunk));
            let built = checked.and_then(|()| self.build(&mut chunk, &so_far, &mut open));
            self.order.keep(&mut held, chunk.shrink());
            if results.send(Message::Chunk(number, built)).is_err() {
                return;
            }
            if open.buffer.bytes.len() >= self.seal_at {
                let slot = match slot_number(self.next_slot.fetch_add(1, Ordering::Relaxed)) {
                    Ok(slot) => slot,
                    Err(error) => {
                        let _ = results.send(Message::Chunk(number, Err(error)));
                        return;
                    }
                };
                let buffer = Default::default();
                let full = std::mem::replace(&mut open, Open { slot, buffer });
                if results.send(Message::Full(full)).is_err() {
                    return;
                }
            }
        }
    }

    /// Lays a chunk out in a buffer.
    fn build(&self, chunk: &mut Chunk, layouts: &[Layout], open: &mut Open) -> StateResult<Built> {
        let (of, shift) = (self.of, self.shift);
        let ty = BlockType {
            kinds: &of.info.kinds,
            first: &of.info.first,
            span: shift,
        };
        let keys = of.info.key.as_ref();
        let keys = keys.and_then(|key| content::keys(key, &chunk.batch));
        let mut built = Built {
            type_name: of.info.name,
            ordinals: Vec::new(),
            checksum: 0,
            slot: open.slot,
            blocks: Vec::new(),
            known: layouts.len(),
            layouts: layouts.to_vec(),
            used: 0,
            stored: Stored::default(),
            keys: keys.map(|hashes| Run::of(&hashes, &chunk.ordinals)),
        };
        let (mut at, mut positions) = (0, Vec::new());
        while at < chunk.ordinals.len() {
            let number = chunk.ordinals[at] >> shift;
            let end = at + chunk.ordinals[at..].partition_point(|o| o >> shift == number);
            let ordinals = &chunk.ordinals[at..end];
            positions.clear();
            positions.extend(ordinals.iter().map(|o| o & ((1 << shift) - 1)));
            for (content, ordinal) in content::contents(of.info, &chunk.batch, at..end)
                .iter()
                .zip(ordinals)
            {
                let record = checksum::record(*content, *ordinal);
                built.checksum = built.checksum.wrapping_add(record);
            }
            let added = Added {
                positions: &positions,
                batch: &chunk.batch,
                first_row: at,
            };
            block::check_weight(&ty, &[], || Kept::NONE, &added, of.limits.block_weight).map_err(
                |over| {
                    let first = u64::from(number) << shift;
                    too_heavy(self.name, first..first + (1 << shift), &over)
                },
            )?;
            built.add(&ty, number, &added, shift, open)?;
            at = end;
        }
        built.ordinals = std::mem::take(&mut chunk.ordinals);
        built.layouts = built.layouts.split_off(built.known);
        Ok(built)
    }
}

fn put_together(
    messages: mpsc::Receiver<Message>,
    name: &str,
    order: &Order,
    tables: &mut Tables,
    work: &mut Work<'_>,
) -> StateResult<Loaded> {
    let _part = order.take_part();
    let (mut waiting, mut next) = (BTreeMap::new(), 0);
    let (mut ordinals, mut rest): (Vec<u32>, _) = (Vec::new(), Vec::new());
    let mut keys = Some(Vec::new());
    for message in messages {
        match message {
            Message::Chunk(number, chunk) => {
                // Without the bytes of its blocks; and few, as nobody begins one far ahead.
                waiting.insert(number, chunk?);
            }
            Message::Full(open) => work.seal_open(open)?,
            Message::Rest(open) => rest.push(open),
        }
        while let Some(mut chunk) = waiting.remove(&next) {
            next += 1;
            let before = ordinals.last().copied();
            whole_blocks(name, tables.span, before, &chunk.ordinals)?;
            append(&chunk, tables, work)?;
            order.passed(next, &tables.layouts);
            ordinals.extend_from_slice(&chunk.ordinals);
            match (&mut keys, chunk.keys.take()) {
                (Some(runs), Some(run)) => runs.push(run),
                _ => keys = None,
            }
        }
    }
    work.take_back(rest)?;
    Ok(Loaded { ordinals, keys })
}

impl Built {
    /// Adds a block and its bitmap page.
    fn add(
        &mut self,
        ty: &BlockType<'_>,
        number: u32,
        added: &Added<'_>,
        shift: u8,
        open: &mut Open,
    ) -> StateResult<()> {
        let name = self.type_name;
        let out = &mut open.buffer;
        let numbers = items::numbers(number, shift);
        out.items.note(name, Kind::Block, numbers.clone());
        out.items.note(name, Kind::Bitmap, numbers);
        let written =
            block::rebuild(ty, &mut self.layouts, &Kept::NONE, added, out).map_err(too_large)?;
        let mut page = vec![0; bitmap::page_bytes(shift)];
        added
            .positions
            .iter()
            .for_each(|position| bitmap::set(&mut page, *position, true));
        let block = room(out.bytes.len() - written.start);
        self.used += block + room(page.len());
        self.stored.bytes += block;
        self.stored.rows += added
            .positions
            .last()
            .map_or(0, |last| u64::from(*last) + 1);
        let page = out.put(&page);
        self.blocks.push(BuiltBlock {
            number,
            block: open.loc(written.start, 0)?,
            layout: written.layout,
            page: open.loc(page, 0)?,
        });
        Ok(())
    }
}

/// Enters a chunk into the tables.
fn append(chunk: &Built, tables: &mut Tables, work: &mut Work<'_>) -> StateResult<()> {
    let new = chunk.layouts.iter();
    let new = new.map(|layout| shared(&mut tables.layouts, layout));
    let layouts: Vec<usize> = (0..chunk.known).chain(new).collect();
    work.account(chunk.slot, chunk.used);
    for built in &chunk.blocks {
        let number = built.number as usize;
        if tables.blocks.len() <= number {
            tables.blocks.resize(number + 1, Loc::NONE);
            tables.bitmaps.resize(number + 1, Loc::NONE);
        }
        let tag = layouts
            .get(built.layout)
            .and_then(|layout| u16::try_from(*layout).ok());
        let tag = tag.ok_or_else(|| StateError::Limit("65,536 layouts of one type".into()))?;
        tables.blocks[number] = Loc { tag, ..built.block };
        tables.bitmaps[number] = built.page;
    }
    tables.live += chunk.ordinals.len() as u64;
    tables.stored.bytes += chunk.stored.bytes;
    tables.stored.rows += chunk.stored.rows;
    tables.checksum = tables.checksum.wrapping_add(chunk.checksum);
    Ok(())
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

#[cfg(test)]
mod tests;
