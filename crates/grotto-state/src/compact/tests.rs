//! Emptying segments made by hand: which items move, how often, and where it goes on. Owns nothing.

use super::*;
use crate::hash::HashSeed;
use crate::index::Index;
use crate::known::Known;
use crate::layout::{Layout, Slots};
use crate::segment::{Buffer, HeapSeal, Segment, SegmentOptions};
use crate::state::{DEFAULT_SHIFT, State};
use bytes::Bytes;
use grotto_format::schema::Schema;

const SEED: HashSeed = HashSeed::new([1, 2]);

/// Everything may be moved at once, and is as soon as half of it is dead.
const ALL: SegmentOptions = SegmentOptions {
    seal_at: 1 << 20,
    move_at_least: 1 << 16,
    move_per_written: 0,
    dead_percent: 50,
    merge_at: u64::MAX,
    large_segments: u64::MAX,
};

/// Three blocks of 640 bytes a refresh.
const LITTLE: SegmentOptions = SegmentOptions {
    move_at_least: 3 * 640,
    ..ALL
};

const BLOCK: usize = 640;

fn block(fill: u8) -> Vec<u8> {
    let mut bytes = vec![fill; BLOCK];
    bytes[..4].copy_from_slice(&(BLOCK as u32).to_le_bytes());
    bytes[4..8].copy_from_slice(&(1_u32 << DEFAULT_SHIFT).to_le_bytes());
    bytes
}

/// A state with an indexed type and one without key, segments being added.
struct Made {
    state: State,
    buffer: Buffer,
}

impl Made {
    fn new() -> Self {
        let schema = Schema::parse("A @PrimaryKey(id) { long id; } B { int x; }").unwrap();
        let known = Known::new(Arc::new(schema), None, SEED);
        let layout = Layout {
            mask: (1 << DEFAULT_SHIFT) - 1,
            slots: vec![Slots::ABSENT],
            ..Layout::NONE.clone()
        };
        let ty = |keyed| TypeState {
            layouts: [layout.clone()].into(),
            ..TypeState::empty(DEFAULT_SHIFT, keyed)
        };
        let types = vec![ty(true), ty(false)];
        Self {
            state: State::assemble(1, SEED, known, types, Vec::new()),
            buffer: Buffer::default(),
        }
    }

    fn put(&mut self, ty: usize, kind: Kind, numbers: Range<u32>, item: &[u8]) -> Loc {
        let start = self.buffer.put(item);
        let name = self.state.infos[ty].name;
        self.buffer.items.note(name, kind, numbers);
        Buffer::loc(start, self.state.segments.len() as u16, 0).unwrap()
    }

    fn block(&mut self, ty: usize, number: u32, fill: u8) {
        let numbers = items::numbers(number, DEFAULT_SHIFT);
        let loc = self.put(ty, Kind::Block, numbers, &block(fill));
        let mut blocks = self.state.types[ty].blocks.to_vec();
        let length = blocks.len().max(number as usize + 1);
        blocks.resize(length, Loc::NONE);
        blocks[number as usize] = loc;
        self.state.types[ty].blocks = blocks.into();
    }

    fn bitmap(&mut self, ty: usize, number: u32, fill: u8) {
        let page = vec![fill; bitmap::page_bytes(DEFAULT_SHIFT)];
        let numbers = items::numbers(number, DEFAULT_SHIFT);
        let loc = self.put(ty, Kind::Bitmap, numbers, &page);
        let mut bitmaps = self.state.types[ty].bitmaps.to_vec();
        let length = bitmaps.len().max(number as usize + 1);
        bitmaps.resize(length, Loc::NONE);
        bitmaps[number as usize] = loc;
        self.state.types[ty].bitmaps = bitmaps.into();
    }

    /// A page of two lines that covers entries of a directory.
    fn page(&mut self, depth: u8, entries: Range<u32>, fill: u8) -> Loc {
        let loc = self.put(0, Kind::Index { depth }, entries, &[fill; 2 * LINE]);
        Loc { tag: 2, ..loc }
    }

    fn directory(&mut self, depth: u8, pages: Vec<Loc>) {
        assert_eq!(pages.len(), 1 << depth);
        let pages = pages.into();
        self.state.types[0].index = Some(Index { pages, depth });
    }

    /// Seals what was put, with some dead bytes.
    fn seal(&mut self, dead: usize) {
        self.buffer.put(&vec![0; dead]);
        let bytes = std::mem::take(&mut self.buffer).finish().into();
        self.state.segments.push(Segment {
            bytes,
            name: self.state.segments.len() as u64 + 1,
            live: 0,
        });
    }

