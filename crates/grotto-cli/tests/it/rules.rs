//! `verify` on logs that break one rule of writers: bent by hand, with entries that are whole by themselves.

use crate::kit::{Bench, SCHEMA};
use grotto::Schema;
use grotto::producer::{FullCycle, Producer};
use grotto::store::{
    CommitFields, Dataset, LogEntry, RecordChanges, SnapshotEntry, SnapshotRef, Store, StoreUrl,
    Writer, WriterOptions,
};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Versions 1 to 3, with snapshots of 2 and 3, a fence 4 with positions 5 and 6, a fence 7, and versions 8 and
/// 9.
struct Bent {
    bench: Bench,
}

fn log_file(bench: &Bench, version: u64) -> PathBuf {
    bench.path(&format!("store/items/log/{version:020}.json"))
}

/// Three records of a size.
fn lines(size: u64) -> String {
    let line = |id: u64| format!("{{\"id\":{id},\"size\":{size}}}\n");
    (1..=3).map(line).collect()
}

/// By one producer, so that the third version names the snapshot of the second.
async fn publish_three(bench: &Bench) {
    let url = StoreUrl::Local(bench.path("store"));
    let builder = Producer::builder("items", Store::open_writable(&url).unwrap());
    let builder = builder.schema(Schema::parse(SCHEMA).unwrap());
    let builder = builder.lazy_fence(true).snapshot_every(0);
    let producer = builder.open().await.unwrap();
    for size in 1..=3 {
        let fill = move |cycle: &mut FullCycle| {
            let text = lines(size);
            let mut lines = text.lines();
            lines.try_for_each(|line| cycle.add_json("Item", line, 1))?;
            Ok(())
        };
        producer.run_cycle(fill).await.unwrap().unwrap();
        if size > 1 {
            producer.snapshot().await.unwrap();
        }
    }
}

/// A writer that fenced.
async fn writer(bench: &Bench, name: &str) -> Writer {
    let url = StoreUrl::Local(bench.path("store"));
    let dataset = Dataset::open(Store::open_writable(&url).unwrap(), "items").unwrap();
    let options = WriterOptions {
        writer: name.to_owned(),
        ..WriterOptions::default()
    };
    Writer::acquire(dataset, options).await.unwrap().0
}

/// Moves the position of a source, with a tag.
async fn move_position(writer: &Writer, position: u64, tag: &str) {
    let fields = CommitFields {
        sources: BTreeMap::from([("wal".to_owned(), position)]),
        tags: BTreeMap::from([(tag.to_owned(), "x".to_owned())]),
        positions_only: true,
        ..CommitFields::default()
    };
    writer.commit(fields).await.unwrap();
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(future)
}

impl Bent {
    fn new() -> Self {
        let bench = Bench::with_schema();
        run(publish_three(&bench));
        run(async {
            let first = writer(&bench, "first").await;
            move_position(&first, 7, "one").await;
            move_position(&first, 9, "two").await;
            writer(&bench, "second").await;
        });
        for size in [4, 5] {
            bench.publish(&lines(size), "--snapshot-every 0").ok();
        }
        bench.run("verify --store store").ok();
        Self { bench }
    }

    /// What `verify` says of the log with one entry changed.
    fn verify(&self, version: u64, bend: impl FnOnce(&mut LogEntry)) -> String {
        let file = log_file(&self.bench, version);
        let whole = std::fs::read(&file).unwrap();
        let mut entry = LogEntry::decode(&whole).unwrap();
        bend(&mut entry);
        std::fs::write(&file, entry.encode().unwrap()).unwrap();
        let run = self.bench.run("verify --store store");
        std::fs::write(&file, whole).unwrap();
        assert_eq!(run.code, 5, "{}{}", run.out, run.err);
        run.out
    }

    /// The change of one entry must be told of in these words.
    #[track_caller]
    fn check(&self, version: u64, bend: impl FnOnce(&mut LogEntry), expected: &str) {
        let found = self.verify(version, bend);
        let expected = format!("damaged: version {version}: {expected}");
        assert!(found.contains(&expected), "{expected}\n{found}");
    }
}

#[test]
fn the_identity_of_a_dataset_never_changes() {
    let bend = |entry: &mut LogEntry| entry.dataset_id = "other".to_owned();
    Bent::new().check(2, bend, "it is of another dataset than the version before");
}

#[test]
fn epochs_never_fall_skip_or_are_shared_and_each_fence_begins_one() {
    let bent = Bent::new();
    bent.check(
        7,
        |entry| entry.epoch = 1,
        "epoch 1 is below 2, that of the version before",
    );
    bent.check(
        7,
        |entry| entry.epoch = 9,
        "epoch 9 skips some: expected at most 3",
    );
    bent.check(
        7,
        |entry| entry.epoch = 2,
        "a fence that begins no epoch: 2 is that of the version before",
    );
    bent.check(
        6,
        |entry| entry.writer = "other".to_owned(),
        "expected \"first\" as the only writer of epoch 2, found \"other\"",
    );
}

