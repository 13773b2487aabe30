//! Paths that few datasets take.

use crate::engine::{Chain, options};
use grotto_format::blob::Blob;
use grotto_format::schema::Schema;
use grotto_state::{HeapSeal, State, StateError, WriteState, encode_snapshot};
use std::sync::Arc;

fn schema(text: &str) -> Arc<Schema> {
    Arc::new(Schema::parse(text).unwrap())
}

fn reload(state: &State) -> State {
    let bytes = encode_snapshot(state, &options(state.version())).unwrap();
    crate::engine::empty()
        .apply(
            &Blob::parse(bytes.into()).unwrap(),
            &mut HeapSeal::default(),
        )
        .unwrap()
        .0
}

const NESTED: &str =
    "A @PrimaryKey(id) { long id; K k; } K @PrimaryKey(code) { int code; string text; }";

fn a(id: i64, text: &str) -> String {
    format!(r#"{{"id":{id},"k":{{"code":1,"text":"{text}"}}}}"#)
}

#[test]
fn a_key_deleted_and_then_brought_back_within_another_record_lives() {
    let schema = schema(NESTED);
    for text in ["same", "other"] {
        let mut chain = Chain::new();
        chain
            .full(&schema, &[("K", r#"{"code":1,"text":"same"}"#.into())])
            .unwrap();
        assert!(
            chain
                .incremental(&schema, &[("K", Err(1)), ("A", Ok(a(7, text)))])
                .unwrap()
        );
        let state = chain.write.state();
        let k = state.find(schema.find("K").unwrap(), 1).unwrap().unwrap();
        assert_eq!(k.text(1), text);
        chain.write.check_invariants().unwrap();
        chain.verify();
    }
}

#[test]
fn a_key_brought_within_another_record_and_then_deleted_is_refused() {
    let schema = schema(NESTED);
    for text in ["same", "other"] {
        let mut chain = Chain::new();
        chain
            .full(&schema, &[("K", r#"{"code":1,"text":"same"}"#.into())])
            .unwrap();
        let error = chain
            .incremental(&schema, &[("A", Ok(a(7, text))), ("K", Err(1))])
            .unwrap_err();
        assert!(
            error.to_string().contains("key 1 cannot be deleted"),
            "{error}"
        );
        assert!(
            chain.incremental(&schema, &[("K", Err(1))]).unwrap(),
            "the failed cycle left no trace"
        );
    }
}

#[test]
fn a_key_named_as_it_is_and_nested_otherwise_is_refused_in_any_order() {
    let schema = schema(NESTED);
    let mut chain = Chain::new();
    let old = ("K", r#"{"code":1,"text":"same"}"#.to_owned());
    chain.full(&schema, std::slice::from_ref(&old)).unwrap();
    let mut changes = vec![("K", Ok(old.1.clone())), ("A", Ok(a(7, "other")))];
    for _ in 0..2 {
        let error = chain.incremental(&schema, &changes).unwrap_err();
        assert!(matches!(error, StateError::DuplicateKey { .. }), "{error}");
        changes.reverse();
    }
    let mut records = vec![old, ("A", a(7, "other"))];
    for _ in 0..2 {
        let error = chain.full(&schema, &records).unwrap_err();
        assert_eq!(
            error.to_string(),
            "type K: duplicate key 1: record 1 and record 2"
        );
        records.reverse();
    }
}

#[test]
fn a_dataset_that_was_emptied_can_be_returned_to() {
    let schema = schema("R @PrimaryKey(k) { long k; }");
    let mut chain = Chain::new();
    chain.full(&schema, &[("R", r#"{"k":1}"#.into())]).unwrap();
    chain.full(&schema, &[]).unwrap();
    chain.full(&schema, &[("R", r#"{"k":2}"#.into())]).unwrap();
    assert!(chain.reverses[0].is_none() && chain.reverses[1..].iter().all(Option::is_some));
    chain.verify();
}

#[test]
fn records_of_many_empty_fields_fit_into_chunks() {
    let fields: String = (0..700).map(|i| format!("string f{i};")).collect();
    let schema = schema(&format!("R @PrimaryKey(k) {{ long k; {fields} }}"));
    let records: Vec<_> = (0..50_000)
        .map(|k| ("R", format!(r#"{{"k":{k}}}"#)))
        .collect();
    let mut chain = Chain::new();
    chain.full(&schema, &records).unwrap();
    assert_eq!(
        reload(chain.write.state()).checksum(),
        chain.write.state().checksum()
    );
}

#[test]
fn a_load_of_many_chunks_side_by_side_agrees_with_itself() {
    let schema = schema("R @PrimaryKey(k) { long k; string text; }");
    let padding = "x".repeat(200);
    let records: Vec<_> = (0..300_000_i64)
        .map(|k| ("R", format!(r#"{{"k":{},"text":"{padding}"}}"#, k * k)))
        .collect();
    let mut chain = Chain::new();
    chain.full(&schema, &records).unwrap();
    let loaded = reload(chain.write.state());
    loaded.check_invariants().unwrap();
    assert_eq!(loaded.checksum(), chain.write.state().checksum());
}

#[test]
fn records_that_grow_do_not_outgrow_their_blocks() {
    let schema = schema("R @PrimaryKey(k) { long k; string text; }");
    let mut chain = Chain::new();
    // Blocks are sized for the first records.
    chain.full(&schema, &[("R", r#"{"k":0}"#.into())]).unwrap();
    let text = "x".repeat(40_000);
    for batch in 0..4_i64 {
        let changes: Vec<_> = (0..200)
            .map(|i| {
                (
                    "R",
                    Ok(format!(r#"{{"k":{},"text":"{text}"}}"#, batch * 200 + i)),
                )
            })
            .collect();
        chain.incremental(&schema, &changes).unwrap();
    }
    let touched = chain
        .incremental(&schema, &[("R", Ok(r#"{"k":1,"text":"short"}"#.into()))])
        .unwrap();
    assert!(touched);
    let state = chain.write.state();
    let largest = state.segments().map(|segment| segment.bytes().len()).max();
    assert!(
        largest < Some(12 << 20),
        "{largest:?} bytes written at once for 8 MB of records"
    );
    chain.write.check_invariants().unwrap();
    assert_eq!(reload(state).checksum(), state.checksum());
}

#[test]
fn a_write_state_that_starts_from_a_chain_knows_what_one_from_a_snapshot_knows() {
    let schema = schema(NESTED);
    let mut chain = Chain::new();
    chain
        .full(&schema, &[("A", a(1, "x")), ("A", a(2, "x"))])
        .unwrap();
    chain.incremental(&schema, &[("A", Err(1))]).unwrap();
    WriteState::new(Arc::clone(chain.write.state()))
        .check_invariants()
        .unwrap();
    chain.write.check_invariants().unwrap();
}

#[test]
fn large_records_that_come_in_a_row_do_not_make_huge_blocks() {
    let schema = schema("R @PrimaryKey(k) { long k; string text; }");
    let text = "x".repeat(20_000);
    let records: Vec<_> = (0..60_000)
        .map(|k| {
            (
                "R",
                if k < 59_000 {
                    format!(r#"{{"k":{k}}}"#)
                } else {
                    format!(r#"{{"k":{k},"text":"{text}"}}"#)
                },
            )
        })
        .collect();
    let mut chain = Chain::new();
    chain.full(&schema, &records).unwrap();
    let id = schema.find("R").unwrap();
    // Room for ordinals shows the size of a block: blocks of a thousand at most.
    assert!(
        chain.write.state().ordinal_limit(id) < 60_000 + 1024,
        "{}",
        chain.write.state().ordinal_limit(id)
    );
}

#[test]
fn types_that_come_and_go_leave_no_bytes_behind() {
    let (with, without) = (
        "R @PrimaryKey(k) { long k; } Log { string text; }",
        "R @PrimaryKey(k) { long k; }",
    );
    let mut chain = Chain::new();
    let kept = ("R", r#"{"k":1}"#.to_owned());
    for round in 0..5 {
        let text = "x".repeat(100_000);
        chain
            .full(
                &schema(with),
                &[
                    kept.clone(),
                    ("Log", format!(r#"{{"text":"{round}{text}"}}"#)),
                ],
            )
            .unwrap();
        chain
            .full(&schema(without), std::slice::from_ref(&kept))
            .unwrap();
        let total: usize = chain
            .write
            .state()
            .segments()
            .map(|segment| segment.bytes().len())
            .sum();
        assert!(total < 20_000, "{total} bytes for one record");
    }
    chain.verify();
}

#[test]
fn a_load_of_several_segments_keeps_count_of_its_bytes() {
    let schema = schema("R @PrimaryKey(k) { long k; string text; }");
    let text = "x".repeat(100_000);
    let records: Vec<_> = (0..1800)
        .map(|k| ("R", format!(r#"{{"k":{k},"text":"{text}{k}"}}"#)))
        .collect();
    let mut chain = Chain::new();
    chain.full(&schema, &records).unwrap();
    let loaded = reload(chain.write.state());
    assert!(loaded.segments().count() > 1);
    loaded.check_invariants().unwrap();
    chain
        .incremental(
            &schema,
            &[
                ("R", Err(3)),
                ("R", Ok(r#"{"k":700,"text":"short"}"#.into())),
            ],
        )
        .unwrap();
    chain.write.check_invariants().unwrap();
    let delta = Blob::parse(chain.deltas[1].clone().into()).unwrap();
    let (next, _) = loaded.apply(&delta, &mut HeapSeal::default()).unwrap();
    next.check_invariants().unwrap();
    assert_eq!(
        next.find(schema.find("R").unwrap(), 700)
            .unwrap()
            .unwrap()
            .text(1),
        "short"
    );
}

/// Each type refers to the next one. Whatever looks at all types for each type is felt here.
#[test]
fn a_chain_of_as_many_types_as_there_may_be_is_published_and_changed() {
    let types = grotto_format::schema::MAX_TYPES;
    let text = |last: &str| {
        let ty = |at: usize| match at + 1 {
            next if next < types => format!("T{at} {{ int x; T{next} n; }} "),
            _ => format!("T{at} {{ int x; {last} }} "),
        };
        "R @PrimaryKey(k) { long k; T1 n; } ".to_owned() + &(1..types).map(ty).collect::<String>()
    };
    let (old, new) = (schema(&text("")), schema(&text("int y;")));
    assert_eq!(old.types().len(), types);
    let nested = (0..30).fold("null".to_owned(), |inner, x| {
        format!(r#"{{"x":{x},"n":{inner}}}"#)
    });
    let record = |k: i64| ("R", format!(r#"{{"k":{k},"n":{nested}}}"#));
    let mut chain = Chain::new();
    chain.full(&old, &[record(1), record(2)]).unwrap();
    chain.full(&new, &[record(1), record(3)]).unwrap();
    assert_eq!(chain.write.state().total(), 2 + 30);
    assert!((0..types).all(|at| new.is_top_level(grotto_format::TypeId(at as u16)) == (at == 0)));
    chain.verify();
}
