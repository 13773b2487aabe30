//! Ways to a version that are not the usual ones, and what must not be taken for one.

use crate::kit::{DATASET, Kit, assert_same, publish};
use grotto_consumer::{Consumer, ErrorKind, Refresh, StepKind};
use grotto_producer::Producer;
use grotto_store::{Dataset, Writer, WriterOptions};

/// Removes the blobs of a kind up to a version, as a collector may.
fn remove_blobs(kit: &Kit, kind: &str, up_to: u64) {
    for file in std::fs::read_dir(kit.file(kind)).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if name[..20].parse::<u64>().unwrap() <= up_to {
            std::fs::remove_file(path).unwrap();
        }
    }
}

#[tokio::test]
async fn an_old_version_is_reached_from_a_newer_snapshot_when_the_deltas_up_to_it_are_gone() {
    let kit = Kit::new();
    let producer = kit.producer().await;
    publish(&producer, 0..20).await;
    let wanted = publish(&producer, [3, 5]).await;
    let expected = producer.state();
    // More than one log entry tells of.
    for id in 0..40 {
        publish(&producer, [id % 20]).await;
    }
    let top = producer.snapshot().await.unwrap().version;
    publish(&producer, [1]).await;
    remove_blobs(&kit, "delta", top);
    let consumer = kit.consumer().open_at(wanted).await.unwrap();
    assert_same(&consumer.state(), &expected);
    let from_empty = kit.consumer().state_dir(kit.state_dir()).start().await;
    let from_empty = from_empty.unwrap();
    let report = from_empty.refresh_to(wanted).await.unwrap().unwrap();
    assert_eq!(report.steps.last().unwrap().kind, StepKind::Reverse);
    assert_same(&from_empty.state(), &expected);
}

#[tokio::test]
async fn the_way_from_above_passes_damaged_log_entries_and_snapshots() {
    let kit = Kit::new();
    let producer = kit.producer().await;
    let wanted = publish(&producer, 0..20).await;
    let expected = producer.state();
    publish(&producer, [1]).await;
    let nearest = producer.snapshot().await.unwrap();
    publish(&producer, [2]).await;
    publish(&producer, [3]).await;
    let next = producer.snapshot().await.unwrap();
    publish(&producer, [4]).await;
    remove_blobs(&kit, "delta", u64::MAX);
    std::fs::remove_file(kit.file(&nearest.blob.name)).unwrap();
    let entry = kit.file(&format!("log/{:020}.json", next.version - 1));
    std::fs::write(entry, b"torn").unwrap();
    let consumer = kit.consumer().open_at(wanted).await.unwrap();
    assert_same(&consumer.state(), &expected);
}

#[tokio::test]
async fn without_any_blob_nothing_is_served_however_far_the_log_leads() {
    let kit = Kit::new();
    let producer = kit.producer().await;
    publish(&producer, 0..20).await;
    remove_blobs(&kit, "delta", u64::MAX);
    let build = || kit.consumer().state_dir(kit.state_dir());
    for _ in 0..2 {
        // Nothing leads to any version.
        let error = build().open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Missing, "{error}");
        let error = build().start().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Missing, "{error}");
    }
    assert!(Consumer::attach(kit.state_dir()).is_err());
}

#[tokio::test]
async fn the_empty_state_of_a_fence_is_no_local_state_to_put_up_with() {
    let kit = Kit::new();
    // A writer that went before its first commit: version 1 has no records.
    let dataset = Dataset::open(kit.store(), DATASET).unwrap();
    Writer::acquire(dataset, WriterOptions::default())
        .await
        .unwrap();
    let producer = kit.producer().await;
    let build = || kit.consumer().state_dir(kit.state_dir());
    publish(&producer, 0..20).await;
    let fenced = build().open_at(1).await.unwrap();
    assert_eq!((fenced.version(), fenced.state().total()), (1, 0));
    fenced.shutdown().await;
    remove_blobs(&kit, "delta", u64::MAX);
    assert!(build().open().await.is_err());
    assert!(build().start().await.is_err());
}

