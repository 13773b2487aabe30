//! Schemas and records: text, printed form, hash; JSON and flat form. Owns nothing.

use super::{from_hex, published_json, text, to_hex};
use grotto_format::{FlatBuilder, Schema, flat, json};
use serde_json::{Value, json};

const SCHEMAS: [&str; 6] = [
    "A { }",
    "String{string value;}",
    "// all scalars\nAll @PrimaryKey( l ) { int i; long l; float f; double d; boolean b; string s; bytes raw; All next; }",
    "City @PrimaryKey(id, country.value, place.country) {\n\tlong id; String country; Place place; }\nPlace { String country; }\r\n/* a wrapper */ String { string value; }",
    "Lists List<Words>; Words Set<String>; Cities Set<City> @HashKey(id, name); String { string value; } City { int id; String name; }",
    "M Map < String , M > @HashKey(value); N Map<M, String>; String { string value; } $under_score9 { N $n; }",
];

/// Texts that no reader may take for a schema.
const NO_SCHEMAS: [&str; 22] = [
    "",
    "A",
    "A { int; }",
    "A { int x }",
    "A { int x; int x; }",
    "A { } A { }",
    "A { B b; }",
    "int { }",
    "9A { }",
    "A { int x; } /* open",
    "A List<int>;",
    "A List<A> @HashKey(x);",
    "A @PrimaryKey() { int x; }",
    "A @PrimaryKey(y) { int x; }",
    "A @PrimaryKey(x, x) { int x; }",
    "A @PrimaryKey(x, x.v) { B x; } B { int v; }",
    "A @PrimaryKey(x) { B x; } B { int v; int w; }",
    "A @PrimaryKey(x) { A x; }",
    "A @PrimaryKey(x.y) { int x; }",
    "A @HashKey(x) { int x; }",
    "A @PrimaryKey(x) List<A>;",
    "A { int \u{fc}; }",
];

const RECORDS: &str = "All @PrimaryKey(l) { int i; long l; float f; double d; boolean b; string s; bytes raw; String w;
    Names names; Tags tags; Scores scores; Pairs pairs; All next; }
    String { string value; } Names List<String>; Tags Set<String>; Scores Map<String, Score>;
    Score { double points; int votes; } Pairs Map<Score, Names>;";

const JSON: [(&str, &str); 12] = [
    ("All", r#"{"l":0}"#),
    (
        "All",
        r#"{"i":-2147483648,"l":9223372036854775807,"f":0.1,"d":0.1,"b":false,"s":"","raw":""}"#,
    ),
    (
        "All",
        r#"{"i":2147483647,"l":-9223372036854775808,"f":-0.0,"d":1e+300,"b":true,"s":"a\"b\\\n\u0001é日","raw":"AAH/"}"#,
    ),
    (
        "All",
        r#"{"l":1,"f":"NaN","d":"-Infinity","w":{"value":null},"names":[],"tags":[],"scores":{},"pairs":[]}"#,
    ),
    (
        "All",
        r#"{"l":1,"w":"plain","names":["a",{"value":null},"a"],"tags":["b","a"],"next":{"l":2,"next":{"l":3}}}"#,
    ),
    (
        "All",
        r#"{"l":1,"scores":{"x":{"points":1.5,"votes":3},"y":{}},"pairs":[{"key":{"votes":1},"value":["z"]}]}"#,
    ),
    ("String", r#""text""#),
    ("String", r#"{"value":null}"#),
    ("Names", r#"["a","b"]"#),
    ("Scores", r#"{"k":{"votes":9}}"#),
    ("Scores", r#"[{"key":{"value":null},"value":{}}]"#),
    ("Score", r"{}"),
];

#[test]
fn schemas_print_and_hash_as_published() {
    let made: Vec<Value> = SCHEMAS
        .iter()
        .map(|text| {
            let schema = Schema::parse(text).unwrap();
            json!({ "text": text, "printed": schema.to_string(), "hash": format!("{:016x}", schema.hash()) })
        })
        .collect();
    let empty = format!("{:016x}", Schema::default().hash());
    let made = json!({ "schemas": made, "hash_of_no_schema": empty, "refused": NO_SCHEMAS });
    let published = published_json("schemas.json", &made);
    for case in published["schemas"].as_array().unwrap() {
        let printed = text(&case["printed"]);
        let schema = Schema::parse(printed).unwrap();
        assert_eq!(schema, Schema::parse(text(&case["text"])).unwrap());
        assert_eq!(schema.to_string(), printed);
    }
    for refused in published["refused"].as_array().unwrap() {
        assert!(Schema::parse(text(refused)).is_err(), "{refused}");
    }
}

/// Wrappers whose field has a name of its own, one that holds null among them, and floats at the edges.
const WRAPPERS: &str = "Code { int number; } Ratio { float of; } Flag { boolean set; } Text { string words; }
    Raw { bytes data; } Holder { Code code; Ratio ratio; Flag flag; Text text; Raw raw; Codes codes; Names names; }
    Codes List<Code>; Names Map<Text, Code>; Reals { float f; double d; }";

const WRAPPED: [(&str, &str); 11] = [
    ("Code", "7"),
    ("Code", r#"{"number":null}"#),
    ("Text", r#"{"words":null}"#),
    ("Raw", r#""AA==""#),
    (
        "Holder",
        r#"{"code":{"number":null},"ratio":{"of":null},"flag":{"set":null},"text":{"words":null},"raw":{"data":null}}"#,
    ),
    (
        "Holder",
        r#"{"code":-1,"ratio":0.5,"flag":false,"text":"","raw":"","codes":[1,{"number":null},1],"names":{"a":1,"b":{"number":null}}}"#,
    ),
    (
        "Names",
        r#"[{"key":"a","value":1},{"key":{"words":null},"value":2}]"#,
    ),
    ("Reals", r#"{"f":-0.0,"d":-0.0}"#),
    ("Reals", r#"{"f":0.0,"d":0.0}"#),
    ("Reals", r#"{"f":1e-45,"d":5e-324}"#),
    ("Reals", r#"{"f":"NaN","d":"NaN"}"#),
];

#[test]
fn records_are_written_and_read_as_published() {
    check_records("records.json", RECORDS, &JSON);
}

#[test]
fn wrappers_are_written_and_read_as_published() {
    check_records("wrappers.json", WRAPPERS, &WRAPPED);
}

fn check_records(file: &str, schema: &str, records: &[(&str, &str)]) {
    let schema = Schema::parse(schema).unwrap();
    let flat_of = |ty: &str, text: &str| {
        let mut builder = FlatBuilder::new();
        json::decode(&schema, schema.find(ty).unwrap(), text, &mut builder).unwrap();
        to_hex(builder.bytes())
    };
    let made: Vec<Value> = records
        .iter()
        .map(|(ty, text)| json!({ "type": ty, "json": text, "flat": flat_of(ty, text) }))
        .collect();
    let published = published_json(
        file,
        &json!({ "schema": schema.to_string(), "records": made }),
    );
    for case in published["records"].as_array().unwrap() {
        let id = schema.find(text(&case["type"])).unwrap();
        let bytes = from_hex(text(&case["flat"]));
        flat::validate(&schema, id, &bytes).unwrap();
        let mut printed = String::new();
        json::encode(&schema, id, &bytes, &mut printed).unwrap();
        assert_eq!(printed, text(&case["json"]));
    }
}
