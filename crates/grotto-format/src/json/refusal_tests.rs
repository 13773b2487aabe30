//! Tests of refused JSON: every refusal says which field, what was expected, what was found, where.

use super::tests::{decoded, printed, schema};
use super::*;

#[track_caller]
fn refused(ty: &str, text: &str, expected: &str) {
    let error = decoded(&schema(), ty, text).expect_err("a broken record was accepted");
    assert_eq!(error.to_string(), expected);
}

#[track_caller]
fn field_refused(fields: &str, expected: &str) {
    refused("City", &format!("{{\"geonameid\":1,{fields}}}"), expected);
}

#[test]
fn a_wrong_type_names_field_expected_found_and_column() {
    field_refused(
        "\"rank\": \"abc\"",
        "field City.rank: expected int, found string \"abc\" (column 24)",
    );
    field_refused(
        "\"rank\":2147483648}",
        "field City.rank: expected int, found number 2147483648 (column 23)",
    );
    field_refused(
        "\"rank\":3.0",
        "field City.rank: expected int, found number 3.0 (column 23)",
    );
    field_refused(
        "\"rank\":true ",
        "field City.rank: expected int, found boolean true (column 23)",
    );
    field_refused(
        "\"name\": {} ",
        "field City.name: expected string, found an object (column 24)",
    );
    field_refused(
        "\"name\":[1]",
        "field City.name: expected string, found an array (column 23)",
    );
    field_refused(
        "\"country\":[ ]",
        "field City.country: expected string, found an array (column 26)",
    );
    field_refused(
        "\"tags\":{\"a\":1}",
        "field City.tags: expected an array of type SetOfString, found an object (column 23)",
    );
    field_refused(
        "\"twin\":5",
        "field City.twin: expected an object of type City, such as {\"geonameid\":…}, as only records of a single \
         field may stand as its value, found number 5 (column 23)",
    );
    field_refused(
        "\"flag\":\"*\"",
        "field City.flag: expected bytes, found string \"*\" (column 23)",
    );
    field_refused(
        "\"area\":1e39",
        "field City.area: expected float, found number 1e39 (column 23)",
    );
    field_refused(
        "\"latitude\":\"nan\"",
        "field City.latitude: expected double, found string \"nan\" (column 27)",
    );
    field_refused(
        "\"latitude\":1e400",
        "field City.latitude: expected a number in range, found number 1e400 (column 27)",
    );
    refused(
        "City",
        "null",
        "record City: expected an object of type City, found null (column 1)",
    );
    refused(
        "City",
        "{\"geonameid\":18446744073709551616}",
        "field City.geonameid: expected long, found number 18446744073709551616 (column 14)",
    );
}

#[test]
fn a_refused_value_inside_others_is_named_by_its_path() {
    field_refused(
        "\"alternatenames\":[\"a\",\"b\\\"\", 5]",
        "field City.alternatenames[2]: expected string, found number 5 (column 45)",
    );
    field_refused(
        "\"alternatenames\":[{\"value\":5}]",
        "field City.alternatenames[0].value: expected string, found number 5 (column 43)",
    );
    field_refused(
        "\"labels\":{\"é\\n\":\"x\",\"b\":5}",
        "field City.labels[\"b\"]: expected string, found number 5 (column 40)",
    );
    field_refused(
        "\"years\":[{\"key\":\"x\",\"value\":\"a\"}]",
        "field City.years[0].key: expected long, found string \"x\" (column 32)",
    );
    field_refused(
        "\"twin\":{\"geonameid\":2,\"twin\":{\"geonameid\":3,\"rank\":\"é \\\\\"}}",
        "field City.twin.twin.rank: expected int, found string \"é \\\\\" (column 67)",
    );
}

#[test]
fn long_values_are_shortened() {
    let text = "x".repeat(100);
    let shown = "x".repeat(39);
    field_refused(
        &format!("\"rank\":\"{text}\""),
        &format!("field City.rank: expected int, found string \"{shown}… (column 23)"),
    );
}

#[test]
fn null_inside_a_collection_is_refused() {
    field_refused(
        "\"tags\":[\"a\", null]",
        "field City.tags[1]: expected string, found null (column 29)",
    );
    field_refused(
        "\"labels\":{\"a\":null}",
        "field City.labels[\"a\"]: expected string, found null (column 30)",
    );
    field_refused(
        "\"years\":[{\"key\":null,\"value\":\"a\"}]",
        "field City.years[0].key: expected long, found null (column 32)",
    );
}

