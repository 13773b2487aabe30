//! Model test of types with keys that refer to each other: by fields, lists, sets and maps, through
//! each other's keys and to themselves.
//!
//! Owns: random cycles of both kinds, changed from either side, and what must hold after each: every
//! record, every lookup, the change sets, the ordinals that may not move, and every way to every version.

mod model;

use crate::engine::{Chain, flat, options};
use grotto_format::blob::Blob;
use grotto_format::flat::FlatBuilder;
use grotto_format::json;
use grotto_format::schema::{Schema, TypeId};
use grotto_state::{
    Changes, Encoded, Field, HeapSeal, Mode, Record, State, StateResult, encode_snapshot,
};
use grotto_state::{KeyValue, StateError};
use model::{Body, Family, KINDS, Key, Kind, Model, country_code, in_order, town_name};
use proptest::prelude::*;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A change of the model.
#[derive(Clone, Debug)]
enum Op {
    Write(Kind, u64, u64),
    Drop(Kind, u64),
    /// Drops a record that nothing refers to.
    DropLoose(u64),
}

#[derive(Clone, Debug)]
enum Step {
    Full {
        ops: Vec<Op>,
        seed: u64,
    },
    Incremental {
        ops: Vec<Op>,
        seed: u64,
    },
    /// Says two things of one record.
    Contradict {
        seed: u64,
    },
    Restart,
    Evolve,
}

/// How much there is of everything.
#[derive(Clone, Copy, Debug)]
struct Size {
    orders: i64,
    customers: i64,
    towns: i64,
    countries: i64,
    /// Length of texts.
    padding: usize,
}

const SMALL: Size = Size {
    orders: 25,
    customers: 30,
    towns: 12,
    countries: 4,
    padding: 8,
};
/// Several blocks and index pages of orders, customers and towns.
const LARGE: Size = Size {
    orders: 2500,
    customers: 2600,
    towns: 1800,
    countries: 40,
    padding: 150,
};

