//! The choice, and thousands of refreshes played through with sizes alone. Owns nothing.

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

/// Bounds of a run: items of one byte, as many written by each refresh.
struct Run {
    items: usize,
    written: usize,
    least: u64,
    refreshes: usize,
    /// Nine of ten writes go to a tenth of the items.
    skewed: bool,
}

/// What a run came to.
#[derive(Debug, Default)]
struct Worst {
    segments: usize,
    dead: f64,
    moved: u64,
    total_moved: u64,
    total_written: u64,
}

/// A dataset of which only sizes and places are known.
struct Dataset {
    home: Vec<u32>,
    sizes: Vec<Size>,
    items: Vec<Vec<u32>>,
    victim: Option<(usize, usize)>,
    seed: u64,
}

impl Dataset {
    fn loaded(run: &Run) -> Self {
        let all: Vec<u32> = (0..run.items as u32).collect();
        let items: Vec<Vec<u32>> = all
            .chunks(16 * run.least as usize)
            .map(<[u32]>::to_vec)
            .collect();
        let sizes = items
            .iter()
            .map(|of| size(of.len() as u64, of.len() as u64));
        let sizes = sizes.collect();
        let mut home = Vec::new();
        for (slot, of) in items.iter().enumerate() {
            home.resize(home.len() + of.len(), slot as u32);
        }
        Self {
            home,
            sizes,
            items,
            victim: None,
            seed: 0x9e37_79b9,
        }
    }

    fn random(&mut self, below: usize) -> usize {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed % below as u64) as usize
    }

    fn put(&mut self, item: u32, slot: usize) {
        let old = std::mem::replace(&mut self.home[item as usize], slot as u32) as usize;
        self.sizes[old].live -= 1;
        self.items[slot].push(item);
    }

    fn refresh(&mut self, run: &Run, options: &SegmentOptions, worst: &mut Worst) {
        let slot = self.sizes.iter().position(|size| size.bytes == 0);
        let slot = slot.unwrap_or_else(|| {
            self.sizes.push(size(0, 0));
            self.items.push(Vec::new());
            self.sizes.len() - 1
        });
        for _ in 0..run.written {
            let hot = run.skewed && self.random(10) > 0;
            let item = self.random(if hot { run.items / 10 } else { run.items });
            if self.home[item] as usize != slot {
                self.put(item as u32, slot);
            }
        }
        let written = self.items[slot].len() as u64;
        let moved = self.compact(slot, &Policy::new(options, &self.sizes, written));
        let all = self.items[slot].len() as u64;
        self.sizes[slot] = size(all, all);
        for (size, items) in self.sizes.iter_mut().zip(&mut self.items) {
            if size.live == 0 {
                size.bytes = 0;
                items.clear();
            }
        }
        worst.moved = worst.moved.max(moved);
        worst.total_moved += moved;
        worst.total_written += written;
    }

    fn compact(&mut self, slot: usize, policy: &Policy) -> u64 {
        let mut moved = 0;
        while moved < policy.budget {
            let next = self
                .victim
                .or_else(|| Some((policy.choose(&self.sizes)?, 0)));
            let Some((victim, mut at)) = next else { break };
            while self.sizes[victim].live > 0 && moved < policy.budget {
                let item = self.items[victim][at];
                at += 1;
                if self.home[item as usize] as usize == victim {
                    self.put(item, slot);
                    moved += 1;
                }
            }
            self.victim = (self.sizes[victim].live > 0).then_some((victim, at));
            if self.victim.is_none() {
                self.sizes[victim].bytes = 0;
            }
        }
        moved
    }

    fn measure(&self, worst: &mut Worst) {
        let used = self.sizes.iter().filter(|size| size.bytes > 0);
        let bytes: u64 = used.clone().map(|size| size.bytes).sum();
        let dead: u64 = self.sizes.iter().map(|size| size.dead()).sum();
        worst.segments = worst.segments.max(used.count());
        worst.dead = worst.dead.max(dead as f64 / bytes as f64);
    }
}

/// Plays a run; bounds are looked at in its second half, when what a load left is gone, and again
/// against those of its last quarter: nothing may still be growing.
fn play(run: &Run) {
    let options = SegmentOptions {
        move_at_least: run.least,
        ..OPTIONS
    };
    let mut dataset = Dataset::loaded(run);
    let mut worst = [const { None::<Worst> }; 4];
    let mut all = Worst::default();
    for refresh in 0..run.refreshes {
        let quarter = worst[4 * refresh / run.refreshes].get_or_insert_default();
        dataset.refresh(run, &options, quarter);
        dataset.measure(quarter);
        dataset.measure(&mut all);
    }
    let worst = worst.map(Option::unwrap);
    let shown = format!("{worst:?}");
    let least = options.large(run.items as u64);
    let classes = u64::BITS - least.leading_zeros();
    let most = options.most_segments(run.items as u64);
    assert!((all.segments as u64) < most, "at most {most}: {shown}");
    let budget = least.max(3 * run.written as u64);
    assert!(
        worst.iter().all(|quarter| quarter.moved <= budget),
        "{shown}"
    );
    for quarter in &worst[2..] {
        assert!(quarter.dead < 0.40, "{shown}");
        let share = quarter.total_moved as f64 / quarter.total_written as f64;
        assert!(share < 4.0 + f64::from(classes) / 3.0, "{share}: {shown}");
    }
    let flat = worst[2].segments + worst[2].segments / 8 + 8;
    assert!(worst[3].segments <= flat, "{shown}");
}

#[test]
fn refreshes_of_a_hundredth_stay_bounded() {
    for skewed in [false, true] {
        play(&Run {
            items: 20_000,
            written: 200,
            least: 100,
            refreshes: 10_000,
            skewed,
        });
        play(&Run {
            items: 20_000,
            written: 200,
            least: 3_000,
            refreshes: 10_000,
            skewed,
        });
    }
}

#[test]
fn refreshes_of_a_thousandth_stay_bounded() {
    for (least, skewed) in [(150, false), (150, true), (4_000, false), (100_000, true)] {
        play(&Run {
            items: 20_000,
            written: 20,
            least,
            refreshes: 10_000,
            skewed,
        });
    }
}

#[test]
fn refreshes_of_a_ten_thousandth_stay_bounded() {
    for (least, skewed) in [(150, false), (150, true), (4_000, false), (100_000, true)] {
        play(&Run {
            items: 20_000,
            written: 2,
            least,
            refreshes: 300_000,
            skewed,
        });
    }
}

#[test]
fn refreshes_of_a_hundred_thousandth_stay_bounded() {
    for (least, skewed) in [
        (1_000, false),
        (1_000, true),
        (10_000, false),
        (400_000, true),
    ] {
        play(&Run {
            items: 100_000,
            written: 1,
            least,
            refreshes: 300_000,
            skewed,
        });
    }
}
