//! Blocks: a power-of-two run of ordinals of one type, stored together.
//!
//! Owns: the bytes of a block, built anew or copied and patched.
//! Never touches tables, bitmaps or other blocks; never decides which ordinals live.
//!
//! ```text
//! u32 length · u32 rows · u32 start of the heap · u32 reserved · rows · heap
//! ```
//! Rows are of equal size; text, bytes and elements are in the heap, at offsets from the start of
//! the block. A record's bytes never change: a new version of a block is a copy.

use crate::layout::{Extent, Layout, Need, Slots, choose};
use crate::segment::Buffer;
use grotto_format::batch::{Batch, ColumnData, ColumnKind, MAX_CHUNK_BYTES, Value};

/// Bytes in front of the rows.
pub(crate) const HEADER: usize = 16;

/// Most bytes of a block: half of what a chunk may hold, so that a state that deltas lead to can also
/// be a snapshot.
pub(crate) const MAX_BLOCK: u64 = MAX_CHUNK_BYTES / 2;

/// From here on the buffer grows to the byte.
const LARGE: u64 = 16 << 20;

/// The bytes that a block would have taken.
#[derive(Debug)]
pub(crate) struct TooLarge(pub(crate) u64);

/// What a type knows that all its blocks share.
pub(crate) struct BlockType<'a> {
    pub(crate) kinds: &'a [ColumnKind],
    /// Columns of the primary key, placed first in a row.
    pub(crate) first: &'a [u16],
}

/// An existing block: the segment's bytes, where the block starts, and its layout.
#[derive(Clone, Copy)]
pub(crate) struct BlockRef<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) start: usize,
    pub(crate) layout: &'a Layout,
}

/// A block that was written: where it starts in the buffer, and its layout.
pub(crate) struct Written {
    pub(crate) start: usize,
    pub(crate) layout: usize,
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|w| w.try_into().ok()).map_or(0, u32::from_le_bytes)
}

impl<'a> BlockRef<'a> {
    /// Bytes of the block.
    pub(crate) fn length(&self) -> usize {
        word(self.bytes, self.start) as usize
    }

    pub(crate) fn rows(&self) -> u32 {
        word(self.bytes, self.start + 4)
    }

    fn heap_start(&self) -> usize {
        word(self.bytes, self.start + 8) as usize
    }

    #[inline]
    pub(crate) fn row(&self, position: u32) -> usize {
        self.start + HEADER + position as usize * self.layout.row as usize
    }

    /// Bytes of the heap that a value takes.
    fn heap_bytes(slots: &Slots, kind: ColumnKind, length: u64) -> u64 {
        match kind {
            ColumnKind::Fixed(_) => 0,
            ColumnKind::Var(_) => length,
            ColumnKind::Elements(_) => (length * u64::from(slots.element)).div_ceil(8),
        }
    }

    fn live_heap(&self, kinds: &[ColumnKind], positions: &[u32]) -> u64 {
        let columns = self.layout.slots.iter().zip(kinds).filter(|(_, k)| !matches!(k, ColumnKind::Fixed(_)));
        columns
            .map(|(slots, kind)| {
                let lengths = positions.iter().map(|p| slots.length.read(self.bytes, self.row(*p)));
                lengths.map(|length| Self::heap_bytes(slots, *kind, length)).sum::<u64>()
            })
            .sum()
    }
}

/// Reads a value of a row; `None` when the bytes of the state are damaged.
#[inline]
pub(crate) fn read_var<'a>(bytes: &'a [u8], block: usize, row: usize, slots: &Slots) -> Option<&'a [u8]> {
    let start = block + slots.main.read(bytes, row) as usize;
    bytes.get(start..start.checked_add(slots.length.read(bytes, row) as usize)?)
}

/// The element ordinals of a row.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    bytes: &'a [u8],
    bit: usize,
    width: usize,
    left: usize,
}

impl<'a> Elements<'a> {
    pub(crate) const EMPTY: Elements<'static> = Elements { bytes: &[], bit: 0, width: 0, left: 0 };

    #[inline]
    pub(crate) fn read(bytes: &'a [u8], block: usize, row: usize, slots: &Slots) -> Option<Self> {
        let start = block + slots.main.read(bytes, row) as usize;
        let left = slots.length.read(bytes, row) as usize;
        let width = slots.element as usize;
        let end = start.checked_add(left.checked_mul(width)?.div_ceil(8))?;
        (end <= bytes.len()).then_some(Self { bytes, bit: start * 8, width, left })
    }

