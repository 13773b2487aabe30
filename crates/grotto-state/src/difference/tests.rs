//! States built apart, so that equal records live at other ordinals.

use super::*;
use crate::encode::EncodeOptions;
use crate::hash::HashSeed;
use crate::view::Shown;
use crate::write::{Mode, WriteState};
use grotto_format::flat::FlatBuilder;
use grotto_format::json;
use grotto_format::schema::Schema;
use std::sync::Arc;

const SCHEMA: &str = "
    Product @PrimaryKey(id) { long id; string name; Brand brand; Part part; Parts parts; Names names; Prices prices; }
    Brand @PrimaryKey(code) { string code; string country; }
    Part { int size; string note; }
    Parts List<Part>;
    Names Set<Part>;
    Prices Map<Part, Part>;
    Note { string text; }";

const TEA: &str = r#"{"id":1,"name":"tea","brand":{"code":"A","country":"CN"},"part":{"size":1,"note":"x"},
    "parts":[{"size":1},{"size":2}],"names":[{"size":3},{"size":4},{"size":5}],
    "prices":[{"key":{"size":6},"value":{"size":7}},{"key":{"size":8},"value":{"size":9}}]}"#;

pub(super) fn state(schema: &str, seed: u64, lines: &[(&str, &str)]) -> Arc<State> {
    let schema = Arc::new(Schema::parse(schema).unwrap());
    let empty = State::empty(HashSeed::new([seed, 2]));
    let write = WriteState::new(Arc::new(empty));
    let mut cycle = write.begin(&schema, Mode::Full).unwrap();
    for (position, (name, line)) in (0..).zip(lines) {
        let ty = schema.find(name).unwrap();
        let mut flat = FlatBuilder::new();
        json::decode(&schema, ty, line, &mut flat).unwrap();
        cycle.add(ty, flat.bytes(), position).unwrap();
    }
    let options = EncodeOptions {
        dataset: "test".into(),
        version: 1,
        level: None,
        threads: 1,
    };
    cycle.finish(&options).unwrap().unwrap().next
}

/// All ordinals, as after a load.
fn all(name: &str, before: &State, after: &State) -> TypeChanges {
    let of = |state: &State| Side::new(state, name).ordinals();
    TypeChanges {
        added: of(after),
        removed: of(before),
        modified: Vec::new(),
    }
}

fn told(name: &str, before: &State, after: &State) -> Vec<String> {
    let ordinals = all(name, before, after);
    let changes = Difference::new(before, after).records(name, Some(&ordinals));
    let show = |record: Record<'_>| format!("{:?}", Shown::new(record.view()));
    let told = changes.unwrap().map(|change| match change {
        Change::Added(record) => format!("+ {}", show(record)),
        Change::Removed(record) => format!("- {}", show(record)),
        Change::Modified { before, after } => format!("{} > {}", show(before), show(after)),
    });
    told.collect()
}

/// How many changes of each kind: added, removed, modified.
fn counted(name: &str, before: &State, after: &State) -> (usize, usize, usize) {
    let told = told(name, before, after);
    let of = |sign: &str| told.iter().filter(|line| line.starts_with(sign)).count();
    (of("+"), of("-"), told.len() - of("+") - of("-"))
}

/// A state in which everything lives elsewhere than where `TEA` comes first.
fn moved(tea: &str) -> Arc<State> {
    let other = r#"{"id":9,"brand":{"code":"Z"},"part":{"size":77},"parts":[{"size":9},{"size":5},{"size":4}],
        "names":[{"size":5},{"size":70}],"prices":[{"key":{"size":8},"value":{"size":71}}]}"#;
    state(SCHEMA, 8, &[("Product", other), ("Product", tea)])
}

#[test]
fn a_record_that_moved_and_says_the_same_did_not_change() {
    let before = state(SCHEMA, 1, &[("Product", TEA)]);
    assert_eq!(counted("Product", &before, &moved(TEA)), (1, 0, 0));
    assert_eq!(counted("Product", &moved(TEA), &before), (0, 1, 0));
}

