//! Tests of layouts.

use super::share::MAX_LAYOUTS;
use super::*;

mod bits;
mod shared;

fn need(min: i64, max: i64) -> Need {
    Need {
        min: min as u64,
        max: max as u64,
        ..Need::NONE
    }
}

#[test]
fn words_of_every_width_come_back() {
    for width in 1..=64_u32 {
        let high = if width == 64 {
            i64::MAX
        } else {
            ((1_u128 << (width - 1)) as i64).wrapping_sub(1).max(0)
        };
        for low in [0, -high, i64::MIN] {
            let kinds = [ColumnKind::Fixed(0); 3];
            let needs = [need(0, 1), need(low, high), need(-5, 5)];
            let layout = Layout::tightest(&kinds, &needs, &[]);
            assert!(layout.fits(&kinds, &needs), "width {width} low {low}");
            let mut row = vec![0; layout.row as usize + 8];
            for (slots, value) in layout.slots.iter().zip([1, low, -5]) {
                slots.main.write(&mut row, 0, value as u64);
            }
            let back: Vec<i64> = layout
                .slots
                .iter()
                .map(|s| s.main.read(&row, 0) as i64)
                .collect();
            assert_eq!(back, [1, low, -5]);
        }
    }
}

#[test]
fn an_outlier_gets_a_layout_of_its_own() {
    let kinds = [ColumnKind::Fixed(0)];
    let mut layouts = Vec::new();
    let extent = Extent { rows: 1, heap: 0 };
    let narrow = choose(&mut layouts, &kinds, &[need(0, 1000)], &[], 2047, extent);
    let wide = choose(&mut layouts, &kinds, &[need(0, 1 << 40)], &[], 2047, extent);
    assert_ne!(narrow, wide);
    assert_eq!(
        choose(&mut layouts, &kinds, &[need(3, 900)], &[], 2047, extent),
        narrow
    );
}

/// Every block asks for twice as much of one column as any block before it.
#[test]
fn a_type_never_asks_for_more_layouts_than_a_block_can_name() {
    use super::share::MAX_WIDER;
    use grotto_format::limits::CELL_WEIGHT;
    let kinds = vec![ColumnKind::Fixed(0); 64];
    let first = [3, 9];
    let mut layouts = Vec::new();
    let mut needs = vec![need(0, 0); kinds.len()];
    for step in 0..60 * kinds.len() {
        let (column, bits) = (step % kinds.len(), step / kinds.len() + 1);
        needs[column] = need(-1 << bits, 1 << bits);
        needs[column].null = bits % 7 == 0;
        let extent = Extent { rows: 512, heap: 0 };
        let position = choose(&mut layouts, &kinds, &needs, &first, 2047, extent);
        let layout = &layouts[position];
        assert!(
            layout.fits(&kinds, &needs),
            "column {column} of {bits} bits"
        );
        assert!(u64::from(layout.row) <= CELL_WEIGHT * kinds.len() as u64);
    }
    assert!(layouts.len() > MAX_LAYOUTS, "{} layouts", layouts.len());
    assert!(layouts.len() <= MAX_WIDER + 1, "{} layouts", layouts.len());
}

#[test]
fn a_row_never_takes_more_than_the_weight_of_its_values() {
    use grotto_format::limits::{CELL_WEIGHT, MAX_BLOCK_WEIGHT};
    for kind in [
        ColumnKind::Fixed(0),
        ColumnKind::Fixed(8),
        ColumnKind::Var(true),
        ColumnKind::Elements(2),
    ] {
        let most = Need {
            min: i64::MIN as u64,
            max: match kind {
                ColumnKind::Fixed(_) => i64::MAX as u64,
                _ => MAX_BLOCK_WEIGHT,
            },
            length: MAX_BLOCK_WEIGHT,
            element: u32::MAX,
            null: true,
        };
        for columns in [1, 2, 7, 1024] {
            let (kinds, needs) = (vec![kind; columns], vec![most; columns]);
            let first: Vec<u16> = (0..columns.min(32) as u16).collect();
            let row = Layout::tightest(&kinds, &needs, &first).row;
            assert!(u64::from(row) <= CELL_WEIGHT * columns as u64, "{kind:?}");
        }
    }
}

#[test]
fn blocks_of_rising_values_do_not_each_get_a_layout() {
    let kinds = [ColumnKind::Fixed(0), ColumnKind::Var(true)];
    let mut layouts = Vec::new();
    for block in 0..100_000_i64 {
        let extent = Extent {
            rows: 2048,
            heap: 1000,
        };
        let needs = [
            need(block * 2048, block * 2048 + 2047),
            Need {
                max: extent.end(8),
                length: 9,
                ..Need::NONE
            },
        ];
        let position = choose(&mut layouts, &kinds, &needs, &[0], 2047, extent);
        assert!(
            layouts[position].fits(&kinds, &needs) && layouts[position].reaches(&kinds, extent),
            "block {block}"
        );
    }
    assert!(
        layouts.len() < MAX_LAYOUTS + 64,
        "{} layouts",
        layouts.len()
    );
}
