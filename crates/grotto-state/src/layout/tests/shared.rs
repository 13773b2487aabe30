//! Layouts that blocks share: which one a block gets, and what a new one has room for. Owns nothing.

use super::*;

const VAR: [ColumnKind; 1] = [ColumnKind::Var(true)];

/// A block of texts: so many rows, and bytes of its heap.
fn texts(rows: u32, heap: u64, length: u64) -> (Need, Extent) {
    let extent = Extent { rows, heap };
    let max = extent.end(4);
    let need = Need {
        max,
        length,
        ..Need::NONE
    };
    (need, extent)
}

#[test]
fn a_block_does_not_share_a_layout_whose_rows_push_its_heap_out_of_reach() {
    let kinds = [ColumnKind::Fixed(8), ColumnKind::Var(true)];
    let mut layouts = Vec::new();
    let small = Extent { rows: 3, heap: 100 };
    let need = |max| {
        let text = Need {
            max,
            length: 9,
            ..Need::NONE
        };
        [Need::NONE, text]
    };
    let first = choose(&mut layouts, &kinds, &need(200), &[], 511, small);
    assert_eq!(
        choose(&mut layouts, &kinds, &need(255), &[], 511, small),
        first
    );
    // As large values, but behind so many rows that eight bits do not say where.
    let large = Extent {
        rows: 100,
        heap: 100,
    };
    assert!(!layouts[first].reaches(&kinds, large));
    let second = choose(&mut layouts, &kinds, &need(255), &[], 511, large);
    assert_ne!(first, second);
    assert!(layouts[second].reaches(&kinds, large));
    let end = large.end(u64::from(layouts[second].row));
    assert!(layouts[second].slots[1].main.holds(0, end));
}

#[test]
fn blocks_of_another_size_have_layouts_of_their_own() {
    let kinds = [ColumnKind::Fixed(0)];
    let extent = Extent { rows: 5, heap: 0 };
    let mut layouts = Vec::new();
    let mut of = |mask| choose(&mut layouts, &kinds, &[need(0, 9)], &[], mask, extent);
    let found = [of(511), of(2047), of(511), of(2047)];
    assert_eq!(found, [0, 1, 0, 1]);
    assert_eq!((layouts[0].mask, layouts[1].mask), (511, 2047));
}

#[test]
fn a_byte_more_in_a_row_of_twelve_is_cheaper_than_a_layout_more() {
    // Rows of 11 and of 12 bytes: a twelfth is one byte of twelve.
    let number = |bytes: u32| need(0, (1 << (bytes * 8)) - 1);
    let extent = Extent { rows: 5, heap: 0 };
    let kinds = [ColumnKind::Fixed(8), ColumnKind::Fixed(0)];
    let shares = |wide: u32, narrow: u32| {
        let mut layouts = Vec::new();
        let mut of = |bytes| {
            let needs = [Need::NONE, number(bytes)];
            choose(&mut layouts, &kinds, &needs, &[], 511, extent)
        };
        of(wide) == of(narrow)
    };
    assert!(shares(5, 4), "13 bytes where 12 would do");
    assert!(!shares(6, 4), "14 bytes where 12 would do");
    assert!(!shares(4, 3), "12 bytes where 11 would do");
}

#[test]
fn the_narrowest_of_the_layouts_that_do_is_taken() {
    let kinds = [ColumnKind::Fixed(0); 2];
    let extent = Extent { rows: 5, heap: 0 };
    let mut layouts = Vec::new();
    let mut of = |high: i64| {
        let needs = [need(0, high), need(0, high)];
        choose(&mut layouts, &kinds, &needs, &[], 511, extent)
    };
    assert_eq!((of(1 << 30), of(200), of(1 << 14), of(150)), (0, 1, 2, 1));
}

/// As many layouts as are tight, each of blocks of another size.
fn many(kinds: &[ColumnKind], needs: &[Need]) -> Vec<Layout> {
    let tight = Layout::tightest(kinds, needs, &[]);
    let with = |mask| Layout {
        mask,
        ..tight.clone()
    };
    (0..MAX_LAYOUTS as u32).map(with).collect()
}

