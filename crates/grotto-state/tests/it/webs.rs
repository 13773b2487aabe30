//! Model test of records that refer to each other: keyed and unkeyed nested ones, sets, maps, trees,
//! through full and incremental cycles, restarts and changing schemas.
//!
//! Every version is compared with plain maps, and everything the engine keeps up to date step by step
//! is computed again.

use crate::engine::{Chain, dump, flat, number, options};
use grotto_format::schema::Schema;
use grotto_state::{Encoded, Mode, StateError};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const K: &str = "K @PrimaryKey(code) { int code; string text; Names names; }";
const REST: &str = "String { string value; } Names List<String>; Tags Set<String> @HashKey(value); Plain Set<String>;
    Ratings Map<String, Score>; Score { int stars; } Tree { int n; Tree left; Tree right; }";

/// Schemas that may follow each other, and the fields of `A` in each.
fn schemas() -> Vec<(Arc<Schema>, Vec<&'static str>)> {
    let common =
        "long id; String label; K k; Names names; Tags tags; Plain plain; Ratings ratings;";
    let fields = vec!["id", "label", "k", "names", "tags", "plain", "ratings"];
    let with = |more: &[&'static str]| [fields.as_slice(), more].concat();
    let parse = |text: String| Arc::new(Schema::parse(&text).unwrap());
    let top = "Top { string a; String b; }";
    vec![
        (
            parse(format!(
                "A @PrimaryKey(id) {{ {common} Tree tree; }} {K} {top} {REST}"
            )),
            with(&["tree"]),
        ),
        (
            parse(format!(
                "{REST} {top} A @PrimaryKey(id) {{ Top top; {common} Tree tree; string late; }} {K}"
            )),
            with(&["tree", "top", "late"]),
        ),
        (
            parse(format!(
                "A @PrimaryKey(id) {{ {common} }} {K} {top} {}",
                REST.split("Tree {").next().unwrap()
            )),
            with(&[]),
        ),
        (
            parse(format!(
                "Solo {{ Score s; Names n; }} A @PrimaryKey(id) {{ {common} Tree tree; }} {K} {top} {REST}"
            )),
            with(&["tree"]),
        ),
    ]
}

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    fn word(&mut self) -> String {
        [
            "x",
            "yy",
            "shared",
            "",
            "a rather long text that will not fit next to the others",
        ][self.roll(5) as usize]
            .into()
    }

    fn words(&mut self) -> Vec<String> {
        (0..self.roll(4)).map(|_| self.word()).collect()
    }

    fn tree(&mut self, depth: u64) -> Value {
        let mut tree = json!({"n": self.roll(3)});
        for side in ["left", "right"] {
            if self.roll(depth + 1) > 1 {
                tree[side] = self.tree(depth - 1);
            }
        }
        tree
    }
}

type Record = Map<String, Value>;

/// What the dataset should hold. `A` refers to `K` by code; `texts` holds the one content of each.
#[derive(Clone, Default)]
struct Model {
    a: BTreeMap<i64, Record>,
    k: BTreeSet<i64>,
    texts: BTreeMap<i64, Value>,
    top: BTreeSet<String>,
}

impl Model {
    fn whole(&self, record: &Record) -> Value {
        let mut whole = record.clone();
        if let Some(code) = record.get("k").and_then(Value::as_i64) {
            whole.insert("k".into(), self.texts[&code].clone());
        }
        Value::Object(whole)
    }

    fn referring(&self, code: i64) -> Vec<i64> {
        let refers = |record: &Record| record.get("k").and_then(Value::as_i64) == Some(code);
        self.a
            .iter()
            .filter(|(_, record)| refers(record))
            .map(|(id, _)| *id)
            .collect()
    }

    fn check(&self, chain: &Chain) {
        chain.write.check_invariants().unwrap();
        let state = chain.write.state();
        let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for ((ty, _), text) in dump(state) {
            found
                .entry(ty)
                .or_default()
                .push(sorted(serde_json::from_str(&text).unwrap()));
        }
        let mut expect = |ty: &str, expected: Vec<Value>| {
            let order = |mut all: Vec<Value>| {
                all.sort_by_key(Value::to_string);
                all
            };
            assert_eq!(
                order(found.remove(ty).unwrap_or_default()),
                order(expected.into_iter().map(sorted).collect()),
                "{ty}"
            );
        };
        expect(
            "A",
            self.a
                .values()
                .map(|record| sorted(self.whole(record)))
                .collect(),
        );
        let nested = self
            .a
            .values()
            .filter_map(|record| record.get("k")?.as_i64());
        let codes: BTreeSet<i64> = self.k.iter().copied().chain(nested).collect();
        expect(
            "K",
            codes
                .iter()
                .map(|code| sorted(self.texts[code].clone()))
                .collect(),
        );
        let nested = self
            .a
            .values()
            .filter_map(|record| record.get("top"))
            .map(Value::to_string);
        let tops: BTreeSet<String> = self.top.iter().cloned().chain(nested).collect();
        expect(
            "Top",
            tops.iter()
                .map(|text| serde_json::from_str(text).unwrap())
                .collect(),
        );
    }
}

