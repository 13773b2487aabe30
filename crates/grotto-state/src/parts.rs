//! A state taken apart, to be written to a root file and put together again around mapped segments.
//!
//! Owns: the plain-data form of a state's tables and its validation. Never opens a file.

use crate::bitmap::page_bytes;
use crate::compact::Cursor;
use crate::error::{StateError, StateResult};
use crate::filter::TypeFilter;
use crate::hash::HashSeed;
use crate::index::{Index, LINE};
use crate::known::{Known, TypeInfo};
use crate::layout::Layout;
use crate::segment::{Loc, MAX_SLOTS, Segment};
use crate::state::{State, Stored, TypeState};
use bytes::Bytes;
use grotto_format::schema::Schema;
use std::sync::Arc;

/// Everything of a state but the bytes of its segments.
#[derive(Clone, Debug, bincode::Encode, bincode::Decode)]
pub struct Parts {
    /// Version of the state.
    pub version: u64,
    /// What its indexes are hashed with. Not to be shown to anybody who may choose keys.
    seed: HashSeed,
    /// Schema as it was published, printed.
    pub schema: String,
    /// State checksum.
    pub checksum: u64,
    /// Segments by slot.
    pub segments: Vec<SegmentPart>,
    types: Vec<TypePart>,
    /// Which types are kept; `None` for all.
    filter: Option<TypeFilter>,
    /// Where the next refresh goes on with compaction.
    emptying: Option<Cursor>,
}

/// One segment slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, bincode::Encode, bincode::Decode)]
pub struct SegmentPart {
    /// Name given when it was sealed.
    pub name: u64,
    /// Bytes; 0 for a free slot.
    pub length: u64,
    /// Bytes still in use.
    pub live: u64,
}

#[derive(Clone, Debug, bincode::Encode, bincode::Decode)]
struct TypePart {
    shift: u8,
    span: u8,
    stored: Stored,
    live: u64,
    checksum: u64,
    depth: u8,
    blocks: Vec<u64>,
    bitmaps: Vec<u64>,
    index: Vec<u64>,
    layouts: Vec<Layout>,
}

fn words(locs: &[Loc]) -> Vec<u64> {
    locs.iter().map(|loc| loc.to_word()).collect()
}

fn locs(words: &[u64]) -> Arc<[Loc]> {
    words.iter().map(|word| Loc::from_word(*word)).collect()
}

impl State {
    /// Takes the tables apart.
    #[must_use]
    pub fn to_parts(&self) -> Parts {
        let segments = self.segments.iter().map(|segment| SegmentPart {
            name: segment.name,
            length: segment.bytes.len() as u64,
            live: segment.live,
        });
        let types = self.types.iter().map(|ty| TypePart {
            shift: ty.shift,
            span: ty.span,
            stored: ty.stored,
            live: ty.live,
            checksum: ty.checksum,
            depth: ty.index.as_ref().map_or(0, |index| index.depth),
            blocks: words(&ty.blocks),
            bitmaps: words(&ty.bitmaps),
            index: ty
                .index
                .as_ref()
                .map_or(Vec::new(), |index| words(&index.pages)),
            layouts: ty.layouts.to_vec(),
        });
        Parts {
            version: self.version,
            seed: self.seed,
            schema: self.full_schema().to_string(),
            checksum: self.checksum(),
            segments: segments.collect(),
            types: types.collect(),
            filter: self.filter().map(|filter| (**filter).clone()),
            emptying: self.emptying,
        }
    }

    /// Puts a state together; `open` supplies the bytes of each segment in use.
    ///
    /// # Errors
    /// When the parts contradict each other or an address lies outside of its segment.
    pub fn from_parts(
        parts: Parts,
        open: &mut dyn FnMut(&SegmentPart) -> StateResult<Bytes>,
    ) -> StateResult<Self> {
        let schema = match parts.schema.as_str() {
            "" => Schema::default(),
            text => Schema::parse(text).map_err(|e| StateError::Damaged(e.to_string()))?,
        };
        let known = Known::new(Arc::new(schema), parts.filter.map(Arc::new), parts.seed);
        let infos = &known.infos;
        if infos.len() != parts.types.len() {
            return Err(StateError::Damaged(format!(
                "expected {} types, found {}",
                infos.len(),
                parts.types.len()
            )));
        }
        if parts.segments.len() > MAX_SLOTS {
            return Err(StateError::Damaged(format!(
                "expected at most {MAX_SLOTS} segments, found {}",
                parts.segments.len()
            )));
        }
        let mut segments = Vec::with_capacity(parts.segments.len());
        for part in &parts.segments {
            segments.push(match part.length {
                0 => Segment::FREE,
                _ => part.put_together(open(part)?)?,
            });
        }
        let types = parts.types.into_iter().zip(infos.iter());
        let types = types
            .map(|(part, info)| part.put_together(info, &segments))
            .collect::<StateResult<Vec<_>>>()?;
        let mut state = Self::assemble(parts.version, parts.seed, known, types, segments);
        state.emptying = parts.emptying;
        let mut left_out = state.schema.ids().filter(|id| !state.keeps(*id));
        if let Some(id) = left_out.find(|id| state.count(*id) > 0) {
            let name = &state.schema.get(id).name;
            return Err(StateError::Damaged(format!(
                "expected no records of type {name}, which is left out, found {}",
                state.count(id)
            )));
        }
        if state.checksum() == parts.checksum {
            Ok(state)
        } else {
            Err(StateError::Damaged(format!(
                "expected checksum {:016x}, found {:016x}",
                parts.checksum,
                state.checksum()
            )))
        }
    }
}