#[tokio::test]
async fn what_the_directory_held_is_served_when_nothing_leads_on() {
    let kit = Kit::new();
    let producer = kit.producer().await;
    publish(&producer, 0..20).await;
    let build = || kit.consumer().state_dir(kit.state_dir());
    build().open().await.unwrap().shutdown().await;
    let held = producer.state();
    publish(&producer, [1]).await;
    remove_blobs(&kit, "delta", u64::MAX);
    let consumer = build().open().await.unwrap();
    assert_same(&consumer.state(), &held);
    let error = consumer.refresh().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing, "{error}");
}

/// Replaces the log by one of the same dataset that says other things of the same versions, as a
/// store restored from an old copy does once it is written to.
#[tokio::test]
async fn a_local_state_that_the_log_contradicts_is_loaded_afresh_or_not_served() {
    let kit = Kit::new();
    let producer = kit.producer().await;
    publish(&producer, 0..20).await;
    let copy = kit.folder.path().join("copy");
    copy_folder(&kit.store_dir(), &copy);
    let build = || kit.consumer().state_dir(kit.state_dir());
    publish(&producer, [1, 2]).await;
    publish(&producer, [1, 2]).await;
    build().open().await.unwrap().shutdown().await;
    let told_before = producer.version();
    drop(producer);
    std::fs::remove_dir_all(kit.store_dir()).unwrap();
    copy_folder(&copy, &kit.store_dir());
    let producer = kit.producer().await;
    while producer.version() < told_before {
        publish(&producer, [7]).await;
    }
    let away = kit.folder.path().join("away");
    std::fs::rename(kit.file("delta"), &away).unwrap();
    let error = build().open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing, "{error}");
    std::fs::rename(&away, kit.file("delta")).unwrap();
    let consumer = build().open().await.unwrap();
    assert_same(&consumer.state(), &producer.state());
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|e| (e.path(), e.file_name())).unwrap();
        if path.is_dir() {
            copy_folder(&path, &to.join(name));
        } else {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// One pair goes and comes back with this note, over two versions; its ordinals are used again.
async fn reborn(producer: &Producer, note: &'static str) {
    let gone = producer.run_incremental(|cycle| {
        cycle.delete_from("Left", 1_i64)?;
        Ok(())
    });
    gone.await.unwrap().unwrap();
    put(producer, note).await;
}

async fn put(producer: &Producer, note: &'static str) {
    let written = producer.run_incremental(move |cycle| {
        let text = format!(r#"{{"id":1,"round":1,"note":"{note}"}}"#);
        cycle.upsert_json("Left", &text, 0)?;
        Ok(())
    });
    written.await.unwrap().unwrap();
}

/// The report of a consumer that slept while the pair was replaced; by deltas, or by snapshot.
async fn report_of(note: &'static str, by_snapshot: bool) -> Refresh {
    let kit = Kit::new();
    let producer = kit.producer().await;
    put(&producer, "first").await;
    let other = producer.run_incremental(|cycle| {
        let text = r#"{"id":2,"round":1,"note":"other"}"#;
        cycle.upsert_json("Left", text, 0)?;
        Ok(())
    });
    other.await.unwrap().unwrap();
    let consumer = kit.consumer().open().await.unwrap();
    let before = consumer.state();
    reborn(&producer, note).await;
    if by_snapshot {
        producer.snapshot().await.unwrap();
        remove_blobs(&kit, "delta", u64::MAX);
    }
    let report = consumer.refresh().await.unwrap().unwrap();
    let after = consumer.state();
    let left = after.type_id("Left").unwrap();
    let record = |state: &grotto_state::State| {
        let record = state.find(left, 1_i64).unwrap().unwrap();
        (record.ordinal(), record.word(2))
    };
    // What makes it hard: the same ordinal, and in it the same reference.
    assert_eq!(record(&before), record(&after));
    report
}

#[tokio::test]
async fn a_reference_to_a_reused_ordinal_does_not_hide_a_change() {
    for by_snapshot in [false, true] {
        let report = report_of("second", by_snapshot).await;
        for name in ["Left", "Text"] {
            let change = report.ordinals.get(name).expect(name);
            assert_eq!((change.added.len(), change.removed.len()), (1, 1), "{name}");
        }
    }
}

#[tokio::test]
async fn a_record_that_came_back_as_it_was_has_not_changed() {
    for by_snapshot in [false, true] {
        let report = report_of("first", by_snapshot).await;
        assert!(report.ordinals.is_empty(), "{:?}", report.ordinals);
    }
}
