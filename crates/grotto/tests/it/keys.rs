//! Primary keys through typed access.

use crate::build::state_of;
use grotto::Record;

#[derive(Record, Clone, Debug)]
struct Country {
    #[grotto(rename = "isoCode")]
    code: String,
    continent: i32,
}

#[derive(Record, Clone, Debug)]
#[grotto(key(country.isoCode, name), rename = "Place")]
struct City {
    #[grotto(rename = "in")]
    country: Country,
    name: String,
    population: i64,
}

#[derive(Record, Clone, Debug)]
#[grotto(key(code))]
struct Plain {
    #[grotto(dedup)]
    code: String,
    size: i32,
}

fn cities() -> Vec<City> {
    let city = |code: &str, name: &str, population| {
        let country = Country {
            code: code.into(),
            continent: 1,
        };
        City {
            country,
            name: name.into(),
            population,
        }
    };
    vec![
        city("DE", "Berlin", 3),
        city("US", "Berlin", 4),
        city("FR", "Paris", 5),
    ]
}

#[test]
fn a_compound_key_through_a_nested_record_finds_its_record() {
    let state = state_of(&cities());
    let find = |key: (&str, &str)| {
        let found = state.get::<City>(key).expect("key");
        found.map(|city| (city.population(), city.country().continent()))
    };
    assert_eq!(find(("DE", "Berlin")), Some((3, 1)));
    assert_eq!(find(("US", "Berlin")), Some((4, 1)));
    assert_eq!(find(("US", "Paris")), None);
}

/// The city again, by one who takes other fields for its key.
#[derive(Record, Clone, Debug)]
#[grotto(key(name), rename = "Place")]
struct Named {
    name: String,
}

#[derive(Record, Clone, Debug)]
#[grotto(key(population, name), rename = "Place")]
struct Crowded {
    population: i64,
    name: String,
}

#[test]
fn a_dataset_with_another_key_than_the_struct_says_which() {
    let state = state_of(&cities());
    let error = state.get::<Named>("Berlin").expect_err("one field of two");
    assert_eq!(
        error.to_string(),
        "type Place: expected the primary key (name) of the struct, found (in.isoCode, name)"
    );
    let error = state.get::<Crowded>((3, "Berlin")).expect_err("a number");
    assert_eq!(
        error.to_string(),
        "type Place: expected the primary key (population, name) of the struct, found (in.isoCode, name)"
    );
    let many = state.get_many::<Crowded>(&[(3, "Berlin")]);
    assert!(many.is_err());
}

#[derive(Record, Clone, Debug)]
#[grotto(key(int, long, float, double, flag, text, bytes, nested))]
struct Every {
    int: i32,
    long: Option<i64>,
    float: f32,
    double: f64,
    flag: bool,
    #[grotto(dedup)]
    text: String,
    bytes: Vec<u8>,
    /// A record of one field stands for the field.
    nested: Only,
}

#[derive(Record, Clone, Debug)]
struct Only {
    code: String,
}

#[test]
fn a_key_may_hold_every_kind_of_value_and_has_them_as_they_are() {
    let every = Every {
        int: -1,
        long: Some(i64::MAX),
        float: f32::NAN,
        double: -0.0,
        flag: true,
        text: "x".into(),
        bytes: vec![0],
        nested: Only { code: "y".into() },
    };
    let state = state_of(&[every]);
    let found = |double: f64| {
        let key = (-1, i64::MAX, f32::NAN, double, true, "x", &[0_u8][..], "y");
        state.get::<Every>(key).expect("key").is_some()
    };
    assert!(found(-0.0));
    assert!(!found(0.0), "floats are compared bit by bit");
}

mod places {
    /// Public, with a private field of a private type that a key may lead through all the same.
    #[derive(grotto::Record, Clone, Debug)]
    pub(super) struct Home {
        country: Country,
    }

    #[derive(grotto::Record, Clone, Debug)]
    struct Country {
        code: i32,
        zone: i32,
    }

    pub(super) fn home(code: i32) -> Home {
        let country = Country { code, zone: 1 };
        Home { country }
    }
}

#[derive(Record, Clone, Debug)]
#[grotto(key(home.country.code))]
struct Lodger {
    home: places::Home,
}

#[test]
fn a_key_path_leads_through_private_fields_of_other_structs() {
    let home = places::home(7);
    let state = state_of(&[Lodger { home }]);
    assert!(state.get::<Lodger>(7).expect("key").is_some());
    assert!(state.get::<Lodger>(1).expect("key").is_none());
}

#[test]
fn text_that_is_owned_serves_as_a_key() {
    let state = state_of(&[Plain {
        code: "x".into(),
        size: 1,
    }]);
    let owned = String::from("x");
    assert!(state.get::<Plain>(&owned).expect("key").is_some());
    let missing = String::from("y");
    assert!(state.get::<Plain>(&missing).expect("key").is_none());
}

#[test]
fn many_keys_are_answered_in_their_order() {
    let plain = |i: i32| Plain {
        code: format!("c{i}"),
        size: i,
    };
    let records: Vec<Plain> = (0..1000).map(plain).collect();
    let state = state_of(&records);
    let keys: Vec<String> = (0..2000)
        .rev()
        .step_by(7)
        .map(|i| format!("c{i}"))
        .collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let found = state.get_many::<Plain>(&keys).expect("keys");
    let sizes: Vec<Option<i32>> = found.iter().map(|r| r.map(|r| r.size())).collect();
    let expected: Vec<Option<i32>> = (0..2000)
        .rev()
        .step_by(7)
        .map(|i| (i < 1000).then_some(i))
        .collect();
    assert_eq!(sizes, expected);
}

#[test]
fn all_records_can_be_walked() {
    let state = state_of(&cities());
    let typed = state.typed::<City>().expect("typed");
    let mut populations: Vec<i64> = typed.iter().map(|city| city.population()).collect();
    populations.sort_unstable();
    assert_eq!((typed.len(), populations), (3, vec![3, 4, 5]));
}
