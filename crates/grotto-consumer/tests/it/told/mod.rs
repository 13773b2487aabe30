//! Pins and channels: who goes where, and who stays.

mod bad;
mod guarded;
mod pace;
mod rollouts;

use crate::faults::FaultStore;
use crate::kit::{DATASET, Kit, Publisher, VirtualClock, assert_same};
use grotto_consumer::{Consumer, ConsumerBuilder, ErrorKind, Health, StepKind};
use grotto_store::{ChannelId, Dataset, Note, PointerName, ToldBy};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn channel(name: &str) -> PointerName {
    PointerName::Channel(ChannelId::parse(name).unwrap())
}

pub(super) async fn point(kit: &Kit, name: &PointerName, version: u64) {
    let dataset = Dataset::open(kit.store.clone(), DATASET).unwrap();
    let note = Note {
        by: "ada".to_owned(),
        reason: "the others are wrong".to_owned(),
    };
    dataset.set_pointer(name, version, &note).await.unwrap();
}

pub(super) async fn remove(kit: &Kit, name: &PointerName) {
    let dataset = Dataset::open(kit.store.clone(), DATASET).unwrap();
    assert!(dataset.remove_pointer(name).await.unwrap());
}

/// In virtual time, through a store that counts.
pub(super) fn counting(kit: &Kit) -> (Arc<FaultStore>, ConsumerBuilder) {
    let store = FaultStore::new(&kit.folder.path().join("store"));
    let builder = Consumer::builder(DATASET, store.store().with_env(VirtualClock::env()));
    (store, builder)
}

/// Versions 2 to `newest`: 1 is the fence of the writer.
pub(super) async fn published(kit: &Kit, newest: u64) -> Publisher {
    let mut publisher = kit.publisher().await;
    while publisher.state().version() < newest {
        publisher.publish(3).await;
    }
    publisher
}

async fn opened(kit: &Kit, builder: ConsumerBuilder, version: u64) -> Consumer {
    let consumer = builder.open().await.unwrap();
    assert_exact(kit, &consumer, version).await;
    consumer
}

/// That exactly this version is served.
pub(super) async fn assert_exact(kit: &Kit, consumer: &Consumer, version: u64) {
    let dataset = Consumer::builder(DATASET, kit.store.clone());
    let expected = dataset.open_at(version).await.unwrap();
    assert_same(&consumer.state(), &expected.state());
}

#[tokio::test]
async fn a_pin_leads_back_over_reverse_deltas_and_holds_until_it_is_removed() {
    let kit = Kit::new();
    let mut publisher = published(&kit, 6).await;
    let builder = Consumer::builder(DATASET, kit.store.clone());
    let consumer = opened(&kit, builder, 6).await;
    point(&kit, &PointerName::Pin, 4).await;
    let back = consumer.refresh().await.unwrap().unwrap();
    assert_eq!((back.from, back.to), (6, 4));
    let kinds: Vec<_> = back.steps.iter().map(|step| step.kind).collect();
    assert_eq!(kinds, [StepKind::Reverse; 2]);
    assert_exact(&kit, &consumer, 4).await;
    // Whatever is published.
    publisher.publish(3).await;
    assert!(consumer.refresh().await.unwrap().is_none());
    assert_eq!(consumer.version(), 4);
    let status = consumer.status();
    assert_eq!((status.health, status.newest), (Health::Ready, 7));
    let told = status.told.unwrap();
    assert_eq!((told.by, told.version), (PointerName::Pin, 4));
    assert_eq!(told.set_by, "ada");
    assert_eq!(told.reason, "the others are wrong");
    // It may be moved, to either side.
    point(&kit, &PointerName::Pin, 6).await;
    assert_eq!(consumer.refresh().await.unwrap().unwrap().to, 6);
    point(&kit, &PointerName::Pin, 2).await;
    assert_eq!(consumer.refresh().await.unwrap().unwrap().to, 2);
    remove(&kit, &PointerName::Pin).await;
    assert_eq!(consumer.refresh().await.unwrap().unwrap().to, 7);
    assert_eq!(consumer.status().told, None);
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn who_starts_while_there_is_a_pin_serves_what_it_names() {
    let kit = Kit::new();
    published(&kit, 6).await;
    point(&kit, &PointerName::Pin, 3).await;
    let builder = || Consumer::builder(DATASET, kit.store.clone()).state_dir(kit.state_dir());
    opened(&kit, builder(), 3).await.shutdown().await;
    remove(&kit, &PointerName::Pin).await;
    opened(&kit, builder(), 6).await.shutdown().await;
    point(&kit, &PointerName::Pin, 5).await;
    opened(&kit, builder(), 5).await;
}

#[tokio::test(start_paused = true)]
async fn no_version_past_a_pin_is_served_even_for_a_moment() {
    let kit = Kit::new();
    let mut publisher = published(&kit, 3).await;
    let (_store, builder) = counting(&kit);
    let served = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&served);
    let builder = builder.on_refresh(move |refresh| seen.lock().unwrap().push(refresh.to));
    let consumer = builder.start().await.unwrap();
    for _ in 0..20 {
        // Right after the pin was looked for, or some polls later.
        tokio::time::sleep(Duration::from_millis(130)).await;
        let version = consumer.version();
        point(&kit, &PointerName::Pin, version).await;
        publisher.publish(3).await;
        tokio::time::sleep(2 * SECOND).await;
        assert_eq!(consumer.version(), version);
        remove(&kit, &PointerName::Pin).await;
        let newest = publisher.state().version();
        consumer.wait_for(newest, 10 * SECOND).await.unwrap();
    }
    // Listeners are called after the version is served.
    consumer.shutdown().await;
    let served = served.lock().unwrap();
    assert!(served.is_sorted(), "{served:?}");
    assert_eq!(served.len(), 21, "{served:?}");
}

