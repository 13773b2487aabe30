//! What guards say of versions that a pin or a channel names.

use super::{point, remove};
use crate::kit::{Kit, Publisher, assert_same};
use crate::limited::{accept, builder};
use grotto_consumer::ErrorKind;
use grotto_store::PointerName;

async fn published(kit: &Kit, sizes: &[i64]) -> (Publisher, Vec<u64>) {
    let mut publisher = kit.publisher().await;
    let mut versions = Vec::new();
    for pairs in sizes {
        versions.push(publisher.publish_exactly(*pairs, 0).await.version);
    }
    (publisher, versions)
}

#[tokio::test]
async fn a_way_back_is_not_held_whatever_the_bad_version_lost() {
    let kit = Kit::new();
    let (mut publisher, versions) = published(&kit, &[400]).await;
    let consumer = builder(&kit).open().await.unwrap();
    // Less than a tenth is what is held: this is served, and its way back is fourfold growth.
    publisher.publish_exactly(100, 0).await;
    consumer.refresh().await.unwrap().unwrap();
    point(&kit, &PointerName::Pin, versions[0]).await;
    assert_eq!(consumer.refresh().await.unwrap().unwrap().to, versions[0]);
    assert_eq!(consumer.status().held, None);
    // And forward again it is judged as it was the first time.
    remove(&kit, &PointerName::Pin).await;
    consumer.refresh().await.unwrap().unwrap();
    assert_eq!(consumer.version(), publisher.state().version());
}

#[tokio::test]
async fn a_way_forward_is_held_as_any_other_and_nothing_on_it_is_served() {
    let kit = Kit::new();
    let (_publisher, versions) = published(&kit, &[100, 110, 500, 510]).await;
    point(&kit, &PointerName::Pin, versions[0]).await;
    let consumer = builder(&kit).open().await.unwrap();
    assert_eq!(consumer.version(), versions[0]);
    point(&kit, &PointerName::Pin, versions[3]).await;
    let error = consumer.refresh().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let expected = "500 records of Left instead of 110";
    assert!(error.message().contains(expected), "{error}");
    // The one before it is within the limits, and was not asked for.
    assert_eq!(consumer.version(), versions[0]);
    let held = consumer.status().held.unwrap();
    assert_eq!(held.version, versions[2]);
    // Accepting one before the jump changes nothing; accepting the jump does.
    accept(&kit, versions[1]).await;
    consumer.refresh().await.unwrap_err();
    assert_eq!(consumer.version(), versions[0]);
    accept(&kit, versions[2]).await;
    assert_eq!(consumer.refresh().await.unwrap().unwrap().to, versions[3]);
    assert_eq!(consumer.status().held, None);
}

#[tokio::test]
async fn a_second_jump_is_held_though_the_first_was_accepted() {
    let kit = Kit::new();
    let (_publisher, versions) = published(&kit, &[100, 500, 2_000]).await;
    point(&kit, &PointerName::Pin, versions[0]).await;
    let consumer = builder(&kit).open().await.unwrap();
    point(&kit, &PointerName::Pin, versions[2]).await;
    accept(&kit, versions[1]).await;
    consumer.refresh().await.unwrap_err();
    assert_eq!(consumer.version(), versions[0]);
    accept(&kit, versions[2]).await;
    assert_eq!(consumer.refresh().await.unwrap().unwrap().to, versions[2]);
}

#[tokio::test]
async fn a_pin_at_what_is_served_lets_go_of_what_is_held() {
    let kit = Kit::new();
    let (mut publisher, versions) = published(&kit, &[100]).await;
    let consumer = builder(&kit).open().await.unwrap();
    let held = publisher.publish_exactly(500, 0).await.version;
    consumer.refresh().await.unwrap_err();
    assert_eq!(consumer.status().held.unwrap().version, held);
    point(&kit, &PointerName::Pin, versions[0]).await;
    assert!(consumer.refresh().await.unwrap().is_none());
    assert_eq!(consumer.status().held, None);
    remove(&kit, &PointerName::Pin).await;
    consumer.refresh().await.unwrap_err();
    assert_eq!(consumer.version(), versions[0]);
}

#[tokio::test]
async fn what_does_not_fit_in_memory_is_not_served_on_a_way_back_either() {
    let kit = Kit::new();
    let (mut publisher, versions) = published(&kit, &[400, 100]).await;
    // Nobody who has nothing has to pass the large one.
    publisher.snapshot().await;
    let limited = |limit| builder(&kit).memory_limit(limit);
    let consumer = limited(u64::MAX).open().await.unwrap();
    let small = consumer.status().mapped_bytes;
    drop(consumer);
    let consumer = limited(small + small / 2).open().await.unwrap();
    point(&kit, &PointerName::Pin, versions[0]).await;
    consumer.refresh().await.unwrap_err();
    assert_eq!(consumer.version(), versions[1]);
    assert!(consumer.status().held.unwrap().memory);
}

#[tokio::test]
async fn an_older_number_of_a_dataset_that_was_created_anew_is_no_way_back() {
    let kit = Kit::new();
    let (publisher, _) = published(&kit, &[90, 95, 100]).await;
    let consumer = builder(&kit).open().await.unwrap();
    let before = consumer.state();
    drop(publisher);
    std::fs::remove_dir_all(kit.file("")).unwrap();
    let (_publisher, versions) = published(&kit, &[5]).await;
    assert!(versions[0] < before.version());
    point(&kit, &PointerName::Pin, versions[0]).await;
    let error = consumer.refresh().await.unwrap_err();
    let told = "5 records of Left instead of 100";
    assert!(error.message().contains(told), "{error}");
    assert_same(&consumer.state(), &before);
}

/// Who is that far behind looks at no step: the jump is the version that is told, and accepting another one says nothing
/// of it.
#[tokio::test]
async fn accepting_a_version_on_a_long_way_releases_only_that_one() {
    let kit = Kit::new();
    let sizes: Vec<i64> = (0..70).map(|step| 60 + 2 * step).collect();
    let (_publisher, versions) = published(&kit, &sizes).await;
    point(&kit, &PointerName::Pin, versions[0]).await;
    let consumer = builder(&kit).open().await.unwrap();
    let last = versions[69];
    point(&kit, &PointerName::Pin, last).await;
    consumer.refresh().await.unwrap_err();
    assert_eq!(consumer.status().held.unwrap().version, last);
    accept(&kit, versions[60]).await;
    consumer.refresh().await.unwrap_err();
    assert_eq!(consumer.version(), versions[0]);
    accept(&kit, last).await;
    assert_eq!(consumer.refresh().await.unwrap().unwrap().to, last);
}

#[tokio::test]
async fn what_follows_an_accepted_version_is_compared_by_types_that_are_kept() {
    let kit = Kit::new();
    let (mut publisher, versions) = published(&kit, &[100, 500]).await;
    point(&kit, &PointerName::Pin, versions[0]).await;
    let consumer = builder(&kit).types(["Right"]).open().await.unwrap();
    // A type goes that nobody here keeps.
    publisher.use_schema("Right @PrimaryKey(id) { long id; long round; }");
    let last = publisher.publish_exactly(510, 0).await.version;
    point(&kit, &PointerName::Pin, last).await;
    consumer.refresh().await.unwrap_err();
    accept(&kit, versions[1]).await;
    assert_eq!(consumer.refresh().await.unwrap().unwrap().to, last);
}
