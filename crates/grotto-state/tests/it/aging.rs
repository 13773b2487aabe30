//! States that grow old: deltas made by hand, so that thousands of blocks and pages take a second.
//!
//! Owns: that work follows the change and not the dataset, and that segments stay bounded. Counts,
//! and never measures a time.

use crate::hostile::Forge;
use grotto_format::batch::{Column, ColumnKind, Value, columns_of, encode_ordinals};
use grotto_format::blob::{BlobKind, SectionKind};
use grotto_format::checksum;
use grotto_format::schema::{Schema, TypeId};
use grotto_state::{Effort, HeapSeal, SegmentOptions, State};
use std::collections::BTreeSet;

const SCHEMA: &str = "R @PrimaryKey(k) { long k; int v; }";
const SHIFT: u8 = 9;
const BLOCK: u32 = 1 << SHIFT;

/// So small that thousands of records cross every threshold that millions cross with the default.
const SMALL: SegmentOptions = SegmentOptions {
    seal_at: 1 << 20,
    move_at_least: 64 << 10,
    move_per_written: 3,
    dead_percent: 25,
    merge_at: 8,
    large_segments: 2048,
};

/// A dataset and what should be in it.
struct Aging {
    state: State,
    seal: HeapSeal,
    /// Ordinal and value by key.
    records: Vec<(u32, u32)>,
    /// Free ordinals by block.
    free: Vec<Vec<u32>>,
    checksum: u64,
    seed: u64,
}

fn record(key: usize, (ordinal, value): (u32, u32)) -> u64 {
    let field = |name, word| checksum::fixed(checksum::field_seed("R", name), word);
    let content = field("k", key as u64).wrapping_add(field("v", u64::from(value)));
    checksum::record(content, ordinal)
}

fn kinds() -> Vec<ColumnKind> {
    let schema = Schema::parse(SCHEMA).unwrap();
    columns_of(schema.get(TypeId(0)))
}

/// A chunk of records with these keys; ordinals rise.
fn add_chunk(forge: &mut Forge, chunk: u32, records: &[(usize, (u32, u32))]) {
    let ordinals: Vec<u32> = records.iter().map(|(_, (ordinal, _))| *ordinal).collect();
    let mut raw = Vec::new();
    encode_ordinals(&ordinals, &mut raw);
    let words = [
        records
            .iter()
            .map(|(key, _)| *key as u64)
            .collect::<Vec<_>>(),
        records
            .iter()
            .map(|(_, (_, value))| u64::from(*value))
            .collect(),
    ];
    let rows: Vec<u32> = (0..records.len() as u32).collect();
    let columns = kinds().into_iter().zip(words).map(|(kind, words)| {
        let (mut column, mut out) = (Column::new(kind), Vec::new());
        words
            .iter()
            .for_each(|word| column.push(Value::Fixed(*word)));
        column.encode(kind, &rows, &mut out);
        out
    });
    forge.chunk(0, chunk, raw, columns.collect());
}

impl Aging {
    /// A load of blocks with so many records each.
    fn load(blocks: u32, in_each: u32, options: SegmentOptions) -> Self {
        let mut records = Vec::new();
        let mut free = Vec::new();
        for block in 0..blocks {
            let first = block * BLOCK;
            records.extend((first..first + in_each).map(|ordinal| (ordinal, 0)));
            free.push((first + in_each..first + BLOCK).rev().collect());
        }
        let mut forge = Forge::snapshot(SCHEMA, SHIFT);
        let all: Vec<_> = records.iter().copied().enumerate().collect();
        for (number, chunk) in all.chunks((64 * in_each) as usize).enumerate() {
            add_chunk(&mut forge, number as u32, chunk);
        }
        let sum =
            |sum: u64, (key, place): &(usize, (u32, u32))| sum.wrapping_add(record(*key, *place));
        let checksum = all.iter().fold(0, sum);
        forge.header.types[0].live = records.len() as u64;
        forge.header.to_checksum = checksum;
        let mut seal = HeapSeal::with_options(options);
        let state = crate::engine::empty()
            .apply(&forge.seal(), &mut seal)
            .unwrap()
            .0;
        let seed = 0x2545_f491;
        Self {
            state,
            seal,
            records,
            free,
            checksum,
            seed,
        }
    }

