//! Records as JSON text, and records by the value of a field.

use grotto_format::flat::FlatBuilder;
use grotto_format::json;
use grotto_format::schema::Schema;
use grotto_state::{FieldEquals, State, testing};
use std::sync::Arc;

const SCHEMA: &str = "
    All @PrimaryKey(id) {
        long id; int whole; double real; float narrow; boolean yes; string text; bytes raw;
        Point at; String name; Int number; Points way; Set tags; ByName named; ByPoint placed; Nothing none;
    }
    Point { double x; double y; }
    String { string value; }
    Int { int value; }
    Nothing { string only; }
    Points List<Point>;
    Set Set<String>;
    ByName Map<String, Point>;
    ByPoint Map<Point, String>;
";

const LINES: &str = r#"
{"id":1}
{"id":2,"whole":-2147483648,"real":0.1,"narrow":0.1,"yes":true,"text":"a\"\\\n\u0001ü→𝄞","raw":"AP+A"}
{"id":3,"real":"NaN","narrow":"-Infinity","yes":false,"text":"","raw":""}
{"id":4,"at":{"x":1.5},"name":"n","number":7,"way":[{"x":1},{"y":2},{}],"tags":["b","a"]}
{"id":5,"named":{"a\"b":{"x":1},"c":{"y":-0.0}},"placed":[{"key":{"x":1},"value":"one"}]}
{"id":6,"name":{"value":null},"way":[],"tags":[],"named":[{"key":{"value":null},"value":{"x":3}}],"none":"t"}
{"id":9223372036854775807,"real":1e300,"narrow":16777216,"whole":0}
"#;

fn state() -> Arc<State> {
    let schema = Schema::parse(SCHEMA).unwrap();
    let state = testing::state()
        .schema(schema)
        .with_json("All", LINES.trim());
    state.build().unwrap()
}

#[test]
fn text_is_that_of_the_flat_form() {
    let state = state();
    let mut seen = 0;
    for type_id in state.schema().ids() {
        for record in state.scan(type_id) {
            let (mut flat, mut expected, mut found) =
                (FlatBuilder::default(), String::new(), "x".to_owned());
            record.to_flat(&mut flat).unwrap();
            json::encode(state.schema(), type_id, flat.bytes(), &mut expected).unwrap();
            record.to_json(&mut found, 1 << 20).unwrap();
            assert_eq!(found, format!("x{expected}"), "{record:?}");
            seen += 1;
        }
    }
    assert!(seen > 15, "{seen}");
}

#[test]
fn a_text_that_is_too_long_is_refused_and_leaves_nothing_behind() {
    let state = state();
    let all = state.type_id("All").unwrap();
    for record in state.scan(all) {
        let mut whole = String::new();
        record.to_json(&mut whole, usize::MAX).unwrap();
        for limit in 0..whole.len() {
            let mut text = String::new();
            assert!(
                record.to_json(&mut text, limit).is_err(),
                "{limit} of {whole}"
            );
            assert_eq!(text, "");
        }
        let mut text = String::new();
        record.to_json(&mut text, whole.len()).unwrap();
        assert_eq!(text, whole);
    }
}

#[test]
fn a_scan_begins_at_any_ordinal() {
    let schema = Schema::parse("A @PrimaryKey(id) { long id; }").unwrap();
    let lines: String = (0..3000).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    let state = testing::state()
        .schema(schema)
        .with_json("A", &lines)
        .build()
        .unwrap();
    let ty = state.type_id("A").unwrap();
    let all: Vec<u32> = state.ordinals(ty).collect();
    assert_eq!(all.len(), 3000);
    for from in [0, 1, 511, 512, 513, 2047, 2999, 3000, 4096, u32::MAX] {
        let expected: Vec<u32> = all.iter().copied().filter(|one| *one >= from).collect();
        let found: Vec<u32> = state
            .scan_from(ty, from)
            .map(|record| record.ordinal())
            .collect();
        assert_eq!(found, expected, "{from}");
    }
}

#[test]
fn fields_are_compared_by_their_values() {
    let state = state();
    let all = state.type_id("All").unwrap();
    let found = |path: &str, value: &str| -> Vec<i64> {
        let equals = FieldEquals::parse(state.schema(), all, path, value).unwrap();
        let mut ids: Vec<i64> = state
            .scan(all)
            .filter(|one| equals.matches(one))
            .map(|one| one.word(0) as i64)
            .collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(found("id", "9223372036854775807"), [i64::MAX]);
    assert_eq!(found("whole", "-2147483648"), [2]);
    assert_eq!(found("real", "NaN"), [3]);
    assert_eq!(found("narrow", "0.1"), [2]);
    assert_eq!(found("yes", "false"), [3]);
    assert_eq!(found("text", ""), [3]);
    assert_eq!(found("text", "null"), [1, 4, 5, 6, i64::MAX]);
    assert_eq!(found("name", "n"), [4]);
    assert_eq!(found("name.value", "\"n\""), [4]);
    assert_eq!(found("at.x", "1.5"), [4]);
    assert_eq!(found("at.y", "null").len(), 7);
    assert_eq!(found("number", "7"), [4]);
    let refused = |path: &str, value: &str| {
        let parsed = FieldEquals::parse(state.schema(), all, path, value);
        parsed.unwrap_err().message().to_owned()
    };
    assert_eq!(
        refused("whole", "3000000000"),
        "whole: expected int, found \"3000000000\""
    );
    assert!(refused("color", "red").starts_with("color: object All has no field \"color\""));
    assert!(refused("way", "1").contains("expected a plain value"));
    assert!(refused("raw", "AA==").contains("expected bytes"));
}
