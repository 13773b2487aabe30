//! The size of blocks, from tables and batches made by hand: blocks that only say how long they are. Owns
//! nothing.

use super::*;
use crate::hash::HashSeed;
use crate::known::Known;
use crate::layout::Layout;
use crate::segment::{Loc, Segment};
use crate::state::Stored;
use grotto_format::batch::{ColumnKind, Value};
use grotto_format::schema::Schema;
use std::sync::Arc;

const ROWS: u32 = 512;

/// A state of one type, with full blocks of 512 ordinals that say to be of these lengths.
fn blocks(lengths: &[u32]) -> State {
    let schema = Schema::parse("A { string text; }").unwrap();
    let mut bytes = vec![0; lengths.len() * 64];
    for (block, length) in bytes.chunks_mut(64).zip(lengths) {
        block[..4].copy_from_slice(&length.to_le_bytes());
        block[4..8].copy_from_slice(&ROWS.to_le_bytes());
    }
    let loc = |unit| Loc {
        unit,
        segment: 0,
        tag: 0,
    };
    let layout = Layout {
        mask: ROWS - 1,
        ..Layout::NONE.clone()
    };
    let rows = u64::from(ROWS) * lengths.len() as u64;
    let ty = TypeState {
        blocks: (0..lengths.len() as u32).map(loc).collect(),
        layouts: [layout].into(),
        live: rows,
        stored: Stored {
            bytes: lengths.iter().map(|length| u64::from(*length)).sum(),
            rows,
        },
        ..TypeState::empty(9, false)
    };
    let segment = Segment {
        bytes: bytes.into(),
        name: 1,
        live: 1,
    };
    State::assemble(
        1,
        HashSeed::new([1, 2]),
        Known::new(Arc::new(schema), None, HashSeed::new([1, 2])),
        vec![ty],
        vec![segment],
    )
}

fn texts(rows: usize, length: impl Fn(usize) -> usize) -> Stage {
    let mut stage = Stage::new(&[ColumnKind::Var(true)]);
    for row in 0..rows {
        stage.batch.columns[0].push(Value::Var(&vec![b'x'; length(row)]));
        stage.batch.rows += 1;
    }
    stage
}

/// The size that a cycle which changes a record chooses.
fn chosen(state: &State) -> u8 {
    of_blocks(state, &state.types[0], &texts(1, |_| 1))
}

/// 256 blocks of small records: two bytes each.
fn small() -> Vec<u32> {
    vec![1024; 256]
}

#[test]
fn blocks_of_small_records_become_large() {
    assert_eq!(chosen(&blocks(&small())), LARGEST);
    let state = blocks(&small());
    let untouched = of_blocks(&state, &state.types[0], &texts(0, |_| 1));
    assert_eq!(untouched, 9, "a cycle that writes none changes nothing");
}

#[test]
fn a_few_heavy_blocks_side_by_side_keep_blocks_small() {
    // Two blocks of 3 MB beside each other; what records take on average asks for 2^13 ordinals.
    let heavy = |at: [usize; 2]| {
        let mut lengths = vec![1024; 1024];
        at.into_iter().for_each(|at| lengths[at] = 3 << 20);
        chosen(&blocks(&lengths))
    };
    assert_eq!(heavy([15, 16]), 13, "in two units of 16 blocks");
    assert_eq!(heavy([13, 16]), 13);
    // One unit of 16, of 8 and of 4 would have both: blocks of two are not worth a change.
    assert_eq!(heavy([16, 19]), 9);
    assert_eq!(heavy([16, 17]), 9);
    assert_eq!(heavy([11, 12]), 11, "apart in units of four");
    assert_eq!(heavy([7, 8]), 12, "apart in units of eight");
    assert_eq!(heavy([1022, 1023]), 9, "the last one");
}

#[test]
fn a_unit_may_be_as_heavy_as_the_bound_and_no_heavier() {
    // Four blocks of a unit.
    let of = |last: u32| {
        let quarter = HEAVIEST as u32 / 4;
        let mut lengths = vec![64; 4000];
        lengths[..4].copy_from_slice(&[quarter, quarter, quarter, last]);
        let state = blocks(&lengths);
        heaviest_unit(&state, &state.types[0], 11)
    };
    assert_eq!(of(HEAVIEST as u32 / 4), HEAVIEST as u64);
    assert_eq!(
        of(HEAVIEST as u32 / 4 + 1),
        HEAVIEST as u64 + 64,
        "a cache line more"
    );
    let state = blocks(&[64; 3]);
    assert_eq!(
        heaviest_unit(&state, &state.types[0], 11),
        3 * 64,
        "a unit that is not full"
    );
    assert_eq!(heaviest_unit(&blocks(&[]), &blocks(&[]).types[0], 11), 0);
}

#[test]
fn blocks_stay_as_they_are_until_records_are_four_times_smaller_or_larger() {
    let sized = |each: u32, span: u8| {
        let mut state = blocks(&[each * ROWS; 8]);
        state.types[0].span = span;
        chosen(&state)
    };
    // 128 KiB hold 1,024 records of 128 bytes.
    assert_eq!((sized(128, 10), sized(128, 11), sized(128, 9)), (10, 11, 9));
    assert_eq!((sized(128, 12), sized(32, 10)), (10, 12));
    assert_eq!(sized(64, 10), 10, "twice smaller");
}

#[test]
fn the_first_records_of_a_type_choose_by_their_size() {
    let first = |rows, length: &dyn Fn(usize) -> usize| {
        let state = State::empty(HashSeed::new([1, 2]));
        of_blocks(&state, &TypeState::empty(11, false), &texts(rows, length))
    };
    assert_eq!(first(100, &|_| 1), 15, "four bytes each");
    assert_eq!(first(100, &|_| 125), 10, "128 bytes each");
    assert_eq!(first(100, &|_| 20_000), SMALLEST);
    // Small records, and 2,000 large ones side by side that would be 8 MB in a block of 2,048.
    let lump = |row: usize| {
        if (40_960..42_960).contains(&row) {
            4_000
        } else {
            1
        }
    };
    assert_eq!(first(200_000, &lump), 10);
}
