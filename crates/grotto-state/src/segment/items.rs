//! The list of a segment's items, at its end: what has to be looked up in the tables to empty it.
//!
//! Owns: taking note of items, the bytes of the list, and reading them. They come from a file: what
//! they say is only where to look, and a table decides whether an item still lives.
//!
//! ```text
//! groups · for each: u8 kind · u64 type · u8 depth · runs · for each run: gap · length
//! u32 bytes of all that · u32 mark
//! ```
//! `groups`, `runs`, `gap` and `length` are variable-length integers of seven bits a byte, low ones
//! first. A run is numbers side by side: of blocks, of bitmap pages, or of entries of an index
//! directory of `1 << depth` entries. Directories double and shrink, so entries of another depth
//! are scaled. A type is known by a hash of its name: its position changes with the schema.

use crate::index::MAX_DEPTH;
use std::collections::BTreeMap;
use std::ops::Range;

/// What a number in the list stands for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Kind {
    Block,
    Bitmap,
    /// Entries of a directory of `1 << depth`.
    Index {
        depth: u8,
    },
}

/// Numbers of an entry of a table of `1 << shift` ordinals an entry. Tables are cut finer as records
/// grow, so blocks and pages are numbered as in the finest table there can be.
pub(crate) fn numbers(entry: u32, shift: u8) -> Range<u32> {
    let finer = shift.saturating_sub(FINEST);
    entry << finer..(entry + 1) << finer
}

/// Entries of a table of `1 << shift` ordinals an entry that numbers fall into.
pub(crate) fn entries(numbers: Range<u32>, shift: u8) -> Range<u32> {
    let finer = shift.saturating_sub(FINEST);
    numbers.start >> finer..numbers.end.div_ceil(1 << finer)
}

/// Smallest number of ordinals of an entry, as a power of two.
const FINEST: u8 = 9;

/// Items of one kind and type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) kind: Kind,
    /// Hash of the type's name.
    pub(crate) type_name: u64,
    /// Rising, without overlaps.
    pub(crate) runs: Vec<Range<u32>>,
}

/// Items that were written into a buffer.
#[derive(Debug, Default)]
pub(crate) struct Items {
    groups: BTreeMap<(u64, Kind), Vec<Range<u32>>>,
    count: u64,
}

/// Follows the list, so that a segment without one is recognised.
const MARK: u32 = 0x4d45_5449;
const FOOTER: usize = 8;

impl Items {
    /// Takes note of one item: a block, a bitmap page, or an index page that covers some entries.
    pub(crate) fn note(&mut self, type_name: u64, kind: Kind, numbers: Range<u32>) {
        self.note_many(type_name, kind, numbers, 1);
    }

    /// Takes note of `count` items that cover numbers side by side.
    pub(crate) fn note_many(
        &mut self,
        type_name: u64,
        kind: Kind,
        numbers: Range<u32>,
        count: u64,
    ) {
        self.count += count;
        let runs = self.groups.entry((type_name, kind)).or_default();
        match runs.last_mut().filter(|last| last.end == numbers.start) {
            Some(last) => last.end = numbers.end,
            None => runs.push(numbers),
        }
    }

    /// Takes over what was noted for another buffer, which now ends this one.
    pub(crate) fn append(&mut self, other: Self) {
        self.count += other.count;
        for (key, runs) in other.groups {
            self.groups.entry(key).or_default().extend(runs);
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The bytes that end a segment.
    pub(crate) fn encode(mut self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.groups.len() as u64);
        for ((type_name, kind), runs) in &mut self.groups {
            let (code, depth) = match kind {
                Kind::Block => (0, 0),
                Kind::Bitmap => (1, 0),
                Kind::Index { depth } => (2, *depth),
            };
            out.push(code);
            out.extend_from_slice(&type_name.to_le_bytes());
            out.push(depth);
            merge(runs);
            put_varint(&mut out, runs.len() as u64);
            let mut end = 0;
            for run in runs {
                put_varint(&mut out, u64::from(run.start - end));
                put_varint(&mut out, u64::from(run.end - run.start));
                end = run.end;
            }
        }
        let length = out.len() as u32;
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&MARK.to_le_bytes());
        out
    }
}

/// Brings runs in order, each number once.
fn merge(runs: &mut Vec<Range<u32>>) {
    runs.sort_unstable_by_key(|run| run.start);
    runs.dedup_by(|next, last| {
        let joins = next.start <= last.end;
        if joins {
            last.end = last.end.max(next.end);
        }
        joins
    });
}

/// Reads the list at the end of a segment; `None` if there is none or it contradicts itself.
pub(crate) fn decode(segment: &[u8]) -> Option<Vec<Group>> {
    let (rest, footer) = segment.split_at_checked(segment.len().checked_sub(FOOTER)?)?;
    let (length, mark) = footer.split_at(4);
    if u32::from_le_bytes(mark.try_into().ok()?) != MARK {
        return None;
    }
    let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
    let mut bytes = rest.get(rest.len().checked_sub(length)?..)?;
    let count = varint(&mut bytes)?;
    let mut groups: Vec<Group> = Vec::new();
    for _ in 0..count {
        let group = group(&mut bytes)?;
        // In order, so that each is there once: what a hostile list makes us do stays bounded.
        let key = |group: &Group| (group.type_name, group.kind);
        if groups.last().is_some_and(|last| key(last) >= key(&group)) {
            return None;
        }
        groups.push(group);
    }
    bytes.is_empty().then_some(groups)
}

