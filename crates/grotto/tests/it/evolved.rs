//! Structs against datasets whose schema is another one.

use crate::build::{schema_of, state_of, state_of_json};
use grotto::{Encoder, Record, RecordRef, Schema, State};

#[derive(Record, Clone, Debug, PartialEq)]
#[grotto(key(id))]
struct City {
    id: i64,
    name: String,
    country: Country,
    mayor: Option<String>,
    tags: Vec<String>,
    height: i32,
}

#[derive(Record, Clone, Debug, PartialEq)]
struct Country {
    code: String,
    size: Option<i64>,
}

const OTHER_ORDER: &str = "String { string value; } \
    Land { int extra; String code; } \
    City @PrimaryKey(id) { double latitude; Land country; string name; long id; }";

#[test]
fn fields_are_matched_by_name_and_missing_ones_read_as_defaults() {
    let line = r#"{"id":5,"name":"Ulm","latitude":48.4,"country":{"code":"DE","extra":1}}"#;
    let state = state_of_json(OTHER_ORDER, "City", &[line, r#"{"id":6}"#]);
    let ulm = state.get::<City>(5).expect("key").expect("record");
    assert_eq!(
        (ulm.name(), ulm.country().code(), ulm.country().size()),
        ("Ulm", "DE", None)
    );
    assert_eq!((ulm.mayor(), ulm.tags().len(), ulm.height()), (None, 0, 0));
    let bare = state.get::<City>(6).expect("key").expect("record");
    assert_eq!((bare.name(), bare.country().code()), ("", ""));
    assert!(bare.country().record().is_none());
    let country = Country {
        code: String::new(),
        size: None,
    };
    let name = String::new();
    let expected = City {
        id: 6,
        name,
        country,
        mayor: None,
        tags: Vec::new(),
        height: 0,
    };
    assert_eq!(bare.to_struct().expect("copy"), expected);
}

#[test]
fn a_plain_field_binds_to_a_wrapper_and_the_other_way_round() {
    #[derive(Record)]
    #[grotto(key(id), rename = "City")]
    struct Small {
        id: i64,
        #[grotto(dedup)]
        name: String,
    }
    let state = state_of(&[Small {
        id: 1,
        name: "Ulm".into(),
    }]);
    assert_eq!(
        state.get::<City>(1).expect("key").expect("record").name(),
        "Ulm"
    );
}

#[track_caller]
fn refused(state: &State, expected: &str) {
    let error = state.typed::<City>().expect_err("another type");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_field_of_another_type_is_refused_when_binding() {
    let key = "City @PrimaryKey(id)";
    let state = |rest: &str| {
        state_of_json(
            &format!("{key} {{ long id; {rest}"),
            "City",
            &[r#"{"id":1}"#],
        )
    };
    refused(
        &state("int name; }"),
        "field City.name: expected string, found int",
    );
    refused(
        &state("long height; }"),
        "field City.height: expected int, found long",
    );
    refused(
        &state("string country; }"),
        "field City.country: expected Country, found string",
    );
    refused(
        &state("L country; } L List<City>;"),
        "field City.country: expected an object type, found list L",
    );
    refused(
        &state("Long tags; } Long { long value; }"),
        "field City.tags: expected a list, found object Long",
    );
    refused(
        &state("L tags; } L List<Long>; Long { long value; }"),
        "field City.tags: expected string, found object Long",
    );
}

#[test]
fn a_type_that_the_dataset_lacks_is_refused() {
    let state = state_of_json("A @PrimaryKey(id) { long id; }", "A", &[r#"{"id":1}"#]);
    let error = state.get::<City>(1).expect_err("no such type");
    assert_eq!(
        error.to_string(),
        "version 1: type City is not in the schema: expected A"
    );
}

#[test]
fn writing_a_field_that_the_schema_lacks_is_refused() {
    let schema = Schema::parse(OTHER_ORDER).expect("schema");
    let error = Encoder::<City>::new(&schema).expect_err("missing fields");
    assert_eq!(
        error.to_string(),
        "type Land: expected a field size in the schema, found none"
    );
}

#[test]
fn a_schema_with_more_fields_can_be_written() {
    let text = schema_of::<City>()
        .to_string()
        .replace("long id;", "int more; long id;");
    let schema = Schema::parse(&text).expect("schema");
    let country = Country {
        code: "DE".into(),
        size: Some(1),
    };
    let tags = vec!["a".into()];
    let city = City {
        id: 1,
        name: "Ulm".into(),
        country,
        mayor: None,
        tags,
        height: 478,
    };
    let state = crate::build::state_under(&schema, std::slice::from_ref(&city));
    let found = state.get::<City>(1).expect("key").expect("record");
    assert_eq!(found.to_struct().expect("copy"), city);
}

#[test]
fn one_struct_reads_states_of_different_schemas_side_by_side() {
    let country = Country {
        code: "DE".into(),
        size: None,
    };
    let tags = Vec::new();
    let city = City {
        id: 1,
        name: "new".into(),
        country,
        mayor: None,
        tags,
        height: 1,
    };
    let states = [
        state_of(&[city]),
        state_of_json(OTHER_ORDER, "City", &[r#"{"id":1,"name":"old"}"#]),
    ];
    for _ in 0..3 {
        let names = states.each_ref().map(|state| {
            let city = state.get::<City>(1).expect("key").expect("record");
            (city.name(), city.height())
        });
        assert_eq!(names, [("new", 1), ("old", 0)]);
    }
}

#[test]
fn many_schemas_bound_from_many_threads_stay_apart() {
    let states: Vec<_> = (0..40)
        .map(|i| {
            let pad: String = (0..i).map(|f| format!("int pad{f}; ")).collect();
            let schema = format!("City @PrimaryKey(id) {{ {pad} string name; long id; }}");
            let line = format!(r#"{{"id":1,"name":"n{i}"}}"#);
            state_of_json(&schema, "City", &[&line])
        })
        .collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for (i, state) in states.iter().enumerate() {
                    let city = state.get::<City>(1).expect("key").expect("record");
                    assert_eq!(city.name(), format!("n{i}"));
                }
            });
        }
    });
}

#[derive(Record, Debug)]
#[grotto(key(id), rename = "T0")]
struct Chain {
    id: i64,
    next: Option<Box<Chain>>,
}

#[test]
fn a_struct_that_contains_itself_binds_to_a_chain_of_types_up_to_a_limit() {
    let state = |length: usize| {
        let chain: String = (1..length)
            .map(|i| format!("T{i} {{ long id; T{} next; }} ", i + 1))
            .collect();
        let schema =
            format!("T0 @PrimaryKey(id) {{ long id; T1 next; }} {chain} T{length} {{ long id; }}");
        state_of_json(
            &schema,
            "T0",
            &[r#"{"id":1,"next":{"id":2,"next":{"id":3}}}"#],
        )
    };
    let short = state(50);
    let found = short.get::<Chain>(1).expect("key").expect("record");
    let third = found
        .next()
        .and_then(|second| second.next())
        .map(|third| third.id());
    assert_eq!(third, Some(3));
    let error = state(200).get::<Chain>(1).expect_err("too deep");
    assert_eq!(
        error.to_string(),
        "limit reached: types nested more than 64 deep"
    );
}

#[test]
fn a_wrapper_of_null_reads_as_null() {
    let schema =
        "City @PrimaryKey(id) { long id; String name; String mayor; } String { string value; }";
    let line = r#"{"id":1,"name":{"value":null},"mayor":{"value":null}}"#;
    let state = state_of_json(schema, "City", &[line]);
    let city = state.get::<City>(1).expect("key").expect("record");
    assert_eq!((city.name(), city.mayor()), ("", None));
}
