//! Gaps in the log, stores that vanish, datasets created anew: noticed, told, and got over.

use crate::faults::FaultStore;
use crate::kit::{DATASET, Kit, Publisher, VirtualClock, assert_same, flip};
use grotto_consumer::{Consumer, ConsumerBuilder, ErrorKind, Refresh};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);
const INTERVAL: Duration = Duration::from_millis(100);

fn entry(version: u64) -> String {
    format!("log/{version:020}.json")
}

fn lose(kit: &Kit, version: u64) {
    std::fs::remove_file(kit.file(&entry(version))).unwrap();
}

/// Polls ten times a second in virtual time, also while nothing happens, and looks at the log as a whole
/// once in an hour.
fn builder(kit: &Kit) -> ConsumerBuilder {
    Consumer::builder(DATASET, kit.store.clone().with_env(VirtualClock::env()))
        .max_backoff(INTERVAL)
        .check_interval(HOUR)
}

/// A consumer at the first of three versions, of which the second is lost.
async fn before_a_gap(kit: &Kit, builder: ConsumerBuilder) -> (Publisher, Consumer) {
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = builder.start().await.unwrap();
    let lost = publisher.publish(3).await.version;
    lose(kit, lost);
    publisher.publish(2).await;
    (publisher, consumer)
}

async fn arrives(consumer: &Consumer, publisher: &Publisher) {
    let version = publisher.state().version();
    consumer
        .wait_for(version, Duration::from_secs(10))
        .await
        .unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn a_refresh_by_hand_gets_over_a_lost_entry() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let builder = Consumer::builder(DATASET, kit.store.clone());
    let consumer = builder.open().await.unwrap();
    let lost = publisher.publish(3).await.version;
    lose(&kit, lost);
    publisher.publish(2).await;
    consumer.refresh().await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test(start_paused = true)]
async fn polling_gets_over_a_lost_entry_by_the_hint_of_the_writer() {
    let kit = Kit::new();
    let (publisher, consumer) = before_a_gap(&kit, builder(&kit)).await;
    publisher.writer.heartbeat().await;
    arrives(&consumer, &publisher).await;
}

#[tokio::test(start_paused = true)]
async fn polling_gets_over_a_lost_entry_without_a_hint_at_the_next_check() {
    let kit = Kit::new();
    let builder = builder(&kit).check_interval(Duration::from_secs(5));
    let (publisher, consumer) = before_a_gap(&kit, builder).await;
    arrives(&consumer, &publisher).await;
}

#[tokio::test(start_paused = true)]
async fn polling_gets_past_what_was_collected() {
    let kit = Kit::new();
    let (publisher, consumer) = before_a_gap(&kit, builder(&kit)).await;
    // Not where the consumer is: it may have read an entry before that was lost.
    let first = publisher.state().version() - 2;
    let dataset = publisher.writer.dataset();
    dataset.raise_collected(first + 1).await.unwrap();
    lose(&kit, first);
    arrives(&consumer, &publisher).await;
}

#[tokio::test(start_paused = true)]
async fn an_emptied_store_is_told_and_nothing_in_it_counts_as_fresh() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = builder(&kit).start().await.unwrap();
    let second = Duration::from_secs(1);
    tokio::time::sleep(10 * second).await;
    assert!(consumer.staleness() < second);
    std::fs::rename(kit.file(""), kit.folder.path().join("away")).unwrap();
    tokio::time::sleep(20 * second).await;
    assert!(
        consumer.staleness() > 17 * second,
        "{:?}",
        consumer.staleness()
    );
    let error = consumer.refresh().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.message().contains("has no log"), "{error}");
    assert_same(&consumer.state(), &publisher.state());
    std::fs::rename(kit.folder.path().join("away"), kit.file("")).unwrap();
    tokio::time::sleep(10 * second).await;
    assert!(consumer.staleness() < second);
}

