//! Rows of every length, in blocks that do not begin where their buffer does. Owns nothing.

use super::super::columns::{gather, pack_elements};
use super::super::fresh::Source;
use super::*;
use crate::layout::{Extent, Need};

/// A row: a number far from zero, a text and elements of any length; `None` is null.
#[derive(Clone, Debug, Default, PartialEq)]
struct Row {
    number: Option<u64>,
    text: Option<String>,
    elements: Option<Vec<u32>>,
}

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

fn row(n: u64) -> Row {
    let some = |every: u64| !n.is_multiple_of(every);
    Row {
        number: some(5).then_some(90_000 + n * 7 % 1000),
        text: some(7).then(|| "x".repeat((n * 13 % 40) as usize)),
        elements: some(3).then(|| (0..n % 11).map(|at| (n * 31 + at) as u32 % 3000).collect()),
    }
}

fn batch(rows: &[Row]) -> Batch {
    let mut batch = Batch::new(&KINDS);
    for row in rows {
        let values = [
            row.number.map_or(Value::Null, Value::Fixed),
            row.text
                .as_ref()
                .map_or(Value::Null, |text| Value::Var(text.as_bytes())),
            row.elements
                .as_ref()
                .map_or(Value::Null, |elements| Value::Elements(elements)),
        ];
        for (column, value) in batch.columns.iter_mut().zip(values) {
            column.push(value);
        }
        batch.rows += 1;
    }
    batch
}

fn read(block: BlockRef<'_>, position: u32) -> Row {
    let at = block.row(position);
    let [number, text, elements] = block.layout.slots.as_slice() else {
        panic!("three columns")
    };
    let is_some = |slots: &Slots| slots.null.read(block.bytes, at) == 0;
    let found_text = read_var(block.bytes, block.start, at, text).unwrap();
    let found = Elements::read(block.bytes, block.start, at, elements).unwrap();
    let listed: Vec<u32> = (0..found.len()).map(|i| found.get(i).unwrap()).collect();
    assert_eq!(found.get(listed.len()), None);
    assert!(found.eq(listed.iter().copied()), "one way as the other");
    Row {
        number: is_some(number).then(|| number.word(block.bytes, at)),
        text: is_some(text).then(|| String::from_utf8(found_text.to_vec()).unwrap()),
        elements: is_some(elements).then_some(listed),
    }
}

#[track_caller]
fn check_rows(block: BlockRef<'_>, expected: &[Row]) {
    assert_eq!(block.rows() as usize, expected.len());
    let end = length_at(block.bytes, block.start).unwrap();
    assert_eq!(end, block.length());
    for (position, row) in (0..).zip(expected) {
        assert_eq!(read(block, position), *row, "row {position}");
    }
}

/// Rows `first..` of a batch in a block of their own, behind something else in its buffer.
fn built(
    batch: &Batch,
    first_row: usize,
    count: u32,
    layouts: &mut Vec<Layout>,
) -> (Buffer, Written) {
    let mut out = Buffer::default();
    out.put(&[0xee; 100]);
    let positions: Vec<u32> = (0..count).collect();
    let added = Added {
        positions: &positions,
        batch,
        first_row,
    };
    let written = rebuild(&TYPE, layouts, &Kept::NONE, &added, &mut out).unwrap();
    out.bytes.extend_from_slice(&[0xee; 100]);
    (out, written)
}

#[test]
fn rows_from_the_middle_of_a_batch_come_back() {
    let rows: Vec<Row> = (0..300).map(row).collect();
    let batch = batch(&rows);
    for (first, count) in [(0, 300), (1, 1), (37, 200), (299, 1), (3, 0)] {
        let mut layouts = Vec::new();
        let (out, written) = built(&batch, first, count, &mut layouts);
        let block = block_at(&out, written.start, &layouts[written.layout]);
        check_rows(block, &rows[first..first + count as usize]);
    }
}

#[test]
fn rows_that_replace_others_come_back_beside_those_that_stay() {
    let mut rows: Vec<Row> = (0..120).map(row).collect();
    for (shift, gone) in [(1_000_u64, 20_u32), (4_000, 3), (9_000, 24)] {
        let first = batch(&rows);
        let mut layouts = Vec::new();
        let (out, written) = built(&first, 0, 120, &mut layouts);
        let old = block_at(&out, written.start, &layouts[written.layout]);
        let at: Vec<u32> = (0..gone).map(|i| i * 4 + 1).collect();
        let kept: Vec<u32> = (0..120).filter(|p| !at.contains(p)).collect();
        let new: Vec<Row> = at.iter().map(|p| row(shift + u64::from(*p))).collect();
        let changed = batch(&new);
        for (position, row) in at.iter().zip(&new) {
            rows[*position as usize] = row.clone();
        }
        let mut patched = Buffer::default();
        patched.put(&[0xee; 70]);
        let added = added(&at, &changed);
        let start = patch(&TYPE, old, &kept, &added, &mut patched);
        let start = start.unwrap_or_else(|| panic!("{gone} rows of {shift} do not fit"));
        patched.bytes.extend_from_slice(&[0xee; 100]);
        check_rows(block_at(&patched, start, old.layout), &rows);

        let mut all = Buffer::default();
        all.put(&[0xee; 70]);
        let kept = Kept {
            positions: kept.clone(),
            pieces: vec![(old, kept)],
        };
        let mut others = layouts.clone();
        let written = rebuild(&TYPE, &mut others, &kept, &added, &mut all).unwrap();
        all.bytes.extend_from_slice(&[0xee; 100]);
        check_rows(
            block_at(&all, written.start, &others[written.layout]),
            &rows,
        );
    }
}