    /// The element at a position.
    #[must_use]
    pub fn get(&self, position: usize) -> Option<u32> {
        (position < self.left).then(|| self.at(self.bit + position * self.width))
    }

    #[inline]
    fn at(&self, bit: usize) -> u32 {
        let word = match self.bytes.get(bit / 8..bit / 8 + 8) {
            Some(word) => word.try_into().map_or(0, u64::from_le_bytes),
            None => 0,
        };
        ((word >> (bit % 8)) & ((1 << self.width) - 1)) as u32
    }
}

impl Iterator for Elements<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        self.left = self.left.checked_sub(1)?;
        let ordinal = self.at(self.bit);
        self.bit += self.width;
        Some(ordinal)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Elements<'_> {}

/// Values of one column of the rows of a block.
enum RowData<'a> {
    Fixed(Vec<u64>),
    Var(Vec<&'a [u8]>),
    Elements { ends: Vec<usize>, ordinals: Vec<u32> },
}

struct RowColumn<'a> {
    nulls: Vec<bool>,
    data: RowData<'a>,
}

/// Rows to add: their positions in the block, and the rows of the batch they come from.
pub(crate) struct Added<'a> {
    pub(crate) positions: &'a [u32],
    pub(crate) batch: &'a Batch,
    pub(crate) first_row: usize,
}

fn gather<'a>(
    kinds: &[ColumnKind],
    old: Option<(BlockRef<'a>, &[u32])>,
    added: &Added<'a>,
) -> Vec<RowColumn<'a>> {
    let mut columns = Vec::with_capacity(kinds.len());
    for (index, kind) in kinds.iter().enumerate() {
        let mut column = RowColumn::new(*kind, added.positions.len() + old.map_or(0, |(_, kept)| kept.len()));
        if let Some((block, kept)) = old {
            let slots = block.layout.slots.get(index).copied().unwrap_or(Slots::ABSENT);
            kept.iter().for_each(|position| column.push_old(&block, block.row(*position), &slots));
        }
        if let Some(source) = added.batch.columns.get(index) {
            (0..added.positions.len()).for_each(|i| column.push(source.value(added.first_row + i)));
        }
        columns.push(column);
    }
    columns
}

impl<'a> RowColumn<'a> {
    fn new(kind: ColumnKind, rows: usize) -> Self {
        let data = match kind {
            ColumnKind::Fixed(_) => RowData::Fixed(Vec::with_capacity(rows)),
            ColumnKind::Var(_) => RowData::Var(Vec::with_capacity(rows)),
            ColumnKind::Elements(_) => RowData::Elements { ends: Vec::with_capacity(rows), ordinals: Vec::new() },
        };
        Self { nulls: Vec::with_capacity(rows), data }
    }

    fn push(&mut self, value: Value<'a>) {
        self.nulls.push(value == Value::Null);
        match (&mut self.data, value) {
            (RowData::Fixed(words), Value::Fixed(word)) => words.push(word),
            (RowData::Var(values), Value::Var(value)) => values.push(value),
            (RowData::Fixed(words), _) => words.push(0),
            (RowData::Var(values), _) => values.push(&[]),
            (RowData::Elements { ends, ordinals }, value) => {
                if let Value::Elements(elements) = value {
                    ordinals.extend_from_slice(elements);
                }
                ends.push(ordinals.len());
            }
        }
    }

    fn push_old(&mut self, block: &BlockRef<'a>, row: usize, slots: &Slots) {
        if slots.null.read(block.bytes, row) == 1 {
            return self.push(Value::Null);
        }
        match &mut self.data {
            RowData::Fixed(words) => words.push(slots.main.read(block.bytes, row)),
            RowData::Var(values) => {
                values.push(read_var(block.bytes, block.start, row, slots).unwrap_or_default());
            }
            RowData::Elements { ends, ordinals } => {
                let elements = Elements::read(block.bytes, block.start, row, slots);
                ordinals.extend(elements.unwrap_or(Elements::EMPTY));
                ends.push(ordinals.len());
            }
        }
        self.nulls.push(false);
    }