    /// Counts what lives.
    fn done(mut self) -> State {
        let mut live = vec![0; self.state.segments.len()];
        for ty in &self.state.types {
            self.state.each_item(ty, &mut |loc, length| {
                live[usize::from(loc.segment)] += length as u64;
            });
        }
        for (segment, live) in self.state.segments.iter_mut().zip(live) {
            segment.live = live;
        }
        self.state
    }
}

/// What the items of a state hold: blocks, bitmap pages, index pages by entry.
fn contents(state: &State) -> Vec<Option<Bytes>> {
    let item = |loc: &Loc, length: usize| {
        let segment = state.segments.get(usize::from(loc.segment))?;
        Some(segment.bytes.slice(loc.start()..loc.start() + length))
    };
    let mut all = Vec::new();
    for ty in &state.types {
        all.extend(ty.blocks.iter().map(|loc| item(loc, BLOCK)));
        let page = bitmap::page_bytes(ty.shift);
        all.extend(ty.bitmaps.iter().map(|loc| item(loc, page)));
        let pages = ty.index.iter().flat_map(|index| index.pages.iter());
        all.extend(pages.map(|loc| item(loc, usize::from(loc.tag) * LINE)));
    }
    all
}

/// What a refresh does that changes nothing else.
fn refresh(base: &State, options: SegmentOptions) -> StateResult<(State, crate::Effort)> {
    let mut seal = HeapSeal::with_options(options);
    let mut work = Work::new(base, &mut seal)?;
    let mut next = base.at_version(base.version + 1);
    next.emptying = compact(&mut next.types, &base.infos, &mut work, base.emptying)?;
    let (segments, effort) = work.finish()?;
    next.segments = segments;
    assert_eq!(contents(&next), contents(base));
    Ok((next, effort))
}

fn live(state: &State) -> Vec<u64> {
    state.segments.iter().map(|segment| segment.live).collect()
}

fn error_of(base: &State) -> String {
    let error = refresh(base, ALL).map(drop).unwrap_err();
    assert!(matches!(error, StateError::Damaged(_)), "{error}");
    error.to_string()
}

#[test]
fn a_victim_is_emptied_of_items_of_every_kind_and_given_up() {
    let mut made = Made::new();
    made.block(1, 0, 1);
    made.bitmap(1, 0, 2);
    made.block(0, 2, 3);
    made.bitmap(0, 1, 4);
    let page = made.page(0, 0..1, 5);
    made.directory(0, vec![page]);
    made.seal(8000);
    let base = made.done();
    let (next, effort) = refresh(&base, ALL).unwrap();
    let moved = 2 * 640 + 2 * 256 + 128;
    assert_eq!((live(&next), next.emptying), (vec![0, moved], None));
    assert!(next.segments[0].bytes.is_empty(), "its slot is free");
    assert_eq!((effort.moved_bytes, effort.items), (moved, 5));
    assert_eq!(effort.sealed_bytes, next.segments[1].bytes.len() as u64);
    // The list of the new segment is as good as that of the old one.
    let always = SegmentOptions {
        dead_percent: 0,
        move_at_least: 4000,
        ..ALL
    };
    let (again, effort) = refresh(&next, always).unwrap();
    assert_eq!((live(&again), effort.items), (vec![moved], 5));
}

#[test]
fn items_that_a_table_no_longer_leads_to_are_left_behind() {
    let mut made = Made::new();
    made.block(0, 0, 1);
    made.block(0, 1, 2);
    made.bitmap(0, 0, 3);
    made.seal(4000);
    // Written anew by a later refresh.
    made.block(0, 1, 4);
    made.bitmap(0, 0, 5);
    made.seal(0);
    let base = made.done();
    let (next, effort) = refresh(&base, ALL).unwrap();
    assert_eq!(live(&next), [0, 640 + 256, 640]);
    assert_eq!((effort.moved_bytes, effort.items), (640, 1));
}

#[test]
fn a_victim_that_was_begun_is_emptied_before_another_one() {
    let mut made = Made::new();
    (0..8).for_each(|number| made.block(0, number, number as u8));
    made.seal(20_000);
    (8..12).for_each(|number| made.block(0, number, number as u8));
    made.seal(9_000);
    let mut base = made.done();
    let mut steps = Vec::new();
    for _ in 0..4 {
        let (next, effort) = refresh(&base, LITTLE).unwrap();
        let left = [0, 1].map(|slot| next.segments[slot].live / BLOCK as u64);
        steps.push((left, effort.moved_bytes / BLOCK as u64));
        base = next;
        // From now on the other one would free more for less: only one of its blocks still lives.
        let mut blocks = base.types[0].blocks.to_vec();
        blocks[8..11].fill(Loc::NONE);
        base.types[0].blocks = blocks.into();
        base.segments[1].live = base.segments[1].live.min(BLOCK as u64);
    }
    // Three of eight, three more, the last two and the one that is left of the other.
    assert_eq!(steps, [([5, 4], 3), ([2, 1], 3), ([0, 0], 3), ([0, 0], 0)]);
}

