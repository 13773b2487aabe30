//! Encoding records into blob sections.
//!
//! Owns: chunks, the columns of staged and of stored records, compression on both cores.
//! Never decides what changed.

use crate::error::{StateError, StateResult};
use crate::state::State;
use grotto_format::batch::{
    Batch, Column, ColumnData, ColumnKind, MAX_CHUNK_BYTES, MAX_CHUNK_CELLS, MAX_CHUNK_ROWS,
    MAX_ELEMENTS, Value, encode_ordinals,
};
use grotto_format::blob::{BlobHeader, BlobKind, BlobWriter, PackedSection, SectionKind, TypeInfo};
use grotto_format::schema::{Schema, TypeId};
use std::sync::atomic::{AtomicUsize, Ordering};

/// How blobs are encoded.
#[derive(Clone, Debug)]
pub struct EncodeOptions {
    /// Dataset named in the header.
    pub dataset: String,
    /// Version the blobs lead to (deltas), or of the state (snapshots).
    pub version: u64,
    /// zstd level; `None` stores everything uncompressed.
    pub level: Option<i32>,
    /// Threads that encode, the calling one included.
    pub threads: usize,
}

/// Records of a chunk: where they come from.
#[derive(Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// Rows of a batch.
    Staged(&'a Batch, &'a [u32]),
    /// Records of a state under the same type.
    Stored(&'a State, TypeId),
}

/// One chunk of one type to encode.
pub(crate) struct Job<'a> {
    pub(crate) type_id: u16,
    pub(crate) chunk: u32,
    pub(crate) kinds: &'a [ColumnKind],
    pub(crate) ordinals: &'a [u32],
    pub(crate) origin: Origin<'a>,
}

/// A chunk is cut once it holds this many bytes, roughly: decoding one must not take much memory.
const CUT_BYTES: u64 = 32 << 20;

/// Cuts rising ordinals into chunks of whole blocks, at least one each. `weight` is told positions
/// of `ordinals` and gives the bytes that the record takes, roughly.
pub(crate) fn chunks(
    ordinals: &[u32],
    shift: u8,
    weight: impl Fn(usize) -> u64,
) -> Vec<std::ops::Range<usize>> {
    let mut chunks = Vec::new();
    let (mut start, mut at, mut bytes) = (0, 0, 0_u64);
    while at < ordinals.len() {
        let end = at + ordinals[at..].partition_point(|o| o >> shift == ordinals[at] >> shift);
        let more: u64 = (at..end).map(&weight).sum();
        if at > start && (end - start > MAX_CHUNK_ROWS || bytes + more > CUT_BYTES) {
            chunks.push(start..at);
            (start, bytes) = (at, 0);
        }
        (at, bytes) = (end, bytes + more);
    }
    if at > start {
        chunks.push(start..at);
    }
    chunks
}

/// Bytes that a row of a batch takes, roughly.
pub(crate) fn weight_of_row(batch: &Batch, row: u32) -> u64 {
    let row = row as usize;
    let span =
        |ends: &[usize]| (ends[row] - row.checked_sub(1).map_or(0, |before| ends[before])) as u64;
    let weight = |data: &ColumnData| match data {
        ColumnData::Fixed(_) => 8,
        // Also a value without bytes is a cell, and a chunk has only so many of them.
        ColumnData::Var { ends, .. } => 1 + span(ends),
        ColumnData::Elements { ends, .. } => 1 + 4 * span(ends),
    };
    batch
        .columns
        .iter()
        .map(|column| weight(&column.data))
        .sum()
}

/// Bytes that a stored record takes, roughly.
pub(crate) fn weight_of_record(
    state: &State,
    id: TypeId,
    ordinal: u32,
    kinds: &[ColumnKind],
) -> u64 {
    let Some(record) = state.row(id, ordinal) else {
        return 0;
    };
    let weight = |(column, kind): (usize, &ColumnKind)| match kind {
        ColumnKind::Fixed(_) => 8,
        ColumnKind::Var(_) => 1 + record.length(column),
        ColumnKind::Elements(_) => 1 + 4 * record.length(column),
    };
    kinds.iter().enumerate().map(weight).sum()
}

/// Copies stored records into columns.
pub(crate) fn batch_of(state: &State, id: TypeId, ordinals: &[u32], kinds: &[ColumnKind]) -> Batch {
    let mut batch = Batch::new(kinds);
    let mut elements = Vec::new();
    for ordinal in ordinals {
        let record = state.row(id, *ordinal);
        for (column, (data, kind)) in batch.columns.iter_mut().zip(kinds).enumerate() {
            match record.filter(|record| !record.is_null(column)) {
                None => data.push(Value::Null),
                Some(record) => match kind {
                    ColumnKind::Fixed(_) => data.push(Value::Fixed(record.word(column))),
                    ColumnKind::Var(_) => data.push(Value::Var(record.var(column))),
                    ColumnKind::Elements(_) => {
                        elements.clear();
                        elements.extend(record.elements(column));
                        data.push(Value::Elements(&elements));
                    }
                },
            }
        }
        batch.rows += 1;
    }
    batch
}