    fn random(&mut self, below: usize) -> usize {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed % below as u64) as usize
    }

    /// Changes records at random: each goes into a hole of the emptiest blocks, as a producer has it,
    /// or beside where it was.
    fn refresh(&mut self, changes: usize, beside: bool) -> Effort {
        let mut keys = BTreeSet::new();
        while keys.len() < changes {
            keys.insert(self.random(self.records.len()));
        }
        let mut removed: Vec<u32> = keys.iter().map(|key| self.records[*key].0).collect();
        removed.sort_unstable();
        let mut added: Vec<(usize, (u32, u32))> = Vec::new();
        for key in keys {
            let (old, value) = self.records[key];
            let block = match beside {
                true => (old / BLOCK) as usize,
                false => self.emptiest(),
            };
            let place = (self.free[block].pop().unwrap(), value + 1);
            self.checksum = self.checksum.wrapping_sub(record(key, (old, value)));
            self.checksum = self.checksum.wrapping_add(record(key, place));
            self.records[key] = place;
            added.push((key, place));
        }
        // Free from the next version on.
        for ordinal in &removed {
            self.free[(ordinal / BLOCK) as usize].push(*ordinal);
        }
        added.sort_unstable_by_key(|(_, (ordinal, _))| *ordinal);
        self.apply(&removed, &added)
    }

    fn emptiest(&self) -> usize {
        let free = self.free.iter().enumerate();
        free.max_by_key(|(_, free)| free.len()).unwrap().0
    }

    fn apply(&mut self, removed: &[u32], added: &[(usize, (u32, u32))]) -> Effort {
        let mut forge = Forge::snapshot(SCHEMA, SHIFT);
        let header = &mut forge.header;
        (header.kind, header.schema_text) = (BlobKind::Delta, None);
        header.from_schema_hash = header.schema_hash;
        (header.from, header.to) = (self.state.version(), self.state.version() + 1);
        (header.from_checksum, header.to_checksum) = (self.state.checksum(), self.checksum);
        header.types[0].live = self.records.len() as u64;
        add_chunk(&mut forge, 0, added);
        let mut gone = forge.sections[0].clone();
        (gone.kind, gone.raw) = (SectionKind::Removed, Vec::new());
        encode_ordinals(removed, &mut gone.raw);
        forge.sections.insert(0, gone);
        let (next, changes) = self.state.apply(&forge.seal(), &mut self.seal).unwrap();
        self.state = next;
        changes.effort
    }

    /// Many refreshes, added up.
    fn refreshes(&mut self, count: usize, changes: usize, beside: bool) -> Effort {
        let mut sum = Effort::default();
        for _ in 0..count {
            let effort = self.refresh(changes, beside);
            sum.sealed_bytes += effort.sealed_bytes;
            sum.moved_bytes += effort.moved_bytes;
            sum.items += effort.items;
            sum.table_entries += effort.table_entries;
        }
        sum
    }

    /// Segments and the share of their bytes that lives.
    fn segments(&self) -> (usize, f64) {
        let shape = self.state.shape();
        let share = shape.live_bytes as f64 / shape.bytes as f64;
        (shape.segments as usize, share)
    }

    fn check(&self) {
        self.state.check_invariants().unwrap();
        for (key, (ordinal, value)) in self.records.iter().enumerate().step_by(97) {
            let found = self.state.find(TypeId(0), key as i64).unwrap().unwrap();
            assert_eq!(
                (found.ordinal(), found.word(1)),
                (*ordinal, u64::from(*value))
            );
        }
    }
}

#[test]
fn work_follows_the_change_and_not_the_dataset() {
    let [small, large] = [64, 16 * 64].map(|blocks| {
        let mut aging = Aging::load(blocks, BLOCK * 9 / 10, SMALL);
        // Until what the load left has been emptied.
        let warm = 4 * blocks as usize;
        aging.refreshes(warm.min(800), 24, false);
        let effort = aging.refreshes(150, 24, false);
        aging.check();
        effort
    });
    eprintln!("150 refreshes at N {small:?}, at 16 N {large:?}");
    assert!(
        small.moved_bytes > 0 && large.moved_bytes > 0,
        "compaction is at work"
    );
    let grew = |before: u64, after: u64| after as f64 / before as f64;
    let bytes = grew(small.sealed_bytes, large.sealed_bytes);
    let items = grew(small.items, large.items);
    assert!(bytes < 1.5, "{bytes} times the bytes for as many changes");
    assert!(items < 1.5, "{items} times the items for as many changes");
    // Tables are copied whole today; their figure is shown and not bounded.
    assert!(large.table_entries > small.table_entries);
}