#[test]
fn what_was_begun_goes_on_even_if_it_would_not_be_chosen_now() {
    let mut made = Made::new();
    (0..8).for_each(|number| made.block(0, number, number as u8));
    made.seal(8000);
    let base = made.done();
    let (next, _) = refresh(&base, LITTLE).unwrap();
    let cursor = next.emptying.unwrap();
    assert_eq!((cursor.slot, cursor.group, cursor.number), (0, 0, 3 << 2));
    let content = SegmentOptions {
        dead_percent: 100,
        ..LITTLE
    };
    let (next, effort) = refresh(&next, content).unwrap();
    assert_eq!(
        (next.segments[0].live, effort.moved_bytes),
        (2 * 640, 3 * 640)
    );
    let (next, effort) = refresh(&next, content).unwrap();
    assert_eq!((next.segments[0].live, effort.moved_bytes), (0, 2 * 640));
    assert_eq!(next.emptying, None);
    let (_, effort) = refresh(&next, content).unwrap();
    assert_eq!(effort.moved_bytes, 0);
}

#[test]
fn where_to_go_on_is_found_in_a_later_group() {
    let mut made = Made::new();
    (0..2).for_each(|number| made.block(0, number, 1));
    (0..4).for_each(|number| made.block(1, number, 2));
    made.seal(8000);
    let base = made.done();
    let (next, _) = refresh(&base, LITTLE).unwrap();
    let cursor = next.emptying.unwrap();
    assert_eq!((cursor.group, next.segments[0].live), (1, 3 * 640));
    // Numbers before the cursor are not looked at again, those of the next groups are.
    let (next, _) = refresh(&next, LITTLE).unwrap();
    assert_eq!((next.emptying, next.segments[0].live), (None, 0));
}

#[test]
fn a_number_to_go_on_with_is_one_of_its_group_alone() {
    let mut made = Made::new();
    for ty in 0..2 {
        (0..4).for_each(|number| made.block(ty, number, number as u8));
    }
    made.seal(12_000);
    let (begun, _) = refresh(&made.done(), LITTLE).unwrap();
    let cursor = begun.emptying.unwrap();
    assert_eq!((cursor.group, cursor.number), (0, 3 << 2));
    let (next, effort) = refresh(&begun, ALL).unwrap();
    assert_eq!((next.emptying, next.segments[0].live), (None, 0));
    assert_eq!(effort.moved_bytes, 5 * 640);
}

#[test]
fn a_block_of_several_entries_moves_once_and_with_all_of_them() {
    let mut made = Made::new();
    let double = Layout {
        mask: (2 << DEFAULT_SHIFT) - 1,
        ..made.state.types[1].layouts[0].clone()
    };
    made.state.types[1].layouts = [double].into();
    let mut blocks = Vec::new();
    for entry in [0, 2, 4] {
        let mut item = block(entry as u8);
        item[4..8].copy_from_slice(&(2_u32 << DEFAULT_SHIFT).to_le_bytes());
        let second = items::numbers(entry + 1, DEFAULT_SHIFT);
        let numbers = items::numbers(entry, DEFAULT_SHIFT).start..second.end;
        let loc = made.put(1, Kind::Block, numbers, &item);
        blocks.extend([loc, loc]);
    }
    // A later block has the place of the first half of the last one.
    blocks[4] = Loc::NONE;
    made.state.types[1].blocks = blocks.into();
    made.seal(8000);
    let mut base = made.done();
    base.segments[0].live = 2 * 640 + 320;
    let (next, effort) = refresh(&base, ALL).unwrap();
    assert_eq!((effort.moved_bytes, effort.items), (3 * 640, 5));
    let blocks = &next.types[1].blocks;
    for entry in [0, 2] {
        assert_eq!(blocks[entry], blocks[entry + 1]);
        assert_eq!(blocks[entry].segment, 1);
    }
    assert_ne!(blocks[0], blocks[2]);
    assert_eq!((blocks[4], blocks[5].segment), (Loc::NONE, 1));
}

