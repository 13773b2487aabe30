//! Limits: what a writer makes a reader accepts, and what a reader refuses no writer makes.
//!
//! Every limit is set to what a small dataset just needs, and to one less.

use crate::engine::{Chain, flat, options};
use grotto_format::Limits;
use grotto_format::blob::Blob;
use grotto_format::limits::{CELL_WEIGHT, ELEMENT_WEIGHT};
use grotto_format::schema::Schema;
use grotto_state::{
    Encoded, HeapSeal, Mode, State, StateError, WriteState, encode_snapshot, encode_snapshot_within,
};
use std::sync::Arc;

const SCHEMA: &str = "
R @PrimaryKey(k) { long k; string text; L list; }
L List<E>;
E { int x; }
";

/// 700 records in two blocks, as their texts are long; 700 lists in one; and three elements.
fn records() -> Vec<String> {
    let text = "x".repeat(200);
    let record = |k: u32| {
        let (a, b) = (k % 3, k % 2);
        format!(r#"{{"k":{k},"text":"{text}","list":[{{"x":{a}}},{{"x":{b}}},{{"x":{k}}}]}}"#)
    };
    (0..700).map(record).collect()
}

/// A first version under limits.
fn first(
    schema: &Arc<Schema>,
    lines: &[String],
    dataset: &str,
    limits: &Limits,
) -> Result<Encoded, StateError> {
    let write = WriteState::new(Arc::new(crate::engine::empty()));
    let mut cycle = write.begin(schema, Mode::Full)?;
    let id = schema.find("R").unwrap();
    for (at, line) in (0..).zip(lines) {
        cycle.add(id, &flat(schema, id, line), at)?;
    }
    let mut options = options(1);
    (options.level, options.dataset) = (None, dataset.to_owned());
    Ok(cycle.finish_within(&options, limits)?.expect("a change"))
}

/// Why there is no first version.
#[track_caller]
fn refused(schema: &Arc<Schema>, lines: &[String], limits: &Limits) -> StateError {
    let made = first(schema, lines, "dataset", limits);
    made.map(|_| "a version").expect_err("beyond a limit")
}

fn read(bytes: &[u8], limits: &Limits) -> Result<State, StateError> {
    let blob = Blob::parse_within(bytes.to_vec().into(), limits)?;
    let (state, _) = crate::engine::empty().apply(&blob, &mut HeapSeal::default())?;
    Ok(state)
}

/// The largest sum over the sections of a chunk.
fn largest_chunk(blob: &Blob) -> u64 {
    let sections = &blob.header.sections;
    let of = |s: &grotto_format::blob::Section| {
        let same = sections
            .iter()
            .filter(|o| (o.type_id, o.chunk) == (s.type_id, s.chunk));
        same.map(|section| section.raw).sum::<u64>()
    };
    sections.iter().map(of).max().unwrap()
}

fn header_bytes(bytes: &[u8]) -> u64 {
    // The length is a varint of two bytes behind the magic.
    assert!(bytes[8] >= 0x80 && bytes[9] < 0x80);
    u64::from(bytes[8] & 0x7f) | u64::from(bytes[9]) << 7
}

/// A limit, what sets it, what the dataset needs of it, and whether a snapshot can pass it that its
/// state does not.
struct Case {
    name: &'static str,
    set: fn(&mut Limits, u64),
    needed: u64,
    of_blobs: bool,
}

fn case(name: &'static str, needed: u64, set: fn(&mut Limits, u64)) -> Case {
    Case {
        name,
        set,
        needed,
        of_blobs: true,
    }
}

#[test]
fn writers_and_readers_agree_on_every_limit_to_the_last_unit() {
    let (schema, lines) = (Arc::new(Schema::parse(SCHEMA).unwrap()), records());
    let made = first(&schema, &lines, "dataset", &Limits::FORMAT).unwrap();
    let blob = Blob::parse(made.delta.clone().into()).unwrap();
    let state = made.next;
    let table = &blob.header.sections;
    let id = schema.find("R").unwrap();
    assert_eq!(state.ordinal_limit(id), 1024, "two blocks of 512");
    // The heavier block of R is the full one; its texts outweigh the elements of the lists.
    let weight = 512 * (3 * CELL_WEIGHT + 200);
    assert!(weight > 700 * (CELL_WEIGHT + 3 * ELEMENT_WEIGHT));
    let section = table.iter().map(|section| section.raw).max().unwrap();
    // A chunk of one block, which cannot be cut any smaller.
    let small = Limits {
        chunk_bytes: 1 << 20,
        ..Limits::FORMAT
    };
    let small = first(&schema, &lines, "dataset", &small).unwrap().delta;
    let block = largest_chunk(&Blob::parse(small.into()).unwrap());
    let mut cases = vec![
        case("header", header_bytes(&made.delta), |l, v| l.header = v),
        case("dataset's name", 7, |l, v| l.dataset_name = v),
        case("schema", schema.to_string().len() as u64, |l, v| {
            l.schema_text = v;
        }),
        case("types", 3, |l, v| l.types = v),
        case("sections", table.len() as u64, |l, v| l.sections = v),
        case("section", section, |l, v| l.section = v),
        case("records", 700, |l, v| l.chunk_rows = v as usize),
        case("bytes", block, |l, v| l.chunk_bytes = v),
        case("values", 3 * 512, |l, v| l.chunk_cells = v as usize),
        case("elements", 3 * 700, |l, v| l.elements = v as usize),
    ];
    let of_states = [
        case("blocks", 4, |l, v| l.blocks = v as usize),
        case("weight", weight, |l, v| l.block_weight = v),
    ];
    cases.extend(of_states.map(|case| Case {
        of_blobs: false,
        ..case
    }));
    let mut options = options(1);
    (options.level, options.dataset) = (None, "dataset".into());
    for Case {
        name,
        set,
        needed,
        of_blobs,
    } in cases
    {
        let mut limits = Limits::FORMAT;
        set(&mut limits, needed);
        let exact = first(&schema, &lines, "dataset", &limits)
            .unwrap_or_else(|error| panic!("{name} of {needed}: {error}"));
        let snapshot = encode_snapshot_within(&exact.next, &options, &limits).unwrap();
        for bytes in [&exact.delta, &snapshot] {
            let found = read(bytes, &limits).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(found.checksum(), state.checksum(), "{name}");
        }

        set(&mut limits, needed - 1);
        let error = refused(&schema, &lines, &limits);
        let told = error.to_string();
        assert!(matches!(error, StateError::Limit(_)), "{name}: {error}");
        assert!(told.contains(name), "{name}: {told}");
        let limit = format!("at most {} ", needed - 1);
        assert!(told.contains(&limit), "{name}: {told}");
        for bytes in [&exact.delta, &snapshot] {
            assert!(
                read(bytes, &limits).is_err(),
                "{name} is read above its limit"
            );
        }
        if of_blobs {
            let error = encode_snapshot_within(&state, &options, &limits).unwrap_err();
            assert!(matches!(error, StateError::Limit(_)), "{name}: {error}");
        }
    }
}

#[test]
fn limits_of_one_type_are_told_with_its_name_and_a_way_out() {
    let (schema, lines) = (Arc::new(Schema::parse(SCHEMA).unwrap()), records());
    let told = |set: fn(&mut Limits)| {
        let mut limits = Limits::FORMAT;
        set(&mut limits);
        let error = refused(&schema, &lines, &limits);
        error.to_string()
    };
    assert_eq!(
        told(|l| l.elements = 2000),
        "limit reached: type L, a block of 700 records: expected at most 2000 elements, found 2100: \
         make its records smaller, or move what is large into types of its own"
    );
    assert_eq!(
        told(|l| l.block_weight = 100_000),
        "limit reached: type R, the block of records #0 to #511: expected at most 100000 of weight, \
         found 116224: make its records smaller, or move what is large into types of its own"
    );
    assert_eq!(
        told(|l| l.sections = 7),
        "limit reached: expected at most 7 sections in a blob, found 8; most are of type R, 700 records \
         of 3 columns: use fewer fields, or spread the records over several datasets"
    );
}

/// Chunks of a snapshot of `R`, and the bytes of the largest.
fn chunks(state: &State, limits: &Limits) -> (usize, u64) {
    let mut options = options(1);
    options.level = None;
    let bytes = encode_snapshot_within(state, &options, limits).unwrap();
    assert_eq!(read(&bytes, limits).unwrap().checksum(), state.checksum());
    let blob = Blob::parse(bytes.into()).unwrap();
    let of_r = blob.header.sections.iter().filter(|s| s.type_id == 0);
    (of_r.count() / 4, largest_chunk(&blob))
}

#[test]
fn chunks_grow_where_a_blob_would_have_too_many_sections() {
    let schema = Arc::new(Schema::parse(SCHEMA).unwrap());
    let text = "x".repeat(200);
    let record = |k: u32| format!(r#"{{"k":{k},"text":"{text}"}}"#);
    let lines: Vec<String> = (0..512 * 16).map(record).collect();
    let state = first(&schema, &lines, "dataset", &Limits::FORMAT)
        .unwrap()
        .next;
    // Sixteen blocks of some 110 KB; a chunk should hold as much as one of them.
    let mut limits = Limits {
        chunk_bytes: 16 * 120_000,
        ..Limits::FORMAT
    };
    assert_eq!(chunks(&state, &limits).0, 16);
    for (sections, expected) in [(4 * 16, 16), (4 * 16 - 1, 8), (4 * 8 - 1, 4), (4 * 2, 2)] {
        limits.sections = sections;
        let (found, largest) = chunks(&state, &limits);
        assert_eq!(found, expected, "{sections} sections");
        assert!(largest <= limits.chunk_bytes / 2 + 20_000, "{largest}");
    }
    limits.sections = 4 * 2 - 1;
    let error = encode_snapshot_within(&state, &options(1), &limits).unwrap_err();
    assert!(error.to_string().contains("found 8"), "{error}");
}

#[test]
fn a_cycle_after_which_no_snapshot_could_be_written_is_refused() {
    let schema = Arc::new(Schema::parse("R @PrimaryKey(k) { long k; int a; }").unwrap());
    let mut chain = Chain::new();
    let record = |k: i64| ("R", format!(r#"{{"k":{k},"a":1}}"#));
    chain
        .full(&schema, &(0..100).map(record).collect::<Vec<_>>())
        .unwrap();
    let limits = Limits {
        chunk_rows: 100,
        sections: 5,
        ..Limits::FORMAT
    };
    let id = schema.find("R").unwrap();
    let add = |ids: std::ops::Range<i64>| {
        let mut cycle = chain.write.begin(&schema, Mode::Incremental).unwrap();
        for k in ids {
            cycle
                .upsert(id, &flat(&schema, id, &record(k).1), 1)
                .unwrap();
        }
        cycle.finish_within(&options(2), &limits)
    };
    // The delta itself is small.
    let error = add(100..101).unwrap_err();
    assert_eq!(
        error.to_string(),
        "limit reached: expected a state whose snapshot has at most 5 sections, found at least 6; most \
         are of type R, 101 records of 2 columns: use fewer fields, or spread the records over several \
         datasets"
    );
    assert!(add(99..100).unwrap().is_none(), "nothing changes");
}

#[test]
fn new_fields_that_full_blocks_have_no_room_for_are_refused() {
    let old = Arc::new(Schema::parse("R @PrimaryKey(k) { long k; int a; }").unwrap());
    let new = Arc::new(Schema::parse("R @PrimaryKey(k) { long k; int a; int b; int c; }").unwrap());
    let limits = Limits {
        block_weight: 1000 * 3 * CELL_WEIGHT,
        ..Limits::FORMAT
    };
    for (records, accepted) in [(750, true), (751, false)] {
        let mut chain = Chain::new();
        let record = |k: i64| ("R", format!(r#"{{"k":{k},"a":1}}"#));
        chain
            .full(&old, &(0..records).map(record).collect::<Vec<_>>())
            .unwrap();
        let cycle = chain.write.begin(&new, Mode::Incremental).unwrap();
        let outcome = cycle.finish_within(&options(2), &limits);
        match outcome {
            Ok(encoded) => assert!(encoded.is_some() && accepted),
            Err(error) => {
                assert!(!accepted, "{error}");
                assert!(
                    error
                        .to_string()
                        .contains("type R: expected at most 0 fields"),
                    "{error}"
                );
            }
        }
    }
}

/// Texts of one block in which the heavy ones come last, so that states with another past have laid
/// out the block in another way when the last of them comes.
#[test]
fn a_block_at_the_limit_is_accepted_by_all_or_by_none_whatever_its_layouts() {
    let schema = Arc::new(
        Schema::parse("R @PrimaryKey(k) { long k; string text; int a; L l; } L List<R>;").unwrap(),
    );
    let id = schema.find("R").unwrap();
    let record = |k: u32, text: usize, a: i64| {
        (
            "R",
            format!(r#"{{"k":{k},"text":"{}","a":{a}}}"#, "x".repeat(text)),
        )
    };
    let mut chain = Chain::new();
    let mut past: Vec<_> = (0..400).map(|k| record(k, 300, i64::from(k))).collect();
    chain.full(&schema, &past).unwrap();
    // An outlier that comes and goes: whoever saw it has a wider layout.
    past[7] = record(7, 300, 1 << 30);
    chain.full(&schema, &past).unwrap();
    past[7] = record(7, 4_000, 7);
    chain.full(&schema, &past).unwrap();
    past[7] = record(7, 300, 7);
    chain.full(&schema, &past).unwrap();
    let followed = Arc::clone(chain.write.state());
    let snapshot = encode_snapshot(&followed, &options(4)).unwrap();
    let loaded = Arc::new(read(&snapshot, &Limits::FORMAT).unwrap());
    let shapes = [&followed, &loaded].map(|state| state.shape());
    assert_ne!(
        format!("{:?}", shapes[0]),
        format!("{:?}", shapes[1]),
        "another past"
    );
    assert_eq!(followed.checksum(), loaded.checksum());

    let last = followed.find(id, 8_i64).unwrap().unwrap().ordinal();
    assert!(last < 512, "all of them are in the first block");
    let change = |state: &Arc<State>, limits: &Limits| {
        let write = WriteState::new(Arc::clone(state));
        let mut cycle = write.begin(&schema, Mode::Incremental).unwrap();
        let text = record(1000, 900, 1).1;
        cycle.upsert(id, &flat(&schema, id, &text), 1).unwrap();
        cycle.finish_within(&options(5), limits)
    };
    let live: Vec<u32> = followed.ordinals(id).collect();
    let made = change(&followed, &Limits::FORMAT).unwrap().unwrap();
    let new = made.changes.types[id.index()].added[0];
    assert!(new < 512, "{new}");
    let rows = u64::from(new.max(*live.last().unwrap())) + 1;
    let weight = rows * 4 * CELL_WEIGHT + 400 * 300 + 900;
    for (limit, accepted) in [(weight, true), (weight - 1, false)] {
        let limits = Limits {
            block_weight: limit,
            ..Limits::FORMAT
        };
        for state in [&followed, &loaded] {
            let outcome = change(state, &limits);
            assert_eq!(outcome.is_ok(), accepted, "writing at {limit}: {outcome:?}");
            let blob = Blob::parse_within(made.delta.clone().into(), &limits).unwrap();
            let outcome = state.apply(&blob, &mut HeapSeal::default());
            assert_eq!(outcome.is_ok(), accepted, "reading at {limit}");
        }
        let whole = encode_snapshot(&made.next, &options(5)).unwrap();
        assert_eq!(
            read(&whole, &limits).is_ok(),
            accepted,
            "loading at {limit}"
        );
    }
}

#[test]
fn a_list_of_removed_records_that_is_too_long_is_refused_with_a_way_out() {
    let schema = Arc::new(Schema::parse("R @PrimaryKey(k) { long k; }").unwrap());
    let lines: Vec<String> = (0..2_000).map(|k| format!(r#"{{"k":{k}}}"#)).collect();
    let mut write = WriteState::new(Arc::new(crate::engine::empty()));
    write.advance(first(&schema, &lines, "dataset", &Limits::FORMAT).unwrap());
    let id = schema.find("R").unwrap();
    let remove = |limits: &Limits| {
        let mut cycle = write.begin(&schema, Mode::Incremental).unwrap();
        for key in (0..2_000_i64).step_by(2) {
            cycle.delete(id, key, 0).unwrap();
        }
        cycle
            .finish_within(&options(2), limits)
            .map(|made| made.is_some())
    };
    assert!(remove(&Limits::FORMAT).unwrap());
    let short = Limits {
        section: 100,
        ..Limits::FORMAT
    };
    let error = remove(&short).unwrap_err();
    assert!(matches!(error, StateError::Limit(_)), "{error}");
    let error = error.to_string();
    for part in ["type R", "1000 removed records", "several cycles"] {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
}