fn mix(seed: u64, salt: u64) -> u64 {
    let n = (seed ^ salt.wrapping_mul(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (n ^ (n >> 29)).wrapping_mul(0x94D0_49BB_1331_11EB) >> 16
}

impl Size {
    fn count(&self, kind: Kind) -> i64 {
        match kind {
            Kind::Order => self.orders,
            Kind::Customer => self.customers,
            Kind::Town => self.towns,
            Kind::Country => self.countries,
        }
    }

    fn id(&self, kind: Kind, number: u64) -> i64 {
        number as i64 % self.count(kind)
    }

    /// A record of random content, with whatever the schema lets it refer to.
    fn body(&self, model: &Model, (kind, id): Key, seed: u64) -> Body {
        let roll = |salt: u64, sides: u64| mix(seed, salt) % sides;
        let customer = |salt: u64| self.id(Kind::Customer, mix(seed, salt));
        let town = |salt: u64| self.id(Kind::Town, mix(seed, salt));
        let mut body = Body {
            text: roll(1, 5),
            ..Body::default()
        };
        match kind {
            Kind::Order => {
                body.customer = (roll(2, 4) > 0).then(|| customer(3));
                body.others = (0..roll(4, 4)).map(|n| customer(10 + n)).collect();
                body.line = (0..roll(5, 3)).map(|n| customer(20 + n)).collect();
                if !model.narrow {
                    body.prices = (0..roll(6, 3))
                        .map(|n| (town(30 + n), roll(40 + n, 9)))
                        .collect();
                }
            }
            Kind::Customer => {
                body.home = (roll(2, 2) > 0).then(|| self.id(Kind::Country, mix(seed, 3)));
                body.town = (!model.narrow && roll(4, 3) > 0).then(|| town(5));
                // Upwards only, and never far: records have an end.
                let above = (id / 10 + 1) * 10;
                let may = model.family == Family::Deep && id % 10 != 0 && above < self.customers;
                body.mentor = (may && roll(6, 2) > 0).then_some(above);
            }
            Kind::Town | Kind::Country => {}
        }
        body
    }

    /// All records there may be.
    fn fill(&self, model: &mut Model) {
        for kind in KINDS {
            for id in 0..self.count(kind) {
                let body = self.body(model, (kind, id), mix(id as u64, kind as u64));
                model.write((kind, id), body);
            }
        }
    }
}

struct World {
    size: Size,
    chain: Chain,
    model: Model,
    schema: Arc<Schema>,
}

type Records = Vec<(Kind, Value)>;

impl World {
    fn new(size: Size, family: Family) -> Self {
        let model = Model {
            family,
            narrow: false,
            padding: size.padding,
            countries: size.countries,
            records: BTreeMap::new(),
        };
        let schema = Arc::new(Schema::parse(&family.schema(false)).unwrap());
        Self {
            size,
            chain: Chain::new(),
            model,
            schema,
        }
    }

    fn id(&self, kind: Kind) -> TypeId {
        self.schema.find(kind.name()).unwrap()
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Full { ops, seed } => self.full(ops, *seed),
            Step::Incremental { ops, seed } => self.incremental(ops, *seed),
            Step::Contradict { seed } => self.contradict(*seed),
            Step::Restart => self.chain.restart(),
            Step::Evolve => self.evolve(),
        }
    }

    /// The model after some changes, and what was dropped from it.
    fn changed(&self, ops: &[Op]) -> (Model, BTreeSet<Key>) {
        let (mut model, mut dropped) = (self.model.clone(), BTreeSet::new());
        for op in ops {
            match op {
                Op::Write(kind, number, seed) => {
                    let key = (*kind, self.size.id(*kind, *number));
                    let body = self.size.body(&model, key, *seed);
                    model.write(key, body);
                }
                Op::Drop(kind, number) => {
                    dropped.insert((*kind, self.size.id(*kind, *number)));
                }
                Op::DropLoose(number) => {
                    let held: BTreeSet<Key> = model
                        .records
                        .keys()
                        .flat_map(|key| model.children(*key))
                        .collect();
                    let loose = model.records.keys().filter(|key| !held.contains(key));
                    let loose: Vec<&Key> = loose.collect();
                    if !loose.is_empty() {
                        dropped.insert(*loose[*number as usize % loose.len()]);
                    }
                }
            }
        }
        (model, dropped)
    }

    fn full(&mut self, ops: &[Op], seed: u64) {
        let (mut model, dropped) = self.changed(ops);
        model
            .records
            .retain(|key, _| key.0 != Kind::Order || !dropped.contains(key));
        // What is neither named nor within another record goes.
        let is_named = |key: &Key| match key.0 {
            Kind::Order => true,
            _ => !dropped.contains(key) && !mix(seed, 50 + key.1 as u64).is_multiple_of(4),
        };
        let named: Vec<Key> = model.records.keys().copied().filter(is_named).collect();
        let live = model.closure(named.iter().copied());
        model.records.retain(|key, _| live.contains(key));
        let mut records: Records = named.iter().map(|key| (key.0, model.json(*key))).collect();
        records.sort_by_cached_key(|(_, record)| mix(seed, record["id"].as_u64().unwrap()));
        let encoded = self.run_full(&records, seed).unwrap();
        self.commit(encoded, model);
    }

    fn run_full(&self, records: &Records, seed: u64) -> StateResult<Option<Encoded>> {
        let mut cycle = self.chain.write.begin(&self.schema, Mode::Full)?;
        cycle.use_threads([0, 2][seed as usize % 2]);
        for (line, (kind, record)) in records.iter().enumerate() {
            let flat = flat(&self.schema, self.id(*kind), &record.to_string());
            cycle.add_later(self.id(*kind), &flat, line as u64)?;
        }
        cycle.finish(&self.options())
    }

    fn options(&self) -> grotto_state::EncodeOptions {
        options(self.chain.write.state().version() + 1)
    }

    fn incremental(&mut self, ops: &[Op], seed: u64) {
        let (whole, dropped) = self.changed(ops);
        let mut model = whole.clone();
        model.records.retain(|key, _| !dropped.contains(key));
        let is_new = |key: &&Key| self.model.records.get(*key) != model.records.get(*key);
        let mut upserts: Vec<Key> = model.records.keys().filter(is_new).copied().collect();
        // By itself, within a record that refers to it, or both.
        for (at, key) in upserts.clone().into_iter().enumerate() {
            let roll = mix(seed, 100 + at as u64);
            let parents = if roll.is_multiple_of(3) {
                model.parents(key)
            } else {
                Vec::new()
            };
            if let Some(parent) = parents.get(roll as usize % parents.len().max(1)) {
                upserts.push(*parent);
                if roll.is_multiple_of(2) && parent != &key {
                    upserts.retain(|other| *other != key);
                }
            }
        }
        let covered = whole.closure(upserts.iter().copied());
        let missing: Vec<Key> = model.records.keys().filter(is_new).copied().collect();
        upserts.extend(missing.into_iter().filter(|key| !covered.contains(key)));
        upserts.sort_by_key(|key| mix(seed, 7 + key.1 as u64));
        let outcome = self.run_incremental(&whole, &upserts, &dropped);
        let needed = |key: &Key| model.records.keys().any(|from| model.refers(*from, *key));
        if dropped
            .iter()
            .any(|key| whole.records.contains_key(key) && needed(key))
        {
            let error = outcome.unwrap_err().to_string();
            assert!(error.contains("cannot be deleted"), "{error}");
            return;
        }
        self.commit(outcome.unwrap(), model);
    }

    fn run_incremental(
        &self,
        model: &Model,
        upserts: &[Key],
        dropped: &BTreeSet<Key>,
    ) -> StateResult<Option<Encoded>> {
        let mut cycle = self.chain.write.begin(&self.schema, Mode::Incremental)?;
        for (line, key) in upserts.iter().enumerate() {
            let record = model.json(*key).to_string();
            cycle.upsert(
                self.id(key.0),
                &flat(&self.schema, self.id(key.0), &record),
                line as u64,
            )?;
        }
        for key in dropped {
            with_key(model, *key, |parts| cycle.delete(self.id(key.0), parts, 0))?;
        }
        cycle.finish(&self.options())
    }

    /// One customer, within two orders, with two contents: as it is and changed, or both changed.
    fn contradict(&self, seed: u64) {
        let customers = self
            .model
            .records
            .keys()
            .filter(|key| key.0 == Kind::Customer);
        let held: Vec<(Key, Key)> = customers
            .filter_map(|key| {
                Some((
                    *key,
                    *self
                        .model
                        .parents(*key)
                        .iter()
                        .find(|from| from.0 == Kind::Order)?,
                ))
            })
            .collect();
        if held.is_empty() {
            return;
        }
        let (customer, order) = held[seed as usize % held.len()];
        let mut other = self.model.clone();
        other.records.get_mut(&customer).unwrap().text += 1;
        let changed = other.json(if seed.is_multiple_of(3) {
            order
        } else {
            customer
        });
        let kind = if seed.is_multiple_of(3) {
            order.0
        } else {
            customer.0
        };
        let mut records: Records = self
            .model
            .records
            .keys()
            .map(|key| (key.0, self.model.json(*key)))
            .collect();
        match records
            .iter()
            .position(|(k, r)| *k == kind && r["id"] == changed["id"])
        {
            // In the place of the record with its key, or after the others.
            Some(at) if seed.is_multiple_of(2) => records[at].1 = changed,
            Some(at) => {
                records.remove(at);
                records.push((kind, changed));
            }
            None => return,
        }
        let (named, within) = (self.model.parents(customer).len(), kind == Kind::Customer);
        // Only one order holds it, and it was changed there.
        let alone = !within
            && named == 1
            && !records
                .iter()
                .any(|(k, r)| *k == Kind::Customer && r["id"] == customer.1);
        assert!(!alone);
        let error = self.run_full(&records, seed).unwrap_err();
        assert!(matches!(error, StateError::DuplicateKey { .. }), "{error}");
        let mut cycle = self
            .chain
            .write
            .begin(&self.schema, Mode::Incremental)
            .unwrap();
        for (line, (kind, record)) in records.iter().enumerate() {
            let flat = flat(&self.schema, self.id(*kind), &record.to_string());
            cycle.upsert(self.id(*kind), &flat, line as u64).unwrap();
        }
        let error = cycle.finish(&self.options()).unwrap_err();
        assert!(matches!(error, StateError::DuplicateKey { .. }), "{error}");
    }

    fn evolve(&mut self) {
        let narrow = !self.model.narrow;
        self.schema = Arc::new(Schema::parse(&self.model.family.schema(narrow)).unwrap());
        let mut model = self.model.clone();
        if !narrow {
            // A field that comes is null everywhere, which needs no record.
            model.narrow = false;
            let outcome = self.run_incremental(&model, &[], &BTreeSet::new());
            return self.commit(outcome.unwrap(), model);
        }
        model.narrow();
        let all = model.records.keys().map(|key| (key.0, model.json(*key)));
        let encoded = self.run_full(&all.collect(), 0).unwrap();
        self.commit(encoded, model);
    }

    fn commit(&mut self, encoded: Option<Encoded>, model: Model) {
        assert_eq!(
            encoded.is_some(),
            model != self.model || self.chain.states.len() == 1
        );
        let before = Arc::clone(self.chain.write.state());
        if let Some(encoded) = encoded {
            self.check_changes(&before, &encoded, &model);
            self.chain.commit(Some(encoded));
        }
        self.check_ordinals(&before, &model);
        self.model = model;
        self.check_records();
        self.chain.write.check_invariants().unwrap();
    }

    /// The change sets name exactly the records that came, went and changed.
    fn check_changes(&self, before: &State, encoded: &Encoded, model: &Model) {
        let anchored = self.schema.anchored();
        let Changes { types, .. } = &encoded.changes;
        for kind in KINDS {
            let id = self.id(kind);
            let of = |model: &Model| -> BTreeMap<i64, Body> {
                let records = model.records.iter().filter(|(key, _)| key.0 == kind);
                records.map(|(key, body)| (key.1, body.clone())).collect()
            };
            let (old, new) = (of(&self.model), of(model));
            let changed: BTreeSet<i64> = new
                .iter()
                .filter(|(id, body)| old.get(*id).is_some_and(|old| old != *body))
                .map(|(id, _)| *id)
                .collect();
            let (came, went): (BTreeSet<i64>, BTreeSet<i64>) = (
                new.keys()
                    .filter(|id| !old.contains_key(id))
                    .copied()
                    .collect(),
                old.keys()
                    .filter(|id| !new.contains_key(id))
                    .copied()
                    .collect(),
            );
            let told = |state: &State, ordinals: &[u32]| -> BTreeSet<i64> {
                let id = state.schema().find(kind.name());
                ordinals
                    .iter()
                    .map(|o| state.record(id.unwrap(), *o).unwrap().word(0) as i64)
                    .collect()
            };
            let change = &types[id.index()];
            let found = [
                told(&encoded.next, &change.added),
                told(before, &change.removed),
                told(&encoded.next, &change.modified),
            ];
            let expected = match anchored[id.index()] {
                true => [came.clone(), went.clone(), changed.clone()],
                false => [&came | &changed, &went | &changed, BTreeSet::new()],
            };
            assert_eq!(found, expected, "{kind:?}");
            let counts = &encoded.counts[id.index()];
            let figures = [counts.live, counts.added, counts.removed, counts.modified];
            let expected = [new.len(), came.len(), went.len(), changed.len()];
            assert_eq!(figures, expected.map(|n| n as u64), "{kind:?}");
        }
    }

    /// A record that others refer to stays where it is, and so does one that did not change.
    fn check_ordinals(&self, before: &State, model: &Model) {
        let after = self.chain.write.state();
        for (key, body) in &model.records {
            let Some(old) = self.model.records.get(key) else {
                continue;
            };
            let id = self.id(key.0);
            if self.schema.anchored()[id.index()] || old == body {
                let ordinal =
                    |state: &State| with_key(model, *key, |parts| find(state, *key, parts));
                assert_eq!(ordinal(before), ordinal(after), "{key:?}");
            }
        }
    }

    /// Every record, and every lookup.
    fn check_records(&self) {
        let state = self.chain.write.state();
        for kind in KINDS {
            let Some(id) = state.schema().find(kind.name()) else {
                continue;
            };
            let mut live = 0;
            for number in 0..self.size.count(kind) {
                let key = (kind, number);
                let record = with_key(&self.model, key, |parts| state.find(id, parts).unwrap());
                assert_eq!(
                    record.is_some(),
                    self.model.records.contains_key(&key),
                    "{key:?}"
                );
                let Some(record) = record else { continue };
                live += 1;
                assert_eq!(
                    in_order(printed(&record)),
                    in_order(self.model.json(key)),
                    "{key:?}"
                );
                if kind == Kind::Order {
                    self.check_sets(&record, &self.model.records[&key]);
                }
            }
            assert_eq!(state.count(id), live);
        }
        assert!(!state.is_damaged());
    }

    /// Members of sets and maps are found by their key after they changed, too.
    fn check_sets(&self, record: &Record<'_>, body: &Body) {
        let Field::Object(order) = record.view() else {
            panic!("an order is an object");
        };
        if let Field::Set(others) = order.get("others").unwrap() {
            for id in 0..self.size.customers.min(40) {
                assert_eq!(
                    others.find(id).unwrap().is_some(),
                    body.others.contains(&id)
                );
            }
        }
        if let Ok(Field::Map(prices)) = order.get("prices") {
            for id in body.prices.keys() {
                let found = with_key(&self.model, (Kind::Town, *id), |parts| {
                    prices.get(parts).unwrap().is_some()
                });
                assert!(found);
            }
        }
    }
}

fn printed(record: &Record<'_>) -> Value {
    let (mut flat, mut text) = (FlatBuilder::new(), String::new());
    record.to_flat(&mut flat).unwrap();
    json::encode(
        record.state().schema(),
        record.type_id(),
        flat.bytes(),
        &mut text,
    )
    .unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Calls `take` with the parts of a record's key.
fn with_key<T>(model: &Model, (kind, id): Key, take: impl FnOnce(&[KeyValue<'_>]) -> T) -> T {
    let (name, code) = (town_name(id), country_code(id));
    let country = country_code(id % model.countries);
    match (kind, model.family) {
        (Kind::Order | Kind::Customer, _) => take(&[KeyValue::Long(id)]),
        (Kind::Town, Family::Flat) => take(&[KeyValue::String(&name)]),
        (Kind::Town, Family::Deep) => take(&[KeyValue::String(&country), KeyValue::String(&name)]),
        (Kind::Country, _) => take(&[KeyValue::String(&code)]),
    }
}

fn find(state: &State, key: Key, parts: &[KeyValue<'_>]) -> Option<u32> {
    let id = state.schema().find(key.0.name())?;
    Some(state.find(id, parts).unwrap()?.ordinal())
}

/// Reaches every version forward, by snapshot and backward. The checksum of a state is computed again
/// from its records, so equal ones are equal records.
fn travel(chain: &Chain) {
    let apply = |state: &State, bytes: &[u8]| {
        let blob = Blob::parse(bytes.to_vec().into()).unwrap();
        let state = state.apply(&blob, &mut HeapSeal::default()).unwrap().0;
        state.check_invariants().unwrap();
        state
    };
    let mut state = crate::engine::empty();
    for (number, delta) in chain.deltas.iter().enumerate() {
        state = apply(&state, delta);
        assert_eq!(state.checksum(), chain.states[number + 1].checksum());
        let snapshot = encode_snapshot(&state, &options(state.version())).unwrap();
        assert_eq!(
            apply(&crate::engine::empty(), &snapshot).checksum(),
            state.checksum()
        );
    }
    for (number, reverse) in chain.reverses.iter().enumerate().rev() {
        let Some(reverse) = reverse else { break };
        state = apply(&state, reverse);
        assert_eq!(state.checksum(), chain.states[number].checksum());
    }
}

fn ops(most: usize) -> impl Strategy<Value = Vec<Op>> {
    let kind = || prop::sample::select(KINDS.to_vec());
    let number = || any::<u32>().prop_map(u64::from);
    let op = prop_oneof![
        8 => (kind(), number(), number()).prop_map(|(kind, number, seed)| Op::Write(kind, number, seed)),
        1 => (kind(), number()).prop_map(|(kind, number)| Op::Drop(kind, number)),
        2 => number().prop_map(Op::DropLoose),
    ];
    prop::collection::vec(op, 0..most)
}

fn steps(most: usize, changes: usize) -> impl Strategy<Value = Vec<Step>> {
    let seed = || any::<u32>().prop_map(u64::from);
    let step = prop_oneof![
        3 => (ops(changes), seed()).prop_map(|(ops, seed)| Step::Full { ops, seed }),
        6 => (ops(changes), seed()).prop_map(|(ops, seed)| Step::Incremental { ops, seed }),
        1 => seed().prop_map(|seed| Step::Contradict { seed }),
        1 => Just(Step::Restart),
        1 => Just(Step::Evolve),
    ];
    prop::collection::vec(step, 1..most)
}

fn families() -> impl Strategy<Value = Family> {
    prop_oneof![Just(Family::Deep), Just(Family::Flat)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn keyed_records_that_refer_to_each_other_agree_with_a_plain_model(
        family in families(), steps in steps(14, 12),
    ) {
        let mut world = World::new(SMALL, family);
        world.step(&Step::Full { ops: Vec::new(), seed: 0 });
        steps.iter().for_each(|step| world.step(step));
        world.chain.verify();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3))]
    #[test]
    fn many_blocks_of_keyed_records_that_refer_to_each_other_agree_with_a_plain_model(
        family in families(), steps in steps(6, 200),
    ) {
        let mut world = World::new(LARGE, family);
        LARGE.fill(&mut world.model);
        let all = std::mem::take(&mut world.model.records);
        let mut model = world.model.clone();
        model.records = all;
        let records = model.records.keys().map(|key| (key.0, model.json(*key))).collect();
        let encoded = world.run_full(&records, 1).unwrap();
        world.commit(encoded, model);
        let shape = world.chain.write.state().shape();
        prop_assert!(shape.blocks > 12 && shape.index_pages > 30, "{shape:?}");
        steps.iter().for_each(|step| world.step(step));
        travel(&world.chain);
    }
}
