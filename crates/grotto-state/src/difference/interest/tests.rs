//! States of a few products, and what of their changes counts.

use super::super::tests::state;
use super::*;
use crate::apply::TypeChanges;
use crate::difference::Difference;
use crate::key::KeyValue;
use crate::view::Field;
use std::sync::Arc;

const SCHEMA: &str = "
    Product @PrimaryKey(id) { long id; string name; Part part; Parts parts; Brand brand; }
    Part { int size; string note; }
    Parts List<Part>;
    Brand @PrimaryKey(code) { string code; string country; }
    Place @PrimaryKey(country, number) { string country; int number; string name; }
    Note { string text; }";

fn product(id: i64, name: &str, size: i64, parts: &[i64], brand: &str) -> String {
    let parts: Vec<String> = parts.iter().map(|s| format!(r#"{{"size":{s}}}"#)).collect();
    format!(
        r#"{{"id":{id},"name":"{name}","part":{{"size":{size},"note":"n"}},"parts":[{}],"brand":{{"code":"{brand}","country":"X"}}}}"#,
        parts.join(",")
    )
}

fn products(seed: u64, lines: &[String]) -> Arc<State> {
    let lines: Vec<(&str, &str)> = lines
        .iter()
        .map(|line| ("Product", line.as_str()))
        .collect();
    state(SCHEMA, seed, &lines)
}

/// The ids of what counts, with a sign: what came, went, stayed.
fn told(interest: &Interest, before: &State, after: &State) -> Vec<String> {
    let of = |state: &State| {
        let ty = state.type_id(interest.type_name());
        ty.map_or_else(|_| Vec::new(), |ty| state.ordinals(ty).collect())
    };
    let ordinals = TypeChanges {
        added: of(after),
        removed: of(before),
        modified: Vec::new(),
    };
    let changes = Difference::new(before, after).of_interest(interest, Some(&ordinals));
    let told = changes.map(|change| {
        let sign = match change {
            Change::Added(_) => '+',
            Change::Removed(_) => '-',
            Change::Modified { .. } => '~',
        };
        let record = change.after().or(change.before()).unwrap();
        let Field::Object(view) = record.view() else {
            unreachable!("products are objects")
        };
        format!("{sign}{}", view.get("id").unwrap().as_long().unwrap())
    });
    let mut told: Vec<String> = told.collect();
    told.sort();
    told
}

fn shop() -> (Arc<State>, Arc<State>) {
    let before = products(
        1,
        &[
            product(1, "tea", 1, &[1, 2], "A"),
            product(2, "milk", 1, &[1], "A"),
            product(3, "salt", 1, &[1], "A"),
            product(4, "gone", 1, &[1], "A"),
            product(6, "same", 1, &[1], "A"),
        ],
    );
    let after = products(
        7,
        &[
            product(6, "same", 1, &[1], "A"),
            product(5, "come", 1, &[1], "A"),
            product(3, "salt", 1, &[1], "B"),
            product(2, "milk", 2, &[1], "A"),
            product(1, "TEA", 1, &[1, 3], "A"),
        ],
    );
    (before, after)
}

#[test]
fn without_keys_and_fields_everything_counts() {
    let (before, after) = shop();
    let all = told(&Interest::of("Product"), &before, &after);
    assert_eq!(all, ["+5", "-4", "~1", "~2", "~3"]);
}

#[test]
fn with_keys_only_their_records_count_whatever_became_of_them() {
    let (before, after) = shop();
    let interest = Interest::of("Product").keys([1_i64, 4, 5, 6, 99]);
    assert_eq!(told(&interest, &before, &after), ["+5", "-4", "~1"]);
    let none = Interest::of("Product").keys(Vec::<i64>::new());
    assert!(told(&none, &before, &after).is_empty());
    let small = Interest::of("Product").key(2_i32);
    assert_eq!(told(&small, &before, &after), ["~2"]);
}

#[test]
fn with_fields_those_that_stay_count_where_one_of_them_changed() {
    let (before, after) = shop();
    let of = |fields: &[&str]| {
        let interest = Interest::of("Product");
        let interest = fields.iter().fold(interest, |all, path| all.field(*path));
        told(&interest, &before, &after)
    };
    assert_eq!(of(&["name"]), ["+5", "-4", "~1"]);
    assert_eq!(of(&["part.size"]), ["+5", "-4", "~2"]);
    assert_eq!(of(&["part.note"]), ["+5", "-4"]);
    assert_eq!(of(&["parts"]), ["+5", "-4", "~1"]);
    assert_eq!(of(&["brand"]), ["+5", "-4", "~3"]);
    assert_eq!(of(&["part", "brand"]), ["+5", "-4", "~2", "~3"]);
}

#[test]
fn a_value_that_comes_or_goes_is_a_change_also_within() {
    let line = |rest: &str| format!(r#"{{"id":1{rest}}}"#);
    let before = products(1, &[line("")]);
    let cases = [
        (r#","part":{"size":3}"#, "part.size", true),
        (r#","part":{"note":"x"}"#, "part.size", false),
        (r#","part":{"note":"x"}"#, "part", true),
        (r#","name":"x""#, "part.size", false),
    ];
    for (rest, path, expected) in cases {
        let after = products(2, &[line(rest)]);
        let interest = Interest::of("Product").field(path);
        let found = !told(&interest, &before, &after).is_empty();
        assert_eq!(found, expected, "{path} with {rest}");
        let back = !told(&interest, &after, &before).is_empty();
        assert_eq!(back, expected, "{path} with {rest}, the way back");
    }
}

#[test]
fn a_field_that_a_version_lacks_says_nothing_there() {
    let before = products(1, &[product(1, "tea", 1, &[], "A")]);
    let without = "Product @PrimaryKey(id) { long id; string name; }";
    let after = state(without, 2, &[("Product", r#"{"id":1,"name":"tea"}"#)]);
    let of = |path: &str| told(&Interest::of("Product").field(path), &before, &after);
    assert_eq!(of("part.size"), ["~1"]);
    assert!(of("name").is_empty());
}

#[test]
fn a_key_of_several_fields_is_taken_apart_from_its_neighbours() {
    let place = |country: &str, number: i64, name: &str| {
        format!(r#"{{"country":"{country}","number":{number},"name":"{name}"}}"#)
    };
    let of = |seed, lines: &[String]| {
        let lines: Vec<_> = lines.iter().map(|line| ("Place", line.as_str())).collect();
        state(SCHEMA, seed, &lines)
    };
    let before = of(1, &[place("a", 1, "x"), place("b", 1, "x")]);
    let after = of(2, &[place("a", 1, "y"), place("b", 1, "y")]);
    let interest = Interest::of("Place").key(("a", 1));
    interest.check(&after).unwrap();
    let ordinals = TypeChanges {
        added: vec![0, 1],
        removed: vec![0, 1],
        modified: Vec::new(),
    };
    let difference = Difference::new(&before, &after);
    let found: Vec<_> = difference.of_interest(&interest, Some(&ordinals)).collect();
    let [Change::Modified { after, .. }] = found.as_slice() else {
        panic!("expected one modified record, found {found:?}");
    };
    assert_eq!(after.text(0), "a");
}

#[test]
fn what_can_never_be_met_is_refused_with_what_there_is() {
    let (state, _) = shop();
    let refusal = |interest: Interest| interest.check(&state).unwrap_err().to_string();
    let product = || Interest::of("Product");
    for (interest, expected) in [
        (Interest::of("Produkt"), "Produkt"),
        (
            product().key("tea"),
            "key field id: expected long, found string",
        ),
        (
            product().key((1_i64, 2)),
            "expected a key of 1 field (long id), found 2 fields",
        ),
        (
            Interest::of("Note").key(1),
            "expected a type with a primary key",
        ),
        (
            product().field("nome"),
            "expected one of id, name, part, parts, brand, found field nome",
        ),
        (
            product().field("name.x"),
            "expected the path to end before x",
        ),
        (
            product().field("brand.country"),
            "its changes are told of type Brand",
        ),
        (product().field("parts.size"), "elements count as one field"),
        (product().field("part..size"), "found field "),
        (product().field(""), "found field "),
    ] {
        let found = refusal(interest);
        assert!(
            found.contains(expected),
            "expected {expected:?} in {found:?}"
        );
    }
    product()
        .key(1_i64)
        .key(2_i32)
        .field("part.size")
        .check(&state)
        .unwrap();
    let place = Interest::of("Place").key([KeyValue::String("a"), KeyValue::Int(1)].as_slice());
    place.check(&state).unwrap();
}
