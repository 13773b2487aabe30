//! States that keep some of the fields: the same blobs, checked by the same checksums.

use crate::engine::{Chain, empty, options};
use crate::model::{SCHEMA, Step, WIDER, record, steps};
use grotto_format::blob::Blob;
use grotto_format::schema::{FieldType, Schema, TypeId, TypeKind};
use grotto_state::{Difference, HeapSeal, Record, State, StateError, TypeFilter, encode_snapshot};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

const SHOP: &str =
    "Order @PrimaryKey(id) { long id; Customer customer; double total; string note; }
    Customer @PrimaryKey(code) { string name; string code; Tags tags; long since; }
    Tags Set<Tag> @HashKey(word);
    Tag { long weight; string word; string colour; }";

fn schema(text: &str) -> Arc<Schema> {
    Arc::new(Schema::parse(text).unwrap())
}

fn filtered(names: &[&str]) -> State {
    let filter = TypeFilter::of(names.iter().copied());
    State::empty_of(empty().seed(), Some(Arc::new(filter)))
}

fn apply(state: &State, bytes: &[u8]) -> Result<State, StateError> {
    let blob = Blob::parse(bytes.to_vec().into()).unwrap();
    Ok(state.apply(&blob, &mut HeapSeal::default())?.0)
}

fn json(record: Record<'_>) -> Value {
    let mut out = String::new();
    record.to_json(&mut out, 1 << 20).unwrap();
    serde_json::from_str(&out).unwrap()
}

/// A record of the whole dataset, without the fields that a state does not keep.
fn cut(schema: &Schema, id: TypeId, value: Value) -> Value {
    match (&schema.get(id).kind, value) {
        (TypeKind::Object(object), Value::Object(mut fields)) => {
            let kept = object.fields.iter().filter_map(|field| {
                let (name, value) = fields.remove_entry(&field.name)?;
                let value = match field.ty {
                    FieldType::Reference(to) => cut(schema, to, value),
                    _ => value,
                };
                Some((name, value))
            });
            Value::Object(kept.collect())
        }
        (TypeKind::Set { element, .. } | TypeKind::List { element }, Value::Array(elements)) => {
            let elements = elements.into_iter();
            elements.map(|value| cut(schema, *element, value)).collect()
        }
        (_, value) => value,
    }
}

/// Asserts that a state holds what is kept of the top-level records of a whole one, and that the log would accept it.
fn assert_part(part: &State, whole: &State, types: &[&str]) {
    assert_eq!(
        (part.version(), part.schema_hash()),
        (whole.version(), whole.schema_hash())
    );
    let (found, expected) = (part.summary(), whole.summary());
    for (ty, found) in &found {
        // Also where the field that refers to it is left out.
        assert_eq!(found.nested, expected[ty].nested, "{ty}");
    }
    for ty in types {
        let checksums = (found[*ty].checksum, expected[*ty].checksum);
        assert_eq!(
            checksums.0,
            checksums.1,
            "{ty} at version {}",
            whole.version()
        );
        let id = part.type_id(ty).unwrap();
        assert_eq!(found[*ty].records, expected[*ty].records);
        for record in whole.scan(id) {
            let expected = cut(part.schema(), id, json(record));
            assert_eq!(json(part.record(id, record.ordinal()).unwrap()), expected);
        }
    }
}