#[test]
fn rows_of_two_blocks_come_together_with_new_ones() {
    let rows: Vec<Row> = (0..90).map(row).collect();
    let batch = batch(&rows);
    let mut layouts = Vec::new();
    let (one, first) = built(&batch, 0, 30, &mut layouts);
    let (other, second) = built(&batch, 30, 30, &mut layouts);
    let pieces = vec![
        (
            block_at(&one, first.start, &layouts[first.layout]),
            (0..30).collect(),
        ),
        (
            block_at(&other, second.start, &layouts[second.layout]),
            (0..30).collect(),
        ),
    ];
    let kept = Kept {
        positions: (0..60).collect(),
        pieces,
    };
    let positions: Vec<u32> = (60..90).collect();
    let added = Added {
        positions: &positions,
        batch: &batch,
        first_row: 60,
    };
    let (mut out, mut all) = (Buffer::default(), layouts.clone());
    let written = rebuild(&TYPE, &mut all, &kept, &added, &mut out).unwrap();
    out.bytes.extend_from_slice(&[0; 8]);
    check_rows(block_at(&out, written.start, &all[written.layout]), &rows);
}

/// Whether a block of equal rows is patched, of which some went and one comes to a position.
fn is_patched(gone: u32, position: u32, text: usize) -> bool {
    let row = |length: usize| Row {
        text: Some("y".repeat(length)),
        ..Row::default()
    };
    let rows = vec![row(100); 40];
    let mut layouts = Vec::new();
    let (out, written) = built(&batch(&rows), 0, 40, &mut layouts);
    let old = block_at(&out, written.start, &layouts[written.layout]);
    let kept: Vec<u32> = (gone..40).collect();
    let one = batch(&[row(text)]);
    patch(
        &TYPE,
        old,
        &kept,
        &added(&[position], &one),
        &mut Buffer::default(),
    )
    .is_some()
}

#[test]
fn a_block_is_patched_while_a_quarter_of_its_heap_is_dead_and_the_row_is_there() {
    // The heap holds a few bytes beside the texts.
    assert!(is_patched(10, 0, 100));
    assert!(!is_patched(11, 0, 100), "more than a quarter is dead");
    assert!(is_patched(1, 39, 100));
    assert!(!is_patched(1, 40, 100), "rows are missing at its end");
    assert!(!is_patched(1, 0, 128), "longer than the layout can say");
}

#[test]
fn a_block_whose_rows_reach_past_its_end_is_not_patched() {
    let rows: Vec<Row> = (0..40).map(row).collect();
    let mut layouts = Vec::new();
    let (mut out, written) = built(&batch(&rows), 0, 40, &mut layouts);
    let (start, layout) = (written.start, &layouts[written.layout]);
    let kept: Vec<u32> = (0..40).filter(|p| *p != 8).collect();
    let one = batch(&[row(8)]);
    let mut is_patched = |rows: u32| {
        out.bytes[start + 4..start + 8].copy_from_slice(&rows.to_le_bytes());
        let old = block_at(&out, start, layout);
        let added = added(&[8], &one);
        patch(&TYPE, old, &kept, &added, &mut Buffer::default()).is_some()
    };
    let length = length_at(&out_bytes(&rows), 0).unwrap();
    let most = (length - HEADER) as u32 / layout.row;
    assert!(is_patched(40) && is_patched(most));
    assert!(!is_patched(most + 1) && !is_patched(u32::MAX));
}

/// A block of these rows alone.
fn out_bytes(rows: &[Row]) -> Vec<u8> {
    let (out, written) = built(&batch(rows), 0, rows.len() as u32, &mut Vec::new());
    out.bytes[written.start..].to_vec()
}

#[test]
fn rows_are_as_narrow_as_their_values_ask() {
    let rows = |null: bool| {
        let number = |n: u64| Row {
            number: (!null || n > 0).then_some(5_000 + n % 2),
            text: Some("x".repeat(n as usize % 2)),
            elements: Some(Vec::new()),
        };
        (0..8).map(number).collect::<Vec<Row>>()
    };
    for null in [false, true] {
        let rows = rows(null);
        let mut layouts = Vec::new();
        let (out, written) = built(&batch(&rows), 0, 8, &mut layouts);
        let layout = &layouts[written.layout];
        check_rows(block_at(&out, written.start, layout), &rows);
        let nulls = layout.slots.iter().map(|slots| !slots.null.is_constant());
        assert_eq!(nulls.collect::<Vec<_>>(), [null, false, false]);
        assert!(layout.row <= 3, "{} bytes a row", layout.row);
    }
}

