//! Debug output of records, and records that keep their state.

use crate::build::{state_of, state_of_json};
use grotto::Record;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Record, Clone, Debug, Default)]
#[grotto(key(id))]
struct City {
    id: i64,
    name: String,
    #[grotto(dedup)]
    country: Option<String>,
    area: f64,
    flag: Vec<u8>,
    tags: Vec<String>,
    sizes: BTreeMap<i32, bool>,
}

fn ulm() -> City {
    City {
        id: 1,
        name: "Ulm".into(),
        country: Some("DE".into()),
        area: 1.5,
        flag: vec![1, 2],
        tags: (0..17).map(|tag| tag.to_string()).collect(),
        sizes: [(1, true)].into(),
    }
}

#[test]
fn a_record_shows_its_fields_and_not_all_of_many_elements() {
    let state = state_of(&[
        ulm(),
        City {
            id: 2,
            ..City::default()
        },
    ]);
    let shown = |id| format!("{:?}", state.get::<City>(id).expect("key").expect("record"));
    let tags: Vec<String> = (0..16).map(|tag| format!("\"{tag}\"")).collect();
    assert_eq!(
        shown(1),
        format!(
            "City {{ id: 1, name: \"Ulm\", country: \"DE\", area: 1.5, flag: 2 bytes, \
             tags: [{}, ..], sizes: {{1: true}} }}",
            tags.join(", ")
        )
    );
    assert_eq!(
        shown(2),
        "City { id: 2, name: \"\", country: null, area: 0.0, flag: 0 bytes, tags: [], sizes: {} }"
    );
}

#[test]
fn records_within_records_are_shown_three_levels_deep() {
    let schema = "A @PrimaryKey(id) { long id; B b; } B { int x; B b; L l; } L List<B>;";
    let line = r#"{"id":1,"b":{"x":1,"b":{"x":2,"b":{"x":3},"l":[{"x":3}]}}}"#;
    let state = state_of_json(schema, "A", &[line]);
    let record = state.find(state.type_id("A").expect("type"), 1_i64);
    let shown = format!("{:?}", record.expect("key").expect("record").view());
    let (before, number) = shown
        .split_once("b: B #")
        .expect("named where it is not shown");
    assert_eq!(before, "Object(A { id: 1, b: B { x: 1, b: B { x: 2, ");
    assert!(
        number.ends_with(", l: 1 elements }, l: null } })"),
        "{number}"
    );
}

#[test]
fn an_owned_record_outlives_the_handle_that_it_came_from() {
    let state = state_of(&[ulm()]);
    let found = state.get_owned::<City>(1).expect("key").expect("record");
    assert!(state.get_owned::<City>(9).expect("key").is_none());
    let held = Arc::downgrade(&state);
    drop(state);
    let copy = found.clone();
    drop(found);
    let name = std::thread::spawn(move || copy.get().name().to_owned());
    assert_eq!(name.join().expect("joined"), "Ulm");
    assert!(held.upgrade().is_none(), "the last owner frees the state");
}
