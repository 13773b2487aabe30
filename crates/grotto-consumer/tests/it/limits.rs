//! Where each limit of the guards begins to count.

use crate::kit::{DATASET, Kit, Publisher};
use grotto_consumer::{Consumer, ConsumerBuilder, Guards};
use grotto_store::{Acceptance, Dataset, Note, PointerName};

/// More bytes than any state here takes.
const NEVER: u64 = 1 << 40;

/// Limits that small tests are past, by bytes from these on.
fn builder(kit: &Kit, (min_bytes, min_growth_bytes): (u64, u64)) -> ConsumerBuilder {
    Consumer::builder(DATASET, kit.store.clone()).guards(Guards {
        min_records: 50,
        min_growth: 50,
        min_bytes,
        min_growth_bytes,
        ..Guards::default()
    })
}

/// Takes the delta of the newest version away: a snapshot leads past it, and nothing is known of the steps then but what
/// the log says of them.
fn lose_delta(kit: &Kit, publisher: &Publisher) {
    let delta = publisher.delta_of(publisher.state().version());
    std::fs::remove_file(kit.file(&delta)).unwrap();
}

/// Whether the newest version is held for its bytes, or served.
async fn is_held(consumer: &Consumer, publisher: &Publisher) -> bool {
    match consumer.refresh().await {
        Ok(refresh) => {
            assert_eq!(refresh.unwrap().to, publisher.state().version());
            false
        }
        Err(error) => {
            assert!(error.message().contains("its records take"), "{error}");
            true
        }
    }
}

#[tokio::test]
async fn bytes_count_from_as_many_as_are_set_and_growth_by_more_than_is_set() {
    for (limits, held) in [
        ((1_000, 1_000), true),
        ((NEVER, 1_000), false),
        ((1_000, NEVER), false),
    ] {
        let kit = Kit::new();
        let mut publisher = kit.publisher().await;
        publisher.publish_exactly(100, 0).await;
        let consumer = builder(&kit, limits).open().await.unwrap();
        publisher.publish_exactly(100, 2_000).await;
        assert_eq!(is_held(&consumer, &publisher).await, held, "{limits:?}");
    }
}

#[tokio::test]
async fn bytes_of_what_grew_step_by_step_count_from_as_many_as_are_set() {
    for (limits, held) in [
        ((1_000, 1_000), true),
        ((NEVER, 1_000), false),
        ((1_000, NEVER), false),
    ] {
        let kit = Kit::new();
        let mut publisher = kit.publisher().await;
        publisher.publish_exactly(100, 0).await;
        let consumer = builder(&kit, limits).open().await.unwrap();
        publisher.publish_exactly(150, 0).await;
        lose_delta(&kit, &publisher);
        for pairs in [225, 330] {
            publisher.publish_exactly(pairs, 2_000).await;
        }
        publisher.snapshot().await;
        assert_eq!(is_held(&consumer, &publisher).await, held, "{limits:?}");
    }
}

#[tokio::test]
async fn bytes_of_what_shrank_step_by_step_count_where_enough_of_them_are_expected() {
    // Of some 4 megabytes a twenty-fifth is expected.
    for (limits, held) in [((1_000, 1_000), true), ((1_000_000, 1_000), false)] {
        let kit = Kit::new();
        let mut publisher = kit.publisher().await;
        publisher.publish_exactly(200, 20_000).await;
        let consumer = builder(&kit, limits).open().await.unwrap();
        publisher.publish_exactly(100, 0).await;
        lose_delta(&kit, &publisher);
        for pairs in [60, 18, 8] {
            publisher.publish_exactly(pairs, 0).await;
        }
        publisher.snapshot().await;
        assert_eq!(is_held(&consumer, &publisher).await, held, "{limits:?}");
    }
}

/// Versions that each have a few pairs more than the one before.
async fn grow(publisher: &mut Publisher, pairs: i64, by: i64, versions: i64) {
    for step in 1..=versions {
        publisher.publish_exactly(pairs + step * by, 0).await;
    }
}

#[tokio::test]
async fn whoever_is_too_far_behind_compares_the_newest_with_what_it_serves() {
    for (versions, held) in [(64, false), (65, true)] {
        let kit = Kit::new();
        let mut publisher = kit.publisher().await;
        publisher.publish_exactly(60, 0).await;
        let consumer = builder(&kit, (NEVER, NEVER)).open().await.unwrap();
        grow(&mut publisher, 60, 2, versions).await;
        let refreshed = consumer.refresh().await;
        assert_eq!(refreshed.is_err(), held, "{versions}");
        assert_eq!(consumer.status().held.is_some(), held, "{versions}");
    }
}

#[tokio::test]
async fn what_is_too_far_past_an_accepted_version_is_not_released_with_it() {
    for (versions, held) in [(64, false), (65, true)] {
        let kit = Kit::new();
        let mut publisher = kit.publisher().await;
        publisher.publish_exactly(60, 0).await;
        let consumer = builder(&kit, (NEVER, NEVER)).open().await.unwrap();
        let jump = publisher.publish_exactly(200, 0).await.version;
        consumer.refresh().await.unwrap_err();
        grow(&mut publisher, 200, 4, versions).await;
        let newest = publisher.state().version();
        let dataset = Dataset::open(kit.store.clone(), DATASET).unwrap();
        let (by, reason) = ("ada".to_owned(), String::new());
        let note = Note { by, reason };
        let pin = dataset.set_pointer(&PointerName::Pin, newest, &note);
        pin.await.unwrap();
        consumer.refresh().await.unwrap_err();
        let Note { by, reason } = note;
        let accepted = dataset.accept(jump, &Acceptance { by, reason }).await;
        assert!(accepted.unwrap().1);
        let refreshed = consumer.refresh().await;
        assert_eq!(refreshed.is_err(), held, "{versions}");
        assert_eq!(consumer.version() == newest, !held, "{versions}");
    }
}
