//! Honest blobs with parts of them changed at random, then sealed again.

use super::forge::{Forge, Piece};
use super::provoke;
use crate::engine::Chain;
use grotto_format::batch::{
    Column, ColumnKind, MAX_CHUNK_ROWS, Value, columns_of, decode_ordinals,
};
use grotto_format::blob::{BlobHeader, BlobKind, SectionKind, TypeInfo};
use grotto_format::schema::Schema;
use grotto_state::State;
use proptest::prelude::*;
use proptest::sample::Index;
use std::sync::{Arc, OnceLock};

const SCHEMA: &str = "R @PrimaryKey(k, s) { long k; int i; float f; double d; boolean b; string s; bytes raw; String r;
    Names names; Tags tags; Scores scores; R next; }
    String { string value; } Names List<String>; Tags Set<String> @HashKey(value); Scores Map<String, Names>;
    Gone { int x; }";
const LATER: &str = "String { string value; } Names List<String>; R @PrimaryKey(k, s) { string s; long k; int late; int i;
    float f; double d; boolean b; bytes raw; String r; Names names; Tags tags; Scores scores; R next; }
    Tags Set<String> @HashKey(value); Scores Map<String, Names>;";

/// Blobs to damage, each with the state it applies to.
fn originals() -> &'static Vec<(Arc<State>, Forge)> {
    static ALL: OnceLock<Vec<(Arc<State>, Forge)>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut chain = Chain::new();
        let schema = Arc::new(Schema::parse(SCHEMA).unwrap());
        let later = Arc::new(Schema::parse(LATER).unwrap());
        let record = |i: i64, salt: i64| {
            let text = format!(
                r#"{{"k":{i},"s":"s{}","i":{},"f":0.5,"d":{i}.25,"b":{},"raw":"AAEC","r":"v{}","names":["a","b{}"],"tags":["x","y{}"],"scores":{{"p":["q"],"z{i}":[]}},"next":{{"k":-{i},"s":"next"}}}}"#,
                i % 3, i * salt, i % 2 == 0, i % 5, i % 4, i % 3
            );
            ("R", text)
        };
        let mut first: Vec<_> = (1..60).map(|i| record(i, 3)).collect();
        first.push(("Gone", r#"{"x":1}"#.into()));
        chain.full(&schema, &first).unwrap();
        let second: Vec<_> = (5..70).map(|i| record(i, if i % 7 == 0 { 5 } else { 3 })).collect();
        chain.full(&schema, &second).unwrap();
        chain.full(&later, &second[3..]).unwrap();
        let mut all = Vec::new();
        for (number, delta) in chain.deltas.iter().enumerate() {
            all.push((Arc::clone(&chain.states[number]), Forge::open(delta)));
            if let Some(reverse) = &chain.reverses[number] {
                all.push((Arc::clone(&chain.states[number + 1]), Forge::open(reverse)));
            }
            let snapshot = grotto_state::encode_snapshot(&chain.states[number + 1], &crate::engine::options(1)).unwrap();
            all.push((Arc::new(crate::engine::empty()), Forge::open(&snapshot)));
        }
        all
    })
}