#[test]
fn texts_from_the_middle_of_a_batch_ask_for_their_own_bytes() {
    let rows: Vec<Row> = (0..50).map(row).collect();
    let batch = batch(&rows);
    let source = Source {
        column: &batch.columns[1],
        rows: 20..40,
    };
    let lengths = || {
        rows[20..40]
            .iter()
            .map(|row| row.text.as_ref().map_or(0, String::len) as u64)
    };
    let (need, heap) = source.need(KINDS[1]);
    assert_eq!(
        (need.length, heap),
        (lengths().max().unwrap(), lengths().sum())
    );
    let (mut heap, kept) = (Vec::new(), [3, 255, 0]);
    pack_elements(&kept, 8, &mut heap);
    assert_eq!(heap, [3, 255, 0], "whole bytes end no byte later");
}

#[test]
fn the_heap_never_takes_more_than_was_said_and_not_much_less() {
    for (length, value) in [(1, 1), (1, u32::MAX), (9, 1 << 20), (40, u32::MAX)] {
        let rows = vec![
            Row {
                elements: Some(vec![value; length]),
                ..Row::default()
            };
            50
        ];
        let batch = batch(&rows);
        let positions: Vec<u32> = (0..50).collect();
        let added = added(&positions, &batch);
        let column = &gather(&KINDS, &Kept::NONE, &added)[2];
        let (need, most) = column.need(KINDS[2]);
        assert_eq!((need.length, need.element), (length as u64, value));
        let mut heap = Vec::new();
        let width = crate::layout::bits(u64::from(value));
        for row in &rows {
            pack_elements(row.elements.as_ref().unwrap(), width, &mut heap);
        }
        let taken = heap.len() as u64;
        assert!(taken <= most, "{taken} of {most} bytes");
        assert!(most <= 50 * (4 * length as u64 + 1), "{most} bytes");
        let mut layouts = Vec::new();
        let (out, written) = built(&batch, 0, 50, &mut layouts);
        let block = block_at(&out, written.start, &layouts[written.layout]);
        check_rows(block, &rows);
        let source = Source {
            column: &batch.columns[2],
            rows: 0..50,
        };
        let (same, said) = source.need(KINDS[2]);
        assert_eq!(
            (same.length, same.element, said),
            (need.length, need.element, most)
        );
    }
}

#[test]
fn what_a_batch_takes_is_estimated_to_a_third() {
    let spread = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for column in 0..3 {
        let rows = (0..500).map(|n| {
            let mut row = Row::default();
            match column {
                0 => row.number = Some(spread(n) >> 32),
                1 => row.text = Some("z".repeat((spread(n) >> 58) as usize)),
                _ => {
                    let elements = (0..spread(n) >> 60).map(|at| spread(at) as u32 >> 8);
                    row.elements = Some(elements.collect());
                }
            }
            row
        });
        let rows: Vec<Row> = rows.collect();
        let batch = batch(&rows);
        let mut layouts = Vec::new();
        let (out, written) = built(&batch, 0, 500, &mut layouts);
        let block = block_at(&out, written.start, &layouts[written.layout]);
        // The words of nulls count too, which cost a block nothing.
        let nulls = Batch::new(&KINDS);
        assert_eq!(estimate_bytes(&nulls), 0);
        let (found, estimated) = (block.length() as u64, estimate_bytes(&batch));
        assert!(
            estimated * 3 >= found * 2 && estimated <= found * 4,
            "{estimated} for {found} bytes"
        );
    }
}

#[test]
fn a_block_begins_its_heap_where_its_extent_says() {
    let layout = Layout {
        row: 13,
        ..Layout::NONE.clone()
    };
    for rows in [0, 1, 512] {
        let mut out = Buffer::default();
        let (_, heap) = super::super::write::begin(rows, &layout, 5, &mut out).unwrap();
        assert_eq!(heap as u64 + 5, Extent { rows, heap: 5 }.end(13));
    }
    let most = MAX_BLOCK - Extent { rows: 1, heap: 0 }.end(13);
    let begun = |heap| super::super::write::begin(1, &layout, heap, &mut Buffer::default());
    assert!(begun(most).is_ok());
    assert_eq!(begun(most + 1).unwrap_err().0, MAX_BLOCK + 1);
}

#[test]
fn an_absent_need_asks_for_nothing() {
    let layout = Layout::tightest(&KINDS, &[Need::NONE; 3], &[]);
    assert_eq!(layout.row, 1);
}
