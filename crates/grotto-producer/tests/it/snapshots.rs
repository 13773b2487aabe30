//! When snapshots are written, and what happens to those that fail.

use crate::kit::{SCHEMA, Trouble, TroubledStore, names, put};
use grotto_format::Schema;
use grotto_producer::{FullCycle, Producer};
use grotto_store::{Dataset, Ranges, Store, StoreOptions};

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_fails_is_tried_again_after_the_next_version() {
    let store = TroubledStore::new();
    let producer = store.producer(10).await;
    store.cause(Trouble::Fails, "/snapshot/");
    assert!(
        put(&producer, 1, "one")
            .await
            .unwrap()
            .unwrap()
            .snapshot_started
    );
    assert!(producer.finish().await.is_err());
    store.heal();
    assert!(
        put(&producer, 2, "two")
            .await
            .unwrap()
            .unwrap()
            .snapshot_started,
        "the last one failed"
    );
    assert_eq!(producer.finish().await.unwrap().len(), 1);
    assert!(
        !put(&producer, 3, "three")
            .await
            .unwrap()
            .unwrap()
            .snapshot_started,
        "not due yet"
    );
}

#[tokio::test]
async fn a_version_does_not_wait_for_somebody_who_waits_for_a_snapshot() {
    let store = TroubledStore::new();
    let producer = store.producer(1).await;
    store.cause(Trouble::Hangs, "/snapshot/");
    put(&producer, 1, "one").await.unwrap().unwrap();
    let waiting = producer.finish();
    tokio::pin!(waiting);
    tokio::select! {
        biased;
        _ = &mut waiting => panic!("expected the snapshot to be stuck"),
        published = put(&producer, 2, "two") => assert!(!published.unwrap().unwrap().snapshot_started),
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_start_is_reached_by_its_entry_if_its_snapshot_is_never_announced() {
    let store = TroubledStore::new();
    put(&store.producer(0).await, 1, "one").await.unwrap();
    store.lose("/delta/").await;
    let anew = || {
        let builder = Producer::builder("cities", store.store()).snapshot_every(0);
        let schema = Schema::parse(SCHEMA).unwrap();
        builder.schema(schema).start_over(true).open()
    };
    let producer = anew().await.unwrap();
    store.cause(Trouble::Fails, "/snapshots/");
    let fill = |cycle: &mut grotto_producer::FullCycle| {
        cycle.add_json("City", r#"{"id":2,"name":"two"}"#, 1)?;
        Ok(())
    };
    let begun = producer.run_cycle(fill).await.unwrap().unwrap();
    assert_eq!(begun.delta_bytes, 0);
    store.heal();
    let restored = store.producer(0).await;
    assert_eq!(names(&restored.state()), [(2, "two".to_owned())]);
    put(&restored, 3, "three").await.unwrap().unwrap();
    assert_eq!(names(&store.producer(0).await.state()).len(), 2);
}

#[tokio::test]
async fn the_snapshot_that_is_a_new_start_is_not_written_twice() {
    let store = TroubledStore::new();
    put(&store.producer(0).await, 1, "one").await.unwrap();
    store.lose("/delta/").await;
    let builder = Producer::builder("cities", store.store()).snapshot_every(2);
    let schema = Schema::parse(SCHEMA).unwrap();
    let producer = builder.schema(schema).start_over(true).open();
    let producer = producer.await.unwrap();
    let fill = |cycle: &mut grotto_producer::FullCycle| {
        cycle.add_json("City", r#"{"id":2,"name":"two"}"#, 1)?;
        Ok(())
    };
    let begun = producer.run_cycle(fill).await.unwrap().unwrap();
    assert!(!begun.snapshot_started);
    assert_eq!(producer.finish().await.unwrap().len(), 0);
    // The next one is due as many commits later as any other.
    for (id, due) in [(3, false), (4, true)] {
        let published = put(&producer, id, "more").await.unwrap().unwrap();
        assert_eq!(published.snapshot_started, due, "record {id}");
    }
    assert_eq!(producer.finish().await.unwrap().len(), 1);
}

#[tokio::test]
async fn snapshots_are_due_by_commits_whatever_the_number_of_fences() {
    let store = TroubledStore::new();
    let mut due = Vec::new();
    // Each producer fences once more: eight versions by four commits.
    for id in 0..4 {
        let producer = store.producer(3).await;
        let published = put(&producer, id, "x").await.unwrap().unwrap();
        due.push(published.snapshot_started);
        producer.finish().await.unwrap();
    }
    assert_eq!(due, [true, false, false, true]);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_of_a_version_that_the_log_lost_is_used_by_nobody() {
    let store = TroubledStore::new();
    let first = store.producer(1).await;
    // The lost version is much smaller than the one before: its snapshot would be the cheapest base.
    let long: String = (0..4_000_u32)
        .map(|i| char::from(b'a' + (i.wrapping_mul(2_654_435_761) >> 27) as u8 % 26))
        .collect();
    for name in ["one", &long, "lost"] {
        put(&first, 1, name).await.unwrap().unwrap();
        first.finish().await.unwrap();
    }
    store.lose(&format!("/log/{:020}", first.version())).await;
    drop(first);
    for (id, name) in [(2, "two"), (3, "three")] {
        let next = store.producer(0).await;
        put(&next, id, name).await.unwrap().unwrap();
    }
    let held = names(&store.producer(0).await.state());
    let expected = [(1, long), (2, "two".to_owned()), (3, "three".to_owned())];
    assert_eq!(held, expected);
}

#[tokio::test]
async fn a_small_version_is_one_object_unless_that_is_turned_off() {
    for (inline, deltas) in [(None, 0), (Some(0), 1)] {
        let store = TroubledStore::new();
        let schema = Schema::parse(SCHEMA).unwrap();
        let mut builder = Producer::builder("cities", store.store()).schema(schema);
        if let Some(bytes) = inline {
            builder = builder.inline_blobs(bytes);
        }
        let producer = builder.snapshot_every(0).open().await.unwrap();
        put(&producer, 1, "Ghent").await.unwrap().unwrap();
        assert_eq!(
            store.paths("cities/delta/").await.len(),
            deltas,
            "{inline:?}"
        );
    }
}

#[tokio::test]
async fn a_snapshot_in_a_file_is_the_one_in_memory_and_leads_back_to_the_state() {
    let (memory, file) = (TroubledStore::new(), TroubledStore::new());
    let folder = tempfile::tempdir().unwrap();
    let spooled = file.store().with_spool(folder.path().join("made"));
    let options = StoreOptions {
        spool_from: 0,
        ranges: Ranges {
            bytes: 1_000,
            at_once: 2,
            ..Ranges::default()
        },
        ..*spooled.options()
    };
    let spooled = spooled.with_options(options);
    let mut blobs = Vec::new();
    for store in [memory.store(), spooled.clone()] {
        let producer = bare(store.clone()).await;
        let fill = |cycle: &mut FullCycle| {
            for id in 0..30_000_usize {
                let name = "n".repeat(id % 90);
                cycle.add_json("City", &format!("{{\"id\":{id},\"name\":\"{name}\"}}"), 0)?;
            }
            Ok(())
        };
        producer.run_cycle(fill).await.unwrap().unwrap();
        let entry = producer.snapshot().await.unwrap();
        let dataset = Dataset::open(store, "cities").unwrap();
        blobs.push(dataset.fetch_blob(&entry.blob).await.unwrap());
    }
    assert!(blobs[0] == blobs[1]);
    file.lose("/delta/").await;
    let restored = bare(spooled).await;
    assert_eq!(names(&restored.state()).len(), 30_000);
    let left = std::fs::read_dir(folder.path().join("made")).unwrap();
    assert_eq!(left.count(), 0, "files without names");
}

async fn bare(store: Store) -> Producer {
    let builder = Producer::builder("cities", store).schema(Schema::parse(SCHEMA).unwrap());
    builder.snapshot_every(0).threads(2).open().await.unwrap()
}