#[tokio::test(start_paused = true)]
async fn a_dataset_created_anew_is_noticed_soon_and_told() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    publisher.publish_many(5).await;
    let reports: Arc<Mutex<Vec<Refresh>>> = Arc::default();
    let heard = Arc::clone(&reports);
    let builder =
        builder(&kit).on_refresh(move |report| heard.lock().unwrap().push(report.clone()));
    let consumer = builder.start().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    std::fs::remove_dir_all(kit.file("")).unwrap();
    let mut publisher = kit.publisher().await;
    publisher.publish(2).await;
    // It has fewer versions: the next one may never come.
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_same(&consumer.state(), &publisher.state());
    let reports = reports.lock().unwrap();
    let last = reports.last().unwrap();
    assert!(last.replaced && !reports[0].replaced);
    assert!(
        last.recovered[0].contains("was created anew"),
        "{:?}",
        last.recovered
    );
}

/// What a polling consumer asks for within half a minute.
async fn asked_while_idle(publish: bool) -> Vec<String> {
    let kit = Kit::new();
    std::fs::create_dir_all(kit.file("log")).unwrap();
    if publish {
        kit.publisher().await.publish(1).await;
    }
    let store = FaultStore::new(&kit.folder.path().join("store"));
    let builder = Consumer::builder(DATASET, store.store().with_env(VirtualClock::env()));
    let builder = builder
        .wait_for_dataset(true)
        .max_backoff(INTERVAL)
        .check_interval(HOUR);
    let consumer = builder.start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await;
    store.take_asked();
    tokio::time::sleep(Duration::from_secs(30)).await;
    consumer.shutdown().await;
    store.take_asked()
}

#[tokio::test(start_paused = true)]
async fn a_poll_without_news_is_one_small_request() {
    for publish in [false, true] {
        let all = asked_while_idle(publish).await;
        let (pins, asked): (Vec<String>, Vec<String>) = all
            .into_iter()
            .partition(|path| path.ends_with("control/pin.json"));
        // Of what it is told, less than that.
        assert!((30..=45).contains(&pins.len()), "{} for a pin", pins.len());
        assert!(
            // Something else is asked for beside the next entry, once a second.
            (300..=331).contains(&asked.len()),
            "{} requests",
            asked.len()
        );
        let lists = asked.iter().filter(|path| path.starts_with("LIST"));
        assert_eq!(lists.count(), 0, "published: {publish}");
        let next = entry(if publish { 3 } else { 1 });
        let news = asked.iter().filter(|path| path.ends_with(&next));
        assert!(news.count() >= 290, "published: {publish}");
    }
}

#[tokio::test]
async fn a_version_that_was_lost_is_not_served_under_the_number_of_another() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let lost = publisher.publish(3).await.version;
    let consumer = Consumer::builder(DATASET, kit.store.clone());
    let consumer = consumer.open().await.unwrap();
    lose(&kit, lost);
    drop(publisher);
    // Two writers begin a reign at what is left, and the second one writes what nobody can read.
    let first = kit.publisher().await;
    let mut second = kit.publisher().await;
    assert_eq!(first.writer.next_version(), lost + 1);
    second.publish_bytes(vec![1, 2, 3], 4).await;
    consumer.refresh().await.unwrap_err();
    assert_eq!(consumer.version(), lost, "the fence never had this state");
}

/// A way that leads nowhere ends below an entry that is lost or damaged, as far as entries are read one
/// by one: what lies past that can be reached all the same.
#[tokio::test]
async fn a_blocked_way_below_a_bad_entry_is_left_for_what_lies_past_it() {
    let damage: fn(&Kit, u64) = |kit, version| flip(&kit.file(&entry(version)), 50);
    for (what, spoil) in [("lost", lose as fn(&Kit, u64)), ("damaged", damage)] {
        let kit = Kit::new();
        let mut publisher = kit.publisher().await;
        publisher.reverse = false;
        publisher.publish(1).await;
        let builder = Consumer::builder(DATASET, kit.store.clone());
        let consumer = builder.open().await.unwrap();
        let blocked = publisher.publish(3).await.version;
        let bad = publisher.publish(2).await.version;
        publisher.publish(5).await;
        publisher.snapshot().await;
        std::fs::remove_file(kit.file(&publisher.delta_of(blocked))).unwrap();
        spoil(&kit, bad);
        let report = consumer.refresh().await;
        assert!(report.is_ok(), "{what}: {report:?}");
        assert_same(&consumer.state(), &publisher.state());
    }
}