    /// What the column asks of a layout, and the most heap bytes it can take.
    fn need(&self, kind: ColumnKind) -> (Need, u64) {
        let mut need = Need { null: self.nulls.contains(&true), ..Need::NONE };
        let heap = match &self.data {
            RowData::Fixed(words) => {
                let values = words.iter().zip(&self.nulls).filter(|(_, null)| !**null).map(|(w, _)| *w as i64);
                if kind == ColumnKind::Fixed(0) {
                    let (min, max) = values.fold((i64::MAX, i64::MIN), |(a, b), v| (a.min(v), b.max(v)));
                    if min <= max {
                        (need.min, need.max) = (min as u64, max as u64);
                    }
                }
                0
            }
            RowData::Var(values) => {
                need.length = values.iter().map(|v| v.len()).max().unwrap_or(0) as u64;
                values.iter().map(|v| v.len() as u64).sum()
            }
            RowData::Elements { ends, ordinals } => {
                need.element = ordinals.iter().copied().max().unwrap_or(0);
                let starts = std::iter::once(&0).chain(ends);
                need.length = ends.iter().zip(starts).map(|(e, s)| e - s).max().unwrap_or(0) as u64;
                ordinals.len() as u64 * 4 + ends.len() as u64
            }
        };
        (need, heap)
    }
}

/// Writes a block from scratch: the rows of `old` at the kept positions, and the added ones.
pub(crate) fn rebuild(
    ty: &BlockType<'_>,
    layouts: &mut Vec<Layout>,
    old: Option<(BlockRef<'_>, &[u32])>,
    added: &Added<'_>,
    out: &mut Buffer,
) -> Result<Written, TooLarge> {
    let columns = gather(ty.kinds, old, added);
    let kept: &[u32] = old.map_or(&[], |(_, kept)| kept);
    let positions: Vec<u32> = kept.iter().chain(added.positions).copied().collect();
    let rows = positions.iter().max().map_or(0, |p| p + 1);
    let (index, heap_bytes) = fit(ty, layouts, &columns, rows);
    let layout = &layouts[index];
    let bytes = Extent { rows, heap: heap_bytes }.end(u64::from(layout.row));
    if bytes > MAX_BLOCK {
        return Err(TooLarge(bytes));
    }
    let start = out.begin();
    if bytes > LARGE {
        // Growing by doubling is right for many small blocks and a waste for a single huge one.
        out.bytes.reserve_exact(bytes as usize);
    }
    let heap_start = HEADER + rows as usize * layout.row as usize;
    out.bytes.resize(start + heap_start, 0);
    // Rows are read a word at a time, so the last one may reach into what follows.
    out.bytes.resize(start + heap_start + 8, 0);
    let mut heap = Vec::with_capacity(heap_bytes as usize);
    for (column, slots) in columns.iter().zip(&layout.slots) {
        for (i, position) in positions.iter().enumerate() {
            let row = start + HEADER + *position as usize * layout.row as usize;
            column.write(i, slots, &mut out.bytes, row, heap_start + 8, &mut heap);
        }
    }
    out.bytes.extend_from_slice(&heap);
    finish_header(out, start, rows, heap_start + 8);
    Ok(Written { start, layout: index })
}

fn finish_header(out: &mut Buffer, start: usize, rows: u32, heap_start: usize) {
    let length = (out.bytes.len() - start) as u32;
    for (i, word) in [length, rows, heap_start as u32, 0].into_iter().enumerate() {
        out.bytes[start + 4 * i..start + 4 * i + 4].copy_from_slice(&word.to_le_bytes());
    }
}

/// The layout for a block, and the most bytes that its heap can take.
fn fit(ty: &BlockType<'_>, layouts: &mut Vec<Layout>, columns: &[RowColumn<'_>], rows: u32) -> (usize, u64) {
    let (mut needs, heaps): (Vec<Need>, Vec<u64>) =
        columns.iter().zip(ty.kinds).map(|(column, kind)| column.need(*kind)).unzip();
    let heap: u64 = heaps.iter().sum();
    // Offsets must reach past the rows, whose size depends on the width of offsets: settle it in
    // two passes, the first with generous rows.
    let mut row = 64 + 16 * ty.kinds.len() as u64;
    for _ in 0..2 {
        let reach = Extent { rows, heap }.end(row + row / 32);
        for (need, kind) in needs.iter_mut().zip(ty.kinds) {
            if !matches!(kind, ColumnKind::Fixed(_)) {
                need.max = reach;
            }
        }
        row = u64::from(Layout::tightest(ty.kinds, &needs, ty.first).row);
    }
    (choose(layouts, ty.kinds, &needs, ty.first, Extent { rows, heap }), heap)
}

