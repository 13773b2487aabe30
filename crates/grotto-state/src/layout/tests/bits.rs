//! Where the bits of a row are: frames, order, and layouts from a file that cannot be right. Owns nothing.

use super::*;

/// A slot of `width` bits that begins at `bit` of a row.
fn slot(bit: u32, width: u32) -> BitSlot {
    BitSlot {
        byte: bit / 8,
        shift: bit % 8,
        mask: match width {
            64 => u64::MAX,
            _ => (1 << width) - 1,
        },
        base: 0,
    }
}

/// A layout of one column in rows of ten bytes, in blocks of 512.
fn layout() -> Layout {
    Layout {
        row: 10,
        mask: 511,
        slots: vec![Slots {
            main: slot(0, 64),
            length: slot(64, 10),
            null: slot(79, 1),
            element: 32,
        }],
        dropped: Vec::new(),
    }
}

#[test]
fn layouts_that_read_outside_of_a_row_or_a_word_are_unsound() {
    let sound = |change: fn(&mut Slots)| {
        let mut changed = layout();
        change(&mut changed.slots[0]);
        let column = changed.is_sound(9);
        // The same of a field that is on its way out.
        let mut changed = layout();
        let mut slots = changed.slots[0];
        change(&mut slots);
        let (seed, kind) = (1, 0);
        changed.dropped.push(Dropped { seed, kind, slots });
        assert_eq!(changed.is_sound(9), column);
        column
    };
    assert!(sound(|_| ()));
    assert!(sound(|slots| slots.main = slot(16, 64)));
    assert!(
        !sound(|slots| slots.main = slot(1, 64)),
        "a bit more than a word"
    );
    assert!(sound(|slots| slots.main = slot(17, 63)));
    assert!(sound(|slots| slots.main = slot(17, 57)));
    assert!(
        !sound(|slots| slots.main = slot(24, 57)),
        "ends a bit behind the row"
    );
    assert!(!sound(|slots| slots.null = slot(80, 1)));
    assert!(!sound(|slots| slots.length = slot(71, 10)));
    assert!(sound(|slots| slots.length = slot(70, 10)));
    // What takes no room is nowhere, but it must not be shifted by more than a word.
    assert!(sound(|slots| slots.main = BitSlot {
        byte: 99,
        ..BitSlot::constant(4)
    }));
    assert!(!sound(|slots| slots.main = BitSlot {
        shift: 64,
        ..BitSlot::constant(4)
    }));
    assert!(!sound(|slots| slots.main = BitSlot {
        shift: 64,
        ..slot(0, 1)
    }));
    assert!(!sound(|slots| slots.element = 33));
    assert!(!sound(|slots| slots.length.base = 1));
    let lengths = |mask| {
        let mut wide = layout();
        wide.row = 30;
        wide.slots[0].length = BitSlot {
            mask,
            ..slot(64, 1)
        };
        wide.is_sound(9)
    };
    // No block has more elements than bits.
    let most = MAX_BLOCK.next_power_of_two() * 8;
    assert!(lengths(most) && !lengths(most + 1));
}

#[test]
fn blocks_hold_whole_entries_of_their_table() {
    let sound = |mask, shift| Layout { mask, ..layout() }.is_sound(shift);
    assert!(sound(511, 9) && sound(2047, 9) && sound(511, 0));
    assert!(!sound(511, 10), "half an entry");
    for mask in [0, 510, 512, u32::MAX] {
        assert!(!sound(mask, 9), "{mask}");
    }
    let entries = |mask, shift| Layout { mask, ..layout() }.entries(shift);
    assert_eq!(
        (entries(511, 9), entries(2047, 9), entries(0, 9)),
        (1, 4, 1)
    );
}

/// Base and width by trying all: the narrowest width of which a base on its grid holds the range.
fn narrowest(low: i64, high: i64) -> (i64, u32) {
    let grid = |width: u32| 1_i64 << width.saturating_sub(2);
    let holds = |base: i64, width: u32| base <= low && high - base < 1 << width;
    let mut bases = (0..40_u32).map(|width| {
        let base = (-200..=200).map(|step| step * grid(width));
        // From zero if it can be: more blocks have that base.
        let base = base.filter(|base| holds(*base, width));
        (base.min_by_key(|base| (*base != 0, -base)), width)
    });
    let found = bases.find_map(|(base, width)| Some((base?, width)));
    found.unwrap()
}

#[test]
fn a_frame_is_as_narrow_as_its_grid_lets_it_be() {
    for low in -40_i64..=40 {
        for high in low..=low + 70 {
            let (base, width) = frame(low as u64, high as u64);
            assert_eq!(
                (base as i64, width),
                narrowest(low, high),
                "{low} to {high}"
            );
        }
    }
}

