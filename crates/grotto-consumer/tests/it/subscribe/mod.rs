//! Subscriptions: nothing left out, nothing told twice, in order, at the reader's pace.

mod positions;
mod random;
mod replaced;
mod visits;
mod waiting;

use crate::kit::{DATASET, Kit, PAIRS, Publisher, VirtualClock, assert_same, rounds};
use futures::FutureExt;
use grotto_consumer::{
    Change, Consumer, ConsumerBuilder, ErrorKind, Interest, Position, Subscribe, Subscription,
    Update,
};
use std::collections::BTreeMap;
use std::time::Duration;

const NO_TIME: Duration = Duration::ZERO;

fn builder(kit: &Kit) -> ConsumerBuilder {
    Consumer::builder(DATASET, kit.store.clone())
}

/// What a reader makes of updates alone.
#[derive(Default)]
struct Reader {
    version: u64,
    rounds: BTreeMap<i64, i64>,
    updates: usize,
}

impl Reader {
    /// A reader who knows a version.
    fn at(consumer: &Consumer) -> Self {
        let state = consumer.state();
        Self {
            version: state.version(),
            rounds: rounds(&state),
            updates: 0,
        }
    }

    /// Takes an update in; panics if it leaves something out or tells something twice.
    fn take_in(&mut self, update: &Update) {
        assert_eq!(update.from(), self.version, "{update:?}");
        for change in update.changes_of("Left").unwrap() {
            let word = |at| {
                (
                    change.before().map(|r| r.word(at)),
                    change.after().map(|r| r.word(at)),
                )
            };
            let (id, round) = (word(0), word(1));
            let id = id.1.or(id.0).unwrap() as i64;
            assert_eq!(
                self.rounds.get(&id).copied(),
                round.0.map(|r| r as i64),
                "id {id}"
            );
            match round.1 {
                Some(round) => self.rounds.insert(id, round as i64),
                None => self.rounds.remove(&id),
            };
        }
        self.version = update.to();
        self.updates += 1;
    }

    fn take_all(&mut self, subscription: &mut Subscription) {
        while let Some(update) = subscription.wait(NO_TIME) {
            self.take_in(&update);
            assert_eq!(subscription.position(), update.position());
        }
    }

    fn assert_at(&self, consumer: &Consumer) {
        assert_eq!(self.rounds, rounds(&consumer.state()));
        assert_eq!(self.version, consumer.version());
    }
}

async fn two_versions() -> (Kit, Publisher, Consumer) {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    publisher.publish(5).await;
    let consumer = builder(&kit).open().await.unwrap();
    (kit, publisher, consumer)
}

async fn position_of(consumer: &Consumer) -> Position {
    let subscription = consumer.subscribe(Subscribe::named("position")).await;
    subscription.unwrap().position().clone()
}

#[tokio::test]
async fn each_version_is_told_once_and_in_order() {
    let (_kit, mut publisher, consumer) = two_versions().await;
    let mut reader = Reader::at(&consumer);
    let mut subscription = consumer.subscribe(Subscribe::named("all")).await.unwrap();
    assert!(subscription.wait(NO_TIME).is_none());
    for every in [2, 3, 4] {
        publisher.publish(every).await;
        consumer.refresh().await.unwrap().unwrap();
    }
    assert_eq!(subscription.waiting(), 3);
    reader.take_all(&mut subscription);
    assert_eq!(reader.updates, 3);
    reader.assert_at(&consumer);
    assert!(!subscription.has_ended());
}

