//! Readers that go on where they were.

use super::*;
use crate::faults::FaultStore;

/// Publishes five versions past a position; gives a reader that knows the position, and the position.
async fn fallen_behind(publisher: &mut Publisher, consumer: &Consumer) -> (Reader, Position) {
    let (reader, position) = (Reader::at(consumer), position_of(consumer).await);
    for round in 0..5_i64 {
        publisher
            .publish_change(&[round, 2 * round, 900 + round], &[round + 7])
            .await;
    }
    (reader, position)
}

#[tokio::test]
async fn a_reader_goes_on_where_it_was_by_the_deltas_back() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let store = FaultStore::new(&kit.folder.path().join("store"));
    let builder = Consumer::builder(DATASET, store.store()).state_dir(kit.state_dir());
    let consumer = builder.open().await.unwrap();
    let (mut reader, position) = fallen_behind(&mut publisher, &consumer).await;
    publisher.snapshot().await;
    consumer.refresh().await.unwrap();
    store.take_asked();
    let position: Position = position.to_string().parse().unwrap();
    let wanted = Subscribe::named("again").after(position.clone());
    let mut subscription = consumer.subscribe(wanted).await.unwrap();
    assert_eq!(subscription.position(), &position);
    assert_eq!(store.asked("snapshot/"), 0, "{:?}", store.take_asked());
    publisher.publish_change(&[5], &[6]).await;
    consumer.refresh().await.unwrap();
    reader.take_all(&mut subscription);
    assert_eq!(reader.updates, 2);
    reader.assert_at(&consumer);
}

#[tokio::test]
async fn a_reader_goes_on_where_no_deltas_lead_back() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.reverse = false;
    publisher.publish(1).await;
    publisher.snapshot().await;
    let consumer = builder(&kit).open().await.unwrap();
    let (mut reader, position) = fallen_behind(&mut publisher, &consumer).await;
    consumer.refresh().await.unwrap();
    let wanted = Subscribe::named("again").after(position);
    let mut subscription = consumer.subscribe(wanted).await.unwrap();
    reader.take_all(&mut subscription);
    assert_eq!(reader.updates, 1);
    reader.assert_at(&consumer);
}

#[tokio::test]
async fn a_reader_ahead_of_the_consumer_is_told_nothing_before_it_catches_up() {
    let (kit, mut publisher, behind) = two_versions().await;
    let ahead = builder(&kit).open().await.unwrap();
    publisher.publish_change(&[1], &[]).await;
    let between = publisher.state().version();
    publisher.publish_change(&[3], &[4]).await;
    ahead.refresh().await.unwrap();
    let (mut reader, position) = (Reader::at(&ahead), position_of(&ahead).await);
    let wanted = Subscribe::named("ahead").after(position.clone());
    let mut subscription = behind.subscribe(wanted).await.unwrap();
    // On its way there the consumer serves what the reader is past.
    behind.refresh_to(between).await.unwrap();
    assert!(subscription.wait(NO_TIME).is_none());
    behind.follow().await.unwrap();
    assert!(subscription.wait(NO_TIME).is_none());
    assert_eq!(subscription.position(), &position);
    publisher.publish_change(&[2], &[]).await;
    behind.refresh().await.unwrap();
    reader.take_all(&mut subscription);
    assert_eq!(reader.updates, 1);
    reader.assert_at(&behind);
}

#[tokio::test]
async fn a_position_that_cannot_be_reached_is_refused_and_frees_its_name() {
    let (kit, mut publisher, consumer) = two_versions().await;
    let position = position_of(&consumer).await;
    publisher.publish_change(&[1], &[]).await;
    consumer.refresh().await.unwrap();
    std::fs::remove_file(kit.file(&format!("log/{:020}.json", position.version()))).unwrap();
    let gone = consumer
        .subscribe(Subscribe::named("gone").after(position.clone()))
        .await;
    let gone = gone.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Missing);
    assert!(
        gone.to_string()
            .contains(&format!("subscription gone, position {position}")),
        "{gone}"
    );
    let text = position.to_string();
    let (place, id) = text.split_once('@').unwrap();
    let other: Position = format!("{place}@other").parse().unwrap();
    let anew = consumer
        .subscribe(Subscribe::named("gone").after(other))
        .await
        .unwrap_err();
    assert_eq!(anew.kind(), ErrorKind::Missing);
    assert!(
        anew.to_string().contains("subscribe from the beginning"),
        "{anew}"
    );
    let rewritten = format!("{}.00000000000000ff@{id}", consumer.version());
    let rewritten: Position = rewritten.parse().unwrap();
    let another = consumer
        .subscribe(Subscribe::named("gone").after(rewritten))
        .await
        .unwrap_err();
    assert_eq!(another.kind(), ErrorKind::Missing);
    assert!(another.to_string().contains("another one now"), "{another}");
    consumer.subscribe(Subscribe::named("gone")).await.unwrap();
}

#[tokio::test]
async fn a_position_before_the_first_version_is_of_no_dataset_and_no_other_is() {
    let (_kit, _publisher, consumer) = two_versions().await;
    let text = position_of(&consumer).await.to_string();
    let (place, _) = text.split_once('@').unwrap();
    for forged in [format!("{place}@"), "0.0000000000000000@other".to_owned()] {
        let wanted = Subscribe::named("forged").after(forged.parse().unwrap());
        let refused = consumer.subscribe(wanted).await.unwrap_err();
        assert!(refused.to_string().contains("created anew"), "{refused}");
    }
}

#[tokio::test]
async fn nothing_waits_for_a_reader_that_is_where_the_consumer_is() {
    let (kit, _publisher, consumer) = two_versions().await;
    let position = position_of(&consumer).await;
    let wanted = Subscribe::named("again").after(position);
    let subscription = consumer.subscribe(wanted).await.unwrap();
    assert_eq!(subscription.waiting(), 0);
    let builder = Consumer::builder("other", kit.store.clone());
    let empty = builder.wait_for_dataset(true).open().await.unwrap();
    let wanted = Subscribe::named("early").from_beginning();
    let subscription = empty.subscribe(wanted).await.unwrap();
    assert_eq!(subscription.waiting(), 0);
}
