//! Encoding records into blob sections.
//!
//! Owns: chunks, the columns of staged and of stored records, compression on both cores.
//! Never decides what changed.

mod plan;

use crate::error::{StateError, StateResult};
use crate::state::State;
use grotto_format::batch::{Batch, Column, ColumnData, ColumnKind, Value, encode_ordinals};
use grotto_format::blob::{BlobHeader, BlobKind, BlobWriter, PackedSection, SectionKind, TypeInfo};
use grotto_format::schema::{Schema, TypeId};
use grotto_format::{Limits, OverLimit};
pub(crate) use plan::{Part, jobs};
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
    pub(crate) name: &'a str,
    pub(crate) chunk: u32,
    pub(crate) kinds: &'a [ColumnKind],
    pub(crate) ordinals: &'a [u32],
    pub(crate) origin: Origin<'a>,
}

/// Bytes that a row of a batch takes, roughly.
fn weight_of_row(batch: &Batch, row: u32) -> u64 {
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

/// Bytes that a stored record takes, roughly, and its elements.
fn weight_of_record(state: &State, id: TypeId, ordinal: u32, kinds: &[ColumnKind]) -> (u64, usize) {
    let (mut bytes, mut elements) = (0, 0);
    if let Some(record) = state.row(id, ordinal) {
        for (column, kind) in kinds.iter().enumerate() {
            bytes += match kind {
                ColumnKind::Fixed(_) => 8,
                ColumnKind::Var(_) => 1 + record.length(column),
                ColumnKind::Elements(_) => {
                    elements += record.length(column) as usize;
                    1 + 4 * record.length(column)
                }
            };
        }
    }
    (bytes, elements)
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

fn encode_job(
    job: &Job<'_>,
    level: Option<i32>,
    limits: &Limits,
) -> StateResult<Vec<PackedSection>> {
    let mut raw = Vec::new();
    encode_ordinals(job.ordinals, &mut raw);
    let mut total = raw.len() as u64;
    let pack = |kind, raw| PackedSection::new(job.type_id, job.chunk, kind, raw, level);
    let mut sections = vec![pack(SectionKind::Added, raw)];
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
    for (position, (column, kind)) in batch.columns.iter().zip(job.kinds).enumerate() {
        let mut raw = Vec::new();
        column.encode(*kind, rows, &mut raw);
        total += raw.len() as u64;
        check_chunk(job, column, rows, total, limits)?;
        sections.push(pack(SectionKind::Column(position as u16), raw));
    }
    Ok(sections)
}

/// Refuses what readers would refuse. Chunks are cut far below, unless a single block outgrows them.
fn check_chunk(
    job: &Job<'_>,
    column: &Column,
    rows: &[u32],
    total: u64,
    limits: &Limits,
) -> StateResult<()> {
    let elements: usize = match &column.data {
        ColumnData::Elements { .. } => rows.iter().map(|row| elements_of(column, *row)).sum(),
        _ => 0,
    };
    let cells = rows.len() * job.kinds.len();
    let counted = [
        ("records", rows.len() as u64, limits.chunk_rows as u64),
        ("values", cells as u64, limits.chunk_cells as u64),
        ("elements", elements as u64, limits.elements as u64),
        ("bytes", total, limits.chunk_bytes),
    ];
    for (what, found, limit) in counted {
        OverLimit::check(what, found, limit).map_err(|over| {
            let (name, count) = (job.name, rows.len());
            StateError::Limit(format!(
                "type {name}, a block of {count} records: {over}: \
                 make its records smaller, or move what is large into types of its own"
            ))
        })?;
    }
    Ok(())
}

fn elements_of(column: &Column, row: u32) -> usize {
    match column.value(row as usize) {
        Value::Elements(elements) => elements.len(),
        _ => 0,
    }
}

/// Chunks of each thread that are encoded before their sections are given away.
const JOBS_AT_ONCE: usize = 4;

/// A thread that encodes fewer records takes longer to start than to work.
const LEAST: usize = 500;

/// Encodes jobs on several threads; the sections come in order of the jobs.
pub(crate) fn encode_all(
    jobs: &[Job<'_>],
    options: &EncodeOptions,
    limits: &Limits,
) -> StateResult<Vec<PackedSection>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let position = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(position) else {
                return done;
            };
            done.push((position, encode_job(job, options.level, limits)));
        }
    };
    let records: usize = jobs.iter().map(|job| job.ordinals.len()).sum();
    let most = jobs.len().min(1 + records / LEAST);
    let helpers = options.threads.clamp(1, most.max(1)) - 1;
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
/// When the snapshot would pass a limit of the format, so that nobody could read it.
pub fn encode_snapshot(state: &State, options: &EncodeOptions) -> StateResult<Vec<u8>> {
    encode_snapshot_within(state, options, &Limits::FORMAT)
}

/// The same under other limits than those of the format.
///
/// # Errors
/// As [`encode_snapshot`].
pub fn encode_snapshot_within(
    state: &State,
    options: &EncodeOptions,
    limits: &Limits,
) -> StateResult<Vec<u8>> {
    with_jobs(state, limits, |jobs| {
        let mut writer = BlobWriter::new(header_of(state, options), options.level).within(limits);
        encode_all(jobs, options, limits)?
            .into_iter()
            .for_each(|section| writer.packed(section));
        writer.finish().map_err(over)
    })
}

/// Encodes a whole state as a snapshot of which few sections are in memory at a time: each goes to `keep`, one behind the
/// other. Returns what comes before them; behind them comes the [footer](grotto_format::blob::footer).
///
/// # Errors
/// As [`encode_snapshot`].
pub fn encode_snapshot_to(
    state: &State,
    options: &EncodeOptions,
    mut keep: impl FnMut(Vec<u8>),
) -> StateResult<Vec<u8>> {
    let limits = &Limits::FORMAT;
    with_jobs(state, limits, |jobs| {
        let mut writer = BlobWriter::new(header_of(state, options), options.level).within(limits);
        for some in jobs.chunks(options.threads.max(1) * JOBS_AT_ONCE) {
            for section in encode_all(some, options, limits)? {
                keep(writer.kept(section));
            }
        }
        writer.head().map_err(over)
    })
}

/// All chunks of a state.
fn with_jobs<T>(
    state: &State,
    limits: &Limits,
    encode: impl FnOnce(&[Job<'_>]) -> StateResult<T>,
) -> StateResult<T> {
    if let Some(filter) = state.filter() {
        return Err(StateError::Invalid(format!(
            "expected a state of the whole dataset, found one of {filter} alone"
        )));
    }
    let lists: Vec<Vec<u32>> = state
        .schema()
        .ids()
        .map(|id| state.ordinals(id).collect())
        .collect();
    let mut parts = Vec::with_capacity(lists.len());
    for (id, ordinals) in state.schema().ids().zip(&lists) {
        parts.push(Part {
            type_id: id.0,
            name: &state.schema().get(id).name,
            kinds: &state.infos[id.index()].kinds,
            shift: state.types[id.index()].span,
            ordinals,
            origin: Origin::Stored(state, id),
        });
    }
    encode(&jobs(&parts, 0, limits)?)
}

fn header_of(state: &State, options: &EncodeOptions) -> BlobHeader {
    BlobHeader {
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
    }
}

/// A limit of the framing.
pub(crate) fn over(over: OverLimit) -> StateError {
    StateError::Limit(over.to_string())
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