/// Sets in one order, each element once.
fn sorted(mut value: Value) -> Value {
    value.sort_all_objects();
    for set in ["tags", "plain"] {
        if let Some(Value::Array(elements)) = value.get_mut(set) {
            elements.sort_by_key(Value::to_string);
            elements.dedup();
        }
    }
    value
}

struct World {
    dice: Dice,
    chain: Chain,
    model: Model,
    schema: Arc<Schema>,
    fields: Vec<&'static str>,
}

impl World {
    fn a(&mut self, model: &mut Model) -> Record {
        let dice = &mut self.dice;
        let code = dice.roll(6) as i64;
        let all = json!({
            "label": dice.word(), "k": code, "names": dice.words(), "tags": dice.words(), "plain": dice.words(),
            "ratings": {dice.word(): dice.roll(3), dice.word(): dice.roll(3)},
            "tree": dice.tree(3), "top": top(dice), "late": dice.word(),
        });
        let Value::Object(mut record) = all else {
            unreachable!()
        };
        let fields = &self.fields;
        record.retain(|name, _| fields.contains(&name.as_str()) && dice.roll(4) > 0);
        if record.contains_key("k") {
            model
                .texts
                .entry(code)
                .or_insert_with(|| text_of(code, dice));
        }
        record
    }

    fn commit(&mut self, outcome: Result<Option<Encoded>, StateError>, model: Model) {
        let encoded = outcome.unwrap();
        self.chain.commit(encoded);
        self.model = model;
        // A text of a key that nothing holds any more may be another one next time.
        let nested: BTreeSet<i64> = self
            .model
            .a
            .values()
            .filter_map(|r| r.get("k")?.as_i64())
            .collect();
        let Model { texts, k, .. } = &mut self.model;
        texts.retain(|code, _| k.contains(code) || nested.contains(code));
    }

    fn full(&mut self) {
        let mut model = Model {
            texts: self.model.texts.clone(),
            ..Model::default()
        };
        let change = self.dice.roll(8) as i64;
        if let Some(text) = model.texts.get_mut(&change) {
            *text = text_of(change, &mut self.dice);
        }
        for (id, record) in self.model.a.clone() {
            if self.dice.roll(5) > 0 {
                let mut record = record;
                record.retain(|name, _| self.fields.contains(&name.as_str()));
                model.a.insert(id, record);
            }
        }
        for _ in 0..self.dice.roll(6) {
            let record = self.a(&mut model);
            let id = self.dice.roll(30) as i64;
            model.a.insert(
                id,
                record
                    .into_iter()
                    .chain([("id".to_owned(), json!(id))])
                    .collect(),
            );
        }
        for code in 0..self.dice.roll(7) as i64 {
            model
                .texts
                .entry(code)
                .or_insert_with(|| text_of(code, &mut self.dice));
            model.k.insert(code);
        }
        if !self.fields.contains(&"top") {
            model.top = (0..self.dice.roll(4))
                .map(|_| top(&mut self.dice).to_string())
                .collect();
        }
        let mut records: Vec<(&str, String)> = Vec::new();
        records.extend(
            model
                .k
                .iter()
                .map(|code| ("K", model.texts[code].to_string())),
        );
        records.extend(model.top.iter().map(|text| ("Top", text.clone())));
        records.extend(
            model
                .a
                .values()
                .map(|record| ("A", model.whole(record).to_string())),
        );
        if self.schema.find("Solo").is_some() {
            records.push((
                "Solo",
                json!({"s": 2, "n": ["only here", "shared"]}).to_string(),
            ));
        }
        if self.dice.roll(2) == 0 {
            records.reverse();
        }
        let mut cycle = self.chain.write.begin(&self.schema, Mode::Full).unwrap();
        for (line, (ty, text)) in records.iter().enumerate() {
            let id = self.schema.find(ty).unwrap();
            cycle
                .add(id, &flat(&self.schema, id, text), line as u64)
                .unwrap();
        }
        let outcome = cycle.finish(&self.next());
        self.commit(outcome, model);
    }

