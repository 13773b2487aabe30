//! A producer and its consumers without a store: cycles, and every way from version to version.

use grotto_format::blob::Blob;
use grotto_format::flat::FlatBuilder;
use grotto_format::json;
use grotto_format::schema::{FieldType, Schema, TypeId};
use grotto_state::{
    EncodeOptions, Encoded, HashSeed, HeapSeal, KeyValue, Mode, State, StateError, WriteState,
    encode_snapshot,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The empty state, with the same seed in every run.
pub(crate) fn empty() -> State {
    State::empty(HashSeed::new([0x5eed, 0x5eed_5eed]))
}

/// A chain of versions as a store would hold it.
pub(crate) struct Chain {
    pub(crate) write: WriteState,
    pub(crate) states: Vec<Arc<State>>,
    pub(crate) deltas: Vec<Vec<u8>>,
    pub(crate) reverses: Vec<Option<Vec<u8>>>,
}

pub(crate) fn options(version: u64) -> EncodeOptions {
    EncodeOptions {
        dataset: "test".into(),
        version,
        level: Some(1),
        threads: 2,
    }
}

pub(crate) fn flat(schema: &Schema, id: TypeId, text: &str) -> Vec<u8> {
    let mut builder = FlatBuilder::new();
    json::decode(schema, id, text, &mut builder).unwrap();
    builder.bytes().to_vec()
}

/// A number as a key of the width that the type has.
pub(crate) fn number(schema: &Schema, id: TypeId, key: i64) -> KeyValue<'static> {
    let leaf = schema.get(id).key().unwrap().paths[0].leaf;
    match leaf {
        FieldType::Int => KeyValue::Int(key as i32),
        _ => KeyValue::Long(key),
    }
}

impl Chain {
    pub(crate) fn new() -> Self {
        let empty = Arc::new(empty());
        Self {
            write: WriteState::new(Arc::clone(&empty)),
            states: vec![empty],
            deltas: vec![],
            reverses: vec![],
        }
    }

    pub(crate) fn commit(&mut self, encoded: Option<Encoded>) -> bool {
        let Some(encoded) = encoded else { return false };
        self.deltas.push(encoded.delta.clone());
        self.reverses.push(encoded.reverse.clone());
        self.states.push(Arc::clone(&encoded.next));
        self.write.advance(encoded);
        true
    }

    pub(crate) fn full(
        &mut self,
        schema: &Arc<Schema>,
        records: &[(&str, String)],
    ) -> Result<bool, StateError> {
        let mut cycle = self.write.begin(schema, Mode::Full)?;
        for (line, (ty, text)) in records.iter().enumerate() {
            let id = schema.find(ty).unwrap();
            cycle.add(id, &flat(schema, id, text), line as u64 + 1)?;
        }
        let version = self.write.state().version() + 1;
        let encoded = cycle.finish(&options(version))?;
        Ok(self.commit(encoded))
    }

    /// `Err` deletes by key.
    pub(crate) fn incremental(
        &mut self,
        schema: &Arc<Schema>,
        changes: &[(&str, Result<String, i64>)],
    ) -> Result<bool, StateError> {
        let mut cycle = self.write.begin(schema, Mode::Incremental)?;
        for (line, (ty, change)) in changes.iter().enumerate() {
            let id = schema.find(ty).unwrap();
            match change {
                Ok(text) => cycle.upsert(id, &flat(schema, id, text), line as u64)?,
                Err(key) => drop(cycle.delete(id, number(schema, id, *key), line as u64)?),
            }
        }
        let version = self.write.state().version() + 1;
        let encoded = cycle.finish(&options(version))?;
        Ok(self.commit(encoded))
    }

    /// A producer that restarts: only what a snapshot holds survives.
    pub(crate) fn restart(&mut self) {
        let state = self.write.state();
        let bytes = encode_snapshot(state, &options(state.version())).unwrap();
        let blob = Blob::parse(bytes.into()).unwrap();
        let (state, _) = empty().apply(&blob, &mut HeapSeal::default()).unwrap();
        assert_eq!(state.checksum(), self.write.state().checksum());
        self.write = WriteState::new(Arc::new(state));
    }