impl SegmentPart {
    fn put_together(&self, bytes: Bytes) -> StateResult<Segment> {
        let found = bytes.len() as u64;
        if found != self.length || self.live > found {
            return Err(StateError::Damaged(format!(
                "segment {}: expected {} bytes of which {} live, found {found}",
                self.name, self.length, self.live
            )));
        }
        Ok(Segment {
            bytes,
            name: self.name,
            live: self.live,
        })
    }
}

impl TypePart {
    fn put_together(self, info: &TypeInfo, segments: &[Segment]) -> StateResult<TypeState> {
        let damaged = |what: &str| StateError::Damaged(format!("expected {what} in the root"));
        if !(9..=self.span).contains(&self.shift) || self.span > 16 {
            return Err(damaged("a block shift of 9 to 16"));
        }
        if self
            .layouts
            .iter()
            .any(|layout| layout.slots.len() != info.kinds.len() || !layout.is_sound(self.shift))
        {
            return Err(damaged("layouts with every column, within their rows"));
        }
        if self.live > (self.blocks.len() as u64) << self.shift {
            return Err(damaged("no more records than blocks have room for"));
        }
        // Sums are kept of them: numbers beyond all bounds would overflow.
        let bytes: u64 = segments.iter().map(|s| s.bytes.len() as u64).sum();
        if self.stored.bytes > bytes || self.stored.rows > u64::from(u32::MAX) {
            return Err(damaged("no more bytes of blocks than segments hold"));
        }
        let index = info.key.as_ref().map(|_| Index {
            pages: locs(&self.index),
            depth: self.depth,
        });
        if index
            .as_ref()
            .is_some_and(|i| i.depth > 24 || i.pages.len() != 1 << i.depth)
        {
            return Err(damaged("an index directory of a power of two"));
        }
        let ty = TypeState {
            shift: self.shift,
            span: self.span,
            stored: self.stored,
            blocks: locs(&self.blocks),
            bitmaps: locs(&self.bitmaps),
            layouts: self.layouts.into(),
            index,
            live: self.live,
            checksum: self.checksum,
        };
        let inside = |loc: &Loc, length: usize| {
            let segment = segments.get(usize::from(loc.segment));
            loc.is_none() || segment.is_some_and(|s| loc.start() + length <= s.bytes.len())
        };
        let blocks = ty
            .blocks
            .iter()
            .all(|l| inside(l, 16) && (l.is_none() || usize::from(l.tag) < ty.layouts.len()));
        let bitmaps = ty.bitmaps.iter().all(|l| inside(l, page_bytes(ty.shift)));
        let pages = ty
            .index
            .iter()
            .flat_map(|i| i.pages.iter())
            .all(|l| inside(l, usize::from(l.tag) * LINE));
        if blocks && bitmaps && pages {
            Ok(ty)
        } else {
            Err(damaged("addresses within their segments"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_segments_than_slots_are_refused_before_one_is_opened() {
        let mut parts = State::empty(crate::HashSeed::new([1, 2])).to_parts();
        let part = SegmentPart {
            name: 1,
            length: 1,
            live: 1,
        };
        parts.segments = vec![part; MAX_SLOTS];
        let mut opened = 0;
        let mut open = |_: &SegmentPart| {
            opened += 1;
            Ok(Bytes::from_static(b"x"))
        };
        assert!(State::from_parts(parts.clone(), &mut open).is_ok());
        parts.segments.push(part);
        let error = State::from_parts(parts, &mut open).map(drop).unwrap_err();
        assert!(matches!(error, StateError::Damaged(_)), "{error}");
        assert_eq!(opened, MAX_SLOTS);
    }

    #[test]
    fn records_of_a_type_that_is_left_out_are_refused() {
        let note = crate::testing::state()
            .schema(Schema::parse("Note { string text; }").unwrap())
            .with_json("Note", r#"{"text":"x"}"#)
            .build()
            .unwrap();
        let mut parts = note.to_parts();
        let segments: Vec<_> = note.segments().cloned().collect();
        let mut open = |part: &SegmentPart| {
            let segment = segments.iter().find(|segment| segment.name == part.name);
            Ok(segment.unwrap().bytes.clone())
        };
        assert!(State::from_parts(parts.clone(), &mut open).is_ok());
        parts.filter = Some(TypeFilter::of(["Other"]));
        let error = State::from_parts(parts, &mut open).map(drop).unwrap_err();
        assert!(
            error.to_string().contains("type Note, which is left out"),
            "{error}"
        );
    }
}