#[test]
fn several_small_victims_are_emptied_within_one_budget() {
    let mut made = Made::new();
    for number in 0..4 {
        made.block(0, number, number as u8);
        made.seal(2000);
    }
    let (next, effort) = refresh(&made.done(), LITTLE).unwrap();
    assert_eq!(effort.moved_bytes, 3 * 640);
    assert_eq!(next.segments[..4].iter().filter(|s| s.live == 0).count(), 3);
    assert_eq!(next.emptying, None, "the fourth was not begun");
}

#[test]
fn a_refresh_without_budget_moves_nothing_and_forgets_nothing() {
    let mut made = Made::new();
    (0..8).for_each(|number| made.block(0, number, number as u8));
    made.seal(8000);
    let (begun, _) = refresh(&made.done(), LITTLE).unwrap();
    assert!(begun.emptying.is_some());
    let (next, effort) = refresh(&begun, SegmentOptions::NEVER_MOVE).unwrap();
    assert_eq!(next.emptying, begun.emptying);
    assert_eq!(effort, crate::Effort::default());
}

#[test]
fn a_victim_that_is_gone_is_forgotten() {
    let mut made = Made::new();
    made.block(0, 0, 1);
    made.seal(0);
    let mut base = made.done();
    for slot in [1, 7, u16::MAX] {
        base.emptying = Some(Cursor::begin(slot));
        let (next, effort) = refresh(&base, ALL).unwrap();
        assert_eq!(
            (next.emptying, effort.moved_bytes),
            (None, 0),
            "slot {slot}"
        );
    }
    // The slot of this very refresh is not sealed yet.
    base.emptying = Some(Cursor::begin(1));
    base.segments.push(Segment::FREE);
    assert_eq!(refresh(&base, ALL).unwrap().0.emptying, None);
}

#[test]
fn entries_that_share_a_page_move_together_and_once() {
    let mut made = Made::new();
    let first = made.page(3, 0..4, 1);
    let second = made.page(3, 4..5, 2);
    let third = made.page(3, 6..8, 3);
    made.directory(
        3,
        vec![first, first, first, first, second, Loc::NONE, third, third],
    );
    made.seal(4000);
    let (next, effort) = refresh(&made.done(), ALL).unwrap();
    assert_eq!((effort.moved_bytes, effort.items), (3 * 128, 3));
    let pages = &next.types[0].index.as_ref().unwrap().pages;
    let segments: Vec<u16> = pages.iter().map(|loc| loc.segment).collect();
    assert_eq!(segments, [1, 1, 1, 1, 1, u16::MAX, 1, 1]);
    assert!(pages[..4].iter().all(|loc| *loc == pages[0]));
    assert_ne!(pages[3], pages[4]);
}

#[test]
fn a_directory_that_doubled_since_leads_to_the_same_pages() {
    let mut made = Made::new();
    let (first, second) = (made.page(1, 0..1, 1), made.page(1, 1..2, 2));
    made.seal(4000);
    let split = (made.page(3, 4..5, 3), made.page(3, 5..6, 4));
    made.seal(0);
    // The first page covers half of the directory; of the second one a part has split off.
    made.directory(
        3,
        vec![first, first, first, first, split.0, split.1, second, second],
    );
    let (next, effort) = refresh(&made.done(), ALL).unwrap();
    assert_eq!((effort.moved_bytes, live(&next)), (256, vec![0, 256, 256]));
}

#[test]
fn a_directory_that_shrank_since_leads_to_the_same_pages() {
    let mut made = Made::new();
    let (first, second) = (made.page(3, 0..4, 1), made.page(3, 6..8, 2));
    made.directory(1, vec![first, second]);
    made.seal(4000);
    let (next, effort) = refresh(&made.done(), ALL).unwrap();
    assert_eq!((effort.moved_bytes, effort.items), (256, 2));
    assert_eq!(live(&next), [0, 256]);
}

#[test]
fn a_page_that_is_not_of_the_victim_stays() {
    let mut made = Made::new();
    let first = made.page(2, 0..1, 1);
    made.seal(4000);
    let other = made.page(2, 1..4, 2);
    made.seal(0);
    made.directory(2, vec![first, other, other, other]);
    let (next, _) = refresh(&made.done(), ALL).unwrap();
    let pages = &next.types[0].index.as_ref().unwrap().pages;
    assert_eq!(pages[1..], [other; 3]);
    assert_eq!(pages[0].segment, 2);
}

