//! Elements found by key: in order and not, by one part and by two, through references and nulls. Owns nothing.

use super::*;
use crate::encode::EncodeOptions;
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
    let root = state.find(TypeId(0), &1_i32).unwrap().unwrap();
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
        let more = |town: &str| number(set.find(&(n, town)).unwrap(), "more");
        assert_eq!((more("a"), more("b")), (Some(1), Some(2)), "{n}");
        assert_eq!(more("c"), None, "{n}");
        assert!(set.contains(&(n, "a")).unwrap());
        // Neither a part alone nor a key of two equal parts leads to the one without a town.
        set.find(&n).unwrap_err();
    }
    for n in [-1, COUNT as i32, i32::MAX] {
        assert!(!set.contains(&(n, "a")).unwrap(), "{n}");
    }
}

#[test]
fn elements_without_order_are_found_by_their_only_value_or_their_key() {
    let state = state();
    for n in 0..COUNT {
        let plain = list(&state, "plain").find(&(n as i32 * 2)).unwrap();
        assert_eq!(plain.unwrap().as_long(), Some(n * 2));
        assert!(!list(&state, "plain").contains(&(n as i32 * 2 + 1)).unwrap());
        let text = format!("t{n}");
        let found = list(&state, "texts").find(&text.as_str()).unwrap();
        assert_eq!(found.unwrap().as_str(), Some(text.as_str()));
        let keyed = list(&state, "keyed")
            .find(&format!("c{n}").as_str())
            .unwrap();
        assert_eq!(number(keyed, "n"), Some(n));
    }
    assert!(!list(&state, "texts").contains(&"t").unwrap());
    assert!(!list(&state, "keyed").contains(&"t1").unwrap());
}

#[test]
fn entries_are_found_by_key_and_never_by_value() {
    let state = state();
    let (places, prices) = (map(&state, "places"), map(&state, "prices"));
    assert_eq!(places.len(), COUNT as usize);
    for n in 0..COUNT {
        let found = places.get(&format!("p{n}").as_str()).unwrap();
        assert_eq!(found.unwrap().as_long(), Some(n));
        let found = prices.get(&(n as i32)).unwrap();
        assert_eq!(found.unwrap().as_long(), Some(n + 1000));
        assert!(prices.get(&(n as i32 + 1000)).unwrap().is_none());
    }
    assert!(places.get(&"p").unwrap().is_none());
}

#[test]
fn keys_of_another_shape_and_elements_without_key_are_refused_with_what_was_expected() {
    let state = state();
    let refused =
        |found: StateResult<Option<Field<'_>>>| found.map(|_| ()).unwrap_err().to_string();
    for error in [
        refused(list(&state, "ordered").find(&(1, 2))),
        refused(list(&state, "ordered").find(&("a", "b"))),
        refused(list(&state, "ordered").find(&(1, "b", 2))),
    ] {
        assert!(error.contains("expected a key of (int, string)"), "{error}");
    }
    let error = refused(list(&state, "plain").find(&"text"));
    assert!(error.contains("expected a key of (int)"), "{error}");
    let error = refused(map(&state, "places").get(&1));
    assert!(error.contains("expected a key of (string)"), "{error}");
    let error = refused(list(&state, "bare").find(&1));
    assert!(error.contains("type Bare: expected a hash key"), "{error}");
}

#[test]
fn a_primary_key_of_another_shape_is_refused() {
    let state = state();
    let found = |found: StateResult<Option<Record<'_>>>| found.map(|found| found.is_some());
    let (root, part) = (TypeId(0), state.schema().find("Part").unwrap());
    assert!(found(state.find(root, &1_i32)).unwrap());
    assert!(!found(state.find(root, &2_i32)).unwrap());
    found(state.find(root, &(7, 8))).unwrap_err();
    found(state.find(root, &"1")).unwrap_err();
    assert!(found(state.find(part, &"c1")).unwrap());
    found(state.find(part, &("c1", "c2"))).unwrap_err();
    found(state.find(part, &1)).unwrap_err();
}
