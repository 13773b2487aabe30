//! One flipped byte anywhere in any blob, truncations, a missing delta: detected, named, never
//! served, recovered from without a person.

use crate::kit::{Kit, assert_same, flipped, publish, rounds, write};
use grotto_consumer::{Consumer, ErrorKind};
use grotto_producer::Producer;
use grotto_store::BlobKind;

/// A consumer at the first of two versions, both small.
async fn one_behind(kit: &Kit) -> (Producer, Consumer) {
    let producer = kit.producer().await;
    publish(&producer, 0..20).await;
    let consumer = kit.consumer().open().await.unwrap();
    publish(&producer, [3, 5]).await;
    (producer, consumer)
}

async fn assert_refused(consumer: &Consumer, blob: &str, what: &str) {
    let before = consumer.state();
    let error = consumer.refresh().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
    assert!(error.message().contains(blob), "{what}: {error}");
    assert_same(&consumer.state(), &before);
}

#[tokio::test]
async fn every_flipped_byte_of_a_delta_is_detected_and_named() {
    let kit = Kit::new();
    let (producer, consumer) = one_behind(&kit).await;
    let blob = kit
        .entry(producer.version())
        .await
        .blob(BlobKind::Delta)
        .unwrap();
    let path = kit.file(&blob.name);
    let intact = std::fs::read(&path).unwrap();
    for at in 0..intact.len() {
        write(&path, &flipped(&intact, at));
        assert_refused(&consumer, &blob.name, &format!("byte {at}")).await;
    }
    for length in 0..intact.len() {
        write(&path, &intact[..length]);
        assert_refused(&consumer, &blob.name, &format!("first {length} bytes")).await;
    }
    write(&path, &intact);
    consumer.refresh().await.unwrap().unwrap();
    assert_same(&consumer.state(), &producer.state());
}

#[tokio::test]
async fn every_flipped_byte_of_a_snapshot_is_detected_and_gone_around() {
    let kit = Kit::new();
    let producer = kit.producer().await;
    // Several deltas that rewrite everything: the snapshot is by far the shorter way.
    for _ in 0..5 {
        publish(&producer, 0..10).await;
    }
    let blob = producer.snapshot().await.unwrap().blob;
    let path = kit.file(&blob.name);
    let intact = std::fs::read(&path).unwrap();
    for at in (0..intact.len()).step_by(7) {
        write(&path, &flipped(&intact, at));
        let consumer = kit.consumer().open().await.unwrap();
        assert_same(&consumer.state(), &producer.state());
        let text = consumer.metrics_text();
        assert!(text.contains("kind=\"corrupt\""), "byte {at}: {text}");
        assert!(!text.contains("kind=\"snapshot\""), "byte {at}: {text}");
    }
}

#[tokio::test]
async fn every_flipped_byte_of_a_reverse_delta_is_detected_and_gone_around() {
    let kit = Kit::new();
    let (producer, consumer) = one_behind(&kit).await;
    let first = consumer.state();
    consumer.refresh().await.unwrap().unwrap();
    let blob = kit
        .entry(producer.version())
        .await
        .blob(BlobKind::Reverse)
        .unwrap();
    let path = kit.file(&blob.name);
    let intact = std::fs::read(&path).unwrap();
    for at in (0..intact.len()).step_by(11) {
        write(&path, &flipped(&intact, at));
        let report = consumer.refresh_to(first.version()).await.unwrap().unwrap();
        assert!(
            report.recovered[0].contains(&blob.name),
            "byte {at}: {:?}",
            report.recovered
        );
        assert_same(&consumer.state(), &first);
        consumer.follow().await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn every_flipped_byte_of_a_log_entry_is_detected() {
    let kit = Kit::new();
    let (producer, consumer) = one_behind(&kit).await;
    let name = format!("log/{:020}.json", producer.version());
    let intact = std::fs::read(kit.file(&name)).unwrap();
    for at in (0..intact.len()).step_by(3) {
        write(&kit.file(&name), &flipped(&intact, at));
        assert_refused(&consumer, &name, &format!("byte {at}")).await;
    }
    write(&kit.file(&name), &intact);
    consumer.refresh().await.unwrap().unwrap();
    assert_same(&consumer.state(), &producer.state());
}

#[tokio::test]
async fn a_missing_delta_is_named_and_a_new_snapshot_heals() {
    let kit = Kit::new();
    let (producer, consumer) = one_behind(&kit).await;
    let before = consumer.state();
    let blob = kit
        .entry(producer.version())
        .await
        .blob(BlobKind::Delta)
        .unwrap();
    std::fs::remove_file(kit.file(&blob.name)).unwrap();
    publish(&producer, [7]).await;
    let error = consumer.refresh().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(error.message().contains(&blob.name), "{error}");
    assert_same(&consumer.state(), &before);
    producer.snapshot().await.unwrap();
    consumer.refresh().await.unwrap().unwrap();
    assert_same(&consumer.state(), &producer.state());
}

#[tokio::test]
async fn a_polling_consumer_heals_by_itself_when_the_blob_is_right_again() {
    let kit = Kit::new();
    let producer = kit.producer().await;
    let first = publish(&producer, 0..20).await;
    let build = || kit.consumer().state_dir(kit.state_dir());
    build().open().await.unwrap().shutdown().await;
    let version = publish(&producer, [1]).await;
    let path = kit.file(&kit.entry(version).await.blob(BlobKind::Delta).unwrap().name);
    let intact = std::fs::read(&path).unwrap();
    write(&path, &intact[..intact.len() / 2]);
    let consumer = build().start().await.unwrap();
    while !consumer
        .metrics_text()
        .contains("grotto_consumer_errors_total{")
    {
        assert_eq!(consumer.version(), first);
        tokio::task::yield_now().await;
    }
    write(&path, &intact);
    consumer
        .wait_for(version, std::time::Duration::from_secs(60))
        .await
        .unwrap();
    assert_same(&consumer.state(), &producer.state());
    consumer.shutdown().await;
}

#[tokio::test]
async fn a_restart_serves_while_the_store_is_gone() {
    let kit = Kit::new();
    let producer = kit.producer().await;
    publish(&producer, 0..200).await;
    publish(&producer, 50..100).await;
    let build = || kit.consumer().state_dir(kit.state_dir());
    build().open().await.unwrap().shutdown().await;
    let store = kit.store();
    std::fs::remove_dir_all(kit.store_dir()).unwrap();
    let builder = Consumer::builder(crate::kit::DATASET, store).state_dir(kit.state_dir());
    let consumer = builder.start().await.unwrap();
    assert_same(&consumer.state(), &producer.state());
    assert_eq!(rounds(&consumer.state()).len(), 200);
    consumer.shutdown().await;
}