#[derive(Clone, Debug)]
enum Edit {
    /// Other values in a column, well encoded.
    Refill(Index, u64),
    Flip(Index, Index, u8),
    Splice(Index, Index, Vec<u8>),
    Cut(Index, Index),
    Head(Index, Vec<u8>),
    CopyRaw(Index, Index),
    Swap(Index, Index),
    Drop(Index),
    Twice(Index),
    Retype(Index, u16),
    Rechunk(Index, u32),
    Rekind(Index, u16),
    Shift(Index, u8),
    Live(Index, u64),
    FewerTypes,
    MoreTypes,
    Kind(usize),
    SchemaOf(Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = any::<Index>;
    let some_bytes = || {
        prop::collection::vec(
            prop_oneof![Just(0_u8), Just(0xff), Just(0x80), any::<u8>()],
            0..12,
        )
    };
    prop_oneof![
        16 => (at(), any::<u64>()).prop_map(|(a, b)| Edit::Refill(a, b)),
        12 => (at(), at(), any::<u8>()).prop_map(|(a, b, c)| Edit::Flip(a, b, c)),
        4 => (at(), at(), some_bytes()).prop_map(|(a, b, c)| Edit::Splice(a, b, c)),
        2 => (at(), at()).prop_map(|(a, b)| Edit::Cut(a, b)),
        4 => (at(), some_bytes()).prop_map(|(a, b)| Edit::Head(a, b)),
        2 => (at(), at()).prop_map(|(a, b)| Edit::CopyRaw(a, b)),
        1 => (at(), at()).prop_map(|(a, b)| Edit::Swap(a, b)),
        1 => at().prop_map(Edit::Drop),
        1 => at().prop_map(Edit::Twice),
        1 => (at(), prop_oneof![0_u16..8, any::<u16>()]).prop_map(|(a, b)| Edit::Retype(a, b)),
        1 => (at(), prop_oneof![0_u32..3, any::<u32>()]).prop_map(|(a, b)| Edit::Rechunk(a, b)),
        1 => (at(), 0_u16..15).prop_map(|(a, b)| Edit::Rekind(a, b)),
        1 => (at(), 9_u8..=16).prop_map(|(a, b)| Edit::Shift(a, b)),
        1 => (at(), any::<u64>()).prop_map(|(a, b)| Edit::Live(a, b)),
        1 => prop_oneof![Just(Edit::FewerTypes), Just(Edit::MoreTypes), (0_usize..4).prop_map(Edit::Kind)],
        1 => at().prop_map(Edit::SchemaOf),
    ]
}

fn perform(edit: &Edit, forge: &mut Forge) {
    let types = forge.header.types.len();
    let sections = &mut forge.sections;
    let header = &mut forge.header;
    if sections.is_empty() || types == 0 {
        return;
    }
    match edit {
        Edit::Refill(s, seed) => {
            let at = s.index(sections.len());
            refill(header, sections, at, *seed);
        }
        Edit::Flip(s, at, mask) => {
            let raw = &mut s.get_mut(sections).raw;
            if !raw.is_empty() {
                *at.get_mut(raw) ^= mask;
            }
        }
        Edit::Splice(s, at, bytes) => {
            let raw = &mut s.get_mut(sections).raw;
            let start = at.index(raw.len() + 1);
            let end = (start + bytes.len()).min(raw.len());
            raw.splice(start..end, bytes.iter().copied());
        }
        Edit::Cut(s, at) => {
            let raw = &mut s.get_mut(sections).raw;
            raw.truncate(at.index(raw.len() + 1));
        }
        Edit::Head(s, bytes) => {
            let raw = &mut s.get_mut(sections).raw;
            let end = bytes.len().min(raw.len());
            raw.splice(..end, bytes.iter().copied());
        }
        Edit::CopyRaw(from, to) => {
            let raw = from.get(sections).raw.clone();
            to.get_mut(sections).raw = raw;
        }
        Edit::Swap(a, b) => {
            let (a, b) = (a.index(sections.len()), b.index(sections.len()));
            sections.swap(a, b);
        }
        Edit::Drop(s) => {
            sections.remove(s.index(sections.len()));
        }
        Edit::Twice(s) => {
            let piece = s.get(sections).clone();
            sections.push(piece);
        }
        Edit::Retype(s, ty) => s.get_mut(sections).type_id = *ty,
        Edit::Rechunk(s, chunk) => s.get_mut(sections).chunk = *chunk,
        Edit::Rekind(s, kind) => {
            s.get_mut(sections).kind = match kind {
                0 => SectionKind::Removed,
                1 => SectionKind::Added,
                column => SectionKind::Column(column - 2),
            };
        }
        Edit::Shift(t, shift) => t.get_mut(&mut header.types).shift = *shift,
        Edit::Live(t, live) => t.get_mut(&mut header.types).live = *live,
        Edit::FewerTypes => {
            header.types.pop();
        }
        Edit::MoreTypes => header.types.push(TypeInfo { shift: 11, live: 0 }),
        Edit::Kind(kind) => {
            header.kind = [
                BlobKind::Snapshot,
                BlobKind::Delta,
                BlobKind::Reverse,
                BlobKind::Header,
            ][*kind];
        }
        Edit::SchemaOf(other) => {
            let other = &other.get(originals()).1.header;
            header.schema_text.clone_from(&other.schema_text);
            header.schema_hash = other.schema_hash;
        }
    }
}

/// Replaces a column by one of as many values that no honest writer would choose.
fn refill(header: &BlobHeader, sections: &mut [Piece], at: usize, seed: u64) {
    let SectionKind::Column(position) = sections[at].kind else {
        return;
    };
    let Some(first) = at.checked_sub(1 + usize::from(position)) else {
        return;
    };
    let Ok(ordinals) = decode_ordinals(&sections[first].raw, MAX_CHUNK_ROWS) else {
        return;
    };
    let schema = match &header.schema_text {
        Some(text) => Schema::parse(text).unwrap(),
        None => Schema::parse(SCHEMA).unwrap(),
    };
    let Some(ty) = schema.types().get(usize::from(sections[at].type_id)) else {
        return;
    };
    let Some(kind) = columns_of(ty).get(usize::from(position)).copied() else {
        return;
    };
    let mut column = Column::new(kind);
    let mut state = seed;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    for _ in &ordinals {
        let odd = [
            0,
            1,
            2,
            59,
            511,
            512,
            u64::MAX,
            1 << 31,
            u64::from(u32::MAX),
            1 << 63,
        ][next() as usize % 10];
        let word = if next() % 2 == 0 { next() % 64 } else { odd };
        let elements: Vec<u32> = (0..next() % 7)
            .map(|i| {
                if i == 5 {
                    odd as u32
                } else {
                    next() as u32 % 64
                }
            })
            .collect();
        column.push(match (kind, next() % 5) {
            (_, 0) => Value::Null,
            (ColumnKind::Fixed(_), _) => Value::Fixed(word),
            (ColumnKind::Var(_), pick) => {
                Value::Var(["", "a", "text", "s1", "other"][pick as usize].as_bytes())
            }
            (ColumnKind::Elements(per), _) => {
                Value::Elements(&elements[..elements.len() / usize::from(per) * usize::from(per)])
            }
        });
    }
    let rows: Vec<u32> = (0..ordinals.len() as u32).collect();
    sections[at].raw.clear();
    column.encode(kind, &rows, &mut sections[at].raw);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]
    #[test]
    fn a_resealed_mutation_is_refused_or_gives_a_readable_state(
        which: Index,
        edits in prop::collection::vec(edit(), 1..5),
    ) {
        let (base, original) = which.get(originals());
        let mut forge = original.clone();
        edits.iter().for_each(|edit| perform(edit, &mut forge));
        if forge.header.sections.len() < 200 {
            let _ = provoke(base, &forge);
        }
    }
}

/// More by `PROPTEST_CASES`, for a night.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(400)
}

#[test]
fn the_originals_apply() {
    for (base, forge) in originals() {
        assert!(provoke(base, forge).is_ok());
    }
}