fn encode_job(job: &Job<'_>, level: Option<i32>) -> StateResult<Vec<PackedSection>> {
    let mut raw = Vec::new();
    encode_ordinals(job.ordinals, &mut raw);
    let mut sections = vec![PackedSection::new(
        job.type_id,
        job.chunk,
        SectionKind::Added,
        raw,
        level,
    )];
    let stored;
    let all: Vec<u32>;
    let (batch, rows) = match job.origin {
        Origin::Staged(batch, rows) => (batch, rows),
        Origin::Stored(state, id) => {
            stored = batch_of(state, id, job.ordinals, job.kinds);
            all = (0..job.ordinals.len() as u32).collect();
            (&stored, all.as_slice())
        }
    };
    let mut total = 0_u64;
    for (position, (column, kind)) in batch.columns.iter().zip(job.kinds).enumerate() {
        let mut raw = Vec::new();
        column.encode(*kind, rows, &mut raw);
        total += raw.len() as u64;
        check_limits(job, position, column, rows, total)?;
        let kind = SectionKind::Column(position as u16);
        sections.push(PackedSection::new(job.type_id, job.chunk, kind, raw, level));
    }
    Ok(sections)
}

/// Refuses what readers would refuse. Chunks are cut far below, unless a single block outgrows them.
fn check_limits(
    job: &Job<'_>,
    position: usize,
    column: &Column,
    rows: &[u32],
    total: u64,
) -> StateResult<()> {
    let elements = match &column.data {
        ColumnData::Elements { .. } => rows.iter().map(|row| elements_of(column, *row)).sum(),
        _ => 0,
    };
    let cells = rows.len() * job.kinds.len();
    if total <= MAX_CHUNK_BYTES && elements <= MAX_ELEMENTS && cells <= MAX_CHUNK_CELLS {
        return Ok(());
    }
    let (ty, rows) = (job.type_id, rows.len());
    Err(StateError::Limit(format!(
        "{MAX_CHUNK_BYTES} bytes, {MAX_CHUNK_CELLS} values or {MAX_ELEMENTS} elements in a block: type {ty}, up to \
         column {position} of {rows} records, {total} bytes, {cells} values and {elements} elements"
    )))
}

fn elements_of(column: &Column, row: u32) -> usize {
    match column.value(row as usize) {
        Value::Elements(elements) => elements.len(),
        _ => 0,
    }
}

/// Encodes jobs on several threads; the sections come in order of the jobs.
pub(crate) fn encode_all(
    jobs: &[Job<'_>],
    options: &EncodeOptions,
) -> StateResult<Vec<PackedSection>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let position = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(position) else {
                return done;
            };
            done.push((position, encode_job(job, options.level)));
        }
    };
    let helpers = options.threads.clamp(1, jobs.len().max(1)) - 1;
    let mut done = std::thread::scope(|scope| {
        let handles: Vec<_> = (0..helpers).map(|_| scope.spawn(work)).collect();
        let mut done = work();
        for handle in handles {
            match handle.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    });
    done.sort_unstable_by_key(|(position, _)| *position);
    let mut sections = Vec::new();
    for (_, encoded) in done {
        sections.extend(encoded?);
    }
    Ok(sections)
}

/// Encodes a whole state as a snapshot: a delta from the empty state.
///
/// # Errors
/// When a column outgrows a section.
pub fn encode_snapshot(state: &State, options: &EncodeOptions) -> StateResult<Vec<u8>> {
    let lists: Vec<Vec<u32>> = state
        .schema()
        .ids()
        .map(|id| state.ordinals(id).collect())
        .collect();
    let mut jobs = Vec::new();
    for (position, ordinals) in lists.iter().enumerate() {
        let ty = &state.types[position];
        let (id, kinds) = (
            TypeId(position as u16),
            state.infos[position].kinds.as_slice(),
        );
        let weight = |at: usize| weight_of_record(state, id, ordinals[at], kinds);
        for (chunk, range) in chunks(ordinals, ty.span, weight).into_iter().enumerate() {
            jobs.push(Job {
                type_id: id.0,
                chunk: chunk as u32,
                kinds,
                ordinals: &ordinals[range],
                origin: Origin::Stored(state, id),
            });
        }
    }
    let header = BlobHeader {
        kind: BlobKind::Snapshot,
        dataset: options.dataset.clone(),
        from: 0,
        to: state.version(),
        from_checksum: 0,
        to_checksum: state.checksum(),
        from_schema_hash: Schema::default().hash(),
        schema_hash: state.schema_hash(),
        schema_text: Some(state.schema().to_string()),
        types: type_infos(state),
        sections: Vec::new(),
    };
    let mut writer = BlobWriter::new(header, options.level);
    encode_all(&jobs, options)?
        .into_iter()
        .for_each(|section| writer.packed(section));
    Ok(writer.finish())
}

pub(crate) fn type_infos(state: &State) -> Vec<TypeInfo> {
    state
        .types
        .iter()
        .map(|ty| TypeInfo {
            shift: ty.span,
            live: ty.live,
        })
        .collect()
}