    /// Every version reached forward, by snapshot and backward has equal records and checksums.
    pub(crate) fn verify(&self) {
        let mut state = empty();
        for (number, delta) in self.deltas.iter().enumerate() {
            let blob = Blob::parse(delta.clone().into()).unwrap();
            state = state.apply(&blob, &mut HeapSeal::default()).unwrap().0;
            let expected = &self.states[number + 1];
            assert_eq!(state.checksum(), expected.checksum());
            assert_eq!(dump(&state), dump(expected));
            state.check_invariants().unwrap();
            let snapshot = encode_snapshot(&state, &options(state.version())).unwrap();
            let snapshot = Blob::parse(snapshot.into()).unwrap();
            let loaded = empty()
                .apply(&snapshot, &mut HeapSeal::default())
                .unwrap()
                .0;
            assert_eq!(loaded.checksum(), expected.checksum());
            assert_eq!(dump(&loaded), dump(expected));
            loaded.check_invariants().unwrap();
        }
        for (number, reverse) in self.reverses.iter().enumerate().rev() {
            let Some(reverse) = reverse else { break };
            let blob = Blob::parse(reverse.clone().into()).unwrap();
            state = state.apply(&blob, &mut HeapSeal::default()).unwrap().0;
            assert_eq!(state.checksum(), self.states[number].checksum());
            assert_eq!(dump(&state), dump(&self.states[number]));
            state.check_invariants().unwrap();
        }
    }
}

/// All records of all types as JSON by type name and ordinal.
pub(crate) fn dump(state: &State) -> BTreeMap<(String, u32), String> {
    let mut all = BTreeMap::new();
    for id in state.schema().ids() {
        for ordinal in state.ordinals(id) {
            let mut builder = FlatBuilder::new();
            state
                .record(id, ordinal)
                .unwrap()
                .to_flat(&mut builder)
                .unwrap();
            let mut text = String::new();
            json::encode(state.schema(), id, builder.bytes(), &mut text).unwrap();
            all.insert((state.schema().get(id).name.clone(), ordinal), text);
        }
    }
    assert!(!state.is_damaged());
    all
}

const MOVIES: &str = "Movie @PrimaryKey(id) { long id; String title; ListOfActor cast; TagSet tags; Ratings ratings; Studio studio; }
    ListOfActor List<Actor>; Actor { long id; string name; } String { string value; }
    TagSet Set<String> @HashKey(value); Ratings Map<String, Score>; Score { int stars; }
    Studio @PrimaryKey(name) { string name; String country; }";

fn movie(id: i64, title: &str, actors: &[i64]) -> (&'static str, String) {
    let cast: Vec<String> = actors
        .iter()
        .map(|a| format!(r#"{{"id":{a},"name":"actor {a}"}}"#))
        .collect();
    let text = format!(
        r#"{{"id":{id},"title":"{title}","cast":[{}],"tags":["b","a","b"],"ratings":{{"x":{},"y":5}}}}"#,
        cast.join(","),
        id % 5
    );
    ("Movie", text)
}

#[test]
fn every_path_to_every_version_agrees() {
    let schema = Arc::new(Schema::parse(MOVIES).unwrap());
    let mut chain = Chain::new();
    let first: Vec<_> = (0..3000)
        .map(|i| movie(i, &format!("t{}", i % 700), &[i % 50, i % 13]))
        .collect();
    assert!(chain.full(&schema, &first).unwrap());
    assert!(
        !chain.full(&schema, &first).unwrap(),
        "a cycle without change publishes nothing"
    );
    let mut second = first.clone();
    second.retain(|(_, text)| !text.starts_with("{\"id\":7,"));
    second[10] = movie(11, "changed", &[1, 2, 3]);
    second.push(movie(5000, "new", &[]));
    assert!(chain.full(&schema, &second).unwrap());
    chain.restart();
    assert!(!chain.full(&schema, &second).unwrap());
    assert!(
        chain
            .incremental(
                &schema,
                &[
                    ("Movie", Err(20)),
                    ("Movie", Ok(movie(21, "incremental", &[9]).1))
                ]
            )
            .unwrap()
    );
    assert_eq!(
        chain
            .states
            .last()
            .unwrap()
            .count(schema.find("Movie").unwrap()),
        2999
    );
    chain.verify();
}

#[test]
fn equal_records_are_stored_once_and_die_with_their_last_reference() {
    let schema = Arc::new(Schema::parse(MOVIES).unwrap());
    let mut chain = Chain::new();
    chain
        .full(
            &schema,
            &[
                movie(1, "a", &[1]),
                movie(2, "a", &[1]),
                movie(3, "b", &[2]),
            ],
        )
        .unwrap();
    let count = |chain: &Chain, name: &str| chain.write.state().count(schema.find(name).unwrap());
    assert_eq!(
        (count(&chain, "Actor"), count(&chain, "ListOfActor")),
        (2, 2)
    );
    chain.incremental(&schema, &[("Movie", Err(1))]).unwrap();
    assert_eq!(count(&chain, "Actor"), 2);
    chain.restart();
    chain.incremental(&schema, &[("Movie", Err(2))]).unwrap();
    assert_eq!(
        (count(&chain, "Actor"), count(&chain, "ListOfActor")),
        (1, 1)
    );
    chain.verify();
}

#[test]
fn two_records_with_one_key_are_refused_with_both_positions() {
    let schema = Arc::new(Schema::parse(MOVIES).unwrap());
    let mut chain = Chain::new();
    for second in [movie(1, "a", &[]), movie(1, "b", &[])] {
        let error = chain
            .full(&schema, &[movie(1, "a", &[]), movie(2, "a", &[]), second])
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "type Movie: duplicate key 1: record 1 and record 3"
        );
    }
    chain.full(&schema, &[movie(1, "a", &[])]).unwrap();
    for second in [movie(1, "a", &[]), movie(1, "b", &[])] {
        let error = chain
            .full(&schema, &[movie(1, "a", &[]), second])
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "type Movie: duplicate key 1: record 1 and record 2"
        );
    }
    assert!(
        !chain.full(&schema, &[movie(1, "a", &[])]).unwrap(),
        "a failed cycle leaves no trace"
    );
}