#[test]
fn an_unknown_field_gets_a_hint() {
    field_refused(
        "\"nme\" : 5",
        "record City: expected a field of City, found unknown field \"nme\" (did you mean name?) (column 16)",
    );
    field_refused(
        "\"twin\":{\"zzzzz\":1}",
        "field City.twin: expected a field of City, found unknown field \"zzzzz\" (column 24)",
    );
    field_refused(
        "\"years\":[{\"kez\":1}]",
        "field City.years[0]: expected \"key\" or \"value\", found unknown field \"kez\" (column 26)",
    );
}

#[test]
fn a_field_or_key_that_comes_twice_is_refused() {
    field_refused(
        "\"name\":null,\"name\":\"b\"",
        "field City.name: expected one value, found the field a second time (column 28)",
    );
    field_refused(
        "\"labels\":{\"a\":\"1\",\"b\":\"2\",\"a\":\"3\"}",
        "field City.labels: expected each key once, found key \"a\" twice (column 25)",
    );
    field_refused(
        "\"years\":[{\"key\":1,\"value\":\"a\"},{\"key\":1,\"value\":\"b\"}]",
        "field City.years: expected each key once, found a key twice (column 24)",
    );
    field_refused(
        "\"years\":[{\"key\":1,\"key\":1}]",
        "field City.years[0].key: expected one value, found the field a second time (column 34)",
    );
}

#[test]
fn an_entry_needs_key_and_value() {
    field_refused(
        "\"years\":[ {\"key\":1}]",
        "field City.years[0].value: expected a value, found nothing (column 26)",
    );
    field_refused(
        "\"years\":[{}]",
        "field City.years[0].key: expected a key, found nothing (column 25)",
    );
    field_refused(
        "\"years\":[5]",
        "field City.years[0]: expected an entry of \"key\" and \"value\", found number 5 (column 25)",
    );
}

#[test]
fn a_missing_part_of_the_primary_key_is_named() {
    let found = "found null or nothing";
    refused(
        "City",
        "{}",
        &format!("field City.geonameid: expected long for the primary key, {found} (column 1)"),
    );
    refused(
        "City",
        " {\"name\":\"}{\\\"\",\"geonameid\":null}",
        &format!("field City.geonameid: expected long for the primary key, {found} (column 2)"),
    );
    refused(
        "City",
        "{\"geonameid\":1,\"twin\":{\"tags\":[\"a\"],\"name\":\"b\"}}",
        &format!(
            "field City.twin.geonameid: expected long for the primary key, {found} (column 23)"
        ),
    );
    for country in ["", ",\"country\":null", ",\"country\":{\"value\":null}"] {
        refused(
            "Place",
            &format!("{{\"city\":{{\"name\":\"a\",\"geonameid\":1}}{country}}}"),
            &format!(
                "field Place.country: expected string for the primary key, {found} (column 1)"
            ),
        );
    }
    refused(
        "Place",
        "{\"country\":\"ZA\"}",
        &format!(
            "field Place.city.geonameid: expected long for the primary key, {found} (column 1)"
        ),
    );
    let whole = "{\"city\":{\"geonameid\":1},\"country\":\"ZA\"}";
    assert_eq!(printed(&schema(), "Place", whole), whole);
}

#[test]
fn broken_json_is_told_from_wrong_values() {
    refused(
        "City",
        "",
        "record City: expected valid json, found end of text while parsing a value (column 1)",
    );
    refused(
        "City",
        "{\"geonameid\":1,}",
        "record City: expected valid json, found trailing comma (column 16)",
    );
    refused(
        "City",
        "{\"geonameid\":1} x",
        "record City: expected valid json, found trailing characters (column 17)",
    );
    refused(
        "City",
        "{\"geonameid\":1",
        "record City: expected valid json, found end of text while parsing an object (column 14)",
    );
    refused(
        "City",
        "{\n \"geonameid\":1,\n \"tags\":[\"é\" \"b\"]}",
        "field City.tags[1]: expected `,` or `]`, found '\"' (line 3, column 14)",
    );
    let mut builder = FlatBuilder::new();
    let id = schema().find("City").unwrap();
    let error = decode(
        &schema(),
        id,
        b"{\"geonameid\":1,\"name\":\"\xFF\"}",
        &mut builder,
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "record City: expected valid json, found bytes that are not utf-8 (column 24)"
    );
    let line = error.at_line(12).to_string();
    assert!(
        line.starts_with("line 12: record City: expected valid json"),
        "{line}"
    );
}
