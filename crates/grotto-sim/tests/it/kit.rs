//! A store in a folder, a producer of pairs, and what every consumer must find.
//!
//! Version `n` holds `Left` and `Right` records of the same ids. Both carry the version that last
//! wrote them, so that a state which mixes versions contradicts itself.

use grotto_consumer::{Consumer, ConsumerBuilder};
use grotto_format::Schema;
use grotto_producer::Producer;
use grotto_state::State;
use grotto_store::{Dataset, LogEntry, Store, StoreUrl};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub(crate) const DATASET: &str = "pairs";

const SCHEMA: &str = "Left @PrimaryKey(id) { long id; long round; Text note; } \
                      Right @PrimaryKey(id) { long id; long round; } \
                      Text { string value; }";

pub(crate) struct Kit {
    pub(crate) folder: TempDir,
}

impl Kit {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn store_dir(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn store(&self) -> Store {
        Store::open_writable(&StoreUrl::Local(self.store_dir())).unwrap()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.store_dir().join(DATASET).join(name)
    }

    /// With blobs in files of their own, which can be removed and damaged.
    pub(crate) async fn producer(&self) -> Producer {
        let schema = Schema::parse(SCHEMA).unwrap();
        Producer::builder(DATASET, self.store())
            .schema(schema)
            .snapshot_every(0)
            .inline_blobs(0)
            .open()
            .await
            .unwrap()
    }

    pub(crate) fn consumer(&self) -> ConsumerBuilder {
        Consumer::builder(DATASET, self.store())
    }

    pub(crate) async fn entry(&self, version: u64) -> LogEntry {
        let dataset = Dataset::open(self.store(), DATASET).unwrap();
        dataset.read_entry(version).await.unwrap().unwrap()
    }
}

/// Publishes the next version: the pairs of these ids carry its number from now on.
pub(crate) async fn publish(producer: &Producer, ids: impl IntoIterator<Item = i64>) -> u64 {
    let round = producer.version() + 1;
    let ids: Vec<i64> = ids.into_iter().collect();
    let published = producer.run_incremental(move |cycle| {
        for id in ids {
            // Few texts, many references to each: shared records come and go as well.
            let note = format!("note of round {round}, group {}", id % 3);
            let left = format!(r#"{{"id":{id},"round":{round},"note":"{note}"}}"#);
            cycle.upsert_json("Left", &left, 0)?;
            cycle.upsert_json("Right", &format!(r#"{{"id":{id},"round":{round}}}"#), 0)?;
        }
        Ok(())
    });
    let version = published.await.unwrap().unwrap().version;
    assert_eq!(version, round);
    version
}

/// Rounds by id, read through index and references; panics on anything that does not belong
/// together.
pub(crate) fn rounds(state: &State) -> BTreeMap<i64, u64> {
    let (Ok(left), Ok(right), Ok(text)) = (
        state.type_id("Left"),
        state.type_id("Right"),
        state.type_id("Text"),
    ) else {
        return BTreeMap::new();
    };
    let mut rounds = BTreeMap::new();
    for record in state.scan(left) {
        let (id, round) = (record.word(0) as i64, record.word(1));
        let other = state
            .find(right, id)
            .unwrap()
            .expect("a left without a right");
        let version = state.version();
        assert_eq!(
            other.word(1),
            round,
            "pair {id} mixes versions in version {version}"
        );
        let note = record.follow(2, text).expect("a left without its note");
        assert_eq!(
            note.text(0),
            format!("note of round {round}, group {}", id % 3)
        );
        assert!(round <= version);
        rounds.insert(id, round);
    }
    assert_eq!(state.count(left), state.count(right));
    assert!(!state.is_damaged());
    rounds
}

/// The round of a version in which every pair is written anew; panics unless all agree.
pub(crate) fn only_round(state: &State) -> u64 {
    let rounds = rounds(state);
    let mut distinct: Vec<u64> = rounds.values().copied().collect();
    distinct.dedup();
    assert_eq!(
        distinct.len(),
        1,
        "version {}: {distinct:?}",
        state.version()
    );
    distinct[0]
}

pub(crate) fn assert_same(a: &State, b: &State) {
    assert_eq!((a.version(), a.checksum()), (b.version(), b.checksum()));
    assert_eq!(rounds(a), rounds(b));
}

pub(crate) fn flipped(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1 << (at % 8);
    bytes
}

pub(crate) fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}
