//! Subscriptions: nothing left out, nothing told twice, in order, at the reader's pace; and states of other versions.

use crate::faults::{Fault, FaultStore};
use crate::kit::{DATASET, Kit, PAIRS, Publisher, VirtualClock, assert_same, rounds};
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
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    consumer.refresh().await.unwrap().unwrap();
    let mut reader = Reader::default();
    reader.take_all(&mut subscription);
    assert_eq!(reader.updates, 1);
    reader.assert_at(&consumer);
}

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
    ahead.refresh().await.unwrap();
    let (mut reader, position) = (Reader::at(&ahead), position_of(&ahead).await);
    let wanted = Subscribe::named("ahead").after(position.clone());
    let mut subscription = behind.subscribe(wanted).await.unwrap();
    behind.refresh().await.unwrap();
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
    publisher.publish_change(&[1, 2], &[3]).await;
    consumer.refresh().await.unwrap();
    for _ in 0..3 {
        // Polled once, then dropped: the work for the update has begun by then.
        let next = subscription.next();
        tokio::select! {
            biased;
            // The work may be done before it is asked for.
            update = next => reader.take_in(&update.unwrap().unwrap()),
            () = std::future::ready(()) => {}
        }
    }
    reader.take_all(&mut subscription);
    assert_eq!(reader.updates, 1);
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
        if shuts_down {
            consumer.shutdown().await;
        }
        drop(consumer);
        assert!(subscription.next().await.unwrap().is_some());
        assert!(subscription.next().await.unwrap().is_none());
        assert!(subscription.has_ended());
    }
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

#[tokio::test]
async fn any_version_can_be_visited_while_another_is_served() {
    let (_kit, mut publisher, consumer) = two_versions().await;
    let mut states = vec![publisher.state()];
    for round in 0..4_i64 {
        publisher.publish_change(&[round, 900], &[round + 1]).await;
        states.push(publisher.state());
    }
    consumer.refresh_to(states[2].version()).await.unwrap();
    for state in &states {
        let visited = consumer.state_at(state.version()).await.unwrap();
        assert_same(&visited, state);
        assert_eq!(consumer.version(), states[2].version());
    }
    let none = consumer.state_at(999).await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::Missing);
}

#[tokio::test]
async fn a_visit_that_meets_a_bad_blob_goes_around_it() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    publisher.snapshot().await;
    let wanted = publisher.state();
    publisher.publish_change(&[1], &[]).await;
    let back = publisher.publish_change(&[2], &[3]).await;
    let store = FaultStore::new(&kit.folder.path().join("store"));
    let consumer = Consumer::builder(DATASET, store.store())
        .open()
        .await
        .unwrap();
    crate::kit::flip(&kit.file(&publisher.reverse_of(back.version)), 40);
    let visited = consumer.state_at(wanted.version()).await.unwrap();
    assert_same(&visited, &wanted);
    store.cause(Fault::Fails, "log/");
    let away = consumer.state_at(wanted.version()).await.unwrap_err();
    assert_eq!(away.kind(), ErrorKind::Unavailable);
}

/// A sequence of numbers that depends on its seed alone.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn ids(&mut self) -> Vec<i64> {
        (0..self.below(4)).map(|_| self.below(12) as i64).collect()
    }
}

/// Everything at random: what is published, where the consumer goes, when readers take, end and come back.
async fn act_at_random(seed: u64) {
    let (_kit, mut publisher, consumer) = two_versions().await;
    let first = consumer.version();
    let mut dice = Dice(seed);
    let mut readers: Vec<(Reader, Option<Subscription>, Position)> = Vec::new();
    for turn in 0..60 {
        match dice.below(6) {
            0 | 1 => {
                let (mut ids, gone) = (dice.ids(), dice.ids());
                // Dice know no 12: a version always changes something.
                ids.push(12);
                publisher.publish_change(&ids, &gone).await;
            }
            2 => drop(consumer.follow().await.unwrap()),
            3 => {
                let past = publisher.state().version() - first + 1;
                let version = first + dice.below(past);
                consumer.refresh_to(version).await.unwrap();
            }
            4 if readers.len() < 4 => {
                let wanted = Subscribe::named(format!("{turn}")).capacity(1 + turn % 3);
                let subscription = consumer.subscribe(wanted).await.unwrap();
                let position = subscription.position().clone();
                readers.push((Reader::at(&consumer), Some(subscription), position));
            }
            _ if readers.is_empty() => {}
            _ => {
                let at = dice.below(readers.len() as u64) as usize;
                let (reader, subscription, position) = &mut readers[at];
                match subscription {
                    Some(open) if dice.below(3) > 0 => reader.take_all(open),
                    Some(open) => {
                        *position = open.position().clone();
                        *subscription = None;
                    }
                    None => {
                        let wanted = Subscribe::named(format!("{turn}")).after(position.clone());
                        *subscription = Some(consumer.subscribe(wanted).await.unwrap());
                    }
                }
            }
        }
    }
    consumer.follow().await.unwrap();
    for (reader, subscription, position) in &mut readers {
        let mut open = match subscription.take() {
            Some(open) => open,
            None => {
                let wanted = Subscribe::named("last").after(position.clone());
                consumer.subscribe(wanted).await.unwrap()
            }
        };
        reader.take_all(&mut open);
        if open.position().version() <= consumer.version() {
            assert_eq!(reader.rounds, rounds(&consumer.state()));
        }
    }
}

#[tokio::test]
async fn whatever_happens_readers_end_at_what_is_served() {
    for seed in 0..10 {
        act_at_random(seed).await;
    }
}
