//! States that keep some of the types: the same blobs, checked type by type.

use crate::engine::{Chain, empty, options};
use crate::hostile::Forge;
use grotto_format::blob::Blob;
use grotto_format::schema::Schema;
use grotto_state::{
    Difference, HeapSeal, SegmentPart, State, StateError, TypeFilter, encode_snapshot,
};
use std::sync::Arc;

const SHOP: &str = "Order @PrimaryKey(id) { long id; Customer customer; }
    Customer @PrimaryKey(id) { long id; string name; Town town; }
    Town { string name; }
    River @PrimaryKey(id) { long id; string name; Town town; }";

fn schema(text: &str) -> Arc<Schema> {
    Arc::new(Schema::parse(text).unwrap())
}

fn order(id: i64, customer: i64) -> (&'static str, String) {
    let customer =
        format!(r#"{{"id":{customer},"name":"c{customer}","town":{{"name":"t{customer}"}}}}"#);
    ("Order", format!(r#"{{"id":{id},"customer":{customer}}}"#))
}

fn river(id: i64, name: &str) -> (&'static str, String) {
    (
        "River",
        format!(r#"{{"id":{id},"name":"{name}","town":{{"name":"t{id}"}}}}"#),
    )
}

/// Three versions in which everything changes.
fn chain() -> Chain {
    let mut chain = Chain::new();
    let schema = schema(SHOP);
    let first: Vec<_> = (0..50)
        .map(|id| order(id, id % 7))
        .chain((0..20).map(|id| river(id, "r")))
        .collect();
    chain.full(&schema, &first).unwrap();
    let owned = |(ty, text): (&'static str, String)| (ty, Ok(text));
    let second = [
        owned(river(3, "new")),
        ("Order", Err(4)),
        owned(order(60, 3)),
        ("River", Err(5)),
    ];
    chain.incremental(&schema, &second).unwrap();
    chain
        .incremental(&schema, &[owned(river(21, "x")), ("Order", Err(60))])
        .unwrap();
    chain
}

fn filtered(names: &[&str]) -> State {
    let filter = TypeFilter::of(names.iter().copied());
    State::empty_of(empty().seed(), Some(Arc::new(filter)))
}

fn apply(state: &State, bytes: &[u8]) -> Result<State, StateError> {
    let blob = Blob::parse(bytes.to_vec().into()).unwrap();
    Ok(state.apply(&blob, &mut HeapSeal::default())?.0)
}

/// Asserts that a state has what a whole one has of these types, and nothing else.
fn assert_part(part: &State, whole: &State, kept: &[&str]) {
    assert_eq!(part.version(), whole.version());
    assert_eq!(part.schema_hash(), whole.schema_hash());
    let (found, expected) = (part.summary(), whole.summary());
    for (name, expected) in expected {
        let found = found[&name];
        if kept.contains(&&*name) {
            assert_eq!(
                (found.records, found.checksum),
                (expected.records, expected.checksum),
                "{name}"
            );
            assert!(part.type_id(&name).is_ok());
        } else {
            assert_eq!((found.records, found.checksum), (0, 0), "{name}");
            let refused = part.type_id(&name).unwrap_err().to_string();
            assert!(refused.contains("is left out here"), "{refused}");
        }
    }
}

#[test]
fn kept_types_are_the_same_whichever_way_led_there() {
    let chain = chain();
    for (names, kept) in [
        (&["River"][..], &["River", "Town"][..]),
        (&["Order"], &["Order", "Customer", "Town"]),
        (&["Town", "Customer"], &["Customer", "Town"]),
        (&[], &[]),
    ] {
        let mut state = filtered(names);
        for (delta, whole) in chain.deltas.iter().zip(&chain.states[1..]) {
            state = apply(&state, delta).unwrap();
            assert_part(&state, whole, kept);
            let snapshot = encode_snapshot(whole, &options(whole.version())).unwrap();
            let loaded = apply(&filtered(names), &snapshot).unwrap();
            assert_part(&loaded, whole, kept);
        }
        for (reverse, whole) in chain.reverses.iter().zip(&chain.states).skip(1).rev() {
            state = apply(&state, reverse.as_ref().unwrap()).unwrap();
            assert_part(&state, whole, kept);
        }
    }
}

/// Such a blob has no checksum for some of the types: what it counts is all that tells that records are missing.
#[test]
fn a_blob_that_counts_other_records_of_a_type_that_is_kept_is_refused() {
    let chain = chain();
    let (before, mut wrong) = (&chain.deltas[0], Forge::open(&chain.deltas[1]));
    let schema = chain.write.state().full_schema();
    let river = schema.find("River").unwrap();
    wrong.header.types[river.index()].live += 1;
    let wrong = wrong.seal();
    let refused = |names: &[&str]| {
        let state = apply(&filtered(names), before).unwrap();
        let applied = state.apply(&wrong, &mut HeapSeal::default());
        applied.err().map(|error| error.to_string())
    };
    let told = refused(&["River"]).unwrap();
    assert!(told.contains("20 records of River, found 19"), "{told}");
    assert_eq!(refused(&["Order"]), None);
}

#[test]
fn what_is_left_out_takes_no_memory() {
    let chain = chain();
    let whole = chain.write.state();
    let snapshot = encode_snapshot(whole, &options(whole.version())).unwrap();
    let bytes = |state: &State| state.segments().map(|s| s.live()).sum::<u64>();
    let (some, none) = (
        apply(&filtered(&["River"]), &snapshot).unwrap(),
        apply(&filtered(&[]), &snapshot).unwrap(),
    );
    let all = apply(&empty(), &snapshot).unwrap();
    assert_eq!(bytes(&none), 0);
    assert!(bytes(&some) > 0 && bytes(&some) < bytes(&all));
}

#[test]
fn a_type_that_is_kept_from_a_version_on_comes_with_a_snapshot_only() {
    let mut chain = chain();
    let bridge = schema(&SHOP.replace(
        "River @PrimaryKey(id) { long id;",
        "River @PrimaryKey(id) { long id; Customer owner;",
    ));
    let mut state = filtered(&["River"]);
    for delta in &chain.deltas {
        state = apply(&state, delta).unwrap();
    }
    let owned = r#"{"id":3,"name":"mine","owner":{"id":3,"name":"c3","town":{"name":"t3"}}}"#;
    chain
        .incremental(&bridge, &[("River", Ok(owned.to_owned()))])
        .unwrap();
    let refused = apply(&state, chain.deltas.last().unwrap())
        .unwrap_err()
        .to_string();
    assert!(refused.contains("type Customer was left out"), "{refused}");
    let whole = chain.write.state();
    let snapshot = encode_snapshot(whole, &options(whole.version())).unwrap();
    let state = apply(&filtered(&["River"]), &snapshot).unwrap();
    assert_part(&state, whole, &["River", "Customer", "Town"]);
}

#[test]
fn parts_remember_what_is_kept() {
    let chain = chain();
    let whole = chain.write.state();
    let snapshot = encode_snapshot(whole, &options(whole.version())).unwrap();
    let state = apply(&filtered(&["River"]), &snapshot).unwrap();
    let open = |of: &State, part: &SegmentPart| {
        let segment = of.segments().find(|segment| segment.name() == part.name);
        Ok(segment.unwrap().bytes().clone())
    };
    let again = State::from_parts(state.to_parts(), &mut |part| open(&state, part)).unwrap();
    assert_part(&again, whole, &["River", "Town"]);
    assert_eq!(again.filter(), state.filter());
    assert_eq!(again.origin().filter(), state.filter());
    assert_eq!(again.at_version(9).filter(), state.filter());
}

#[test]
fn changes_of_what_is_left_out_are_an_error_and_not_none() {
    let chain = chain();
    let before = apply(&filtered(&["River"]), &chain.deltas[0]).unwrap();
    let after = apply(&before, &chain.deltas[1]).unwrap();
    let difference = Difference::new(&before, &after);
    let refused = difference.records("Order", None).err().unwrap().to_string();
    assert!(refused.contains("is left out here"), "{refused}");
    assert_eq!(difference.records("River", None).unwrap().count(), 0);
}

#[test]
fn a_type_that_nothing_kept_leads_to_any_more_goes_with_its_records() {
    let mut chain = chain();
    let mut state = filtered(&["Order"]);
    for delta in &chain.deltas {
        state = apply(&state, delta).unwrap();
    }
    let loose = schema(&SHOP.replace("long id; Customer customer;", "long id;"));
    // Somebody else may hold them all the same.
    let customer = r#"{"id":3,"name":"c3","town":{"name":"t3"}}"#;
    let records = [
        ("Order", r#"{"id":99}"#.to_owned()),
        ("Customer", customer.to_owned()),
    ];
    chain.full(&loose, &records).unwrap();
    let state = apply(&state, chain.deltas.last().unwrap()).unwrap();
    assert_part(&state, chain.write.state(), &["Order"]);
    let open = |part: &SegmentPart| {
        let segment = state.segments().find(|segment| segment.name() == part.name);
        Ok(segment.unwrap().bytes().clone())
    };
    State::from_parts(state.to_parts(), &mut { open }).unwrap();
    // What is left takes what a state takes that never had more.
    let snapshot = encode_snapshot(chain.write.state(), &options(4)).unwrap();
    let fresh = apply(&filtered(&["Order"]), &snapshot).unwrap();
    assert_eq!(state.total(), fresh.total());
}
