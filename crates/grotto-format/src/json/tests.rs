//! Tests of records as JSON: every value survives, no text or bytes cause a panic.

use proptest::prelude::*;

use super::*;
use crate::flat::validate;
use crate::schema::arbitrary::{Choices, record, schemas};

const CITIES: &str = "
    City @PrimaryKey(geonameid) {
        long geonameid; string name; double latitude; float area; int rank; boolean capital;
        bytes flag; String country; ListOfString alternatenames; SetOfString tags;
        MapOfString labels; MapOfLong years; City twin;
    }
    String { string value; }
    Long { long value; }
    ListOfString List<String>;
    SetOfString Set<String>;
    MapOfString Map<String, String>;
    MapOfLong Map<Long, String>;
    Place @PrimaryKey(city.geonameid, country) { City city; String country; }";

pub(super) fn schema() -> Schema {
    Schema::parse(CITIES).unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn decoded(schema: &Schema, ty: &str, text: &str) -> Result<Vec<u8>, JsonError> {
    let id = schema.find(ty).expect("type of the test schema");
    let mut builder = FlatBuilder::new();
    builder.raw(b"before");
    match decode(schema, id, text, &mut builder) {
        Ok(()) => {
            let flat = builder.bytes()[6..].to_vec();
            assert_eq!(validate(schema, id, &flat), Ok(()), "{text}");
            Ok(flat)
        }
        Err(error) => {
            assert_eq!(
                builder.bytes(),
                b"before",
                "a refused record left bytes behind"
            );
            Err(error)
        }
    }
}

pub(super) fn printed(schema: &Schema, ty: &str, text: &str) -> String {
    let flat = decoded(schema, ty, text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let mut out = String::new();
    encode(schema, schema.find(ty).expect("type"), &flat, &mut out).expect("a valid record");
    out
}

/// Reads and prints a city of which only the given fields matter.
#[track_caller]
fn city(fields: &str, expected: &str) {
    let text = format!("{{\"geonameid\":1,{fields}}}");
    assert_eq!(
        printed(&schema(), "City", &text),
        format!("{{\"geonameid\":1,{expected}}}")
    );
}

#[test]
fn every_kind_of_field_survives() {
    let text = "{\"geonameid\":-9223372036854775808,\"name\":\"é\\\"\\n\",\"latitude\":36.1,\
        \"area\":0.1,\"rank\":-2147483648,\"capital\":false,\"flag\":\"AAEC\",\"country\":\"ZA\",\
        \"alternatenames\":[\"a\",\"a\",\"\"],\"tags\":[],\"labels\":{\"en\":\"x\",\"\":\"y\"},\
        \"years\":[{\"key\":1,\"value\":\"a\"}],\"twin\":{\"geonameid\":2}}";
    assert_eq!(printed(&schema(), "City", text), text);
}

#[test]
fn fields_come_in_any_order_and_print_in_the_order_of_the_schema() {
    let text = " { \"rank\" : 3 , \"name\" : \"b\" , \"geonameid\" : 7 } ";
    assert_eq!(
        printed(&schema(), "City", text),
        "{\"geonameid\":7,\"name\":\"b\",\"rank\":3}"
    );
}

#[test]
fn null_and_absent_mean_the_same_and_are_not_printed() {
    let schema = schema();
    let text = "{\"geonameid\":7,\"name\":null,\"country\":null,\"alternatenames\":null}";
    assert_eq!(
        decoded(&schema, "City", text),
        decoded(&schema, "City", "{\"geonameid\":7}")
    );
    assert_eq!(printed(&schema, "City", text), "{\"geonameid\":7}");
}

#[test]
fn a_wrapper_may_be_an_object_and_one_of_null_stays_one() {
    city("\"country\":{\"value\":\"ZA\"}", "\"country\":\"ZA\"");
    city(
        "\"country\":{\"value\":null}",
        "\"country\":{\"value\":null}",
    );
    city("\"country\":{}", "\"country\":{\"value\":null}");
    city(
        "\"alternatenames\":[{\"value\":null}]",
        "\"alternatenames\":[{\"value\":null}]",
    );
    assert_eq!(printed(&schema(), "String", "\"top\""), "\"top\"");
}

#[test]
fn numbers_keep_their_value_and_their_sign() {
    city("\"latitude\":36", "\"latitude\":36.0");
    city("\"latitude\":-0.0", "\"latitude\":-0.0");
    city(
        "\"latitude\":18446744073709551615",
        "\"latitude\":1.8446744073709552e+19",
    );
    city("\"latitude\":5e-324", "\"latitude\":5e-324");
    city("\"area\":16777217", "\"area\":16777216.0");
    city("\"area\":3.4028235e38", "\"area\":3.4028235e+38");
    for text in ["\"NaN\"", "\"Infinity\"", "\"-Infinity\""] {
        city(
            &format!("\"latitude\":{text},\"area\":{text}"),
            &format!("\"latitude\":{text},\"area\":{text}"),
        );
    }
}

#[test]
fn maps_of_text_may_be_arrays_of_entries_in_any_order() {
    city(
        "\"labels\":[{\"value\":\"v\",\"key\":\"k\"},{\"key\":\"l\",\"value\":\"w\"}]",
        "\"labels\":{\"k\":\"v\",\"l\":\"w\"}",
    );
    city(
        "\"labels\":[{\"key\":{\"value\":null},\"value\":\"v\"}]",
        "\"labels\":[{\"key\":{\"value\":null},\"value\":\"v\"}]",
    );
}

#[test]
fn nesting_ends_at_the_limit() {
    let nested = |levels: usize| {
        format!(
            "{}{{\"geonameid\":1}}{}",
            "{\"geonameid\":1,\"twin\":".repeat(levels),
            "}".repeat(levels)
        )
    };
    assert_eq!(printed(&schema(), "City", &nested(64)), nested(64));
    let error = decoded(&schema(), "City", &nested(65))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("expected at most 64 records inside each other, found more"),
        "{error}"
    );
    let deep = decoded(&schema(), "City", &"[".repeat(100_000))
        .unwrap_err()
        .to_string();
    assert!(
        deep.starts_with("record City: expected an object of type City, found an array"),
        "{deep}"
    );
}

#[test]
fn damaged_flat_bytes_are_refused_and_print_nothing() {
    let schema = schema();
    let id = schema.find("City").unwrap();
    let flat = decoded(
        &schema,
        "City",
        "{\"geonameid\":1,\"labels\":{\"a\":\"b\"}}",
    )
    .unwrap();
    for end in 0..flat.len() {
        let mut out = "before".to_owned();
        assert!(encode(&schema, id, &flat[..end], &mut out).is_err());
        assert_eq!(out, "before");
    }
    let wrapper = schema.find("String").unwrap();
    let twice = [2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert!(encode(&schema, wrapper, &twice, &mut String::new()).is_err());
}

#[test]
fn keys_are_plain_values_or_json() {
    let schema = schema();
    let key = |ty: &str, text: &str| decode_key(&schema, schema.find(ty).unwrap(), text);
    assert_eq!(key("City", "-5").unwrap(), [KeyPart::Long(-5)]);
    let both = [KeyPart::Long(7), KeyPart::String("ZA".into())];
    assert_eq!(key("Place", "[7, \"ZA\"]").unwrap(), both);
    let refused = |ty: &str, text: &str, expected: &str| {
        assert_eq!(key(ty, text).unwrap_err().to_string(), expected);
    };
    refused(
        "City",
        "abc",
        "key City.geonameid: expected long, found \"abc\"",
    );
    refused(
        "City",
        "\"7\"",
        "key City.geonameid: expected long, found \"7\"",
    );
    refused(
        "City",
        "7.5",
        "key City.geonameid: expected long, found 7.5",
    );
    refused(
        "Place",
        "7",
        "key Place: expected a json array of city.geonameid, country, found 7",
    );
    refused(
        "Place",
        "[7, 8]",
        "key Place.country: expected string, found 8",
    );
    refused(
        "String",
        "a",
        "key String: expected a type with a primary key, found object without",
    );
}

#[test]
fn keys_of_every_scalar_type_are_read() {
    let key = |ty: &str, text: &str| {
        let schema = Schema::parse(&format!("A @PrimaryKey(k) {{ {ty} k; }}")).unwrap();
        decode_key(&schema, TypeId(0), text)
            .ok()
            .and_then(|mut parts| parts.pop())
    };
    let text = |text: &str| Some(KeyPart::String(text.into()));
    assert_eq!(key("string", "Cape Town"), text("Cape Town"));
    assert_eq!(key("string", "[1]"), text("[1]"));
    assert_eq!(key("string", "\"a\\n\""), text("a\n"));
    assert_eq!(key("string", "\"half"), text("\"half"));
    assert_eq!(key("string", ""), text(""));
    assert_eq!(key("bytes", "AAE="), Some(KeyPart::Bytes(vec![0, 1])));
    assert_eq!(key("boolean", "true"), Some(KeyPart::Boolean(true)));
    assert_eq!(key("int", "-1"), Some(KeyPart::Int(-1)));
    assert_eq!(key("int", "2147483648"), None);
    assert_eq!(key("double", "1"), Some(KeyPart::Double(1.0)));
    assert_eq!(
        key("double", "-Infinity"),
        Some(KeyPart::Double(f64::NEG_INFINITY))
    );
    assert_eq!(key("float", "0.5"), Some(KeyPart::Float(0.5)));
    assert_eq!(key("float", "1e39"), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn records_survive_json(schema in schemas(), numbers in proptest::collection::vec(any::<u32>(), 0..200)) {
        let mut choices = Choices::new(numbers);
        for id in schema.ids() {
            let mut flat = FlatBuilder::new();
            record(&mut choices, &schema, id, &mut flat);
            let mut text = String::new();
            encode(&schema, id, flat.bytes(), &mut text).unwrap();
            prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
            let mut again = FlatBuilder::new();
            if let Err(error) = decode(&schema, id, &text, &mut again) {
                return Err(TestCaseError::fail(format!("{schema}\n{text}\n{error}")));
            }
            prop_assert_eq!(again.bytes(), flat.bytes(), "{}\n{}", schema, text);
        }
    }

    #[test]
    fn damaged_json_gives_an_error_or_a_valid_record(schema in schemas(), numbers in proptest::collection::vec(any::<u32>(), 0..60), at in any::<prop::sample::Index>(), put in "[\\]\\[{}\":,0-9a-z\\\\ \n-]{0,3}") {
        for id in schema.ids() {
            let mut flat = FlatBuilder::new();
            record(&mut Choices::new(numbers.clone()), &schema, id, &mut flat);
            let mut text = String::new();
            encode(&schema, id, flat.bytes(), &mut text).unwrap();
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            bytes.splice(at..=at, put.bytes());
            flat.clear();
            match decode(&schema, id, &bytes, &mut flat) {
                Ok(()) => prop_assert_eq!(validate(&schema, id, flat.bytes()), Ok(())),
                Err(error) => prop_assert!(flat.bytes().is_empty() && error.column > 0),
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(schema in schemas(), bytes in proptest::collection::vec(any::<u8>(), 0..64), text in "[\\]\\[{}\":,0-9a-z\\\\ ]{0,40}") {
        for id in schema.ids() {
            let _ = decode(&schema, id, &bytes, &mut FlatBuilder::new());
            let _ = decode(&schema, id, &text, &mut FlatBuilder::new());
            let _ = encode(&schema, id, &bytes, &mut String::new());
            let _ = decode_key(&schema, id, &text);
        }
    }

    #[test]
    fn every_float_survives(bits in any::<u32>()) {
        let value = f32::from_bits(bits);
        prop_assume!(!value.is_nan());
        let schema = Schema::parse("Float { float value; }").unwrap();
        let mut flat = FlatBuilder::new();
        let mark = flat.begin_object();
        flat.field(0);
        flat.float(value);
        flat.end_object(mark, 1);
        let (mut text, mut again) = (String::new(), FlatBuilder::new());
        encode(&schema, TypeId(0), flat.bytes(), &mut text).unwrap();
        decode(&schema, TypeId(0), &text, &mut again).unwrap();
        prop_assert_eq!(flat.bytes(), again.bytes());
    }
}