#[test]
fn whatever_a_record_says_is_a_change_of_it() {
    let before = state(SCHEMA, 1, &[("Product", TEA)]);
    for (from, to) in [
        (r#""tea""#, r#""coffee""#),
        (r#""tea""#, "null"),
        (r#""A""#, r#""B""#),
        (r#"{"size":1,"note":"x"}"#, r#"{"size":1}"#),
        (r#"[{"size":1},{"size":2}]"#, r#"[{"size":2},{"size":1}]"#),
        (r#"[{"size":1},{"size":2}]"#, r#"[{"size":1}]"#),
        (r#"{"size":3}"#, r#"{"size":33}"#),
        (
            r#","names":[{"size":3}"#,
            r#","names":[{"size":3},{"size":44}"#,
        ),
        (r#"{"size":6}"#, r#"{"size":66}"#),
        (r#"{"size":9}"#, r#"{"size":99}"#),
    ] {
        assert!(TEA.contains(from), "{from}");
        let tea = TEA.replacen(from, to, 1);
        assert_eq!(counted("Product", &before, &moved(&tea)), (1, 0, 1), "{to}");
    }
}

#[test]
fn what_a_record_with_a_key_holds_is_no_change_of_those_that_refer_to_it() {
    let before = state(SCHEMA, 1, &[("Product", TEA)]);
    let after = moved(&TEA.replace("CN", "JP"));
    assert_eq!(counted("Product", &before, &after), (1, 0, 0));
    let brands = told("Brand", &before, &after);
    let modified = r#"Brand { code: "A", country: "CN" } > Brand { code: "A", country: "JP" }"#;
    assert_eq!(brands[0], modified);
    assert_eq!(brands.len(), 2, "{brands:?}");
}

#[test]
fn only_what_the_ordinals_name_is_looked_at_and_told_once() {
    let lines = |name: &str| format!(r#"{{"code":"A","country":"{name}"}}"#);
    let before = state(SCHEMA, 1, &[("Brand", &lines("CN"))]);
    let after = state(SCHEMA, 1, &[("Brand", &lines("JP"))]);
    let difference = Difference::new(&before, &after);
    let count = |known: Option<&TypeChanges>| difference.records("Brand", known).unwrap().count();
    assert_eq!(count(None), 0);
    assert_eq!(count(Some(&TypeChanges::default())), 0);
    let modified = TypeChanges {
        modified: vec![0],
        ..TypeChanges::default()
    };
    assert_eq!(count(Some(&modified)), 1);
    assert_eq!(count(Some(&all("Brand", &before, &after))), 1);
    let wrong = TypeChanges {
        added: vec![7, 4_000_000_000],
        removed: vec![9],
        modified: Vec::new(),
    };
    assert_eq!(count(Some(&wrong)), 0, "no such records");
}

#[test]
fn a_record_without_a_key_went_and_came() {
    let before = state(SCHEMA, 1, &[("Note", r#"{"text":"a"}"#)]);
    let after = state(SCHEMA, 1, &[("Note", r#"{"text":"b"}"#)]);
    assert_eq!(counted("Note", &before, &after), (1, 1, 0));
    let in_place = TypeChanges {
        modified: vec![0],
        ..TypeChanges::default()
    };
    let changes = Difference::new(&before, &after).records("Note", Some(&in_place));
    assert_eq!(changes.unwrap().count(), 2);
}

#[test]
fn a_type_that_one_state_lacks_has_no_records_there() {
    let seed = HashSeed::new([1, 2]);
    let (empty, full) = (State::empty(seed), moved(TEA));
    assert_eq!(counted("Product", &empty, &full), (2, 0, 0));
    assert_eq!(counted("Product", &full, &empty), (0, 2, 0));
    let untold = Difference::new(&empty, &full).records("Product", None);
    assert_eq!(untold.unwrap().count(), 2);
    let lacking = Difference::new(&empty, &full).records("City", None);
    let message = lacking.err().map(|error| error.to_string());
    assert!(message.is_some_and(|message| message.starts_with("version 1: type City is not in")));
}

#[test]
fn fields_are_matched_by_name_and_a_new_one_without_a_value_changes_nothing() {
    let brand = |schema: &str, line: &str| state(schema, 1, &[("Brand", line)]);
    let old = "Brand @PrimaryKey(code) { string code; string country; }";
    let new = "Brand @PrimaryKey(code) { int size; string country; string code; }";
    let text = r#"{"code":"A","country":"CN"}"#;
    let (before, after) = (brand(old, text), brand(new, text));
    assert_eq!(counted("Brand", &before, &after), (0, 0, 0));
    let after = brand(new, r#"{"code":"A","country":"CN","size":1}"#);
    assert_eq!(counted("Brand", &before, &after), (0, 0, 1));
    let retyped = "Brand @PrimaryKey(code) { string code; bytes country; }";
    let after = brand(retyped, r#"{"code":"A","country":"Q04="}"#);
    assert_eq!(counted("Brand", &before, &after), (0, 0, 1));
}

#[test]
fn records_with_other_key_fields_are_other_records() {
    let text = r#"{"code":"A","country":"A"}"#;
    let keyed = |key: &str| {
        let schema = format!("Brand @PrimaryKey({key}) {{ string code; string country; }}");
        state(&schema, 1, &[("Brand", text)])
    };
    assert_eq!(counted("Brand", &keyed("code"), &keyed("code")), (0, 0, 0));
    assert_eq!(
        counted("Brand", &keyed("code"), &keyed("country")),
        (1, 1, 0)
    );
    let both = keyed("code, country");
    assert_eq!(counted("Brand", &both, &both), (0, 0, 0));
}
