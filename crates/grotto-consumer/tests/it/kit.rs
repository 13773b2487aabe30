//! A publisher, and what the tests expect of its versions.
//!
//! Version `n` of the dataset holds pairs: `Left` and `Right` records of the same id with the same
//! round. A state in which they differ is a mixture of versions.

use bytes::Bytes;
use grotto_consumer::State;
use grotto_env::{Clock, Env};
use grotto_state::format::flat::FlatBuilder;
use grotto_state::format::{Schema, json};
use grotto_state::{EncodeOptions, HashSeed, Mode, WriteState, encode_snapshot};
use grotto_store::{
    BlobKind, CommitFields, Dataset, LogEntry, Store, StoreUrl, Uploaded, Writer, WriterOptions,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

pub(crate) const DATASET: &str = "pairs";
pub(crate) const PAIRS: i64 = 500;

const SCHEMA: &str = "Left @PrimaryKey(id) { long id; long round; string note; } \
                      Right @PrimaryKey(id) { long id; long round; }";

/// A store in a folder of its own, and what a test keeps beside it.
pub(crate) struct Kit {
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
}

impl Kit {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = StoreUrl::Local(folder.path().join("store"));
        let store = Store::open_writable(&url).unwrap();
        Self { folder, store }
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// The file of a blob or any other object of the dataset.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("store").join(DATASET).join(name)
    }

    pub(crate) async fn publisher(&self) -> Publisher {
        let dataset = Dataset::open(self.store.clone(), DATASET).unwrap();
        let (writer, _) = Writer::acquire(dataset, WriterOptions::default())
            .await
            .unwrap();
        let state = State::empty(HashSeed::new([1, 2])).at_version(writer.next_version() - 1);
        Publisher {
            writer,
            write: WriteState::new(Arc::new(state)),
            schema: Arc::new(Schema::parse(SCHEMA).unwrap()),
            entries: BTreeMap::new(),
            reverse: true,
        }
    }

    /// A publisher that goes on from a state.
    pub(crate) async fn publisher_from(&self, state: &State) -> Publisher {
        let publisher = self.publisher().await;
        let state = state.at_version(publisher.state().version());
        Publisher {
            write: WriteState::new(Arc::new(state)),
            ..publisher
        }
    }
}

pub(crate) struct Publisher {
    pub(crate) writer: Writer,
    write: WriteState,
    schema: Arc<Schema>,
    pub(crate) entries: BTreeMap<u64, LogEntry>,
    /// Whether to publish reverse deltas.
    pub(crate) reverse: bool,
}

