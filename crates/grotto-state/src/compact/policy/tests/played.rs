//! Thousands of refreshes played through with sizes and places alone.
//! Owns the model of a dataset; never a byte of one.

use super::*;

/// Bounds of a run: items of one byte, as many written by each refresh.
struct Run {
    items: usize,
    written: usize,
    least: u64,
    refreshes: usize,
    seal_at: usize,
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
    /// Slots written into by this refresh.
    opened: Vec<usize>,
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
            opened: Vec::new(),
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

    /// A free slot to write into; the one before is sealed at the end of the refresh.
    fn open(&mut self) {
        let mut slots = self.sizes.iter().zip(&self.items);
        let slot = slots.position(|(size, items)| size.bytes == 0 && items.is_empty());
        let slot = slot.unwrap_or_else(|| {
            self.sizes.push(size(0, 0));
            self.items.push(Vec::new());
            self.sizes.len() - 1
        });
        self.opened.push(slot);
    }

    fn write(&mut self, item: u32, seal_at: usize) {
        let slot = self.opened[self.opened.len() - 1];
        self.put(item, slot);
        if self.items[slot].len() >= seal_at {
            self.open();
        }
    }

    fn refresh(&mut self, run: &Run, options: &SegmentOptions, worst: &mut Worst) {
        self.open();
        for _ in 0..run.written {
            let hot = run.skewed && self.random(10) > 0;
            let item = self.random(if hot { run.items / 10 } else { run.items });
            if !self.opened.contains(&(self.home[item] as usize)) {
                self.write(item as u32, options.seal_at);
            }
        }
        let count = |dataset: &Self| {
            let of = |slot: &usize| dataset.items[*slot].len() as u64;
            dataset.opened.iter().map(of).sum::<u64>()
        };
        let written = count(self);
        let policy = Policy::new(options, &self.sizes, written);
        let moved = self.compact(options.seal_at, &policy);
        for slot in std::mem::take(&mut self.opened) {
            let all = self.items[slot].len() as u64;
            self.sizes[slot] = size(all, all);
        }
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

    fn compact(&mut self, seal_at: usize, policy: &Policy) -> u64 {
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
                    self.write(item, seal_at);
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
        seal_at: run.seal_at,
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
            seal_at: OPTIONS.seal_at,
            skewed,
        });
        play(&Run {
            items: 20_000,
            written: 200,
            least: 3_000,
            refreshes: 10_000,
            seal_at: OPTIONS.seal_at,
            skewed,
        });
    }
}

#[test]
fn refreshes_that_seal_several_segments_stay_bounded() {
    // As many full segments as are merged where they are small, and far more that is written than one holds.
    for (seal_at, skewed) in [(1_250, false), (1_250, true), (40, false), (40, true)] {
        play(&Run {
            items: 20_000,
            written: 2_000,
            least: 100,
            refreshes: 3_000,
            seal_at,
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
            seal_at: OPTIONS.seal_at,
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
            seal_at: OPTIONS.seal_at,
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
            seal_at: OPTIONS.seal_at,
            skewed,
        });
    }
}