#[tokio::test]
async fn a_slow_reader_gets_neighbours_as_one_and_misses_nothing() {
    let (_kit, mut publisher, consumer) = two_versions().await;
    let mut reader = Reader::at(&consumer);
    let wanted = Subscribe::named("slow").capacity(2);
    let mut subscription = consumer.subscribe(wanted).await.unwrap();
    for round in 0..9_i64 {
        // Some go, come back and go again.
        let gone: Vec<i64> = (0..PAIRS).filter(|id| id % 11 == round % 3).collect();
        let ids: Vec<i64> = (0..PAIRS).filter(|id| id % 11 == (round + 1) % 3).collect();
        publisher.publish_change(&ids, &gone).await;
        consumer.refresh().await.unwrap().unwrap();
    }
    assert_eq!(subscription.waiting(), 2);
    let text = consumer.metrics_text();
    let waiting = format!(r#"subscription_waiting{{dataset="{DATASET}",subscription="slow"}} 2"#);
    assert!(text.contains(&waiting), "{text}");
    let behind = format!(r#"behind_versions{{dataset="{DATASET}",subscription="slow"}} 9"#);
    assert!(text.contains(&behind), "{text}");
    reader.take_all(&mut subscription);
    assert_eq!(reader.updates, 2);
    reader.assert_at(&consumer);
    drop(subscription);
    assert!(!consumer.metrics_text().contains("slow"));
}

#[tokio::test]
async fn a_reader_follows_the_consumer_back_too() {
    let (_kit, mut publisher, consumer) = two_versions().await;
    let mut reader = Reader::at(&consumer);
    let first = consumer.version();
    let wanted = Subscribe::named("back").capacity(1);
    let mut subscription = consumer.subscribe(wanted).await.unwrap();
    publisher.publish_change(&[1, 2, 900], &[3]).await;
    consumer.refresh().await.unwrap();
    consumer.refresh_to(first).await.unwrap();
    // There and back again: nothing changed, and the reader is told nothing.
    assert!(subscription.wait(NO_TIME).is_none());
    consumer.follow().await.unwrap();
    reader.take_all(&mut subscription);
    consumer.refresh_to(first - 1).await.unwrap();
    reader.take_all(&mut subscription);
    assert_eq!(reader.updates, 2);
    reader.assert_at(&consumer);
}

#[tokio::test]
async fn a_reader_from_the_beginning_gets_all_records_first() {
    let (_kit, mut publisher, consumer) = two_versions().await;
    let wanted = Subscribe::named("copy").from_beginning();
    let mut subscription = consumer.subscribe(wanted).await.unwrap();
    assert_eq!(subscription.position().version(), 0);
    publisher.publish_change(&[1, 900], &[3]).await;
    consumer.refresh().await.unwrap();
    let mut reader = Reader::default();
    let update = subscription.next().await.unwrap().unwrap();
    let added = update
        .changes_of("Right")
        .unwrap()
        .filter(|change| matches!(change, Change::Added(_)));
    assert_eq!(added.count(), PAIRS as usize);
    reader.take_in(&update);
    reader.take_all(&mut subscription);
    reader.assert_at(&consumer);
}

#[tokio::test]
async fn before_the_first_version_a_reader_waits_for_it() {
    let kit = Kit::new();
    let consumer = builder(&kit).wait_for_dataset(true).open().await.unwrap();
    let wanted = Subscribe::named("early")
        .from_beginning()
        .to(Interest::of("Left"));
    let mut subscription = consumer.subscribe(wanted).await.unwrap();
    let began = subscription.position().clone();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    consumer.refresh().await.unwrap().unwrap();
    // One that ended before it was told anything goes on there too.
    let again = Subscribe::named("again").after(began);
    let mut again = consumer.subscribe(again).await.unwrap();
    let mut other = Reader::default();
    other.take_all(&mut again);
    other.assert_at(&consumer);
    let mut reader = Reader::default();
    reader.take_all(&mut subscription);
    assert_eq!(reader.updates, 1);
    reader.assert_at(&consumer);
}

#[tokio::test]
async fn a_subscription_that_can_never_tell_what_is_asked_is_refused() {
    let (_kit, _publisher, consumer) = two_versions().await;
    let _first = consumer.subscribe(Subscribe::named("one")).await.unwrap();
    let left = || Interest::of("Left");
    for (wanted, expected) in [
        (Subscribe::named("one"), "expected a name of its own"),
        (Subscribe::named(""), "expected a name of 1 to 64 bytes"),
        (
            Subscribe::named("x".repeat(65)),
            "expected a name of 1 to 64 bytes",
        ),
        (
            Subscribe::named("two").to(left()).to(left()),
            "expected one interest for type Left",
        ),
        (Subscribe::named("two").to(Interest::of("Lift")), "Lift"),
        (
            Subscribe::named("two").to(left().field("nope")),
            "found field nope",
        ),
        (
            Subscribe::named("two").to(left().key("x")),
            "expected long, found string",
        ),
    ] {
        let error = consumer.subscribe(wanted).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(expected), "{expected}: {error}");
    }
    let sum = "00000000000000ff";
    for bad in [
        "",
        "7",
        "7@y",
        &format!("x.{sum}@y"),
        &format!("+7.{sum}@y"),
        &format!("7.{sum}"),
        "7.ff@y",
    ] {
        let refused = bad.parse::<Position>().unwrap_err();
        assert!(refused.to_string().contains("such as 42."), "{refused}");
    }
}

#[tokio::test]
async fn only_what_was_asked_for_is_told_and_the_rest_is_passed_over() {
    let (_kit, mut publisher, consumer) = two_versions().await;
    let wanted = Subscribe::named("some").to(Interest::of("Right").keys([4_i64, 5]).field("round"));
    let mut subscription = consumer.subscribe(wanted).await.unwrap();
    publisher.publish_change(&[6], &[]).await;
    consumer.refresh().await.unwrap();
    assert!(subscription.wait(NO_TIME).is_none());
    assert_eq!(subscription.position().version(), consumer.version());
    publisher.publish_change(&[5, 6, 7], &[4]).await;
    consumer.refresh().await.unwrap();
    let update = subscription.next().await.unwrap().unwrap();
    assert_eq!(update.types().collect::<Vec<_>>(), ["Right"]);
    assert_eq!(update.changes_of("Right").unwrap().count(), 2);
    let other = update.changes_of("Left").err().unwrap();
    assert!(other.to_string().contains("found Left"), "{other}");
}

#[tokio::test]
async fn a_reader_that_stops_waiting_loses_nothing() {
    let (_kit, mut publisher, consumer) = two_versions().await;
    let mut reader = Reader::at(&consumer);
    let mut subscription = consumer.subscribe(Subscribe::named("all")).await.unwrap();
    let mut stopped = 0;
    // The work for an update may be done before it is asked for: then there is nothing to stop waiting for.
    while stopped < 3 {
        publisher.publish_change(&[1, 2], &[3]).await;
        consumer.refresh().await.unwrap();
        match subscription.next().now_or_never() {
            Some(update) => reader.take_in(&update.unwrap().unwrap()),
            None => stopped += 1,
        }
    }
    reader.take_all(&mut subscription);
    reader.assert_at(&consumer);
}

#[tokio::test]
async fn a_subscription_ends_with_its_consumer_and_keeps_no_directory() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    for shuts_down in [true, false] {
        let consumer = builder(&kit)
            .state_dir(kit.state_dir())
            .open()
            .await
            .unwrap();
        let mut subscription = consumer.subscribe(Subscribe::named("all")).await.unwrap();
        publisher.publish_change(&[1], &[]).await;
        consumer.refresh().await.unwrap();
        // Kept beyond its shutdown: that alone ends it.
        let kept = match shuts_down {
            true => {
                consumer.shutdown().await;
                Some(consumer)
            }
            false => {
                drop(consumer);
                None
            }
        };
        assert!(subscription.next().await.unwrap().is_some());
        assert!(subscription.wait(NO_TIME).is_none());
        assert!(subscription.has_ended());
        assert!(subscription.next().await.unwrap().is_none());
        drop(kept);
    }
}

