//! What blocks weigh, to the last byte: alone, with rows that stay, and without a look at them. Owns nothing.

use super::*;
use grotto_format::limits::{CELL_WEIGHT, ELEMENT_WEIGHT};
use std::cell::Cell;

const KINDS: [ColumnKind; 3] = [
    ColumnKind::Fixed(0),
    ColumnKind::Var(true),
    ColumnKind::Elements(1),
];

const TYPE: BlockType<'static> = BlockType {
    kinds: &KINDS,
    first: &[],
    span: 9,
};

/// Rows of texts and elements of these lengths.
fn batch(rows: &[(usize, u32)], value: u32) -> Batch {
    let mut batch = Batch::new(&KINDS);
    for (text, elements) in rows {
        let (text, elements) = (vec![b'x'; *text], vec![value; *elements as usize]);
        batch.columns[0].push(Value::Fixed(7));
        batch.columns[1].push(Value::Var(&text));
        batch.columns[2].push(Value::Elements(&elements));
        batch.rows += 1;
    }
    batch
}

fn built(batch: &Batch, layouts: &mut Vec<Layout>) -> (Buffer, Written) {
    let mut out = Buffer::default();
    let positions: Vec<u32> = (0..batch.rows as u32).collect();
    let written = rebuild(
        &TYPE,
        layouts,
        &Kept::NONE,
        &added(&positions, batch),
        &mut out,
    );
    out.bytes.extend_from_slice(&[0; 8]);
    (out, written.unwrap())
}

/// Says that these records weigh `weight` and nothing else.
#[track_caller]
fn weighs(old: &[BlockRef<'_>], kept: &[&[u32]], added: &Added<'_>, weight: u64) {
    let check = |limit| {
        let kept = || Kept {
            positions: kept.concat(),
            pieces: old
                .iter()
                .copied()
                .zip(kept.iter().map(|at| at.to_vec()))
                .collect(),
        };
        check_weight(&TYPE, old, kept, added, limit)
    };
    let found = |limit| check(limit).err().map(|over| over.found);
    assert_eq!((found(weight), found(weight - 1)), (None, Some(weight)));
}

const ROW: u64 = 3 * CELL_WEIGHT;

#[test]
fn added_records_weigh_their_cells_texts_and_elements() {
    let batch = batch(&[(1000, 0), (3, 2), (5, 4), (500, 9)], 1);
    let of = |first_row, positions: &'static [u32]| Added {
        positions,
        batch: &batch,
        first_row,
    };
    weighs(&[], &[], &of(0, &[0]), ROW + 1000);
    weighs(&[], &[], &of(1, &[0, 1]), 2 * ROW + 8 + 6 * ELEMENT_WEIGHT);
    // Rows in between take their cells too.
    weighs(&[], &[], &of(1, &[2, 7]), 8 * ROW + 8 + 6 * ELEMENT_WEIGHT);
    weighs(&[], &[], &of(3, &[0]), ROW + 500 + 9 * ELEMENT_WEIGHT);
}

#[test]
fn kept_records_weigh_as_much_as_when_they_came_and_those_that_went_nothing() {
    let first = batch(&[(10, 1), (20, 2), (3000, 700), (40, 4)], 1);
    let second = batch(&[(100, 11)], 1);
    let mut layouts = Vec::new();
    let (out, written) = built(&first, &mut layouts);
    let (other, more) = built(&second, &mut layouts);
    let one = block_at(&out, written.start, &layouts[written.layout]);
    let two = block_at(&other, more.start, &layouts[more.layout]);
    let nothing = batch(&[], 1);
    let new = batch(&[(6, 5)], 1);
    weighs(
        &[one],
        &[&[0, 1, 3]],
        &added(&[], &nothing),
        4 * ROW + 70 + 7 * ELEMENT_WEIGHT,
    );
    weighs(
        &[one],
        &[&[0, 1]],
        &added(&[5], &new),
        6 * ROW + 36 + 8 * ELEMENT_WEIGHT,
    );
    weighs(
        &[one],
        &[&[1]],
        &added(&[0], &new),
        2 * ROW + 26 + 7 * ELEMENT_WEIGHT,
    );
    let held = 3100 + 711 * ELEMENT_WEIGHT;
    weighs(
        &[one, two],
        &[&[2], &[0]],
        &added(&[], &nothing),
        3 * ROW + held,
    );
}

/// Whether the kept records had to be looked at.
fn looks(block: &[BlockRef<'_>], added: &Added<'_>, limit: u64) -> bool {
    let looked = Cell::new(false);
    let kept = || {
        looked.set(true);
        Kept::NONE
    };
    check_weight(&TYPE, block, kept, added, limit).unwrap();
    looked.get()
}

#[test]
fn kept_records_are_looked_at_only_where_the_length_of_their_block_does_not_do() {
    let rows = vec![(20, 0); 60];
    let texts = batch(&rows, 1);
    let mut layouts = Vec::new();
    let (out, written) = built(&texts, &mut layouts);
    let block = block_at(&out, written.start, &layouts[written.layout]);
    let new = batch(&[(30, 0)], 1);
    let all = 60 * ROW + 30 + block.length() as u64;
    assert!(!looks(&[block], &added(&[0], &new), all));
    assert!(looks(&[block], &added(&[0], &new), all - 1));
    // Of a block of another size nobody knows how many rows it brings.
    let layout = Layout {
        mask: 1023,
        ..layouts[written.layout].clone()
    };
    let larger = BlockRef {
        layout: &layout,
        ..block
    };
    let all = 512 * ROW + 30 + block.length() as u64;
    assert!(!looks(&[larger], &added(&[0], &new), all));
    assert!(looks(&[larger], &added(&[0], &new), all - 1));
    assert!(looks(
        &[block, block],
        &added(&[0], &new),
        all + block.length() as u64 - 1
    ));
}

#[test]
fn elements_of_few_bits_may_weigh_more_than_their_block_is_long() {
    let mut layouts = Vec::new();
    let bits = batch(&vec![(0, 90); 60], 1);
    let (out, written) = built(&bits, &mut layouts);
    let block = block_at(&out, written.start, &layouts[written.layout]);
    let weight = 60 * ROW + 60 * 90 * ELEMENT_WEIGHT;
    let (all, none): (Vec<u32>, _) = ((0..60).collect(), batch(&[], 1));
    weighs(&[block], &[&all], &added(&[], &none), weight);
    // Elements that are all zero take no bit: the length of their block says nothing about them.
    let zeros: Vec<(usize, u32)> = (0..60).map(|n| (0, 5000 + n)).collect();
    let zeros = batch(&zeros, 0);
    let (out, written) = built(&zeros, &mut layouts);
    let block = block_at(&out, written.start, &layouts[written.layout]);
    let total: u64 = (0..60).map(|n| 5000 + n).sum();
    weighs(
        &[block],
        &[&all],
        &added(&[], &none),
        60 * ROW + total * ELEMENT_WEIGHT,
    );
    let ones: Vec<(usize, u32)> = (0..60).map(|n| (0, 50 + n)).collect();
    let ones = batch(&ones, 1);
    let (out, written) = built(&ones, &mut layouts);
    let block = block_at(&out, written.start, &layouts[written.layout]);
    let most = 60 * ROW + block.length() as u64 * 8 * ELEMENT_WEIGHT;
    assert!(!looks(&[block], &added(&[], &none), most));
    assert!(looks(&[block], &added(&[], &none), most - 1));
}