#[test]
fn commits_are_counted_and_nothing_else_is() {
    let bent = Bent::new();
    bent.check(
        5,
        |entry| entry.commits = 4,
        "expected commits 3, one for each so far, found 4",
    );
    bent.check(
        9,
        |entry| entry.commits = 4,
        "expected commits 5, one for each so far, found 4",
    );
}

#[test]
fn the_records_of_a_type_are_those_before_with_what_changed() {
    let bent = Bent::new();
    let item = |entry: &mut LogEntry, added, removed| {
        let item = entry.types.get_mut("Item").unwrap();
        let changed = RecordChanges {
            added,
            removed,
            modified: 0,
        };
        item.changed = Some(changed);
    };
    bent.check(
        3,
        |entry| item(entry, 2, 1),
        "type Item: 3 records before, 2 added and 1 removed do not make 3",
    );
    bent.check(
        2,
        |entry| item(entry, 0, 4),
        "type Item: 3 records before, 0 added and 4 removed do not make 3",
    );
}

#[test]
fn no_position_is_lost() {
    let bent = Bent::new();
    let expected = "the position of source \"wal\", 9 before, is gone";
    bent.check(7, |entry| entry.sources.clear(), expected);
    bent.check(8, |entry| entry.sources.clear(), expected);
}

#[test]
fn tags_stay_without_a_new_state() {
    let bent = Bent::new();
    let expected = "without a new state, tags of the version before are gone or others";
    bent.check(6, |entry| _ = entry.tags.remove("one"), expected);
    bent.check(7, |entry| _ = entry.tags.remove("one"), expected);
    let more = |entry: &mut LogEntry| _ = entry.tags.insert("three".to_owned(), String::new());
    bent.check(7, more, expected);
}

#[test]
fn without_a_new_state_nothing_of_the_state_changes() {
    let bent = Bent::new();
    bent.check(
        4,
        |entry| {
            entry.state_version = 2;
            entry.links.0.pop();
        },
        "expected state version 3, found 2",
    );
    bent.check(
        4,
        |entry| entry.state_checksum ^= 1,
        "expected state checksum ",
    );
    bent.check(4, |entry| entry.schema_hash ^= 1, "expected schema hash ");
    let differ = |what: &str| {
        format!("without a new state, its {what} differ from those of the version before")
    };
    let more = |entry: &mut LogEntry| entry.types.get_mut("Item").unwrap().records += 1;
    bent.check(4, more, &differ("types"));
    bent.check(4, |entry| entry.snapshot = None, &differ("snapshot"));
    bent.check(4, |entry| _ = entry.links.0.remove(0), &differ("links"));
}

#[test]
fn the_newest_snapshot_known_never_gets_older() {
    let expected = "expected the snapshot of version 2 or a newer one to be named";
    Bent::new().check(9, |entry| entry.snapshot = None, expected);
}

#[test]
fn links_begin_at_the_state_before_and_repeat_what_was_said() {
    let bent = Bent::new();
    bent.check(
        8,
        |entry| {
            entry.links.0.drain(..3);
            entry.links.0[0].since = 7;
        },
        "expected a step that begins at version 3, found 7",
    );
    bent.check(
        9,
        |entry| entry.links.0[3].delta_bytes += 1,
        "its link to version 8 is not that of the version before",
    );
}

#[test]
fn a_commit_without_a_delta_names_its_snapshot() {
    let bend = |entry: &mut LogEntry| {
        entry.blobs = None;
        entry.links.0.clear();
    };
    let expected = "a commit without a delta that names no snapshot of its own";
    Bent::new().check(9, bend, expected);
}

#[test]
fn the_shares_of_the_types_are_the_state_checksum() {
    let bend = |entry: &mut LogEntry| entry.types.get_mut("Item").unwrap().checksum ^= 1;
    let expected = "expected a state checksum that is the sum of those of its types, ";
    Bent::new().check(9, bend, expected);
}

#[test]
fn a_snapshot_is_named_after_its_version_and_epoch() {
    let bent = Bent::new();
    let names = [
        "snapshot/00000000000000000001-1-aa.snapshot",
        "snapshot/00000000000000000002-x-aa.snapshot",
    ];
    for name in names {
        let bend =
            |entry: &mut LogEntry| name.clone_into(&mut entry.snapshot.as_mut().unwrap().blob.name);
        let expected = "expected a snapshot named snapshot/00000000000000000002-<epoch>-…, found ";
        bent.check(9, bend, &format!("{expected}{name}"));
    }
}

