//! How often pins and channels are asked for.

use super::{SECOND, channel, counting, point, published, remove};
use crate::faults::Fault;
use crate::kit::Kit;
use grotto_consumer::Health;
use grotto_store::PointerName;
use std::time::Duration;

const PIN: &str = "control/pin.json";

#[tokio::test(start_paused = true)]
async fn one_that_looks_often_asks_for_a_pin_once_a_second_and_before_it_moves() {
    let kit = Kit::new();
    let mut publisher = published(&kit, 3).await;
    let (store, builder) = counting(&kit);
    let often = Duration::from_millis(50);
    let builder = builder.poll_interval(often).max_backoff(often);
    let _consumer = builder.start().await.unwrap();
    store.take_asked();
    tokio::time::sleep(60 * SECOND).await;
    let (pins, all) = (store.asked(PIN), store.take_asked().len());
    assert!((60..=80).contains(&pins), "{pins} of {all}");
    assert!(all > 1_000, "{all}");
    // For each version once more.
    for _ in 0..10 {
        publisher.publish(3).await;
        tokio::time::sleep(SECOND / 10).await;
    }
    let pins = store.asked(PIN);
    assert!((10..=13).contains(&pins), "{pins}");
}

#[tokio::test(start_paused = true)]
async fn an_idle_one_that_is_pinned_asks_for_the_pin_and_now_and_then_for_the_log() {
    let kit = Kit::new();
    published(&kit, 6).await;
    point(&kit, &PointerName::Pin, 4).await;
    let (store, builder) = counting(&kit);
    let consumer = builder.start().await.unwrap();
    tokio::time::sleep(120 * SECOND).await;
    store.take_asked();
    tokio::time::sleep(600 * SECOND).await;
    let pins = store.asked(PIN);
    let all = store.take_asked();
    // As often as others look, and less than they ask.
    assert!((120..=150).contains(&pins), "{pins}");
    assert!(all.len() < 2 * pins + 60, "{} of {all:?}", all.len());
    let status = consumer.status();
    assert_eq!((status.health, status.newest), (Health::Ready, 6));
    assert!(status.staleness < 10 * SECOND, "{status:?}");
    // A follower of a channel asks for both.
    remove(&kit, &PointerName::Pin).await;
    point(&kit, &channel("stable"), 4).await;
    let (store, builder) = counting(&kit);
    let _consumer = builder.channel("stable").start().await.unwrap();
    tokio::time::sleep(120 * SECOND).await;
    store.take_asked();
    tokio::time::sleep(600 * SECOND).await;
    let channels = store.asked("control/channels/stable.json");
    assert_eq!(store.asked(PIN), channels);
    assert!((120..=150).contains(&channels), "{channels}");
}

#[tokio::test(start_paused = true)]
async fn a_pin_is_obeyed_within_the_longest_wait() {
    let kit = Kit::new();
    published(&kit, 6).await;
    let (_store, builder) = counting(&kit);
    let consumer = builder.start().await.unwrap();
    for silence in [61, 100, 33] {
        tokio::time::sleep(silence * SECOND).await;
        point(&kit, &PointerName::Pin, 4).await;
        tokio::time::sleep(5 * SECOND).await;
        assert_eq!(consumer.version(), 4);
        tokio::time::sleep(silence * SECOND).await;
        remove(&kit, &PointerName::Pin).await;
        tokio::time::sleep(5 * SECOND).await;
        assert_eq!(consumer.version(), 6);
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_pin_cannot_be_asked_for_nobody_moves() {
    let kit = Kit::new();
    let mut publisher = published(&kit, 4).await;
    let (store, builder) = counting(&kit);
    let consumer = builder.start().await.unwrap();
    store.cause(Fault::Fails, PIN);
    let version = publisher.publish(3).await.version;
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(consumer.version(), 4);
    let status = consumer.status();
    assert_eq!(status.health, Health::Degraded);
    let reasons = status.reasons.join("\n");
    assert!(reasons.contains(PIN), "{reasons}");
    store.heal();
    consumer.wait_for(version, 20 * SECOND).await.unwrap();
    // One that is pinned stays pinned, too, and no answer is not what it is told.
    point(&kit, &PointerName::Pin, 3).await;
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(consumer.version(), 3);
    store.cause(Fault::Fails, "control/");
    publisher.publish(3).await;
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(consumer.version(), 3);
    assert_eq!(consumer.status().told.map(|told| told.version), Some(3));
}