fn customer(code: i64, note: &str) -> String {
    let tags = format!(
        r#"[{{"word":"a{code}","weight":{code},"colour":"{note}"}},{{"word":"b","weight":1}}]"#
    );
    format!(r#"{{"code":"c{code}","name":"n{note}","tags":{tags},"since":{code}}}"#)
}

fn order(id: i64, code: i64, note: &str) -> (&'static str, String) {
    let customer = customer(code, note);
    (
        "Order",
        format!(r#"{{"id":{id},"customer":{customer},"total":{id}.5,"note":"{note}"}}"#),
    )
}

fn shop() -> Chain {
    let (mut chain, schema) = (Chain::new(), schema(SHOP));
    let first: Vec<_> = (0..80).map(|id| order(id, id % 9, "x")).collect();
    chain.full(&schema, &first).unwrap();
    let owned = |(ty, text): (&'static str, String)| (ty, Ok(text));
    chain
        .incremental(
            &schema,
            &[
                owned(order(3, 13, "y")),
                ("Order", Err(5)),
                owned(order(99, 12, "z")),
            ],
        )
        .unwrap();
    chain
        .incremental(&schema, &[owned(order(99, 2, "x")), ("Order", Err(7))])
        .unwrap();
    chain
}

/// Follows a chain there, back, and by a snapshot of each version.
fn follow(chain: &Chain, names: &[&str], types: &[&str]) -> State {
    let mut state = filtered(names);
    for (delta, whole) in chain.deltas.iter().zip(&chain.states[1..]) {
        state = apply(&state, delta).unwrap();
        assert_part(&state, whole, types);
        let snapshot = encode_snapshot(whole, &options(whole.version())).unwrap();
        assert_part(&apply(&filtered(names), &snapshot).unwrap(), whole, types);
    }
    let newest = state.at_version(state.version());
    for (reverse, whole) in chain.reverses.iter().zip(&chain.states).skip(1).rev() {
        let Some(reverse) = reverse else { break };
        state = apply(&state, reverse).unwrap();
        assert_part(&state, whole, types);
    }
    newest
}

#[test]
fn kept_fields_are_the_same_whichever_way_led_there() {
    let chain = shop();
    let state = follow(&chain, &["Order.total"], &["Order"]);
    let fields = |ty: &str| {
        let ty = state.schema().get(state.schema().find(ty).unwrap());
        let fields = ty.fields().iter().map(|field| field.name.clone());
        fields.collect::<Vec<_>>()
    };
    assert_eq!(fields("Order"), ["id", "total"]);
    // Nothing that is kept leads there.
    assert!(state.type_id("Customer").is_err());
    follow(
        &chain,
        &["Order.note", "Customer.since"],
        &["Order", "Customer"],
    );
    follow(
        &chain,
        &["Order.customer", "Customer.tags", "Tag.colour"],
        &["Order", "Tag"],
    );
    follow(
        &chain,
        &["Order.customer"],
        &["Order", "Customer", "Tags", "Tag"],
    );
    let state = follow(
        &chain,
        &["Order.customer", "Customer.tags", "Tag.weight"],
        &["Order"],
    );
    let found = state
        .find(state.type_id("Order").unwrap(), 99)
        .unwrap()
        .unwrap();
    let expected = r#"{"id":99,"customer":{"code":"c2","tags":[{"word":"a2","weight":2},{"word":"b","weight":1}]}}"#;
    let expected: Value = serde_json::from_str(expected).unwrap();
    let sorted = |mut value: Value| {
        let tags = value["customer"]["tags"].as_array_mut().unwrap();
        tags.sort_by_key(|tag| tag["word"].to_string());
        value
    };
    assert_eq!(sorted(json(found)), expected);
}

#[test]
fn a_value_that_is_not_kept_is_checked_all_the_same() {
    let chain = shop();
    let mut state = filtered(&["Order.total"]);
    for delta in &chain.deltas {
        state = apply(&state, delta).unwrap();
    }
    // The same records, but for a note that nobody here keeps.
    let (mut other, schema) = (Chain::new(), schema(SHOP));
    let mut records: Vec<_> = (0..80)
        .filter(|id| ![3, 5, 7].contains(id))
        .map(|id| order(id, id % 9, "x"))
        .collect();
    records.extend([order(3, 13, "y"), order(99, 2, "x")]);
    records[0].1 = records[0].1.replace(r#""note":"x""#, r#""note":"other""#);
    other.full(&schema, &records).unwrap();
    let forged = apply(&filtered(&["Order.total"]), &other.deltas[0]).unwrap();
    let (id, found) = (state.type_id("Order").unwrap(), |state: &State| {
        let id = state.type_id("Order").unwrap();
        state
            .scan(id)
            .map(|record| json(record).to_string())
            .collect::<BTreeSet<_>>()
    });
    assert_eq!(found(&forged), found(&state));
    let sum = |state: &State| state.summary()["Order"].checksum;
    assert_ne!(sum(&forged), sum(&state));
    assert_eq!(sum(&state), chain.write.state().summary()["Order"].checksum);
    assert_eq!(state.count(id), chain.write.state().count(id));
}

#[test]
fn reading_what_is_left_out_is_an_error() {
    let chain = shop();
    let state = follow(&chain, &["Order.total"], &["Order"]);
    let order = state.type_id("Order").unwrap();
    let path = |path: &str| state.schema().field_path(order, path);
    assert!(path("total").is_ok());
    assert_eq!(
        path("note").unwrap_err().to_string(),
        "field Order.note is left out here"
    );
    assert!(
        path("nothing")
            .unwrap_err()
            .to_string()
            .contains("expected one of id, total")
    );
    let snapshot = encode_snapshot(&state, &options(9)).unwrap_err();
    assert!(
        snapshot.to_string().contains("of Order.total alone"),
        "{snapshot}"
    );
}

#[test]
fn what_is_left_out_takes_eight_bytes_a_record() {
    let schema = schema("Page @PrimaryKey(id) { long id; string text; bytes image; int width; }");
    let mut chain = Chain::new();
    let text = "a".repeat(200);
    let records = (0..5000).map(|id| {
        (
            "Page",
            format!(r#"{{"id":{id},"text":"{text}{id}","width":1}}"#),
        )
    });
    chain.full(&schema, &records.collect::<Vec<_>>()).unwrap();
    let bytes = |names: &[&str]| {
        let state = apply(&filtered(names), &chain.deltas[0]).unwrap();
        state.segments().map(|s| s.live()).sum::<u64>() / 5000
    };
    let (whole, part) = (bytes(&["Page"]), bytes(&["Page.width"]));
    assert!(whole > 200, "{whole}");
    // Key, checksum of the rest, index.
    assert!((10..30).contains(&part), "{part}");
}

#[test]
fn changes_that_nobody_here_can_see_are_none() {
    let (mut chain, schema) = (
        Chain::new(),
        schema("Page @PrimaryKey(id) { long id; string text; int width; }"),
    );
    let page = |id: i64, text: &str, width: i64| {
        (
            "Page",
            Ok(format!(r#"{{"id":{id},"text":"{text}","width":{width}}}"#)),
        )
    };
    chain
        .incremental(&schema, &[page(1, "a", 1), page(2, "a", 1)])
        .unwrap();
    chain
        .incremental(&schema, &[page(1, "b", 1), page(2, "b", 2)])
        .unwrap();
    let before = apply(&filtered(&["Page.width"]), &chain.deltas[0]).unwrap();
    let blob = Blob::parse(chain.deltas[1].clone().into()).unwrap();
    let (after, changes) = before.apply(&blob, &mut HeapSeal::default()).unwrap();
    let difference = Difference::new(&before, &after);
    let changed: Vec<_> = difference
        .records("Page", Some(&changes.types[0]))
        .unwrap()
        .collect();
    assert_eq!(changed.len(), 1, "{changed:?}");
}

#[test]
fn a_field_that_goes_leaves_the_checksum_right() {
    let names = ["Order.total", "Order.gone"];
    let old =
        schema("Order @PrimaryKey(id) { long id; string gone; string hidden; double total; }");
    let new = schema("Order @PrimaryKey(id) { double total; long id; string late; }");
    let mut chain = Chain::new();
    let first = (0..40).map(|id| {
        (
            "Order",
            format!(
                r#"{{"id":{id},"gone":"g{id}","hidden":"h{}","total":1}}"#,
                id % 3
            ),
        )
    });
    chain.full(&old, &first.collect::<Vec<_>>()).unwrap();
    let second = (5..45).map(|id| {
        (
            "Order",
            format!(r#"{{"id":{id},"total":{},"late":"l"}}"#, id % 2),
        )
    });
    chain.full(&new, &second.collect::<Vec<_>>()).unwrap();
    chain
        .incremental(
            &new,
            &[("Order", Err(9)), ("Order", Ok(r#"{"id":10}"#.to_owned()))],
        )
        .unwrap();
    let state = follow(&chain, &names, &["Order"]);
    let order = state.schema().get(state.type_id("Order").unwrap());
    assert!(order.leaves_out("late") && !order.leaves_out("hidden"));
}

#[test]
fn a_field_that_keys_need_from_a_version_on_comes_with_a_snapshot_only() {
    let old = schema("A @PrimaryKey(id) { long id; T t; long n; } T { string a; string b; }");
    let new = schema(
        "A @PrimaryKey(id) { long id; T t; long n; S s; } T { string a; string b; } S Set<T> @HashKey(b);",
    );
    let mut chain = Chain::new();
    let record = |id: i64| {
        (
            "A",
            Ok(format!(r#"{{"id":{id},"t":{{"a":"x","b":"y"}},"n":1}}"#)),
        )
    };
    chain.incremental(&old, &[record(1), record(2)]).unwrap();
    let with_set = r#"{"id":3,"n":1,"s":[{"a":"x","b":"y"}]}"#.to_owned();
    chain.incremental(&new, &[("A", Ok(with_set))]).unwrap();
    let names = ["A.t", "T.a"];
    let state = apply(&filtered(&names), &chain.deltas[0]).unwrap();
    let refused = apply(&state, &chain.deltas[1]).unwrap_err().to_string();
    assert!(refused.contains("field T.b was left out"), "{refused}");
    let whole = chain.write.state();
    let snapshot = encode_snapshot(whole, &options(whole.version())).unwrap();
    assert_part(
        &apply(&filtered(&names), &snapshot).unwrap(),
        whole,
        &["A", "T"],
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn random_cycles_lead_to_the_same_parts(steps in steps()) {
        let mut schema = Arc::new(Schema::parse(SCHEMA).unwrap());
        let mut chain = Chain::new();
        for step in steps {
            match step {
                Step::Full(records) => {
                    let model: std::collections::BTreeMap<i64, String> = records.into_iter().collect();
                    let records: Vec<_> = model.iter().map(|(k, b)| ("R", record(*k, b))).collect();
                    chain.full(&schema, &records).unwrap();
                }
                Step::Incremental(changes) => {
                    let list: Vec<_> = changes.iter().map(|(k, b)| {
                        ("R", b.as_ref().map(|b| record(*k, b)).ok_or(*k))
                    }).collect();
                    chain.incremental(&schema, &list).unwrap();
                }
                Step::Restart => chain.restart(),
                Step::Widen => schema = Arc::new(Schema::parse(WIDER).unwrap()),
            }
        }
        follow(&chain, &["R.s", "R.d"], &["R"]);
        follow(&chain, &["R.names", "R.late"], &["R", "String", "Names"]);
        follow(&chain, &["R.k"], &["R"]);
        follow(&chain, &["R.k", "R.i", "R.d", "R.b", "R.s", "R.r", "R.names"], &["R", "String"]);
    }
}
