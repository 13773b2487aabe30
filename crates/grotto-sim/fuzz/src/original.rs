//! Honest blobs, each with the state it applies to. Never changes one.

use crate::engine::{Chain, options};
use crate::hostile::forge::Forge;
use grotto_format::schema::Schema;
use grotto_state::{State, encode_snapshot};
use std::sync::{Arc, OnceLock};

/// A schema with every kind of type and field.
pub const SCHEMA: &str = "R @PrimaryKey(k, s) { long k; int i; float f; double d; boolean b; string s; bytes raw; String r;
    Names names; Tags tags; Scores scores; R next; }
    String { string value; } Names List<String>; Tags Set<String> @HashKey(value); Scores Map<String, Names>;
    Gone { int x; }";
/// What it becomes: a field more, a type less, another order.
pub const LATER: &str = "String { string value; } Names List<String>; R @PrimaryKey(k, s) { string s; long k; int late; int i;
    float f; double d; boolean b; bytes raw; String r; Names names; Tags tags; Scores scores; R next; }
    Tags Set<String> @HashKey(value); Scores Map<String, Names>;";

pub(crate) fn originals() -> &'static Vec<(Arc<State>, Forge)> {
    static ALL: OnceLock<Vec<(Arc<State>, Forge)>> = OnceLock::new();
    ALL.get_or_init(|| {
        let chain = chain();
        let mut all = Vec::new();
        for (number, delta) in chain.deltas.iter().enumerate() {
            let (before, after) = (&chain.states[number], &chain.states[number + 1]);
            all.push((Arc::clone(before), Forge::open(delta)));
            if let Some(reverse) = &chain.reverses[number] {
                all.push((Arc::clone(after), Forge::open(reverse)));
            }
            let snapshot = encode_snapshot(after, &options(1)).unwrap();
            all.push((Arc::clone(&chain.states[0]), Forge::open(&snapshot)));
        }
        all
    })
}

/// Three versions of some records, the last under a later schema.
pub(crate) fn chain() -> Chain {
    let mut chain = Chain::new();
    let schema = Arc::new(Schema::parse(SCHEMA).unwrap());
    let later = Arc::new(Schema::parse(LATER).unwrap());
    let mut first: Vec<_> = (1..30).map(|i| record(i, 3)).collect();
    first.push(("Gone", r#"{"x":1}"#.into()));
    chain.full(&schema, &first).unwrap();
    let second: Vec<_> = (5..35)
        .map(|i| record(i, if i % 7 == 0 { 5 } else { 3 }))
        .collect();
    chain.full(&schema, &second).unwrap();
    chain.full(&later, &second[3..]).unwrap();
    chain
}

fn record(i: i64, salt: i64) -> (&'static str, String) {
    let text = format!(
        r#"{{"k":{i},"s":"s{}","i":{},"f":0.5,"d":{i}.25,"b":{},"raw":"AAEC","r":"v{}","names":["a","b{}"],"tags":["x","y{}"],"scores":{{"p":["q"],"z{i}":[]}},"next":{{"k":-{i},"s":"next"}}}}"#,
        i % 3,
        i * salt,
        i % 2 == 0,
        i % 5,
        i % 4,
        i % 3
    );
    ("R", text)
}
