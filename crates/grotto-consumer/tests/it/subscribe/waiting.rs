//! Readers that wait, stop waiting, and are counted.

use super::*;
use crate::faults::FaultStore;

#[tokio::test]
async fn an_update_survives_a_reader_that_stops_waiting_for_it() {
    let (_kit, mut publisher, consumer) = two_versions().await;
    let mut reader = Reader::at(&consumer);
    let mut subscription = consumer.subscribe(Subscribe::named("all")).await.unwrap();
    for _ in 0..10 {
        publisher.publish_change(&[1, 2], &[3]).await;
        consumer.refresh().await.unwrap().unwrap();
        // Polled once, as a branch of `select!` is: it has begun, and is dropped.
        match subscription.next().now_or_never() {
            // The work was done in no time: it was not stopped.
            Some(update) => reader.take_in(&update.unwrap().unwrap()),
            None => {
                assert_eq!(subscription.waiting(), 1);
                let update = subscription.next().await.unwrap().unwrap();
                reader.take_in(&update);
            }
        }
        assert_eq!(subscription.waiting(), 0);
        reader.assert_at(&consumer);
    }
}

#[tokio::test]
async fn an_update_that_was_begun_is_told_once_by_whichever_way_it_is_taken() {
    let (_kit, mut publisher, consumer) = two_versions().await;
    let mut subscription = consumer.subscribe(Subscribe::named("all")).await.unwrap();
    let mut reader = Reader::at(&consumer);
    let mut begun = 0;
    while begun < 3 {
        publisher.publish_change(&[1, 2], &[3]).await;
        consumer.refresh().await.unwrap().unwrap();
        if subscription.next().now_or_never().is_none() {
            begun += 1;
        }
        // On this thread; what was begun on another is of no use any more.
        reader.take_all(&mut subscription);
        reader.version = subscription.position().version();
        publisher.publish_change(&[4], &[]).await;
        consumer.refresh().await.unwrap().unwrap();
        let update = subscription.next().await.unwrap().unwrap();
        assert_eq!(
            (update.from(), update.to()),
            (reader.version, consumer.version())
        );
        reader = Reader::at(&consumer);
    }
}

#[tokio::test]
async fn an_update_that_was_begun_is_there_after_the_end() {
    let mut begun = 0;
    while begun < 3 {
        let (_kit, mut publisher, consumer) = two_versions().await;
        let mut subscription = consumer.subscribe(Subscribe::named("all")).await.unwrap();
        publisher.publish_change(&[1], &[]).await;
        consumer.refresh().await.unwrap().unwrap();
        let stopped = subscription.next().now_or_never().is_none();
        consumer.shutdown().await;
        if !stopped {
            continue;
        }
        begun += 1;
        assert!(!subscription.has_ended());
        let update = subscription.next().await.unwrap().unwrap();
        assert_eq!(update.to(), consumer.version());
        assert!(subscription.has_ended());
        assert!(subscription.next().await.unwrap().is_none());
    }
}

/// What is told of a reader: updates that wait, and versions that it is behind.
fn told(consumer: &Consumer, name: &str) -> [Option<u64>; 2] {
    let text = consumer.metrics_text();
    ["waiting", "behind_versions"].map(|metric| {
        let start = format!("grotto_consumer_subscription_{metric}{{");
        let label = format!("=\"{name}\"");
        let mut lines = text.lines();
        let line = lines.find(|line| line.starts_with(&start) && line.contains(&label))?;
        line.rsplit(' ').next()?.parse().ok()
    })
}

#[tokio::test]
async fn what_waits_for_a_reader_is_counted_until_it_goes() {
    let (_kit, mut publisher, consumer) = two_versions().await;
    let mut subscription = consumer.subscribe(Subscribe::named("all")).await.unwrap();
    assert_eq!(told(&consumer, "all"), [Some(0), Some(0)]);
    let position = subscription.position().clone();
    for waiting in 1..=3 {
        publisher.publish(2).await;
        consumer.refresh().await.unwrap().unwrap();
        assert_eq!(told(&consumer, "all"), [Some(waiting), Some(waiting)]);
    }
    subscription.wait(NO_TIME).unwrap();
    assert_eq!(told(&consumer, "all"), [Some(2), Some(2)]);
    let wanted = Subscribe::named("again").after(position.clone());
    let again = consumer.subscribe(wanted).await.unwrap();
    assert_eq!(told(&consumer, "again"), [Some(1), Some(3)]);
    drop(again);
    assert_eq!(told(&consumer, "again"), [None, None]);
    assert_eq!(told(&consumer, "all"), [Some(2), Some(2)]);
    // Its name is free, and nothing waits for who went.
    let again = consumer.subscribe(Subscribe::named("again")).await.unwrap();
    publisher.publish(2).await;
    consumer.refresh().await.unwrap().unwrap();
    assert_eq!(again.waiting(), 1);
    assert_eq!(told(&consumer, "again"), [Some(1), Some(1)]);
    consumer
        .refresh_to(position.version())
        .await
        .unwrap()
        .unwrap();
    let ahead = Subscribe::named("ahead").after(again.position().clone());
    let ahead = consumer.subscribe(ahead).await.unwrap();
    assert_eq!(told(&consumer, "ahead"), [Some(0), Some(0)]);
    drop(ahead);
}

#[tokio::test]
async fn a_position_of_another_state_is_refused_before_anything_is_fetched() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let store = FaultStore::new(&kit.folder.path().join("store"));
    let consumer = Consumer::builder(DATASET, store.store())
        .open()
        .await
        .unwrap();
    let text = position_of(&consumer).await.to_string();
    publisher.publish_many(2).await;
    consumer.refresh().await.unwrap().unwrap();
    let (version, rest) = text.split_once('.').unwrap();
    let (_, id) = rest.split_once('@').unwrap();
    let forged: Position = format!("{version}.00000000000000ff@{id}").parse().unwrap();
    store.take_asked();
    let wanted = Subscribe::named("forged").after(forged);
    let refused = consumer.subscribe(wanted).await.unwrap_err();
    assert!(refused.to_string().contains("another one now"), "{refused}");
    let asked = store.take_asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
}

#[test]
fn a_position_is_read_in_one_form_alone() {
    let sum = "00c0ffee00c0ffee";
    let id = "x".repeat(128);
    let text = format!("42.{sum}@{id}");
    assert_eq!(text.parse::<Position>().unwrap().to_string(), text);
    for bad in [
        format!("42.{sum}@{id}x"),
        format!("42.{sum}0@y"),
        format!("42.+{}@y", &sum[1..]),
        format!("-42.{sum}@y"),
        format!(" 42.{sum}@y"),
    ] {
        assert!(bad.parse::<Position>().is_err(), "{bad}");
    }
}
