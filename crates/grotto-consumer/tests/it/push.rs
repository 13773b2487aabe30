//! Announcements: what they hasten, and that nothing that comes of them changes what is served, or asks much of a store.
//! In virtual time, against a store that counts.

use crate::faults::{Fault, FaultStore};
use crate::kit::{DATASET, Kit, Publisher, VirtualClock, assert_same};
use crate::told::{point, remove};
use grotto_consumer::{Consumer, Health, PushLink};
use grotto_env::{Env, SeededRandom};
use grotto_store::{Announcement, Feed, LogEntry, PointerName, StoreOptions, announcements};
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

struct Scene {
    publisher: Publisher,
    store: Arc<FaultStore>,
    consumer: Consumer,
    feed: Feed,
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

fn told(entry: &LogEntry) -> Vec<u8> {
    let told = Announcement::new(DATASET, entry.dataset_id.as_str(), entry.version);
    told.encode().unwrap()
}

/// An announcement of a version that there is not.
fn forged(scene: &Scene, ahead: u64) -> Vec<u8> {
    let id = &scene.publisher.entries.values().next().unwrap().dataset_id;
    let version = scene.consumer.version() + ahead;
    let told = Announcement::new(DATASET, id.as_str(), version);
    told.encode().unwrap()
}

impl Scene {
    /// A consumer at the default pace, whose dataset has been idle for a minute.
    async fn new(kit: &Kit) -> Self {
        Self::with(kit, StoreOptions::default()).await
    }

    async fn with(kit: &Kit, options: StoreOptions) -> Self {
        let mut publisher = kit.publisher().await;
        publisher.publish(1).await;
        let store = FaultStore::new(&kit.folder.path().join("store"));
        let env = Env {
            random: Arc::new(SeededRandom::new(1)),
            ..VirtualClock::env()
        };
        let (feed, heard) = announcements(DATASET);
        let from = store.store().with_env(env).with_options(options);
        let builder = Consumer::builder(DATASET, from);
        let consumer = builder.push(heard).start().await.unwrap();
        pass(60 * SECOND).await;
        Self {
            publisher,
            store,
            consumer,
            feed,
        }
    }

    /// The same, once versions have been announced.
    async fn announced(kit: &Kit) -> Self {
        let mut scene = Self::new(kit).await;
        scene.begin_to_announce().await;
        scene
    }

    async fn begin_to_announce(&mut self) {
        self.feed.up();
        pass(SECOND).await;
        for _ in 0..3 {
            self.announce().await;
            pass(10 * SECOND).await;
        }
    }

    /// Publishes a version and announces it; it is served at once.
    async fn announce(&mut self) -> u64 {
        let entry = self.publisher.publish(3).await;
        self.feed.message(&told(&entry));
        self.consumer.wait_for(entry.version, MILLI).await.unwrap();
        entry.version
    }