#[test]
fn a_nested_keyed_record_cannot_have_two_contents() {
    let schema = Arc::new(Schema::parse(MOVIES).unwrap());
    let with = |id: i64, country: &str| {
        (
            "Movie",
            format!(r#"{{"id":{id},"studio":{{"name":"S","country":"{country}"}}}}"#),
        )
    };
    let mut chain = Chain::new();
    assert!(matches!(
        chain.full(&schema, &[with(1, "x"), with(2, "y")]),
        Err(StateError::DuplicateKey { .. })
    ));
    chain.full(&schema, &[with(1, "x"), with(2, "x")]).unwrap();
    // Not within one cycle, and not by a record that stays as it is.
    let twice = [
        vec![with(1, "y"), with(2, "x")],
        vec![with(1, "x"), with(2, "y")],
    ];
    for records in &twice {
        let changes: Vec<_> = records
            .iter()
            .map(|(ty, text)| (*ty, Ok(text.clone())))
            .collect();
        for error in [
            chain.full(&schema, records),
            chain.incremental(&schema, &changes),
        ] {
            let error = error.unwrap_err();
            assert!(matches!(error, StateError::DuplicateKey { .. }), "{error}");
        }
    }
    // Record 2 refers to whatever the studio is.
    assert!(
        chain
            .incremental(&schema, &[("Movie", Ok(with(1, "y").1))])
            .unwrap()
    );
    assert!(!chain.full(&schema, &[with(1, "y"), with(2, "y")]).unwrap());
    assert!(chain.full(&schema, &[with(1, "z"), with(2, "z")]).unwrap());
    chain.verify();
}

#[test]
fn fields_and_types_come_and_go_by_delta() {
    let narrow = Arc::new(Schema::parse("A @PrimaryKey(id) { long id; string name; }").unwrap());
    let wide = "A @PrimaryKey(id) { long id; S extra; string name; int n; } S { string value; } B { int x; }";
    let wide = Arc::new(Schema::parse(wide).unwrap());
    let mut chain = Chain::new();
    let old: Vec<_> = (0..100)
        .map(|i| ("A", format!(r#"{{"id":{i},"name":"n{i}"}}"#)))
        .collect();
    chain.full(&narrow, &old).unwrap();
    assert!(
        chain.full(&wide, &old).unwrap(),
        "a new schema is a new version"
    );
    assert!(
        chain.write.state().checksum() == chain.states[1].checksum(),
        "no record changed"
    );
    let mut new = old.clone();
    new[5].1 = r#"{"id":5,"name":"n5","extra":"e","n":1}"#.into();
    new.push(("B", r#"{"x":1}"#.into()));
    assert!(chain.full(&wide, &new).unwrap());
    assert!(chain.write.begin(&narrow, Mode::Incremental).is_err());
    assert!(chain.full(&narrow, &old).unwrap());
    assert_eq!(chain.write.state().total(), 100);
    chain.verify();
    let changed = Arc::new(Schema::parse("A @PrimaryKey(id) { long id; int name; }").unwrap());
    assert!(matches!(
        chain.full(&changed, &[]),
        Err(StateError::Incompatible(_))
    ));
}

#[test]
fn a_delta_for_another_state_is_refused() {
    let schema = Arc::new(Schema::parse(MOVIES).unwrap());
    let mut chain = Chain::new();
    chain.full(&schema, &[movie(1, "a", &[])]).unwrap();
    chain.full(&schema, &[movie(2, "a", &[])]).unwrap();
    let blob = Blob::parse(chain.deltas[1].clone().into()).unwrap();
    let error = empty().apply(&blob, &mut HeapSeal::default()).unwrap_err();
    assert!(matches!(error, StateError::Mismatch { .. }), "{error}");
}