#[test]
fn a_frame_of_more_bits_than_a_load_shifts_takes_a_word() {
    let of = |low: i64, high: i64| frame(low as u64, high as u64);
    assert_eq!(of(0, (1 << 57) - 1), (0, 57));
    assert_eq!(of(0, 1 << 57), (0, 64));
    assert_eq!(of(-(1 << 57), -1), ((-1_i64 << 57) as u64, 57));
    assert_eq!(of(i64::MIN, i64::MAX), (0, 64));
    assert_eq!(of(i64::MIN, i64::MIN), (i64::MIN as u64, 0));
}

#[test]
fn the_key_begins_a_row_and_no_row_has_a_gap() {
    use ColumnKind::{Elements, Fixed, Var};
    let wide = need(0, (1 << 57) - 1);
    let var = Need {
        max: 1000,
        length: 7,
        element: 500,
        null: true,
        ..Need::NONE
    };
    let cases: [(&[ColumnKind], &[Need], &[u16]); 6] = [
        (
            &[Fixed(0), Fixed(0), Fixed(0)],
            &[need(0, 5), need(0, 1), need(0, 255)],
            &[2],
        ),
        (
            &[Fixed(0), Fixed(8), Fixed(0)],
            &[wide, need(0, 0), need(0, 127)],
            &[],
        ),
        (
            &[Fixed(0), Fixed(0), Fixed(4)],
            &[need(0, 1), need(0, i64::MAX), need(0, 0)],
            &[],
        ),
        (
            &[Var(true), Fixed(0), Fixed(8)],
            &[var, need(0, 65_535), need(0, 0)],
            &[1],
        ),
        (
            &[Elements(1), Fixed(8), Fixed(0)],
            &[var, need(0, 0), need(0, 255)],
            &[2],
        ),
        (
            &[Fixed(0), Fixed(0), Fixed(4), Fixed(0)],
            &[need(0, 1), need(0, i64::MAX), need(0, 0), need(0, 127)],
            &[],
        ),
    ];
    for (kinds, needs, first) in cases {
        let layout = Layout::tightest(kinds, needs, first);
        let slots = layout
            .slots
            .iter()
            .flat_map(|slots| [slots.main, slots.length, slots.null]);
        let taken: u32 = slots.clone().map(|slot| bits(slot.mask)).sum();
        assert_eq!(layout.row, taken.div_ceil(8), "{kinds:?}");
        for column in first {
            let key = layout.slots[usize::from(*column)].main;
            assert_eq!((key.byte, key.shift), (0, 0), "{kinds:?}");
        }
        // No two share a bit.
        let mut all: Vec<u32> = slots
            .flat_map(|slot| {
                let start = slot.byte * 8 + slot.shift;
                start..start + bits(slot.mask)
            })
            .collect();
        all.sort_unstable();
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "{kinds:?}");
    }
}

#[test]
fn a_layout_fits_what_it_can_hold_and_nothing_more() {
    let kinds = [
        ColumnKind::Fixed(0),
        ColumnKind::Var(true),
        ColumnKind::Elements(1),
    ];
    let most = Need {
        min: 0,
        max: 255,
        length: 15,
        element: 63,
        null: false,
    };
    let needs = [need(64, 127), most, most];
    let layout = Layout::tightest(&kinds, &needs, &[]);
    assert!(layout.fits(&kinds, &needs));
    let fits = |column: usize, change: fn(&mut Need)| {
        let mut needs = needs;
        change(&mut needs[column]);
        layout.fits(&kinds, &needs)
    };
    assert!(!fits(0, |need| need.max = 128) && !fits(0, |need| need.min = 63));
    assert!(!fits(0, |need| need.null = true));
    for column in [1, 2] {
        assert!(!fits(column, |need| need.max = 256), "{column}");
        assert!(!fits(column, |need| need.length = 16), "{column}");
        assert!(!fits(column, |need| need.null = true), "{column}");
    }
    assert!(!fits(2, |need| need.element = 64) && fits(1, |need| need.element = 64));
    assert!(!layout.fits(&kinds, &needs[..2]), "a column more");
    let (seed, kind, slots) = (1, 0, layout.slots[0]);
    let mut leaving = layout.clone();
    leaving.dropped.push(Dropped { seed, kind, slots });
    assert!(
        !leaving.fits(&kinds, &needs),
        "rows still have a field that went"
    );
    let mut absent = layout.clone();
    absent.slots[0] = Slots::ABSENT;
    assert!(
        !absent.fits(&kinds, &[need(0, 0), most, most]),
        "would read as null"
    );
}

#[test]
fn a_word_behind_a_short_key_begins_a_byte() {
    let kinds = [ColumnKind::Fixed(0); 3];
    let needs = [need(0, 5), need(0, i64::MAX), need(0, 3)];
    for first in [&[0][..], &[2, 0], &[]] {
        let layout = Layout {
            mask: 511,
            ..Layout::tightest(&kinds, &needs, first)
        };
        assert!(layout.is_sound(9), "{layout:?}");
    }
}
