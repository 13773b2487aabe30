//! Primary keys that collide in the public key hash.

use super::craft::word_with;
use super::{ID, SEED, Site, Way, flat, mixed};
use crate::index::{Index, LINE, each_page};
use crate::key::KeyPart;
use crate::segment::HeapSeal;
use crate::state::State;
use crate::{HashSeed, encode_snapshot};
use grotto_format::blob::Blob;
use grotto_format::checksum::KEY_SEED;

const SCHEMA: &str = "Order @PrimaryKey(id) { long id; long n; }";
const OTHERS: u64 = 50_000;

/// Keys whose public hashes have the same top 24 and, but for eight bits, the same low 32 bits: one page,
/// one line.
fn crowd(count: u64) -> Vec<u64> {
    let (page, line) = (0x7777_7700_u64 << 32, 0x3333_3300);
    let hash = |i: u64| page | line | ((i / 256) << 32) | (i % 256);
    (0..count).map(|i| word_with(hash(i), KEY_SEED)).collect()
}

fn honest(count: u64) -> Vec<u64> {
    (0..count).map(|i| mixed(i + 1)).collect()
}

fn others() -> Vec<u64> {
    (0..OTHERS).map(|i| mixed(i + 1_000_000)).collect()
}

fn records(keys: &[u64], n: u64) -> Vec<Vec<u8>> {
    keys.iter().map(|key| flat(&[*key, n])).collect()
}

/// What an index costs.
#[derive(Debug)]
struct Cost {
    /// Bytes of its pages.
    pages: usize,
    /// Bytes of a root file.
    root: usize,
    /// Lines that lookups of all keys probe.
    lines: usize,
    /// Records that they compare.
    compared: usize,
}

fn index(state: &State) -> &Index {
    state.types[0].index.as_ref().unwrap()
}

fn cost(state: &State, keys: &[u64]) -> Cost {
    let (index, info) = (index(state), state.infos[0].key.as_ref().unwrap());
    let root = bincode::encode_to_vec(state.to_parts(), bincode::config::standard());
    let pages = each_page(index).map(|loc| usize::from(loc.tag) * LINE);
    let mut cost = Cost {
        pages: pages.sum(),
        root: root.unwrap().len(),
        lines: 0,
        compared: 0,
    };
    for key in keys {
        let part = KeyPart::Fixed(*key);
        let candidates = index.candidates(&state.segments, info.secret.of_part(part));
        cost.lines += candidates.lines_left();
        cost.compared += candidates.count();
        assert!(state.find(ID, *key as i64).unwrap().is_some(), "{key}");
    }
    cost
}

#[track_caller]
fn assert_usual(crowded: &Cost, honest: &Cost) {
    let dear = [
        (crowded.pages * 10, honest.pages * 12),
        (crowded.root * 10, honest.root * 12),
        (crowded.lines, honest.lines * 3),
        (crowded.compared, honest.compared * 3),
    ];
    assert!(
        dear.iter().all(|(found, most)| found <= most),
        "{crowded:?} beside {honest:?}"
    );
}

#[test]
fn colliding_keys_are_taken_in_a_full_cycle_at_the_usual_cost() {
    for (count, rest) in [(3_200, vec![]), (2_300, others())] {
        for way in [Way::OneByOne, Way::Bulk] {
            let costs = [crowd(count), honest(count)].map(|some| {
                let keys = [some, rest.clone()].concat();
                let mut site = Site::new(SCHEMA);
                let cycle = site.full(&records(&keys, 1), way);
                site.commit(cycle);
                site.write.check_invariants().unwrap();
                cost(site.state(), &keys)
            });
            assert_usual(&costs[0], &costs[1]);
        }
    }
}

#[test]
fn colliding_keys_that_come_by_and_by_are_taken_at_the_usual_cost() {
    let costs = [crowd(2_300), honest(2_300)].map(|some| {
        let mut site = Site::new(SCHEMA);
        let cycle = site.full(&records(&others(), 1), Way::Bulk);
        site.commit(cycle);
        let mut deltas = 0;
        for keys in some.chunks(100) {
            let cycle = site.upsert(&records(keys, 1));
            let encoded = site.finish(cycle);
            deltas += encoded.delta.len();
            site.write.advance(encoded);
        }
        site.write.check_invariants().unwrap();
        let all = [some.clone(), others()].concat();
        let grown = cost(site.state(), &all);
        // All of them change, then go: what is left is what was before.
        let cycle = site.upsert(&records(&some, 2));
        site.commit(cycle);
        let mut cycle = site.upsert(&[]);
        for key in &some {
            cycle.delete(ID, *key as i64, 0).unwrap();
        }
        site.commit(cycle);
        site.write.check_invariants().unwrap();
        (grown, deltas, cost(site.state(), &others()))
    });
    let [(crowded, delta, rest), (usual, usual_delta, usual_rest)] = costs;
    assert_usual(&crowded, &usual);
    assert_usual(&rest, &usual_rest);
    assert!(
        delta * 10 <= usual_delta * 12,
        "{delta} bytes for {usual_delta}"
    );
}

#[test]
fn a_snapshot_of_colliding_keys_is_loaded_at_the_usual_cost() {
    let costs = [crowd(2_300), honest(2_300)].map(|some| {
        let keys = [some, others()].concat();
        let mut site = Site::new(SCHEMA);
        let cycle = site.full(&records(&keys, 1), Way::Bulk);
        site.commit(cycle);
        let options = crate::EncodeOptions {
            dataset: "attacked".into(),
            version: 1,
            level: None,
            threads: 2,
        };
        let snapshot = encode_snapshot(site.state(), &options).unwrap();
        let snapshot = Blob::parse(snapshot.into()).unwrap();
        let empty = State::empty(HashSeed::new([1, 2]));
        let (loaded, _) = empty.apply(&snapshot, &mut HeapSeal::default()).unwrap();
        loaded.check_invariants().unwrap();
        cost(&loaded, &keys)
    });
    assert_usual(&costs[0], &costs[1]);
}

#[test]
fn every_state_that_comes_from_another_has_its_seed() {
    let mut site = Site::new(SCHEMA);
    let cycle = site.full(&records(&honest(1_000), 1), Way::Bulk);
    site.commit(cycle);
    let state = site.state();
    let again = State::from_parts(state.to_parts(), &mut |part| {
        let mut segments = state.segments();
        let found = segments.find(|segment| segment.name() == part.name);
        Ok(found.unwrap().bytes().clone())
    });
    let wider = format!("{SCHEMA} More {{ long n; }}");
    let wider = std::sync::Arc::new(grotto_format::schema::Schema::parse(&wider).unwrap());
    for state in [
        again.unwrap(),
        state.at_version(7),
        state.evolved(&wider).unwrap(),
    ] {
        assert_eq!(state.seed(), SEED);
        state.check_invariants().unwrap();
        let keys = honest(1_000).into_iter();
        let found = keys.filter(|key| state.find(ID, *key as i64).unwrap().is_some());
        assert_eq!(found.count(), 1_000);
    }
}
