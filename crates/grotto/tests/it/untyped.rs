//! Access by names, and export.

use crate::build::state_of_json;
use grotto::State;
use grotto::engine::format::{FlatBuilder, json};
use grotto::engine::state::{Field, Record, View};

const SCHEMA: &str = "
City @PrimaryKey(id) {
    long id; int rank; float f; double d; boolean b; string name; bytes raw;
    String country; Spot spot; ListOfString names; Spots spots; Scores scores; Plain plain;
}
Spot { int x; string label; }
String { string value; }
ListOfString List<String>;
Spots Set<Spot> @HashKey(x, label);
Plain Set<String>;
Scores Map<String, Spot> @HashKey(value);
";

const FULL: &str = r#"{"id":1,"rank":-2147483648,"f":1.5,"d":"NaN","b":true,"name":"","raw":"AP8=","country":"DE","spot":{"x":1,"label":"a"},"names":["b","a","b"],"spots":[{"x":1,"label":"a"},{"x":2},{"x":3,"label":"c"}],"scores":{"k":{"x":7},"l":{"x":1,"label":"a"}},"plain":["q","p"]}"#;

fn city(state: &State, id: i64) -> View<'_> {
    let found = state
        .find(state.type_id("City").expect("type"), id)
        .expect("key")
        .expect("record");
    match found.view() {
        Field::Object(view) => view,
        other => panic!("expected an object, found {other:?}"),
    }
}

#[test]
fn fields_of_every_kind_are_read_by_name() {
    let state = state_of_json(SCHEMA, "City", &[FULL]);
    let city = city(&state, 1);
    let get = |name: &str| city.get(name).expect("field");
    assert!(matches!(get("id"), Field::Long(1)));
    assert!(matches!(get("rank"), Field::Int(i32::MIN)));
    assert!(matches!(get("f"), Field::Float(1.5)));
    assert!(matches!(get("d"), Field::Double(d) if d.is_nan()));
    assert!(matches!(get("b"), Field::Boolean(true)));
    assert!(matches!(get("name"), Field::String("")));
    assert!(matches!(get("raw"), Field::Bytes([0, 255])));
    assert_eq!(get("country").as_str(), Some("DE"));
    let Field::Object(spot) = get("spot") else {
        panic!("an object")
    };
    assert_eq!(
        (spot.type_name(), spot.get("x").expect("field").as_long()),
        ("Spot", Some(1))
    );
    let Field::List(names) = get("names") else {
        panic!("a list")
    };
    let names: Vec<&str> = names.iter().filter_map(|name| name.as_str()).collect();
    assert_eq!(names, ["b", "a", "b"]);
}

#[test]
fn absent_values_are_null() {
    let state = state_of_json(SCHEMA, "City", &[r#"{"id":1}"#]);
    let nulls = city(&state, 1)
        .fields()
        .filter(|(_, field)| field.is_null())
        .count();
    assert_eq!(nulls, 12);
}

#[test]
fn an_unknown_field_is_refused() {
    let state = state_of_json(SCHEMA, "City", &[r#"{"id":1}"#]);
    let error = city(&state, 1).get("nmae").expect_err("unknown");
    assert!(
        error
            .to_string()
            .ends_with("scores, plain, found field nmae"),
        "{error}"
    );
}

#[test]
fn sets_and_maps_are_searched_by_key() {
    let state = state_of_json(SCHEMA, "City", &[FULL]);
    let city = city(&state, 1);
    let Field::Set(spots) = city.get("spots").expect("field") else {
        panic!("a set")
    };
    assert!(spots.contains((1, "a")).expect("key"));
    assert!(spots.contains((3, "c")).expect("key"));
    assert!(!spots.contains((2, "")).expect("key"), "null is not empty");
    let Field::Set(plain) = city.get("plain").expect("field") else {
        panic!("a set")
    };
    assert!(plain.contains("p").expect("key") && !plain.contains("r").expect("key"));
    let Field::Map(scores) = city.get("scores").expect("field") else {
        panic!("a map")
    };
    let Some(Field::Object(spot)) = scores.get("k").expect("key") else {
        panic!("an object")
    };
    assert_eq!(spot.get("x").expect("field").as_long(), Some(7));
    assert!(scores.get("m").expect("key").is_none());
    assert_eq!(scores.iter().count(), 2);
}

fn exported(record: &Record<'_>) -> String {
    let (mut flat, mut text) = (FlatBuilder::new(), String::new());
    record.to_flat(&mut flat).expect("flat");
    json::encode(
        record.state().schema(),
        record.type_id(),
        flat.bytes(),
        &mut text,
    )
    .expect("json");
    text
}

#[test]
fn export_gives_what_was_imported() {
    let nulls = r#"{"id":2,"country":{"value":null},"names":[],"scores":{}}"#;
    let state = state_of_json(SCHEMA, "City", &[FULL, nulls]);
    let again: Vec<String> = state
        .scan(state.type_id("City").expect("type"))
        .map(|r| exported(&r))
        .collect();
    let lines: Vec<&str> = again.iter().map(String::as_str).collect();
    assert_eq!(lines[1], nulls);
    let copy = state_of_json(SCHEMA, "City", &lines);
    assert_eq!(copy.checksum(), state.checksum());
}

#[test]
fn a_record_deeper_than_the_limit_is_not_exported() {
    // Sixty-four levels is what can be written, so this is as deep as a state gets.
    let nested = (0..63).fold(r#"{"x":1}"#.to_owned(), |inner, _| {
        format!(r#"{{"n":{inner}}}"#)
    });
    let line = format!(r#"{{"id":1,"n":{nested}}}"#);
    let schema = "A @PrimaryKey(id) { long id; B n; } B { int x; B n; }";
    let state = state_of_json(schema, "A", &[&line]);
    let record = state
        .find(state.type_id("A").expect("type"), 1)
        .expect("key")
        .expect("record");
    assert_eq!(exported(&record), line);
}
