//! Versions whose blobs ride in their log entries, on their whole way: producer, log, consumers with a
//! state directory, the next producer.

use grotto::consumer::{Consumer, ErrorKind, Refresh, StepKind};
use grotto::engine::state::State;
use grotto::producer::Producer;
use grotto::store::{EntryBlobs, LogEntry, Store, StoreUrl};
use grotto::{Declarations, Record, RecordRef};
use std::path::PathBuf;
use tempfile::TempDir;

#[derive(Record, Clone, Debug, PartialEq)]
#[grotto(key(id))]
struct City {
    id: i64,
    name: String,
}

/// So many that a delta of one is much smaller than a snapshot.
const CITIES: i64 = 2_000;
/// More than the blobs of a version of one city, less than those of all.
const LIMIT: usize = 4 << 10;

struct Kit {
    folder: TempDir,
}

impl Kit {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        Self { folder }
    }

    fn store(&self) -> Store {
        let store = self.folder.path().join("store");
        Store::open_writable(&StoreUrl::Local(store)).expect("store")
    }

    async fn producer(&self) -> Producer {
        let schema = Declarations::new().with::<City>().schema().expect("schema");
        let builder = Producer::builder("cities", self.store())
            .schema(schema)
            .compression(None)
            .snapshot_every(0)
            .inline_blobs(LIMIT);
        builder.open().await.expect("producer")
    }

    async fn consumer(&self) -> Consumer {
        let builder = Consumer::builder("cities", self.store()).state_dir(self.state_dir());
        builder.open().await.expect("consumer")
    }

    fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn entry_file(&self, version: u64) -> PathBuf {
        let log = self.folder.path().join("store/cities/log");
        log.join(format!("{version:020}.json"))
    }

    fn entry(&self, version: u64) -> LogEntry {
        let bytes = std::fs::read(self.entry_file(version)).expect("entry");
        LogEntry::decode(&bytes).expect("a good entry")
    }

    /// How many files there are of a kind of blob.
    fn files(&self, folder: &str) -> usize {
        let folder = self.folder.path().join("store/cities").join(folder);
        std::fs::read_dir(folder).map_or(0, Iterator::count)
    }
}

async fn import(producer: &Producer) -> u64 {
    let all = producer.run_cycle(|cycle| {
        (0..CITIES).try_for_each(|id| {
            let name = format!("city {id}");
            cycle.add(&City { id, name })
        })?;
        Ok(())
    });
    all.await.expect("cycle").expect("a version").version
}

async fn rename(producer: &Producer, id: i64, name: &str) -> u64 {
    let name = name.to_owned();
    let one = producer.run_incremental(move |cycle| Ok(cycle.upsert(&City { id, name })?));
    one.await.expect("cycle").expect("a version").version
}

fn name_of(state: &State, id: i64) -> String {
    let city = state.get::<City>(id).expect("key").expect("a city");
    city.to_struct().expect("copy").name
}

#[track_caller]
fn assert_same(found: &State, expected: &State) {
    assert_eq!(found.checksum(), expected.checksum());
    for id in [0, 7, 8, CITIES - 1] {
        assert_eq!(name_of(found, id), name_of(expected, id));
    }
}

fn kinds(report: Option<Refresh>) -> Vec<StepKind> {
    let report = report.expect("a report");
    report.steps.iter().map(|step| step.kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn small_versions_are_followed_forward_and_back_and_restored_without_files_of_their_own() {
    let kit = Kit::new();
    let producer = kit.producer().await;
    let first = import(&producer).await;
    let at_first = producer.state();
    let consumer = kit.consumer().await;
    assert_same(&consumer.state(), &at_first);
    let files = (kit.files("delta"), kit.files("reverse"));
    rename(&producer, 7, "seven").await;
    let third = rename(&producer, 8, "eight").await;
    for version in [first + 1, third] {
        let blobs = kit.entry(version).blobs.expect("blobs");
        assert!(blobs.is_inline() && blobs.reverse_bytes().is_some());
    }
    assert_eq!((kit.files("delta"), kit.files("reverse")), files);

    let report = consumer.refresh().await.expect("refresh");
    assert_eq!(kinds(report), [StepKind::Delta; 2]);
    assert_same(&consumer.state(), &producer.state());
    let attached = Consumer::attach(kit.state_dir()).expect("attached");
    assert_same(&attached.state(), &producer.state());

    let back = consumer.refresh_to(first).await.expect("back");
    assert_eq!(kinds(back), [StepKind::Reverse; 2]);
    assert_same(&consumer.state(), &at_first);
    let forth = consumer.follow().await.expect("forth");
    assert_eq!(kinds(forth), [StepKind::Delta; 2]);
    consumer.shutdown().await;

    let held = producer.state();
    producer.finish().await.expect("finished");
    drop(producer);
    let next = kit.producer().await;
    assert_same(&next.state(), &held);
    let last = rename(&next, 0, "nil").await;
    assert!(kit.entry(last).blobs.expect("blobs").is_inline());
    let consumer = kit.consumer().await;
    assert_eq!(consumer.version(), last);
    assert_same(&consumer.state(), &next.state());
    assert_eq!(name_of(&consumer.state(), 7), "seven");
}

/// Damages both blobs inside an entry, and seals it again.
fn damage(kit: &Kit, version: u64) {
    let mut entry = kit.entry(version);
    let Some(EntryBlobs::Inline(blobs)) = &mut entry.blobs else {
        panic!("expected blobs inside version {version}")
    };
    let reverse = blobs.reverse.as_mut().expect("a reverse delta");
    for blob in [&mut blobs.delta, reverse] {
        let mut bytes = blob.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        *blob = bytes.into();
    }
    let sealed = entry.encode().expect("a good entry");
    std::fs::write(kit.entry_file(version), sealed).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_blob_inside_an_entry_is_gone_around_by_consumers_and_producers() {
    let kit = Kit::new();
    let producer = kit.producer().await;
    let first = import(&producer).await;
    producer.snapshot().await.expect("snapshot");
    let at_first = producer.state();
    let consumer = kit.consumer().await;
    let bad = rename(&producer, 7, "seven").await;
    rename(&producer, 8, "eight").await;
    damage(&kit, bad);
    let name = |kind: &str| format!("log/{bad:020}.json#{kind}");

    // There is no other way yet.
    let error = consumer.refresh().await.expect_err("a bad blob");
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.message().contains(&name("delta")), "{error}");
    assert_same(&consumer.state(), &at_first);

    producer.snapshot().await.expect("snapshot");
    let report = consumer.refresh().await.expect("refresh").expect("report");
    let recovered = report.recovered.join("; ");
    assert!(recovered.contains(&name("delta")), "{recovered}");
    assert_eq!(report.steps[0].kind, StepKind::Snapshot);
    assert_same(&consumer.state(), &producer.state());

    let back = consumer.refresh_to(first).await.expect("back");
    let back = back.expect("a report");
    let recovered = back.recovered.join("; ");
    assert!(recovered.contains(&name("reverse")), "{recovered}");
    assert_same(&consumer.state(), &at_first);

    let held = producer.state();
    producer.finish().await.expect("finished");
    drop(producer);
    let next = kit.producer().await;
    assert_same(&next.state(), &held);
    rename(&next, 0, "nil").await;
    consumer.follow().await.expect("followed").expect("report");
    assert_same(&consumer.state(), &next.state());
}