#[test]
fn once_there_are_many_layouts_a_new_one_has_room_for_twice_what_passed_the_others() {
    let kinds = [ColumnKind::Fixed(0); 2];
    let mut layouts = many(&kinds, &[need(1024, 1279), need(-300, 300)]);
    let extent = Extent { rows: 5, heap: 0 };
    let needs = [need(1300, 1400), need(-50, 20)];
    let at = choose(&mut layouts, &kinds, &needs, &[], 511, extent);
    let layout = &layouts[at];
    assert_eq!(at, MAX_LAYOUTS, "a new one");
    let holds = |column: usize, low: i64, high: i64| {
        layout.slots[column].main.holds(low as u64, high as u64)
    };
    // What was there and what is asked for, and as much again where it rose; the column that asked for
    // less has no more room than before.
    assert!(holds(0, 1024, 1776) && holds(1, -300, 300));
    assert!(!holds(0, 1024, 4000));
    assert!(!holds(1, -300, 2000) && !holds(1, -2000, 300));
    let falling = [need(400, 500), need(-50, 20)];
    let at = choose(&mut layouts, &kinds, &falling, &[], 1023, extent);
    let slot = &layouts[at].slots[0].main;
    assert!(slot.holds(-900_i64 as u64, 1776), "{slot:?}");
}

#[test]
fn once_there_are_many_layouts_texts_and_elements_get_room_too() {
    let (short, extent) = texts(100, 300, 7);
    let mut layouts = many(&VAR, &[short]);
    let (long, wide) = texts(100, 20_000, 200);
    let at = choose(&mut layouts, &VAR, &[long], &[], 511, wide);
    let slots = layouts[at].slots[0];
    assert!(slots.length.holds(0, 400), "twice the length: {slots:?}");
    assert!(slots.main.holds(0, 2 * long.max), "{slots:?}");
    assert!(layouts[at].reaches(&VAR, wide) && layouts[at].reaches(&VAR, extent));

    let kinds = [ColumnKind::Elements(1)];
    let lists = |element, length| Need {
        max: extent.end(4),
        length,
        element,
        ..Need::NONE
    };
    let mut layouts = many(&kinds, &[lists(100, 3)]);
    let at = choose(&mut layouts, &kinds, &[lists(50, 9)], &[], 2047, extent);
    assert_eq!(layouts[at].slots[0].element, 7, "what was there is enough");
    layouts.truncate(MAX_LAYOUTS);
    let at = choose(&mut layouts, &kinds, &[lists(300, 2)], &[], 511, extent);
    let slots = layouts[at].slots[0];
    assert_eq!(
        (slots.element, slots.length.mask),
        (10, 3),
        "600 in ten bits, and no more elements"
    );
}

#[test]
fn while_there_are_few_layouts_a_new_one_has_room_for_nothing_that_was_not_asked_for() {
    let kinds = [ColumnKind::Fixed(0), ColumnKind::Fixed(0)];
    let extent = Extent { rows: 5, heap: 0 };
    let mut layouts = Vec::new();
    let mut of = |one, other| {
        let needs = [need(0, one), need(0, other)];
        choose(&mut layouts, &kinds, &needs, &[], 511, extent)
    };
    // One layout for both would make all rows much wider.
    let found = [of(1 << 50, 1), of(1, 1 << 50), of(1 << 49, 0)];
    assert_eq!(found, [0, 1, 0]);
    assert!(!layouts[1].slots[0].main.holds(0, 2));
    // Where it costs nothing, there is room for what the others hold.
    let at = choose(
        &mut layouts,
        &kinds,
        &[need(0, 1 << 50), need(0, 7)],
        &[],
        511,
        extent,
    );
    assert_eq!(at, 2);
    assert!(layouts[2].slots[1].main.holds(0, 7), "{:?}", layouts[2]);
}

#[test]
fn a_layout_for_everything_holds_everything() {
    use super::super::share::MAX_WIDER;
    let kinds = [
        ColumnKind::Fixed(0),
        ColumnKind::Var(true),
        ColumnKind::Elements(1),
    ];
    let tight = Layout::tightest(&kinds, &[Need::NONE; 3], &[]);
    let mut layouts = vec![Layout { mask: 7, ..tight }; MAX_WIDER];
    let extent = Extent { rows: 5, heap: 9 };
    let needs = [need(3, 4), Need::NONE, Need::NONE];
    let at = choose(&mut layouts, &kinds, &needs, &[], 511, extent);
    let most = Need {
        max: MAX_BLOCK,
        length: MAX_BLOCK,
        element: u32::MAX,
        null: true,
        ..Need::NONE
    };
    let number = Need {
        null: true,
        ..need(i64::MIN, i64::MAX)
    };
    assert!(layouts[at].fits(&kinds, &[number, most, most]));
    let again = choose(
        &mut layouts,
        &kinds,
        &[number, most, most],
        &[],
        511,
        extent,
    );
    assert_eq!((at, again), (MAX_WIDER, MAX_WIDER));
}
