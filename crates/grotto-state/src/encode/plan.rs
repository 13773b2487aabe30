//! Which records go into which chunk.
//!
//! Owns: cutting the records of a blob into chunks of whole blocks, so that every chunk and their
//! number stay within the limits of readers. Never encodes one.
//!
//! A chunk is small (a sixteenth of what it may be), because decoding one must not take much memory.
//! Each chunk has a section per column, and a blob only so many sections: where small chunks would
//! pass that number, all chunks of the blob are twice as large, and so on up to half of what they may
//! be. A blob that has too many even then is refused.

use super::{Job, Origin, elements_of, weight_of_record, weight_of_row};
use crate::error::{StateError, StateResult};
use grotto_format::Limits;
use grotto_format::batch::{ColumnData, ColumnKind};
use std::ops::Range;

/// The records of one type that a blob is to hold.
pub(crate) struct Part<'a> {
    pub(crate) type_id: u16,
    pub(crate) name: &'a str,
    pub(crate) kinds: &'a [ColumnKind],
    pub(crate) shift: u8,
    /// Rising.
    pub(crate) ordinals: &'a [u32],
    pub(crate) origin: Origin<'a>,
}

/// A run of records that lie in one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    /// Position behind its last record.
    end: usize,
    /// Bytes that it takes in a blob, roughly.
    bytes: u64,
    elements: usize,
}

impl Part<'_> {
    /// Bytes and elements of a record.
    fn weigh(&self, at: usize) -> (u64, usize) {
        match self.origin {
            Origin::Staged(batch, rows) => {
                let element_columns = batch.columns.iter();
                let element_columns = element_columns
                    .filter(|column| matches!(column.data, ColumnData::Elements { .. }));
                let elements = element_columns.map(|column| elements_of(column, rows[at]));
                (weight_of_row(batch, rows[at]), elements.sum())
            }
            Origin::Stored(state, id) => weight_of_record(state, id, self.ordinals[at], self.kinds),
        }
    }

    /// Its records, block by block.
    fn runs(&self) -> Vec<Run> {
        let (ordinals, shift) = (self.ordinals, self.shift);
        let (mut runs, mut at) = (Vec::new(), 0);
        while at < ordinals.len() {
            let end = at + ordinals[at..].partition_point(|o| o >> shift == ordinals[at] >> shift);
            let (mut bytes, mut elements) = (0, 0);
            for record in at..end {
                let (more, count) = self.weigh(record);
                bytes += more;
                elements += count;
            }
            runs.push(Run {
                end,
                bytes,
                elements,
            });
            at = end;
        }
        runs
    }
}

/// Cuts runs into chunks of about `size` bytes, at least one run each.
fn cut(runs: &[Run], columns: usize, size: u64, limits: &Limits) -> Vec<Range<usize>> {
    let mut chunks = Vec::new();
    let (mut start, mut at) = (0, 0);
    let (mut bytes, mut elements) = (0, 0);
    for run in runs {
        let rows = run.end - start;
        let full = rows > limits.chunk_rows
            || rows * columns > limits.chunk_cells
            || elements + run.elements > limits.elements
            || bytes + run.bytes > size;
        if at > start && full {
            chunks.push(start..at);
            (start, bytes, elements) = (at, 0, 0);
        }
        at = run.end;
        bytes += run.bytes;
        elements += run.elements;
    }
    if at > start {
        chunks.push(start..at);
    }
    chunks
}

/// The chunks of a blob; `others` is the number of its sections that belong to none.
pub(crate) fn jobs<'a>(
    parts: &[Part<'a>],
    others: u64,
    limits: &Limits,
) -> StateResult<Vec<Job<'a>>> {
    let runs: Vec<Vec<Run>> = parts.iter().map(Part::runs).collect();
    let mut size = limits.chunk_bytes / 16;
    loop {
        let chunks: Vec<Vec<Range<usize>>> = parts
            .iter()
            .zip(&runs)
            .map(|(part, runs)| cut(runs, part.kinds.len(), size, limits))
            .collect();
        let sections = |(part, chunks): (&Part<'_>, &Vec<Range<usize>>)| {
            chunks.len() as u64 * (1 + part.kinds.len() as u64)
        };
        let total = others + parts.iter().zip(&chunks).map(sections).sum::<u64>();
        if total <= limits.sections {
            return Ok(parts.iter().zip(chunks).flat_map(of_part).collect());
        }
        size *= 2;
        if size > limits.chunk_bytes / 2 {
            let most = parts.iter().zip(&chunks).max_by_key(|one| sections(*one));
            return Err(too_many(total, limits.sections, most.map(|(part, _)| part)));
        }
    }
}

fn of_part<'a>((part, chunks): (&Part<'a>, Vec<Range<usize>>)) -> impl Iterator<Item = Job<'a>> {
    let (type_id, name, kinds) = (part.type_id, part.name, part.kinds);
    let (ordinals, origin) = (part.ordinals, part.origin);
    chunks.into_iter().enumerate().map(move |(chunk, range)| {
        let origin = match origin {
            Origin::Staged(batch, rows) => Origin::Staged(batch, &rows[range.clone()]),
            stored => stored,
        };
        Job {
            type_id,
            name,
            chunk: chunk as u32,
            kinds,
            ordinals: &ordinals[range],
            origin,
        }
    })
}

#[cold]
fn too_many(found: u64, limit: u64, most: Option<&Part<'_>>) -> StateError {
    let most = most.map_or(String::new(), |part| {
        let (name, records, fields) = (part.name, part.ordinals.len(), part.kinds.len());
        format!("; most are of type {name}, {records} records of {fields} columns")
    });
    StateError::Limit(format!(
        "expected at most {limit} sections in a blob, found {found}{most}: \
         use fewer fields, or spread the records over several datasets"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(sizes: &[(usize, u64)]) -> Vec<Run> {
        let mut end = 0;
        let run = |(rows, bytes): &(usize, u64)| {
            end += rows;
            Run {
                end,
                bytes: *bytes,
                elements: 0,
            }
        };
        sizes.iter().map(run).collect()
    }

    #[test]
    fn a_chunk_ends_before_the_block_that_passes_a_limit() {
        let blocks = runs(&[(10, 100); 6]);
        let roomy = Limits::FORMAT;
        let whole = cut(&blocks, 1, 1000, &roomy);
        assert_eq!((whole.len(), &whole[0]), (1, &(0..60)));
        assert_eq!(cut(&blocks, 1, 200, &roomy), [0..20, 20..40, 40..60]);
        assert_eq!(cut(&blocks, 1, 199, &roomy).len(), 6);
        let rows = Limits {
            chunk_rows: 30,
            ..roomy
        };
        assert_eq!(cut(&blocks, 1, 1000, &rows), [0..30, 30..60]);
        let cells = Limits {
            chunk_cells: 39,
            ..roomy
        };
        assert_eq!(cut(&blocks, 2, 1000, &cells).len(), 6);
        let elements = Limits {
            elements: 7,
            ..roomy
        };
        let blocks: Vec<Run> = blocks
            .into_iter()
            .map(|run| Run { elements: 3, ..run })
            .collect();
        assert_eq!(cut(&blocks, 1, 1000, &elements), [0..20, 20..40, 40..60]);
    }

    #[test]
    fn a_block_larger_than_a_chunk_should_be_is_a_chunk_by_itself() {
        let blocks = runs(&[(1, 5), (1, 5000), (1, 5)]);
        assert_eq!(cut(&blocks, 1, 10, &Limits::FORMAT), [0..1, 1..2, 2..3]);
    }
}
