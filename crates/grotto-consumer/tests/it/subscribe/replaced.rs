//! Readers of a dataset that is created anew, and of types that come and go.

use super::*;

/// Removes the dataset and creates it again, with so many versions; gives its publisher.
async fn anew(kit: &Kit, versions: u64) -> Publisher {
    std::fs::remove_dir_all(kit.file("")).unwrap();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    publisher.publish_many(versions - 1).await;
    publisher
}

#[tokio::test]
async fn a_dataset_that_is_created_anew_is_one_update_that_says_so() {
    for capacity in [4, 1] {
        let (kit, mut publisher, consumer) = two_versions().await;
        let mut reader = Reader::at(&consumer);
        let wanted = Subscribe::named("all").capacity(capacity);
        let mut subscription = consumer.subscribe(wanted).await.unwrap();
        publisher.publish_change(&[1], &[2]).await;
        consumer.refresh().await.unwrap().unwrap();
        drop(publisher);
        let mut publisher = anew(&kit, 2).await;
        consumer.refresh().await.unwrap().unwrap();
        let id = publisher.publish_change(&[3], &[4]).await.dataset_id;
        consumer.refresh().await.unwrap().unwrap();
        let mut replaced = Vec::new();
        while let Some(update) = subscription.wait(NO_TIME) {
            replaced.push(update.is_replaced());
            reader.take_in(&update);
            if update.is_replaced() {
                assert_eq!(update.position().dataset_id(), id);
            }
        }
        match capacity {
            1 => assert_eq!(replaced, [true]),
            _ => assert_eq!(replaced, [false, true, false]),
        }
        assert_eq!(subscription.position().dataset_id(), id);
        reader.assert_at(&consumer);
    }
}

#[tokio::test]
async fn a_reader_ahead_of_a_dataset_that_is_created_anew_is_told_all_of_it() {
    let (kit, mut publisher, behind) = two_versions().await;
    let ahead = builder(&kit).open().await.unwrap();
    publisher.publish_many(3).await;
    ahead.refresh().await.unwrap().unwrap();
    let (mut reader, position) = (Reader::at(&ahead), position_of(&ahead).await);
    let wanted = Subscribe::named("ahead").after(position);
    let mut subscription = behind.subscribe(wanted).await.unwrap();
    drop(publisher);
    let publisher = anew(&kit, 2).await;
    assert!(publisher.state().version() < reader.version);
    behind.refresh().await.unwrap().unwrap();
    reader.take_all(&mut subscription);
    assert_eq!(reader.updates, 1);
    reader.assert_at(&behind);
}

#[tokio::test]
async fn a_reader_ahead_that_was_caught_up_with_follows_back_again() {
    let (kit, mut publisher, behind) = two_versions().await;
    let first = behind.version();
    let ahead = builder(&kit).open().await.unwrap();
    publisher.publish_change(&[1], &[2]).await;
    ahead.refresh().await.unwrap().unwrap();
    let (mut reader, position) = (Reader::at(&ahead), position_of(&ahead).await);
    let wanted = Subscribe::named("ahead").after(position);
    let mut subscription = behind.subscribe(wanted).await.unwrap();
    publisher.publish_change(&[3], &[4]).await;
    behind.refresh().await.unwrap().unwrap();
    behind.refresh_to(first).await.unwrap().unwrap();
    reader.take_all(&mut subscription);
    assert_eq!(reader.updates, 2);
    reader.assert_at(&behind);
}

#[tokio::test]
async fn a_consumer_without_a_version_takes_a_position_for_what_it_is() {
    let kit = Kit::new();
    let behind = builder(&kit).wait_for_dataset(true).open().await.unwrap();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let ahead = builder(&kit).open().await.unwrap();
    let (mut reader, position) = (Reader::at(&ahead), position_of(&ahead).await);
    let wanted = Subscribe::named("ahead").after(position);
    let mut subscription = behind.subscribe(wanted).await.unwrap();
    behind.refresh().await.unwrap().unwrap();
    reader.take_all(&mut subscription);
    assert_eq!(reader.updates, 0);
    publisher.publish_change(&[1], &[2]).await;
    behind.refresh().await.unwrap().unwrap();
    reader.take_all(&mut subscription);
    assert_eq!(reader.updates, 1);
    reader.assert_at(&behind);
}

#[tokio::test]
async fn types_that_come_and_go_are_told_once_each() {
    let (_kit, mut publisher, consumer) = two_versions().await;
    let mut subscription = consumer.subscribe(Subscribe::named("all")).await.unwrap();
    let left = "Left @PrimaryKey(id) { long id; long round; string note; }";
    let whole = publisher.use_schema(left);
    publisher.publish_change(&[1], &[]).await;
    consumer.refresh().await.unwrap().unwrap();
    let update = subscription.wait(NO_TIME).unwrap();
    assert_eq!(update.types().collect::<Vec<_>>(), ["Left", "Right"]);
    assert_eq!(update.changes_of("Right").unwrap().count(), PAIRS as usize);
    publisher.use_schema(&whole);
    publisher.publish_change(&[2], &[]).await;
    consumer.refresh().await.unwrap().unwrap();
    let update = subscription.wait(NO_TIME).unwrap();
    assert_eq!(update.types().collect::<Vec<_>>(), ["Left", "Right"]);
    assert_eq!(update.changes_of("Right").unwrap().count(), 1);
}

#[tokio::test]
async fn a_reader_of_some_types_goes_on_though_the_log_knows_the_sum_of_all() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let some = || builder(&kit).types(["Left"]);
    let consumer = some().open().await.unwrap();
    let position = position_of(&consumer).await;
    publisher.publish_change(&[1, 2], &[]).await;
    consumer.refresh().await.unwrap().unwrap();
    let wanted = Subscribe::named("again")
        .to(Interest::of("Left"))
        .after(position);
    let mut subscription = consumer.subscribe(wanted).await.unwrap();
    let update = subscription.wait(NO_TIME).unwrap();
    assert_eq!(update.changes_of("Left").unwrap().count(), 2);
}