#[test]
fn hundreds_of_refreshes_leave_segments_bounded() {
    for (changes, beside) in [(4, false), (24, false), (24, true), (200, false)] {
        let mut aging = Aging::load(200, BLOCK * 9 / 10, SMALL);
        let mut worst: [(usize, f64); 4] = [(0, 1.0); 4];
        for refresh in 0..1200 {
            aging.refresh(changes, beside);
            let (segments, share) = aging.segments();
            let quarter = &mut worst[refresh / 300];
            *quarter = (quarter.0.max(segments), quarter.1.min(share));
        }
        aging.check();
        let live = aging.state.shape().live_bytes;
        // Small ones of some sizes, and large ones.
        let most = 40 + 3 * live / (2 * SMALL.move_at_least);
        for (segments, share) in worst {
            assert!(
                segments as u64 <= most,
                "{changes} changes, at most {most}: {worst:?}"
            );
            assert!(share >= 0.5, "{changes} changes: {worst:?}");
        }
        // At first a segment of the load is there twice, until all of it has been moved.
        let steady = worst[1..].iter().all(|(_, share)| *share >= 0.65);
        assert!(steady, "{changes} changes: {worst:?}");
        assert!(
            worst[3].0 <= worst[1].0 * 5 / 4 + 4,
            "{changes} changes: {worst:?}"
        );
    }
}

#[test]
fn what_changes_every_index_page_moves_little() {
    // Far more segments than are merged, each as large as they become.
    let options = SegmentOptions {
        seal_at: 128 << 10,
        ..SMALL
    };
    let mut aging = Aging::load(1200, BLOCK * 9 / 10, options);
    // A hundredth of the records, which have several in each page.
    let changes = aging.records.len() / 100;
    aging.refreshes(8, changes, false);
    let pages = aging.refreshes(20, changes, false);
    aging.check();
    assert!(
        pages.items > 40 * 1_000,
        "most pages are written: {pages:?}"
    );
    assert!(pages.moved_bytes > 0, "compaction is at work");
    let share = pages.moved_bytes as f64 / pages.sealed_bytes as f64;
    assert!(
        share < 0.2,
        "{share} of what was written was moved: {pages:?}"
    );
}

#[test]
fn many_index_pages_become_a_segment_and_few_lie_behind_the_blocks() {
    // The pages are more than a quarter of a full segment, and blocks and pages together less than one.
    let options = SegmentOptions {
        seal_at: 3 << 20,
        ..SMALL
    };
    let mut aging = Aging::load(400, BLOCK * 9 / 10, options);
    for (changes, segments) in [(1840, 2), (4, 1), (1840, 2)] {
        let named = |state: &State| state.segments().map(|s| s.name()).collect::<BTreeSet<_>>();
        let before = named(&aging.state);
        let effort = aging.refresh(changes, false);
        let new = named(&aging.state).difference(&before).count();
        assert_eq!(new, segments, "{changes} changes: {effort:?}");
        aging.check();
    }
}

#[test]
fn a_restart_in_the_middle_of_a_segment_changes_nothing() {
    let mut aging = Aging::load(200, BLOCK * 9 / 10, SMALL);
    let is_emptying = |state: &State| !format!("{:?}", state.to_parts()).contains("emptying: None");
    let mut refreshes = 0;
    while !is_emptying(&aging.state) {
        aging.refresh(24, false);
        refreshes += 1;
        assert!(
            refreshes < 500,
            "budgets never end in the middle of a segment"
        );
    }
    let bytes: Vec<_> = aging.state.segments().map(|s| s.bytes().clone()).collect();
    let mut next = bytes.into_iter();
    let opened = State::from_parts(aging.state.to_parts(), &mut |_| Ok(next.next().unwrap()));
    let mut restarted = Aging {
        state: opened.unwrap(),
        seal: HeapSeal::with_options(SMALL),
        records: aging.records.clone(),
        free: aging.free.clone(),
        ..aging
    };
    assert!(is_emptying(&restarted.state));
    for _ in 0..40 {
        let (one, other) = (aging.refresh(24, false), restarted.refresh(24, false));
        assert_eq!(one, other);
        assert_eq!(aging.state.shape(), restarted.state.shape());
    }
    restarted.check();
}

#[test]
fn a_hundred_million_ordinals_far_apart_are_refreshed_like_a_few() {
    let [few, many] = [6_000_000, 100_000_000].map(|ordinals| {
        let mut aging = Aging::load(ordinals / BLOCK, 1, SMALL);
        let limit = aging.state.ordinal_limit(TypeId(0));
        assert!((ordinals - BLOCK..=ordinals).contains(&limit));
        let mut segments = 0;
        let mut effort = Effort::default();
        for round in 0..10 {
            effort = aging.refreshes(30, 40, true);
            if round > 0 {
                let shape = aging.state.shape();
                segments = segments.max(shape.segments);
                let most = 40 + 3 * shape.live_bytes / (2 * SMALL.move_at_least);
                assert!(segments <= most, "{segments} segments, at most {most}");
                assert!(shape.live_bytes * 10 >= shape.bytes * 6, "{shape:?}");
            }
        }
        aging.check();
        eprintln!("{ordinals} ordinals: {segments} segments, 30 refreshes {effort:?}");
        effort
    });
    assert!(many.sealed_bytes <= few.sealed_bytes * 3 / 2);
    assert!(many.items <= few.items * 3 / 2);
}
