//! Elements found by key: in order and not, by one part and by two, through references and nulls. Owns nothing.

use super::*;
use crate::encode::EncodeOptions;
use crate::key::KeyValue;
use crate::state::State;
use crate::view::{Field, ListView, MapView};
use crate::write::{Mode, WriteState};
use grotto_format::flat::FlatBuilder;
use grotto_format::json;
use std::sync::Arc;

const SCHEMA: &str = "
Root @PrimaryKey(id) { int id; Ordered ordered; Plain plain; Texts texts; Keyed keyed; Bare bare; Places places; Prices prices; }
Ordered Set<Item> @HashKey(n, town.name); Item { int n; Town town; int more; } Town { string name; }
Plain Set<Number>; Number { int value; } Texts List<Town>;
Keyed List<Part>; Part @PrimaryKey(code) { string code; int n; }
Bare List<Pair>; Pair { int a; int b; }
Places Map<Town, Number> @HashKey(name); Prices Map<Number, Number>;
";

const COUNT: i64 = 60;

fn state() -> Arc<State> {
    let schema = Arc::new(Schema::parse(SCHEMA).unwrap());
    let some = |each: &dyn Fn(i64) -> String| {
        let all: Vec<String> = (0..COUNT).map(each).collect();
        all.join(",")
    };
    // Of each number there is one of a town, one of another, and one of none.
    let ordered = some(&|n| {
        format!(
            r#"{{"n":{n},"town":{{"name":"a"}},"more":1}},{{"n":{n},"town":{{"name":"b"}},"more":2}},{{"n":{n},"more":3}}"#
        )
    });
    let numbers = some(&|n| format!(r#"{{"value":{}}}"#, n * 2));
    let texts = some(&|n| format!(r#"{{"name":"t{n}"}}"#));
    let keyed = some(&|n| format!(r#"{{"code":"c{n}","n":{n}}}"#));
    let places = some(&|n| format!(r#"{{"key":{{"name":"p{n}"}},"value":{{"value":{n}}}}}"#));
    let prices = some(&|n| {
        format!(
            r#"{{"key":{{"value":{n}}},"value":{{"value":{}}}}}"#,
            n + 1000
        )
    });
    let text = format!(
        r#"{{"id":1,"ordered":[{ordered}],"plain":[{numbers}],"texts":[{texts}],"keyed":[{keyed}],"bare":[{{"a":1,"b":2}}],"places":[{places}],"prices":[{prices}]}}"#
    );
    let mut builder = FlatBuilder::new();
    json::decode(&schema, TypeId(0), &text, &mut builder).unwrap();
    let write = WriteState::new(Arc::new(State::empty(crate::HashSeed::new([1, 2]))));
    let mut cycle = write.begin(&schema, Mode::Full).unwrap();
    cycle.add(TypeId(0), builder.bytes(), 0).unwrap();
    let options = EncodeOptions {
        dataset: "test".into(),
        version: 1,
        level: None,
        threads: 1,
    };
    cycle.finish(&options).unwrap().unwrap().next
}

fn field<'a>(state: &'a State, name: &str) -> Field<'a> {
    let root = state.find(TypeId(0), 1_i32).unwrap().unwrap();
    let Field::Object(view) = root.view() else {
        panic!("an object")
    };
    view.get(name).unwrap()
}

fn list<'a>(state: &'a State, name: &str) -> ListView<'a> {
    match field(state, name) {
        Field::List(list) | Field::Set(list) => list,
        _ => panic!("elements"),
    }
}

fn map<'a>(state: &'a State, name: &str) -> MapView<'a> {
    let Field::Map(map) = field(state, name) else {
        panic!("entries")
    };
    map
}

fn number(found: Option<Field<'_>>, name: &str) -> Option<i64> {
    let Field::Object(view) = found? else {
        panic!("an object")
    };
    view.get(name).unwrap().as_long()
}

#[test]
fn every_element_of_an_ordered_set_is_found_by_all_parts_of_its_key() {
    let state = state();
    let set = list(&state, "ordered");
    assert_eq!(set.len(), 3 * COUNT as usize);
    for n in 0..COUNT as i32 {
        let more = |town: &str| number(set.find((n, town)).unwrap(), "more");
        assert_eq!((more("a"), more("b")), (Some(1), Some(2)), "{n}");
        assert_eq!(more("c"), None, "{n}");
        assert!(set.contains((n, "a")).unwrap());
        // Neither a part alone nor a key of two equal parts leads to the one without a town.
        set.find(n).unwrap_err();
    }
    for n in [-1, COUNT as i32, i32::MAX] {
        assert!(!set.contains((n, "a")).unwrap(), "{n}");
    }
}

#[test]
fn elements_without_order_are_found_by_their_only_value_or_their_key() {
    let state = state();
    for n in 0..COUNT {
        let plain = list(&state, "plain").find(n as i32 * 2).unwrap();
        assert_eq!(plain.unwrap().as_long(), Some(n * 2));
        assert!(!list(&state, "plain").contains(n as i32 * 2 + 1).unwrap());
        let text = format!("t{n}");
        let found = list(&state, "texts").find(text.as_str()).unwrap();
        assert_eq!(found.unwrap().as_str(), Some(text.as_str()));
        let keyed = list(&state, "keyed")
            .find(format!("c{n}").as_str())
            .unwrap();
        assert_eq!(number(keyed, "n"), Some(n));
    }
    assert!(!list(&state, "texts").contains("t").unwrap());
    assert!(!list(&state, "keyed").contains("t1").unwrap());
}

#[test]
fn entries_are_found_by_key_and_never_by_value() {
    let state = state();
    let (places, prices) = (map(&state, "places"), map(&state, "prices"));
    assert_eq!(places.len(), COUNT as usize);
    for n in 0..COUNT {
        let found = places.get(format!("p{n}").as_str()).unwrap();
        assert_eq!(found.unwrap().as_long(), Some(n));
        let found = prices.get(n as i32).unwrap();
        assert_eq!(found.unwrap().as_long(), Some(n + 1000));
        assert!(prices.get(n as i32 + 1000).unwrap().is_none());
    }
    assert!(places.get("p").unwrap().is_none());
}

#[test]
fn keys_of_another_shape_and_elements_without_key_are_refused_with_what_was_expected() {
    let state = state();
    let refused =
        |found: grotto_error::Result<Option<Field<'_>>>| found.map(|_| ()).unwrap_err().to_string();
    let expect = |error: String, expected: &str| assert_eq!(error, expected);
    expect(
        refused(list(&state, "ordered").find((1, 2))),
        "type Ordered, key field town.name: expected string, found int",
    );
    expect(
        refused(list(&state, "ordered").find(("a", "b"))),
        "type Ordered, key field n: expected int, found string",
    );
    expect(
        refused(list(&state, "ordered").find((1, "b", 2))),
        "type Ordered: expected a key of 2 fields (int n, string town.name), found 3 fields (int, string, int)",
    );
    expect(
        refused(list(&state, "plain").find(2_i64)),
        "type Plain, key field value: expected int, found long",
    );
    expect(
        refused(list(&state, "texts").find(&b"t1"[..])),
        "type Texts, key field value: expected string, found bytes",
    );
    expect(
        refused(map(&state, "places").get(1)),
        "type Places, key field name: expected string, found int",
    );
    let error = refused(list(&state, "bare").find(1));
    assert!(error.contains("type Bare: expected a hash key"), "{error}");
}

#[test]
fn a_primary_key_of_other_fields_is_refused_with_field_and_kinds() {
    let state = state();
    let (root, part) = (TypeId(0), state.schema().find("Part").unwrap());
    assert!(state.find(root, 1_i32).unwrap().is_some());
    assert!(state.find(root, 2_i32).unwrap().is_none());
    assert!(state.find(part, "c1").unwrap().is_some());
    let refused = |found: grotto_error::Result<Option<Record<'_>>>, expected: &str| {
        assert_eq!(found.map(|_| ()).unwrap_err().to_string(), expected);
    };
    let expected = "type Root: expected a key of 1 field (int id), found 2 fields (int, int)";
    refused(state.find(root, (7, 8)), expected);
    let kinds = [
        (KeyValue::String("1"), "string"),
        (KeyValue::Long(1), "long"),
        (KeyValue::Float(1.0), "float"),
        (KeyValue::Double(f64::from_bits(1)), "double"),
        (KeyValue::Boolean(true), "boolean"),
        (KeyValue::Bytes(&[1]), "bytes"),
    ];
    for (value, kind) in kinds {
        let expected = format!("type Root, key field id: expected int, found {kind}");
        refused(state.find(root, value), &expected);
        refused(state.find_many(root, &[value]).map(|_| None), &expected);
    }
    let expected = "type Part, key field code: expected string, found int";
    refused(state.find(part, 1), expected);
    refused(
        state.find(part, KeyValue::Bytes(b"c1")),
        &expected.replace("int", "bytes"),
    );
    let expected =
        "type Part: expected a key of 1 field (string code), found 2 fields (string, string)";
    refused(state.find(part, ("c1", "c2")), expected);
}