    fn incremental(&mut self) {
        let mut model = self.model.clone();
        let mut touched: BTreeSet<i64> = BTreeSet::new();
        let mut gone: BTreeSet<i64> = BTreeSet::new();
        let code = self.dice.roll(8) as i64;
        let changes = self.dice.roll(3) == 0;
        if changes {
            // All that refer to a key must say the same about it.
            model.texts.insert(code, text_of(code, &mut self.dice));
            model.k.insert(code);
            touched.extend(model.referring(code));
        }
        for _ in 0..self.dice.roll(5) {
            let id = self.dice.roll(30) as i64;
            if self.dice.roll(3) == 0 {
                model.a.remove(&id);
                gone.insert(id);
            } else {
                let record = self.a(&mut model);
                model.a.insert(
                    id,
                    record
                        .into_iter()
                        .chain([("id".to_owned(), json!(id))])
                        .collect(),
                );
                touched.insert(id);
            }
        }
        let mut ops: Vec<(&str, Result<String, i64>)> = Vec::new();
        ops.extend(
            gone.iter()
                .filter(|id| !model.a.contains_key(id))
                .map(|id| ("A", Err(*id))),
        );
        ops.extend(
            touched
                .iter()
                .filter_map(|id| Some(("A", Ok(model.whole(model.a.get(id)?).to_string())))),
        );
        if changes {
            ops.push(("K", Ok(model.texts[&code].to_string())));
        }
        if self.dice.roll(2) == 0 {
            ops.reverse();
        }
        let mut victim = None;
        if !changes && self.dice.roll(2) == 0 {
            ops.push(("K", Err(code)));
            victim = Some(code);
        }
        // Keys stay until they are deleted by name, or missing from a full cycle.
        let nested: Vec<i64> = self
            .model
            .a
            .values()
            .filter_map(|r| r.get("k")?.as_i64())
            .collect();
        model.k.extend(nested);
        let outcome = self.run(&ops);
        if let Some(code) = victim {
            if !model.referring(code).is_empty() {
                assert!(
                    outcome.is_err(),
                    "a key that is referred to cannot be deleted"
                );
                return;
            }
            model.k.remove(&code);
        }
        self.commit(outcome, model);
    }

    fn run(&mut self, ops: &[(&str, Result<String, i64>)]) -> Result<Option<Encoded>, StateError> {
        let mut cycle = self.chain.write.begin(&self.schema, Mode::Incremental)?;
        for (line, (ty, change)) in ops.iter().enumerate() {
            let id = self.schema.find(ty).unwrap();
            match change {
                Ok(text) => cycle.upsert(id, &flat(&self.schema, id, text), line as u64)?,
                Err(key) => drop(cycle.delete(id, number(&self.schema, id, *key), line as u64)?),
            }
        }
        cycle.finish(&self.next())
    }

    fn next(&self) -> grotto_state::EncodeOptions {
        options(self.chain.write.state().version() + 1)
    }

    /// Another schema, by a full cycle or, where that may be, by an incremental one.
    fn evolve(&mut self) {
        let mut all = schemas();
        let (schema, fields) = all.swap_remove(self.dice.roll(4) as usize);
        let (before, had) = (
            std::mem::replace(&mut self.schema, schema),
            std::mem::replace(&mut self.fields, fields),
        );
        let widens = had.iter().all(|field| self.fields.contains(field));
        if before.types().is_empty() || !widens || self.dice.roll(2) == 0 {
            return self.full();
        }
        if self.fields.contains(&"top") && !had.contains(&"top") {
            // From now on they live by being referred to, and nothing does.
            self.model.top.clear();
        }
        self.incremental();
        // A refused cycle leaves the schema of before.
        if self.chain.write.state().schema() != &self.schema {
            let outcome = self.run(&[]);
            let model = self.model.clone();
            self.commit(outcome, model);
        }
    }
}

fn text_of(code: i64, dice: &mut Dice) -> Value {
    json!({"code": code, "text": dice.word(), "names": dice.words()})
}

fn top(dice: &mut Dice) -> Value {
    json!({"a": dice.word(), "b": dice.word()})
}

fn walk(seed: u64) {
    let (schema, fields) = schemas().swap_remove(0);
    let dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut world = World {
        dice,
        chain: Chain::new(),
        model: Model::default(),
        schema,
        fields,
    };
    world.full();
    for _ in 0..25 {
        match world.dice.roll(12) {
            0..=2 => world.full(),
            3..=9 => world.incremental(),
            10 => world.chain.restart(),
            _ => world.evolve(),
        }
        world.model.check(&world.chain);
    }
    world.chain.verify();
}

#[test]
fn records_that_refer_to_each_other_agree_with_plain_maps() {
    for seed in 1..=60 {
        let walked = std::panic::catch_unwind(|| walk(seed));
        assert!(walked.is_ok(), "seed {seed}");
    }
}