#[test]
fn before_the_first_state_there_is_nothing() {
    let bench = Bench::new();
    run(writer(&bench, "first"));
    bench.run("verify --store store --dataset items").ok();
    let bent = Bent { bench };
    bent.check(1, |entry| entry.epoch = 2, "expected epoch 1, found 2");
    bent.check(1, |entry| entry.commits = 1, "expected commits 0, found 1");
    bent.check(1, |entry| entry.schema_hash = 7, "expected schema hash ");
    bent.check(
        1,
        |entry| entry.state_checksum = 7,
        "expected a state checksum ",
    );
    let types =
        |entry: &mut LogEntry| _ = entry.types.insert("Item".to_owned(), Default::default());
    bent.check(
        1,
        types,
        "expected no types before the first commit, found 1",
    );
}

#[test]
fn an_announcement_is_not_older_than_what_it_announces() {
    let bent = Bent::new();
    bent.bench.damages();
    bent.bench.publish(&lines(5), "--snapshot").ok();
    let file = bent
        .bench
        .path("store/items/snapshots/00000000000000000009.json");
    let mut announced = SnapshotEntry::decode(&std::fs::read(&file).unwrap()).unwrap();
    announced.epoch = 1;
    std::fs::write(&file, announced.encode().unwrap()).unwrap();
    let found = bent.bench.run("verify --store store");
    let expected = "damaged: snapshot of version 9: expected epoch 5 or later, that of its log entry, found 1\n";
    assert!(found.out.contains(expected), "{}", found.out);
    assert_eq!(found.code, 5);
}

#[test]
fn blobs_lead_from_and_to_the_states_that_the_log_says() {
    let bent = Bent::new();
    for (bend, what) in [
        (
            (|entry| entry.state_checksum ^= 1) as fn(&mut LogEntry),
            "state checksum",
        ),
        (|entry| entry.schema_hash ^= 1, "schema hash"),
    ] {
        let found = bent.verify(2, bend);
        for side in ["from", "to"] {
            let expected = format!(": {what} of version 2, which it leads {side}: expected ");
            assert!(found.contains(&expected), "{expected}\n{found}");
        }
    }
}

#[test]
fn a_version_that_only_its_snapshot_leads_to_is_compared_in_full() {
    let bench = Bench::with_schema();
    bench.damages();
    bench.publish("{\"id\":1}\n", "").ok();
    let first = log_file(&bench, 1);
    let whole = std::fs::read(&first).unwrap();
    std::fs::write(&first, "damaged").unwrap();
    bench.publish("{\"id\":2}\n", "--start-over").ok();
    std::fs::write(&first, whole).unwrap();
    let more = |entry: &mut LogEntry| {
        assert!(entry.blobs.is_none());
        entry.types.get_mut("Item").unwrap().records += 1;
    };
    let found = Bent { bench }.verify(2, more);
    let expected = "version 2: expected 2 records of Item by the log, found 1";
    assert!(found.contains(expected), "{found}");
}

#[test]
fn a_snapshot_that_only_a_later_entry_names_is_checked_too() {
    let bent = Bent::new();
    let announced = bent
        .bench
        .path("store/items/snapshots/00000000000000000003.json");
    let named = SnapshotEntry::decode(&std::fs::read(&announced).unwrap()).unwrap();
    std::fs::remove_file(announced).unwrap();
    let name = named.blob.name.clone();
    let file = bent.bench.path(&format!("store/items/{name}"));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    bent.bench.run("verify --store store").ok();
    let bend = |entry: &mut LogEntry| {
        entry.snapshot = Some(SnapshotRef {
            version: 3,
            blob: named.blob,
        });
    };
    let found = bent.verify(9, bend);
    assert!(
        found.contains(&format!("damaged: blob {name}: checksum")),
        "{found}"
    );
}

#[test]
fn what_was_collected_is_neither_missing_nor_left_over() {
    let bent = Bent::new();
    bent.bench.damages();
    let bench = &bent.bench;
    let log_of = |version| log_file(bench, version);
    let old = std::fs::read(log_of(1)).unwrap();
    run(async {
        let url = StoreUrl::Local(bench.path("store"));
        let dataset = Dataset::open(Store::open_writable(&url).unwrap(), "items").unwrap();
        dataset.raise_collected(2).await.unwrap();
    });
    // A collector is halfway: an entry is gone, the blobs of another are, and one was created again.
    std::fs::write(log_of(1), &old[..40]).unwrap();
    let snapshots = crate::damage::blobs(bench, "store", "snapshot");
    let second = snapshots.iter().find(|name| name.contains("0002-"));
    std::fs::remove_file(bench.path(&format!("store/items/{}", second.unwrap()))).unwrap();
    let found = bench.run("verify --store store").ok();
    assert!(found.starts_with("OK: items, versions 3 to 9, "), "{found}");
    std::fs::remove_file(log_of(1)).unwrap();
    std::fs::remove_file(log_of(2)).unwrap();
    bench.run("verify --store store").ok();
    std::fs::remove_file(log_of(4)).unwrap();
    let found = bench.run("verify --store store");
    assert_eq!(found.code, 6, "{}", found.err);
    assert!(
        found.out.contains("log entries 4 to 4 are missing"),
        "{}",
        found.out
    );
}