impl RowColumn<'_> {
    fn write(&self, i: usize, slots: &Slots, bytes: &mut [u8], row: usize, heap_start: usize, heap: &mut Vec<u8>) {
        if self.nulls[i] {
            slots.null.write(bytes, row, 1);
            return;
        }
        match &self.data {
            RowData::Fixed(words) => slots.main.write(bytes, row, words[i]),
            RowData::Var(values) => {
                slots.main.write(bytes, row, (heap_start + heap.len()) as u64);
                slots.length.write(bytes, row, values[i].len() as u64);
                heap.extend_from_slice(values[i]);
            }
            RowData::Elements { ends, ordinals } => {
                let first = if i == 0 { 0 } else { ends[i - 1] };
                slots.main.write(bytes, row, (heap_start + heap.len()) as u64);
                slots.length.write(bytes, row, (ends[i] - first) as u64);
                pack_elements(&ordinals[first..ends[i]], slots.element, heap);
            }
        }
    }
}

fn pack_elements(ordinals: &[u32], width: u32, heap: &mut Vec<u8>) {
    let (mut word, mut filled) = (0_u64, 0);
    for ordinal in ordinals {
        word |= u64::from(*ordinal) << filled;
        filled += width;
        while filled >= 8 {
            heap.push(word as u8);
            word >>= 8;
            filled -= 8;
        }
    }
    if filled > 0 {
        heap.push(word as u8);
    }
}

/// Copies a full block and writes the added rows over free positions of it, or returns `None` when
/// it has to be rebuilt: a value does not fit the layout, rows are missing at its end, or more than
/// a quarter of its heap is dead.
pub(crate) fn patch(
    ty: &BlockType<'_>,
    old: BlockRef<'_>,
    kept: &[u32],
    added: &Added<'_>,
    out: &mut Buffer,
) -> Option<usize> {
    let last = added.positions.iter().max().copied()?;
    let columns = gather(ty.kinds, None, added);
    let heap = (old.length() - old.heap_start().min(old.length())) as u64;
    let dead = heap.saturating_sub(old.live_heap(ty.kinds, kept));
    let (mut needs, heaps): (Vec<Need>, Vec<u64>) =
        columns.iter().zip(ty.kinds).map(|(column, kind)| column.need(*kind)).unzip();
    let reach = old.length() as u64 + heaps.iter().sum::<u64>();
    for (need, kind) in needs.iter_mut().zip(ty.kinds) {
        if !matches!(kind, ColumnKind::Fixed(_)) {
            need.max = reach;
        }
    }
    if last >= old.rows() || dead * 4 > heap || reach > MAX_BLOCK || !old.layout.fits(ty.kinds, &needs) {
        return None;
    }
    let start = out.begin();
    out.bytes.extend_from_slice(old.bytes.get(old.start..old.start + old.length())?);
    let row_bytes = old.layout.row as usize;
    let mut heap = Vec::new();
    for position in added.positions {
        let row = start + HEADER + *position as usize * row_bytes;
        out.bytes[row..row + row_bytes].fill(0);
    }
    for (column, slots) in columns.iter().zip(&old.layout.slots) {
        for (i, position) in added.positions.iter().enumerate() {
            let row = start + HEADER + *position as usize * row_bytes;
            column.write(i, slots, &mut out.bytes, row, old.length(), &mut heap);
        }
    }
    out.bytes.extend_from_slice(&heap);
    finish_header(out, start, old.rows(), old.heap_start());
    Some(start)
}

/// Bytes that a value of a batch takes, roughly: to choose how many ordinals make a block.
pub(crate) fn estimate_bytes(batch: &Batch) -> u64 {
    let column = |data: &ColumnData| match data {
        ColumnData::Fixed(words) => words.len() as u64 * 4,
        ColumnData::Var { ends, bytes } => ends.len() as u64 * 3 + bytes.len() as u64,
        ColumnData::Elements { ends, ordinals } => ends.len() as u64 * 4 + ordinals.len() as u64 * 3,
    };
    batch.columns.iter().map(|c| column(&c.data)).sum()
}
