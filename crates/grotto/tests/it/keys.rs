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
        let found = state.get::<City>(&key).expect("key");
        found.map(|city| (city.population(), city.country().continent()))
    };
    assert_eq!(find(("DE", "Berlin")), Some((3, 1)));
    assert_eq!(find(("US", "Berlin")), Some((4, 1)));
    assert_eq!(find(("US", "Paris")), None);
}

#[test]
fn a_key_of_the_wrong_shape_is_refused() {
    let state = state_of(&cities());
    let error = state.get::<City>(&"Berlin").expect_err("one part of two");
    assert!(
        error
            .to_string()
            .starts_with("type Place: expected a key of in.isoCode"),
        "{error}"
    );
    let error = state.get::<City>(&("DE", 1)).expect_err("number for text");
    assert!(
        error
            .to_string()
            .starts_with("type Place: expected a key of"),
        "{error}"
    );
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
