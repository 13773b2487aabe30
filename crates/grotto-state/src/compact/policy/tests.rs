//! The choice among given sizes. Owns nothing.

mod played;

use super::*;

fn size(bytes: u64, live: u64) -> Size {
    Size { bytes, live }
}

/// Budgets a thousandth of the default ones: a segment of 2,000 bytes is large.
const OPTIONS: SegmentOptions = SegmentOptions {
    seal_at: 64_000,
    move_at_least: 2_000,
    move_per_written: 3,
    dead_percent: 25,
    merge_at: 8,
    large_segments: 2048,
};

fn choose(sizes: &[Size]) -> Option<usize> {
    Policy::new(&OPTIONS, sizes, 0).choose(sizes)
}

#[test]
fn nothing_is_moved_while_little_is_dead() {
    assert_eq!(choose(&[]), None);
    let quarter = [size(10_000, 7_500), size(10_000, 7_500)];
    assert_eq!(choose(&quarter), None);
    let more = [size(10_000, 7_500), size(10_000, 7_499)];
    assert_eq!(choose(&more), Some(1));
    let little = [size(32, 1), size(10, 10)];
    assert_eq!(
        choose(&little),
        None,
        "a 64th of the budget is not worth it"
    );
    let enough = [size(33, 1), size(10, 10)];
    assert_eq!(choose(&enough), Some(0));
}

#[test]
fn the_victim_is_the_one_that_frees_most_for_what_it_costs() {
    let sizes = [
        size(64_000, 32_000),
        size(9_000, 3_000),
        size(30_000, 12_000),
        size(5_000, 5_000),
    ];
    assert_eq!(choose(&sizes), Some(1));
    // As large a share, and more of it: then nothing is lost by the larger one.
    assert_eq!(choose(&[size(3_000, 2_000), size(30_000, 20_000)]), Some(1));
}

#[test]
fn segments_without_dead_bytes_and_free_slots_are_never_emptied_for_room() {
    let sizes = [
        size(0, 0),
        size(4_000, 4_000),
        size(20_000, 10_000),
        size(0, 0),
    ];
    assert_eq!(choose(&sizes), Some(2));
    assert_eq!(choose(&[size(0, 0), size(9_000, 9_000)]), None);
}

#[test]
fn small_segments_are_merged_when_there_are_several_of_one_size() {
    let seven = vec![size(300, 300); 7];
    assert_eq!(choose(&seven), None);
    let mut eight = vec![size(300, 300); 8];
    assert!(choose(&eight).is_some());
    // Which of them go is decided when the refresh begins, or one of eight would be moved alone.
    let policy = Policy::new(&OPTIONS, &eight, 0);
    eight.truncate(1);
    assert_eq!(policy.choose(&eight), Some(0));
}

#[test]
fn segments_of_several_sizes_are_not_merged_with_each_other() {
    // Classes end at 2,000, 250, 31 and 3.
    let mut sizes: Vec<Size> = [1_999, 250, 249, 31, 30, 3]
        .into_iter()
        .flat_map(|live| [size(live, live); 3])
        .collect();
    assert_eq!(choose(&sizes), None);
    sizes.extend([size(100, 100), size(100, 100)]);
    let merged = choose(&sizes).unwrap();
    assert!(
        sizes[merged].live <= 31,
        "the smallest of them first: {merged}"
    );
    let policy = Policy::new(&OPTIONS, &sizes, 0);
    let without: Vec<Size> = sizes
        .iter()
        .copied()
        .filter(|size| size.live >= 250)
        .collect();
    assert_eq!(
        policy.choose(&without),
        None,
        "larger ones stay as they are"
    );
}

#[test]
fn large_segments_are_never_merged() {
    assert_eq!(choose(&[size(2_000, 2_000); 500]), None);
    assert_eq!(
        choose(&[size(2_000, 1_600); 500]),
        None,
        "nor those that were"
    );
    assert!(choose(&[size(1_999, 1_999); 500]).is_some());
}

#[test]
fn a_slot_is_worth_as_much_as_a_large_segment() {
    let mut sizes = vec![size(400, 400); 8];
    sizes.push(size(64_000, 30_000));
    let chosen = choose(&sizes).unwrap();
    assert!(chosen < 8, "2,000 for 400 is more than 34,000 for 30,000");
    sizes[8] = size(64_000, 3_000);
    assert_eq!(choose(&sizes), Some(8), "61,000 for 3,000 is more");
}

#[test]
fn a_refresh_moves_what_it_wrote_three_times_or_the_least() {
    let budget = |sizes: &[Size], written| Policy::new(&OPTIONS, sizes, written).budget;
    let one = [size(64_000, 30_000)];
    assert_eq!(budget(&one, 0), 2_000);
    assert_eq!(budget(&one, 666), 2_000);
    assert_eq!(budget(&one, 667), 2_001);
    let huge = [size(2048 * 9_000, 2048 * 8_000)];
    assert_eq!(budget(&huge, 0), 8_000, "a share of what lives");
    let never = Policy::new(&SegmentOptions::NEVER_MOVE, &huge, 1 << 40);
    assert_eq!((never.budget, never.choose(&huge)), (0, None));
}

#[test]
fn a_refresh_that_may_move_more_merges_larger_segments() {
    let sizes = [size(2_500, 2_500); 8];
    assert_eq!(Policy::new(&OPTIONS, &sizes, 833).choose(&sizes), None);
    assert!(Policy::new(&OPTIONS, &sizes, 834).choose(&sizes).is_some());
}

#[test]
fn segments_as_large_as_they_are_sealed_are_not_merged_however_much_was_written() {
    let full = [size(64_000, 64_000); 100];
    assert_eq!(Policy::new(&OPTIONS, &full, 1_000_000).choose(&full), None);
    let short = [size(63_999, 63_999); 100];
    let policy = Policy::new(&OPTIONS, &short, 1_000_000);
    assert!(policy.choose(&short).is_some());
}