    /// Requests within a time.
    async fn requests(&self, time: Duration) -> usize {
        self.store.take_asked();
        pass(time).await;
        self.store.take_asked().len()
    }
}

#[tokio::test(start_paused = true)]
async fn an_announced_version_is_served_at_once_however_long_the_wait_is() {
    let kit = Kit::new();
    let mut scene = Scene::new(&kit).await;
    scene.feed.up();
    for silence in [1, 67, 600, 3, 20] {
        pass(silence * SECOND).await;
        scene.announce().await;
    }
    assert_same(&scene.consumer.state(), &scene.publisher.state());
    let push = scene.consumer.status().push.unwrap();
    assert_eq!((push.link, push.counts.news), (PushLink::Up, 5));
}

#[tokio::test(start_paused = true)]
async fn while_versions_are_announced_polls_are_as_rare_as_for_an_idle_dataset() {
    let kit = Kit::new();
    let mut scene = Scene::announced(&kit).await;
    assert!(scene.consumer.status().push.unwrap().is_relied_on);
    let asked = scene.requests(60 * SECOND).await;
    assert!(
        (24..=30).contains(&asked),
        "{asked} requests in a minute without news"
    );
    // For each version the pin, its entry, whether that is collected, the next one, and its delta; a listing now and then.
    scene.store.take_asked();
    for _ in 0..20 {
        scene.announce().await;
        pass(2 * SECOND).await;
    }
    let asked = scene.store.take_asked();
    assert!(
        asked.len() <= 20 * 5 + 8,
        "{} requests: {asked:?}",
        asked.len()
    );
}

#[tokio::test(start_paused = true)]
async fn a_lost_announcement_costs_the_longest_wait_and_polling_takes_over() {
    let kit = Kit::new();
    let mut scene = Scene::announced(&kit).await;
    let lost = scene.publisher.publish(3).await.version;
    scene.consumer.wait_for(lost, 5 * SECOND).await.unwrap();
    // It was found although nobody announced it, so that the next one is looked for as without announcements.
    assert!(!scene.consumer.status().push.unwrap().is_relied_on);
    for gap in [300, 1_370, 4_000] {
        pass(gap * MILLI).await;
        let lost = scene.publisher.publish(3).await.version;
        pass(101 * MILLI).await;
        assert_eq!(scene.consumer.version(), lost, "after {gap} ms");
    }
    scene.announce().await;
    assert!(scene.consumer.status().push.unwrap().is_relied_on);
}

#[tokio::test(start_paused = true)]
async fn announcements_that_come_twice_late_or_in_another_order_ask_nothing() {
    let kit = Kit::new();
    let mut scene = Scene::announced(&kit).await;
    let first = scene.publisher.publish(3).await;
    let second = scene.publisher.publish(3).await;
    scene.feed.message(&told(&second));
    scene.feed.message(&told(&first));
    scene
        .consumer
        .wait_for(second.version, MILLI)
        .await
        .unwrap();
    let idle = scene.requests(10 * SECOND).await;
    scene.store.take_asked();
    for _ in 0..1_000 {
        scene.feed.message(&told(&first));
        scene.feed.message(&told(&second));
        pass(10 * MILLI).await;
    }
    pass(MILLI).await;
    let asked = scene.store.take_asked().len();
    assert!(
        asked <= 2 * idle + 2,
        "{asked} requests in 20 s, {idle} without"
    );
    assert_eq!(scene.consumer.version(), second.version);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_forged_announcements_asks_no_more_than_polling_does_and_delays_nothing() {
    let kit = Kit::new();
    let mut scene = Scene::announced(&kit).await;
    scene.store.take_asked();
    for round in 0..10_000 {
        scene
            .feed
            .message(&forged(&scene, 1 + round % 7 * 1_000_000));
        if round == 5_000 {
            let entry = scene.publisher.publish(3).await;
            scene.feed.message(&told(&entry));
            scene
                .consumer
                .wait_for(entry.version, 101 * MILLI)
                .await
                .unwrap();
        }
        pass(MILLI).await;
    }
    let asked = scene.store.take_asked();
    let looks = asked.iter().filter(|path| path.contains("log/")).count();
    // At an interval of 100 ms: ten each second, and now and then one that tells what those cannot show.
    assert!((90..=125).contains(&looks), "{looks} looks in 10 s");
    assert_eq!(scene.consumer.status().health, Health::Ready);
    // What nobody forges any more is over within the time that a dataset counts as active.
    pass(70 * SECOND).await;
    let asked = scene.requests(60 * SECOND).await;
    assert!(asked <= 30, "{asked}");
}

#[tokio::test(start_paused = true)]
async fn whoever_forges_right_behind_a_look_has_nobody_look_more_often() {
    for every in [1, 2, 3] {
        let kit = Kit::new();
        let scene = Scene::announced(&kit).await;
        scene.feed.message(&forged(&scene, 1));
        pass(SECOND).await;
        scene.store.take_asked();
        let mut looks = 0;
        for _ in 0..10_000 {
            pass(MILLI).await;
            let asked = scene.store.take_asked();
            let new = asked.iter().filter(|path| path.contains("log/")).count();
            looks += new;
            if new > 0 && looks % every == 0 {
                scene.feed.message(&forged(&scene, 1));
            }
        }
        // As in a flood.
        assert!(
            (45..=125).contains(&looks),
            "{looks} looks in 10 s, forged behind one of {every}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_is_asked_no_more_often_for_all_that_is_announced() {
    let mut counts = Vec::new();
    for is_flooded in [false, true] {
        let kit = Kit::new();
        // A breaker would keep requests from the store, and hide who wants to make them.
        let options = StoreOptions {
            breaker: None,
            ..StoreOptions::default()
        };
        let mut scene = Scene::with(&kit, options).await;
        scene.begin_to_announce().await;
        scene.store.cause(Fault::Fails, "");
        pass(60 * SECOND).await;
        scene.store.take_asked();
        for _ in 0..6_000 {
            if is_flooded {
                scene.feed.message(&forged(&scene, 1));
            }
            pass(10 * MILLI).await;
        }
        counts.push(scene.store.take_asked().len());
    }
    assert!(counts[1] <= counts[0] + 2, "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_link_polling_goes_on_by_its_own_rules_and_the_consumer_is_well() {
    let kit = Kit::new();
    let mut scene = Scene::announced(&kit).await;
    scene.feed.down("the server went away");
    for gap in [700, 50, 3_000] {
        pass(gap * MILLI).await;
        let version = scene.publisher.publish(3).await.version;
        pass(101 * MILLI).await;
        assert_eq!(scene.consumer.version(), version, "after {gap} ms");
    }
    let status = scene.consumer.status();
    assert_eq!(status.health, Health::Ready, "{:?}", status.reasons);
    let push = status.push.unwrap();
    assert_eq!(push.link, PushLink::Down("the server went away".to_owned()));
    let metrics = scene.consumer.metrics_text();
    for line in [
        "grotto_consumer_push_up{dataset=\"pairs\"} 0",
        "grotto_consumer_push_breaks_total{dataset=\"pairs\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    // What was committed while the link was down is looked for when it is up again.
    pass(100 * SECOND).await;
    let missed = scene.publisher.publish(3).await.version;
    scene.feed.up();
    scene.consumer.wait_for(missed, MILLI).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_link_that_comes_and_goes_asks_no_more_than_polling_does() {
    let kit = Kit::new();
    let scene = Scene::announced(&kit).await;
    scene.store.take_asked();
    for _ in 0..1_000 {
        scene.feed.down("gone");
        pass(5 * MILLI).await;
        scene.feed.up();
        pass(5 * MILLI).await;
    }
    let asked = scene.store.take_asked().len();
    assert!(asked <= 125, "{asked} requests in 10 s");
}

#[tokio::test(start_paused = true)]
async fn what_is_announced_before_it_can_be_seen_is_found_soon() {
    let kit = Kit::new();
    let mut scene = Scene::announced(&kit).await;
    // A store that is read from a copy may be behind what was committed.
    let next = forged(&scene, 1);
    scene.feed.message(&next);
    pass(2 * SECOND).await;
    let version = scene.publisher.publish(3).await.version;
    scene.consumer.wait_for(version, 101 * MILLI).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn announcements_of_other_datasets_and_rubbish_are_counted_and_ask_nothing() {
    let kit = Kit::new();
    let scene = Scene::announced(&kit).await;
    let asked = scene.requests(10 * SECOND).await;
    scene.store.take_asked();
    for _ in 0..100 {
        scene
            .feed
            .message(&Announcement::new("others", "id", 77).encode().unwrap());
        scene.feed.message(b"{\"format\":1,\"dataset\":\"pairs\"");
        pass(100 * MILLI).await;
    }
    let flooded = scene.store.take_asked().len();
    assert!(flooded <= asked + 1, "{flooded}, {asked} without");
    let counts = scene.consumer.status().push.unwrap().counts;
    assert_eq!((counts.other, counts.unreadable), (100, 100));
}

#[tokio::test(start_paused = true)]
async fn a_version_is_not_served_for_being_announced_where_a_pin_names_another_one() {
    let kit = Kit::new();
    let mut scene = Scene::announced(&kit).await;
    let pinned = scene.announce().await;
    pass(SECOND).await;
    // The consumer has not looked since: only the announcement has it look.
    point(&kit, &PointerName::Pin, pinned).await;
    for _ in 0..20 {
        let entry = scene.publisher.publish(3).await;
        scene.feed.message(&told(&entry));
        pass(3 * SECOND).await;
        assert_eq!(scene.consumer.version(), pinned);
    }
    assert_eq!(scene.consumer.status().health, Health::Ready);
    // One who stays is asked for nothing but the pin: no version that it may not serve makes it look sooner again.
    scene.store.take_asked();
    for _ in 0..20 {
        let entry = scene.publisher.publish(3).await;
        scene.feed.message(&told(&entry));
        pass(3 * SECOND).await;
    }
    let asked = scene.store.take_asked();
    assert!(asked.len() <= 2 * (20 + 15), "{}: {asked:?}", asked.len());
    remove(&kit, &PointerName::Pin).await;
    scene.announce().await;
    assert_same(&scene.consumer.state(), &scene.publisher.state());
}

#[tokio::test(start_paused = true)]
async fn an_announcement_leads_nobody_past_the_pin_of_its_program() {
    let kit = Kit::new();
    let mut scene = Scene::announced(&kit).await;
    let pinned = scene.consumer.version();
    scene.consumer.refresh_to(pinned).await.unwrap();
    for _ in 0..5 {
        let entry = scene.publisher.publish(3).await;
        scene.feed.message(&told(&entry));
        pass(SECOND).await;
        assert_eq!(scene.consumer.version(), pinned);
    }
    scene.consumer.follow().await.unwrap();
    assert_same(&scene.consumer.state(), &scene.publisher.state());
}