fn group(bytes: &mut &[u8]) -> Option<Group> {
    let [code, rest @ ..] = bytes else {
        return None;
    };
    let (type_name, rest) = rest.split_first_chunk::<8>()?;
    let [depth, rest @ ..] = rest else {
        return None;
    };
    let kind = match (code, depth) {
        (0, 0) => Kind::Block,
        (1, 0) => Kind::Bitmap,
        (2, 0..=MAX_DEPTH) => Kind::Index { depth: *depth },
        _ => return None,
    };
    *bytes = rest;
    let count = varint(bytes)?;
    let (mut runs, mut end) = (Vec::new(), 0_u32);
    for _ in 0..count {
        let start = end.checked_add(u32::try_from(varint(bytes)?).ok()?)?;
        end = start.checked_add(u32::try_from(varint(bytes)?).ok()?)?;
        if start == end {
            return None;
        }
        runs.push(start..end);
    }
    Some(Group {
        kind,
        type_name: u64::from_le_bytes(*type_name),
        runs,
    })
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..35).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted() -> Items {
        let mut items = Items::default();
        for number in [5, 6, 7, 300, 2, 6] {
            items.note(7, Kind::Block, number..number + 1);
        }
        items.note_many(7, Kind::Index { depth: 9 }, 0..512, 400);
        items.note(3, Kind::Bitmap, 1 << 20..(1 << 20) + 1);
        items
    }

    fn expected() -> Vec<Group> {
        let group = |type_name, kind, runs: &[Range<u32>]| Group {
            kind,
            type_name,
            runs: runs.to_vec(),
        };
        vec![
            group(
                3,
                Kind::Bitmap,
                std::slice::from_ref(&(1 << 20..(1 << 20) + 1)),
            ),
            group(7, Kind::Block, &[2..3, 5..8, 300..301]),
            group(7, Kind::Index { depth: 9 }, std::slice::from_ref(&(0..512))),
        ]
    }

    #[test]
    fn what_was_noted_is_read_again_in_order_and_once() {
        let items = noted();
        assert_eq!(items.count(), 407);
        let mut segment = vec![9; 100];
        segment.extend(items.encode());
        assert_eq!(decode(&segment).unwrap(), expected());
        assert_eq!(decode(&Items::default().encode()).unwrap(), []);
    }

    #[test]
    fn notes_of_two_buffers_make_one_list() {
        let mut items = Items::default();
        items.note(7, Kind::Block, 6..8);
        items.append(noted());
        items.note(7, Kind::Block, 0..1);
        assert_eq!(items.count(), 409);
        let mut list = expected();
        list[1].runs.insert(0, 0..1);
        assert_eq!(decode(&items.encode()).unwrap(), list);
    }

    #[test]
    fn a_load_takes_a_few_bytes_however_many_items_it_has() {
        let mut items = Items::default();
        for number in 0..10_000 {
            items.note(7, Kind::Block, number..number + 1);
            items.note(7, Kind::Bitmap, number..number + 1);
        }
        items.note_many(7, Kind::Index { depth: 20 }, 0..1 << 20, 1 << 20);
        let bytes = items.encode().len();
        assert!(bytes < 100, "{bytes} bytes");
    }

    #[test]
    fn every_truncation_and_every_other_mark_is_refused() {
        let bytes = noted().encode();
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]), None, "first {length} bytes");
        }
        let mut other = bytes.clone();
        *other.last_mut().unwrap() ^= 1;
        assert_eq!(decode(&other), None);
    }

    #[test]
    fn a_list_with_any_byte_changed_is_refused_or_in_order() {
        let bytes = noted().encode();
        for at in 0..bytes.len() {
            for value in 0..=255 {
                let mut changed = bytes.clone();
                changed[at] = value;
                let Some(groups) = decode(&changed) else {
                    continue;
                };
                assert!(groups.is_sorted_by_key(|group| (group.type_name, group.kind)));
                for group in groups {
                    assert!(group.runs.iter().all(|run| run.start < run.end));
                    assert!(group.runs.is_sorted_by_key(|run| run.end));
                }
            }
        }
    }

    #[test]
    fn lists_that_contradict_themselves_are_refused() {
        let with = |body: &[u8]| {
            let mut bytes = body.to_vec();
            bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
            bytes.extend_from_slice(&MARK.to_le_bytes());
            decode(&bytes)
        };
        let group = |kind: u8, depth: u8, runs: &[u8]| {
            [&[kind, 1, 0, 0, 0, 0, 0, 0, 0, depth], runs].concat()
        };
        let of = |count: u8, groups: &[Vec<u8>]| [vec![count], groups.concat()].concat();
        let one = |kind, depth, runs: &[u8]| with(&of(1, &[group(kind, depth, runs)]));
        assert!(one(0, 0, &[1, 0, 1]).is_some());
        assert_eq!(one(0, 0, &[1, 0, 0]), None, "an empty run");
        assert_eq!(one(3, 0, &[1, 0, 1]), None, "an unknown kind");
        assert_eq!(one(0, 1, &[1, 0, 1]), None, "a block with a depth");
        assert_eq!(
            one(2, MAX_DEPTH + 1, &[1, 0, 1]),
            None,
            "a directory too deep"
        );
        assert!(one(2, MAX_DEPTH, &[1, 0, 1]).is_some());
        let most = [0xff, 0xff, 0xff, 0xff, 0x0f];
        assert!(one(0, 0, &[&[1, 0][..], &most].concat()).is_some());
        assert_eq!(
            one(0, 0, &[&[1, 1][..], &most].concat()),
            None,
            "past all numbers"
        );
        assert_eq!(
            one(0, 0, &[&[1][..], &[0xff; 5], &[0]].concat()),
            None,
            "a number too long"
        );
        let twice = [group(0, 0, &[1, 0, 1]), group(0, 0, &[1, 5, 1])];
        assert_eq!(with(&of(2, &twice)), None, "a group twice");
        assert_eq!(with(&of(1, &twice)), None, "bytes left over");
    }
}