#[tokio::test]
async fn a_channel_leads_who_follows_it_and_nobody_else() {
    let kit = Kit::new();
    let mut publisher = published(&kit, 6).await;
    let stable = channel("stable");
    point(&kit, &stable, 4).await;
    let builder = || Consumer::builder(DATASET, kit.store.clone());
    let follower = opened(&kit, builder().channel("stable"), 4).await;
    let other = opened(&kit, builder(), 6).await;
    for version in [5, 3, 6] {
        publisher.publish(3).await;
        point(&kit, &stable, version).await;
        assert_eq!(follower.refresh().await.unwrap().unwrap().to, version);
        assert_exact(&kit, &follower, version).await;
        other.refresh().await.unwrap().unwrap();
        assert_same(&other.state(), &publisher.state());
    }
    let status = follower.status();
    assert_eq!(status.channel.as_deref(), Some("stable"));
    assert_eq!(status.told.map(|told| told.by), Some(stable));
    assert_eq!(other.status().channel, None);
}

#[tokio::test]
async fn a_pin_counts_before_a_channel_and_that_of_a_program_before_both() {
    let kit = Kit::new();
    published(&kit, 7).await;
    let stable = channel("stable");
    point(&kit, &stable, 5).await;
    let builder = Consumer::builder(DATASET, kit.store.clone()).channel("stable");
    let consumer = opened(&kit, builder, 5).await;
    point(&kit, &PointerName::Pin, 3).await;
    point(&kit, &stable, 6).await;
    assert_eq!(consumer.refresh().await.unwrap().unwrap().to, 3);
    consumer.refresh_to(4).await.unwrap().unwrap();
    point(&kit, &PointerName::Pin, 2).await;
    assert!(consumer.refresh().await.unwrap().is_none());
    assert_eq!(consumer.version(), 4);
    // It follows again: what it is told.
    assert_eq!(consumer.follow().await.unwrap().unwrap().to, 2);
    remove(&kit, &PointerName::Pin).await;
    assert_eq!(consumer.refresh().await.unwrap().unwrap().to, 6);
}

#[tokio::test]
async fn a_channel_that_is_not_there_leads_nobody_anywhere() {
    let kit = Kit::new();
    published(&kit, 6).await;
    let builder = || Consumer::builder(DATASET, kit.store.clone()).channel("stable");
    let error = builder().open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
    let expected =
        "dataset pairs: there is no channel stable; make it with `grotto channel set stable`";
    assert_eq!(error.message(), expected);
    // One that may wait serves nothing until somebody says what.
    let waiting = builder().wait_for_dataset(true).start().await.unwrap();
    assert_eq!(waiting.version(), 0);
    assert_eq!(waiting.status().health, Health::NotReady);
    point(&kit, &channel("stable"), 4).await;
    waiting.wait_for(4, 60 * SECOND).await.unwrap();
    let follower = opened(&kit, builder(), 4).await;
    remove(&kit, &channel("stable")).await;
    let error = follower.refresh().await.unwrap_err();
    assert_eq!(error.message(), expected);
    assert_exact(&kit, &follower, 4).await;
    let refused = builder().channel("../pin").open().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
}

#[tokio::test(start_paused = true)]
async fn a_lease_and_metrics_say_what_a_consumer_is_told() {
    let kit = Kit::new();
    published(&kit, 6).await;
    point(&kit, &channel("stable"), 4).await;
    let (_store, builder) = counting(&kit);
    let builder = builder.channel("stable").lease("web-1");
    let consumer = builder.start().await.unwrap();
    let gauges = || {
        let text = consumer.metrics_text();
        let of = |name: &str| {
            let start = format!("grotto_consumer_{name}{{");
            let line = text.lines().find(|line| line.starts_with(&start)).unwrap();
            line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
        };
        (of("pinned_version"), of("channel_version"))
    };
    let dataset = Dataset::open(kit.store.clone(), DATASET).unwrap();
    let lease = || async {
        let found = dataset.leases().await.unwrap().found;
        found[0].lease().unwrap().clone()
    };
    tokio::time::sleep(2 * SECOND).await;
    let told = lease().await;
    assert_eq!(told.channel.as_deref(), Some("stable"));
    let by = told.told.map(|told| (told.by, told.version));
    assert_eq!((by, told.version), (Some((ToldBy::Channel, 4)), 4));
    assert_eq!(gauges(), (0, 4));
    point(&kit, &PointerName::Pin, 3).await;
    tokio::time::sleep(20 * SECOND).await;
    let told = lease().await;
    let by = told.told.map(|told| (told.by, told.version));
    assert_eq!((by, told.version), (Some((ToldBy::Pin, 3)), 3));
    assert_eq!((told.pinned, told.newest), (None, 6));
    assert_eq!(gauges(), (3, 0));
}