impl Publisher {
    /// The state at the newest version.
    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(self.write.state())
    }

    /// Commits the next version: pairs whose id is a multiple of `every` get its number as round,
    /// the others keep theirs.
    pub(crate) async fn publish(&mut self, every: i64) -> LogEntry {
        let ids: Vec<i64> = (0..PAIRS).filter(|id| id % every == 0).collect();
        self.publish_change(&ids, &[]).await
    }

    /// Commits the next version: these pairs get its number as round, those go, the others stay.
    pub(crate) async fn publish_change(&mut self, ids: &[i64], gone: &[i64]) -> LogEntry {
        self.publish_pairs(Mode::Incremental, ids, gone, 0).await
    }

    /// Commits the next version: these pairs get notes that have so many bytes more, the others stay.
    pub(crate) async fn publish_longer(&mut self, ids: &[i64], longer: usize) -> LogEntry {
        self.publish_pairs(Mode::Incremental, ids, &[], longer)
            .await
    }

    /// Commits a version of so many pairs and no others, whose notes have so many bytes more.
    pub(crate) async fn publish_exactly(&mut self, pairs: i64, longer: usize) -> LogEntry {
        let ids: Vec<i64> = (0..pairs).collect();
        self.publish_pairs(Mode::Full, &ids, &[], longer).await
    }

    async fn publish_pairs(
        &mut self,
        mode: Mode,
        ids: &[i64],
        gone: &[i64],
        longer: usize,
    ) -> LogEntry {
        let version = self.writer.next_version();
        let types = ["Left", "Right"].map(|name| self.schema.find(name));
        let mut cycle = self.write.begin(&self.schema, mode).unwrap();
        for id in ids {
            let note = format!("note {version} for pair {id}{}", "x".repeat(longer));
            let pair = [
                format!(r#"{{"id":{id},"round":{version},"note":"{note}"}}"#),
                format!(r#"{{"id":{id},"round":{version}}}"#),
            ];
            for (ty, text) in types.iter().zip(&pair) {
                let Some(ty) = *ty else { continue };
                let mut flat = FlatBuilder::new();
                json::decode(&self.schema, ty, text, &mut flat).unwrap();
                match mode {
                    Mode::Full => cycle.add(ty, flat.bytes(), *id as u64).unwrap(),
                    Mode::Incremental => cycle.upsert(ty, flat.bytes(), *id as u64).unwrap(),
                }
            }
        }
        for (id, ty) in gone.iter().flat_map(|id| types.map(|ty| (id, ty))) {
            ty.map(|ty| cycle.delete(ty, *id, 0).unwrap());
        }
        let encoded = cycle.finish(&self.options(version)).unwrap().unwrap();
        let reverse = encoded.reverse.clone().filter(|_| self.reverse);
        let step = self.step(version, encoded.delta.clone(), reverse).await;
        let fields = CommitFields {
            blobs: Some(step),
            types: encoded.summary(),
            state_checksum: encoded.next.checksum(),
            schema_hash: encoded.next.schema_hash(),
            ..CommitFields::default()
        };
        let entry = self.writer.commit(fields).await.unwrap();
        self.write.advance(encoded);
        self.entries.insert(version, entry.clone());
        entry
    }

    /// Publishes under another schema from now on; gives the one before.
    pub(crate) fn use_schema(&mut self, text: &str) -> String {
        let schema = Arc::new(Schema::parse(text).unwrap());
        std::mem::replace(&mut self.schema, schema).to_string()
    }

    pub(crate) async fn publish_many(&mut self, versions: u64) {
        for _ in 0..versions {
            self.publish(7).await;
        }
    }

    /// Announces a snapshot of the newest version and returns the name of its blob.
    pub(crate) async fn snapshot(&mut self) -> String {
        let version = self.write.state().version();
        let bytes = encode_snapshot(self.write.state(), &self.options(version)).unwrap();
        let blob = self
            .writer
            .upload_snapshot(version, bytes.into())
            .await
            .unwrap();
        self.writer
            .announce_snapshot(version, blob.clone())
            .await
            .unwrap();
        blob.name
    }

    /// Commits a version whose delta is these bytes.
    pub(crate) async fn publish_bytes(&mut self, bytes: Vec<u8>, state_checksum: u64) -> LogEntry {
        let version = self.writer.next_version();
        let fields = CommitFields {
            blobs: Some(self.step(version, bytes, None).await),
            types: self.write.state().summary(),
            state_checksum,
            schema_hash: self.write.state().schema_hash(),
            ..CommitFields::default()
        };
        self.writer.commit(fields).await.unwrap()
    }

    pub(crate) fn delta_of(&self, version: u64) -> String {
        self.entries[&version].blob(BlobKind::Delta).unwrap().name
    }

    pub(crate) fn reverse_of(&self, version: u64) -> String {
        self.entries[&version].blob(BlobKind::Reverse).unwrap().name
    }

    async fn step(&self, version: u64, delta: Vec<u8>, reverse: Option<Vec<u8>>) -> Uploaded {
        self.writer
            .upload_step(version, delta.into(), reverse.map(Bytes::from))
            .await
            .unwrap()
    }

    fn options(&self, version: u64) -> EncodeOptions {
        EncodeOptions {
            dataset: DATASET.to_owned(),
            version,
            level: Some(1),
            threads: 1,
        }
    }
}

/// Rounds by id, read from both types; panics on a mixture.
pub(crate) fn rounds(state: &State) -> BTreeMap<i64, i64> {
    let (Ok(left), Ok(right)) = (state.type_id("Left"), state.type_id("Right")) else {
        return BTreeMap::new();
    };
    let mut rounds = BTreeMap::new();
    for record in state.scan(left) {
        let (id, round) = (record.word(0) as i64, record.word(1) as i64);
        let other = state
            .find(right, id)
            .unwrap()
            .expect("a left without a right");
        assert_eq!(
            other.word(1) as i64,
            round,
            "pair {id} mixes versions in version {}",
            state.version()
        );
        let note = format!("note {round} for pair {id}");
        let found = record.text(2).trim_end_matches('x');
        assert_eq!(found, note);
        rounds.insert(id, round);
    }
    assert_eq!(state.count(left), state.count(right));
    rounds
}

/// The newest round in a state: its version, unless fences followed.
pub(crate) fn newest_round(state: &State) -> i64 {
    rounds(state).values().copied().max().unwrap_or(0)
}

/// Asserts that two states are the same to the bit of what they say.
pub(crate) fn assert_same(a: &State, b: &State) {
    assert_eq!(a.version(), b.version());
    assert_eq!(a.checksum(), b.checksum());
    assert_eq!(rounds(a), rounds(b));
}

pub(crate) fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x40;
    std::fs::write(path, bytes).unwrap();
}

/// The clock of a paused runtime: time passes when nothing else happens.
#[derive(Debug)]
pub(crate) struct VirtualClock(tokio::time::Instant);

impl VirtualClock {
    pub(crate) fn env() -> Env {
        Env {
            clock: Arc::new(Self(tokio::time::Instant::now())),
            ..Env::system()
        }
    }
}

impl Clock for VirtualClock {
    fn wall_ms(&self) -> u64 {
        1_700_000_000_000 + self.monotonic().as_millis() as u64
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}
