//! A schema is refused, or prints as a schema that is equal to it.
#![no_main]

use grotto_format::Schema;
use grotto_format::schema::evolve;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(schema) = Schema::parse(text) else {
        return;
    };
    let printed = schema.to_string();
    let again = Schema::parse(&printed).expect("a printed schema parses");
    assert_eq!(again, schema, "{printed}");
    assert_eq!(again.hash(), schema.hash());
    let before = Schema::parse(grotto_fuzz::SCHEMA).expect("the example parses");
    let _ = evolve(&before, &schema);
    evolve(&schema, &again).expect("a schema can follow itself");
});