#[test]
fn tables_are_copied_once_and_only_where_something_moved() {
    let mut made = Made::new();
    (0..5).for_each(|number| made.block(0, number, 1));
    made.seal(8000);
    (0..7).for_each(|number| made.block(1, number, 1));
    made.bitmap(0, 2, 1);
    made.seal(0);
    let (_, effort) = refresh(&made.done(), ALL).unwrap();
    assert_eq!(effort.table_entries, 5);
}

#[test]
fn what_is_moved_is_sealed_in_pieces() {
    let mut made = Made::new();
    (0..6).for_each(|number| made.block(0, number, number as u8));
    made.seal(8000);
    let pieces = SegmentOptions {
        seal_at: 2 * BLOCK,
        ..ALL
    };
    let (next, _) = refresh(&made.done(), pieces).unwrap();
    assert_eq!(live(&next), [0, 1280, 1280, 1280]);
}

#[test]
fn a_segment_without_a_list_is_damage() {
    let mut made = Made::new();
    made.block(0, 0, 1);
    made.seal(4000);
    let mut base = made.done();
    let bytes = base.segments[0].bytes.clone();
    base.segments[0].bytes = bytes.slice(..bytes.len() - 1);
    assert!(error_of(&base).contains("expected a list of items"));
}

#[test]
fn live_items_that_the_list_leaves_out_are_damage() {
    let mut made = Made::new();
    made.block(0, 0, 1);
    made.seal(4000);
    let mut base = made.done();
    base.segments[0].live += 64;
    assert!(error_of(&base).contains("all its live items"));
}

#[test]
fn items_of_a_type_that_is_gone_are_passed_over() {
    let mut made = Made::new();
    made.block(0, 0, 1);
    made.buffer.items.note(12, Kind::Block, 0..1);
    made.seal(4000);
    let (next, _) = refresh(&made.done(), ALL).unwrap();
    assert_eq!(live(&next), [0, 640]);
}

#[test]
fn a_list_that_promises_more_than_there_is_does_no_harm() {
    let mut made = Made::new();
    made.block(0, 0, 1);
    made.bitmap(0, 0, 1);
    let page = made.page(0, 0..1, 5);
    made.directory(0, vec![page]);
    let names = [made.state.infos[0].name, made.state.infos[1].name];
    for name in names {
        for kind in [Kind::Block, Kind::Bitmap, Kind::Index { depth: 20 }] {
            made.buffer.items.note(name, kind, 0..u32::MAX);
        }
    }
    made.seal(4000);
    let (next, effort) = refresh(&made.done(), ALL).unwrap();
    assert_eq!((live(&next), effort.items), (vec![0, 640 + 256 + 128], 3));
}

#[test]
fn a_block_that_says_it_ends_outside_is_damage() {
    for length in [0_u32, 15, 1 << 20] {
        let mut made = Made::new();
        let mut broken = block(1);
        broken[..4].copy_from_slice(&length.to_le_bytes());
        let loc = made.put(0, Kind::Block, 0..1, &broken);
        made.state.types[0].blocks = [loc].into();
        made.seal(4000);
        let mut base = made.done();
        base.segments[0].live = BLOCK as u64;
        assert!(error_of(&base).contains("lie inside"), "{length}");
    }
}

#[test]
fn a_page_that_ends_outside_is_damage() {
    let mut made = Made::new();
    let page = made.page(0, 0..1, 1);
    made.seal(4000);
    made.directory(0, vec![page]);
    let mut base = made.done();
    let index = base.types[0].index.as_mut().unwrap();
    index.pages = [Loc { tag: 999, ..page }].into();
    assert!(error_of(&base).contains("lie inside"));
}

#[test]
fn where_to_go_on_survives_a_restart() {
    let mut made = Made::new();
    let pages = (0..8)
        .map(|at| made.page(3, at..at + 1, at as u8))
        .collect();
    made.directory(3, pages);
    made.seal(4000);
    let options = SegmentOptions {
        move_at_least: 3 * 128,
        ..ALL
    };
    let (begun, _) = refresh(&made.done(), options).unwrap();
    assert_eq!(begun.emptying.unwrap().number, 3);
    let mut segments = begun.segments.iter();
    let restarted = State::from_parts(begun.to_parts(), &mut |_| {
        Ok(segments.next().unwrap().bytes.clone())
    });
    let restarted = restarted.unwrap();
    assert_eq!(restarted.emptying, begun.emptying);
    assert_eq!(restarted.at_version(9).emptying, begun.emptying);
    let evolved = restarted.evolved(restarted.schema()).unwrap();
    assert_eq!(evolved.emptying, begun.emptying);
    let (one, other) = (refresh(&begun, options), refresh(&restarted, options));
    assert_eq!(live(&one.unwrap().0), live(&other.unwrap().0));
}
