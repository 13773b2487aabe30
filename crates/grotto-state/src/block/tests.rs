//! Tests of blocks: what a null reads as, however its block was written.

use super::*;
use grotto_format::batch::Value;

mod rows;
mod weights;

const KINDS: [ColumnKind; 5] = [
    ColumnKind::Fixed(0),
    ColumnKind::Fixed(4),
    ColumnKind::Fixed(8),
    ColumnKind::Var(true),
    ColumnKind::Elements(1),
];

const TYPE: BlockType<'static> = BlockType {
    kinds: &KINDS,
    first: &[],
    span: 9,
};

/// Rows of a number each, far from zero in every column; `None` is null in every column.
fn batch(rows: &[Option<u64>]) -> Batch {
    let mut batch = Batch::new(&KINDS);
    for row in rows {
        let text = row.map(|n| format!("text {n}"));
        let elements = row.map(|n| [n as u32, 7]);
        let word = row.map_or(Value::Null, Value::Fixed);
        let text = text
            .as_ref()
            .map_or(Value::Null, |t| Value::Var(t.as_bytes()));
        let elements = elements
            .as_ref()
            .map_or(Value::Null, |e| Value::Elements(e));
        let values = [word, word, word, text, elements];
        for (column, value) in batch.columns.iter_mut().zip(values) {
            column.push(value);
        }
        batch.rows += 1;
    }
    batch
}

fn added<'a>(positions: &'a [u32], batch: &'a Batch) -> Added<'a> {
    Added {
        positions,
        batch,
        first_row: 0,
    }
}

/// Every column of every row is as expected, read without asking for nulls first.
#[track_caller]
fn check(block: BlockRef<'_>, expected: &[Option<u64>]) {
    for (position, expected) in (0..).zip(expected) {
        let row = block.row(position);
        let [int, float, double, text, elements] = block.layout.slots.as_slice() else {
            panic!("five columns")
        };
        for number in [int, float, double] {
            assert_eq!(
                number.word(block.bytes, row),
                expected.unwrap_or(0),
                "row {position}"
            );
            assert_eq!(number.null.read(block.bytes, row) == 1, expected.is_none());
        }
        let found = read_var(block.bytes, block.start, row, text).unwrap();
        let shown = expected.map_or(String::new(), |n| format!("text {n}"));
        assert_eq!(found, shown.as_bytes());
        let found = Elements::read(block.bytes, block.start, row, elements).unwrap();
        let shown = expected.map_or(Vec::new(), |n| vec![n as u32, 7]);
        assert!(found.eq(shown), "row {position}");
    }
}

fn block_at<'a>(out: &'a Buffer, start: usize, layout: &'a Layout) -> BlockRef<'a> {
    BlockRef {
        bytes: &out.bytes,
        start,
        layout,
    }
}

#[test]
fn nulls_read_as_defaults_in_blocks_built_patched_and_rebuilt() {
    let mut rows: Vec<Option<u64>> = (0..64).map(|n| (n % 3 > 0).then_some(2000 + n)).collect();
    let (mut layouts, mut out) = (Vec::new(), Buffer::default());
    let first = batch(&rows);
    let positions: Vec<u32> = (0..64).collect();
    let built = rebuild(
        &TYPE,
        &mut layouts,
        &Kept::NONE,
        &added(&positions, &first),
        &mut out,
    )
    .unwrap();
    out.bytes.resize(out.bytes.len() + 8);
    check(block_at(&out, built.start, &layouts[built.layout]), &rows);

    // A null where a value was, a value where a null was, and one of each where the same was.
    let change = [None, Some(2050), None, Some(2001)];
    let at = [1, 3, 6, 7];
    let kept: Vec<u32> = (0..64).filter(|p| !at.contains(p)).collect();
    at.iter()
        .zip(change)
        .for_each(|(p, row)| rows[*p as usize] = row);
    let second = batch(&change);
    let mut patched = Buffer::default();
    let old = block_at(&out, built.start, &layouts[built.layout]);
    let start = patch(&TYPE, old, &kept, &added(&at, &second), &mut patched);
    let start = start.expect("values that fit are patched in");
    patched.bytes.resize(patched.bytes.len() + 8);
    let layout = layouts[built.layout].clone();
    check(block_at(&patched, start, &layout), &rows);

    // An outlier asks for another layout, so that old rows are copied one by one.
    let change = [Some(1 << 30), None];
    let at = [10, 11];
    let kept: Vec<u32> = (0..64).filter(|p| !at.contains(p)).collect();
    at.iter()
        .zip(change)
        .for_each(|(p, row)| rows[*p as usize] = row);
    let third = batch(&change);
    let mut rebuilt = Buffer::default();
    let old = block_at(&patched, start, &layout);
    assert!(
        patch(
            &TYPE,
            old,
            &kept,
            &added(&at, &third),
            &mut Buffer::default()
        )
        .is_none()
    );
    let written = rebuild(
        &TYPE,
        &mut layouts,
        &Kept {
            positions: kept.clone(),
            pieces: vec![(old, kept)],
        },
        &added(&at, &third),
        &mut rebuilt,
    );
    let written = written.unwrap();
    rebuilt.bytes.resize(rebuilt.bytes.len() + 8);
    let layout = &layouts[written.layout];
    check(block_at(&rebuilt, written.start, layout), &rows);
}
