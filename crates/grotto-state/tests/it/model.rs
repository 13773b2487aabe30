//! Model test: random cycles against a map.

use crate::engine::{Chain, dump};
use grotto_format::schema::Schema;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) const SCHEMA: &str =
    "R @PrimaryKey(k) { long k; int i; double d; boolean b; string s; String r; Names names; }
    String { string value; } Names List<String>;";
pub(crate) const WIDER: &str = "R @PrimaryKey(k) { long k; string late; int i; double d; boolean b; string s; String r; Names names; }
    String { string value; } Names List<String>;";

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Full(Vec<(i64, String)>),
    Incremental(Vec<(i64, Option<String>)>),
    Restart,
    Widen,
}

fn body() -> impl Strategy<Value = String> {
    let field = |name: &'static str, values: &'static [&'static str]| {
        prop::sample::select(values).prop_map(move |v| {
            if v.is_empty() {
                String::new()
            } else {
                format!(r#","{name}":{v}"#)
            }
        })
    };
    (
        field("i", &["", "0", "-2147483648", "2147483647", "7"]),
        field("d", &["", "0.5", "-0.0", "\"NaN\"", "1e300"]),
        field("b", &["", "true", "false"]),
        field(
            "s",
            &[
                "",
                "\"\"",
                "\"text\"",
                "\"a much longer text that does not fit next to the others\"",
            ],
        ),
        field("r", &["", "\"shared\"", "\"x\"", "{\"value\":null}"]),
        field(
            "names",
            &["", "[]", "[\"x\"]", "[\"shared\",\"shared\",\"y\"]"],
        ),
    )
        .prop_map(|(a, b, c, d, e, f)| format!("{a}{b}{c}{d}{e}{f}"))
}

pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = prop_oneof![0_i64..60, Just(i64::MIN), Just(i64::MAX)];
    let step = prop_oneof![
        3 => prop::collection::vec((key.clone(), body()), 0..50).prop_map(Step::Full),
        6 => prop::collection::vec((key, prop::option::weighted(0.7, body())), 0..25).prop_map(Step::Incremental),
        1 => Just(Step::Restart),
        1 => Just(Step::Widen),
    ];
    prop::collection::vec(step, 1..14)
}

pub(crate) fn record(key: i64, body: &str) -> String {
    format!(r#"{{"k":{key}{body}}}"#)
}

/// The same text in canonical form: through the engine's own reader and writer.
fn canonical(schema: &Schema, text: &str) -> String {
    let id = schema.find("R").unwrap();
    let mut out = String::new();
    grotto_format::json::encode(schema, id, &crate::engine::flat(schema, id, text), &mut out)
        .unwrap();
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn random_cycles_agree_with_a_map(steps in steps()) {
        let mut schema = Arc::new(Schema::parse(SCHEMA).unwrap());
        let mut chain = Chain::new();
        let mut model: BTreeMap<i64, String> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Full(records) => {
                    model = records.into_iter().collect();
                    let records: Vec<_> = model.iter().map(|(k, b)| ("R", record(*k, b))).collect();
                    chain.full(&schema, &records).unwrap();
                }
                Step::Incremental(changes) => {
                    let list: Vec<_> = changes.iter().map(|(k, b)| {
                        ("R", b.as_ref().map(|b| record(*k, b)).ok_or(*k))
                    }).collect();
                    chain.incremental(&schema, &list).unwrap();
                    for (key, body) in changes {
                        match body {
                            Some(body) => model.insert(key, body),
                            None => model.remove(&key),
                        };
                    }
                }
                Step::Restart => chain.restart(),
                Step::Widen => schema = Arc::new(Schema::parse(WIDER).unwrap()),
            }
            let state = chain.write.state();
            let Some(id) = state.schema().find("R") else { continue };
            let found: Vec<String> = dump(state).into_iter().filter(|((ty, _), _)| ty == "R").map(|(_, text)| text).collect();
            let mut expected: Vec<String> = model.iter().map(|(k, b)| canonical(state.schema(), &record(*k, b))).collect();
            let mut found = found;
            found.sort();
            expected.sort();
            prop_assert_eq!(found, expected);
            for key in (0..60).chain([i64::MIN, i64::MAX]) {
                let hit = state.find(id, key).unwrap();
                prop_assert_eq!(hit.is_some(), model.contains_key(&key));
            }
        }
        chain.verify();
    }
}
