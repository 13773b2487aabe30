//! Sections of a blob, by type and chunk.
//!
//! Owns: checking that the section table is complete and in order, and decoding chunks.

use super::{content, mismatch};
use crate::error::{StateError, StateResult};
use crate::known::{Place, TypeInfo};
use grotto_format::batch::{Batch, Column, ColumnData, ColumnKind, decode_ordinals};
use grotto_format::blob::{Blob, Section, SectionKind, Unpacker};

/// Positions of the sections of one type.
#[derive(Debug, Default)]
pub(super) struct TypeSections {
    pub(super) removed: Option<usize>,
    /// Per chunk: its first section, that of the ordinals; one per column follows.
    pub(super) chunks: Vec<usize>,
}

/// One chunk of added records, in memory that takes the next one too.
#[derive(Default)]
pub(super) struct Chunk {
    pub(super) ordinals: Vec<u32>,
    pub(super) batch: Batch,
    /// One column at most: of values that are not kept.
    spare: Vec<Column>,
    unpacker: Unpacker,
}

/// Most bytes of memory that are kept for the next chunk: chunks that are each heavy in another column
/// would otherwise add up, and a hostile blob has as many of them as it likes.
pub(super) const MOST_KEPT: u64 = 64 << 20;

impl Chunk {
    /// Gives up memory that is too much to keep for the next chunk; returns how much is kept.
    pub(super) fn shrink(&mut self) -> u64 {
        let columns = self.batch.columns.iter().chain(&self.spare);
        let columns = columns.map(Column::memory);
        let memory = columns.sum::<u64>() + self.unpacker.memory();
        if memory <= MOST_KEPT {
            return memory;
        }
        *self = Self::default();
        0
    }
}

pub(super) fn by_type(blob: &Blob, infos: &[TypeInfo]) -> StateResult<Vec<TypeSections>> {
    let mut types: Vec<TypeSections> = infos.iter().map(|_| TypeSections::default()).collect();
    let table = &blob.header.sections;
    let fail = |index: usize, reason: &str| {
        Err(mismatch(&blob.header, format!("section {index}: {reason}")))
    };
    let (mut at, mut before) = (0, 0);
    while at < table.len() {
        let section = &table[at];
        let type_id = usize::from(section.type_id);
        if type_id < before {
            return fail(at, "expected sections by rising type");
        }
        before = type_id;
        let (Some(info), Some(ty)) = (infos.get(type_id), types.get_mut(type_id)) else {
            return fail(at, "expected a type of the schema");
        };
        match section.kind {
            SectionKind::Removed
                if ty.removed.is_none() && ty.chunks.is_empty() && section.chunk == 0 =>
            {
                ty.removed = Some(at);
                at += 1;
            }
            SectionKind::Added if section.chunk as usize == ty.chunks.len() => {
                ty.chunks.push(at);
                for column in 0..info.width() {
                    let kind = SectionKind::Column(column as u16);
                    let place = at + 1 + column;
                    let same = |s: &Section| {
                        s.kind == kind && s.type_id == section.type_id && s.chunk == section.chunk
                    };
                    if !table.get(place).is_some_and(same) {
                        return fail(place, "expected the next column of the chunk");
                    }
                }
                at += 1 + info.width();
            }
            _ => {
                return fail(
                    at,
                    "expected sections in order: removed, then chunks of ordinals and columns",
                );
            }
        }
    }
    Ok(types)
}

/// Removed ordinals. Every one of them was `live`, so that bounds how many there can be; the caller
/// checks each.
pub(super) fn removed(blob: &Blob, sections: &TypeSections, live: u64) -> StateResult<Vec<u32>> {
    let Some(index) = sections.removed else {
        return Ok(Vec::new());
    };
    let max = usize::try_from(live).unwrap_or(usize::MAX);
    decode_ordinals(&blob.section(index)?, max).map_err(|e| section_error(blob, index, e))
}

/// Decodes a chunk in the place of the one before. `reserve` is told how many bytes of memory it needs in
/// all so far, before they are taken.
pub(super) fn chunk(
    blob: &Blob,
    info: &TypeInfo,
    first: usize,
    chunk: &mut Chunk,
    reserve: &mut dyn FnMut(u64),
) -> StateResult<()> {
    let limits = blob.limits();
    let ordinals = added(blob, info, first, &mut chunk.unpacker)?;
    let table = table_of(blob, info, first);
    let cells = ordinals.len() * info.width();
    if cells > limits.chunk_cells {
        let most = limits.chunk_cells;
        let reason =
            format!("section {first}: expected a chunk of at most {most} values, found {cells}");
        return Err(mismatch(&blob.header, reason));
    }
    let rows = ordinals.len();
    chunk.batch.rows = rows;
    let mut needed = table.iter().map(|section| section.raw).max().unwrap_or(0);
    let columns = &mut chunk.batch.columns;
    columns.truncate(info.kinds.len());
    let mut rest = info.rest().map(|_| vec![0; rows]);
    for (position, (kind, place)) in info.columns().enumerate() {
        let index = first + 1 + position;
        let bytes = blob.section_in(index, &mut chunk.unpacker)?;
        let failed = |e| section_error(blob, index, e);
        needed += Column::claim(kind, rows, bytes, limits).map_err(failed)?;
        reserve(needed);
        let column = match place {
            Place::Column(at) => column_at(columns, at, kind),
            Place::Rest(_) => column_at(&mut chunk.spare, 0, kind),
        };
        column.refill(kind, rows, bytes, limits).map_err(failed)?;
        if let (Place::Rest(seed), Some(rest)) = (place, &mut rest) {
            content::add(rest, seed, column, 0..rows);
        }
    }
    if let (Some(at), Some(rest)) = (info.rest(), rest) {
        let column = column_at(columns, at, ColumnKind::Fixed(0));
        column.nulls.clear();
        column.data = ColumnData::Fixed(rest);
    }
    chunk.ordinals = ordinals;
    Ok(())
}

/// The column at a position, which is at most one behind the last.
fn column_at(columns: &mut Vec<Column>, at: usize, kind: ColumnKind) -> &mut Column {
    if columns.len() <= at {
        columns.push(Column::new(kind));
    }
    let last = columns.len() - 1;
    &mut columns[at.min(last)]
}

/// The entries of a chunk in the section table.
fn table_of<'a>(blob: &'a Blob, info: &TypeInfo, first: usize) -> &'a [Section] {
    let table = blob.header.sections.get(first..=first + info.width());
    table.unwrap_or_default()
}

/// The ordinals of a chunk.
pub(super) fn added(
    blob: &Blob,
    info: &TypeInfo,
    first: usize,
    unpacker: &mut Unpacker,
) -> StateResult<Vec<u32>> {
    let limits = blob.limits();
    // Before anything is decompressed.
    let raw = table_of(blob, info, first)
        .iter()
        .map(|section| section.raw);
    let (raw, most) = (raw.sum::<u64>(), limits.chunk_bytes);
    if raw > most {
        let reason =
            format!("section {first}: expected a chunk of at most {most} bytes, found {raw}");
        return Err(mismatch(&blob.header, reason));
    }
    let bytes = blob.section_in(first, unpacker)?;
    decode_ordinals(bytes, limits.chunk_rows).map_err(|e| section_error(blob, first, e))
}

fn section_error(blob: &Blob, index: usize, source: grotto_format::WireError) -> StateError {
    let what = blob
        .header
        .sections
        .get(index)
        .map_or(String::new(), |section| {
            format!(
                "type {}, chunk {}, {:?}",
                section.type_id, section.chunk, section.kind
            )
        });
    StateError::Section {
        index,
        what,
        source,
    }
}
