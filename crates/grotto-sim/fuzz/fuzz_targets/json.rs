//! A line of JSON is refused, or is written out and taken in again as the same record.
#![no_main]

use grotto_format::schema::Schema;
use grotto_format::{FlatBuilder, json};
use std::sync::OnceLock;

fn schema() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(|| Schema::parse(grotto_fuzz::SCHEMA).expect("the example parses"))
}

libfuzzer_sys::fuzz_target!(|input: (u8, &str)| {
    let (which, text) = input;
    let schema = schema();
    let ids: Vec<_> = schema.ids().collect();
    let id = ids[usize::from(which) % ids.len()];
    let _ = json::decode_key(schema, id, text);
    let mut flat = FlatBuilder::new();
    if json::decode(schema, id, text, &mut flat).is_err() {
        return;
    }
    let flat = flat.bytes().to_vec();
    let mut out = String::new();
    json::encode(schema, id, &flat, &mut out).expect("what was taken in is written out");
    let mut again = FlatBuilder::new();
    json::decode(schema, id, &out, &mut again).expect("what was written out is taken in");
    assert_eq!(again.bytes(), flat, "{out}");
});