#[tokio::test]
async fn a_type_that_went_and_came_back_between_is_told_as_it_is_now() {
    let (_kit, mut publisher, consumer) = two_versions().await;
    let wanted = Subscribe::named("slow").capacity(1);
    let mut subscription = consumer.subscribe(wanted).await.unwrap();
    let whole = publisher.use_schema("Left @PrimaryKey(id) { long id; long round; string note; }");
    publisher.publish_change(&[1], &[]).await;
    consumer.refresh().await.unwrap();
    publisher.use_schema(&whole);
    publisher.publish_change(&[2, 3, 900], &[]).await;
    consumer.refresh().await.unwrap();
    let update = subscription.wait(NO_TIME).unwrap();
    let (mut added, mut removed, mut modified) = (0, 0, 0);
    for change in update.changes_of("Right").unwrap() {
        match change {
            Change::Added(_) => added += 1,
            Change::Removed(_) => removed += 1,
            Change::Modified { .. } => modified += 1,
        }
    }
    // Of all that there were, two are there again.
    assert_eq!((added, removed, modified), (1, PAIRS - 2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_reader_is_woken_by_what_polling_finds() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let store = kit.store.clone().with_env(VirtualClock::env());
    let consumer = Consumer::builder(DATASET, store).start().await.unwrap();
    let mut reader = Reader::at(&consumer);
    let mut subscription = consumer.subscribe(Subscribe::named("all")).await.unwrap();
    for _ in 0..3 {
        publisher.publish_change(&[1, 2], &[3]).await;
        let update = subscription.next().await.unwrap().unwrap();
        reader.take_in(&update);
    }
    reader.assert_at(&consumer);
}
