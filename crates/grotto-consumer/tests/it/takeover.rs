//! State directories that are removed under their writer, or removed and made again by another.

use crate::kit::{DATASET, Kit, assert_same};
use grotto_consumer::{Consumer, ErrorKind};

async fn open(kit: &Kit) -> Consumer {
    let builder = Consumer::builder(DATASET, kit.store.clone());
    builder.state_dir(kit.state_dir()).open().await.unwrap()
}

#[tokio::test]
async fn a_removed_directory_is_made_again_by_the_next_refresh() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = open(&kit).await;
    for published in [false, true] {
        std::fs::remove_dir_all(kit.state_dir()).unwrap();
        if published {
            publisher.publish(3).await;
        }
        consumer.refresh().await.unwrap().unwrap();
        assert_same(&consumer.state(), &publisher.state());
        let attached = Consumer::attach(kit.state_dir()).unwrap();
        assert_same(&attached.state(), &publisher.state());
    }
}

#[tokio::test]
async fn of_two_writers_the_one_whose_directory_was_removed_steps_back() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let first = open(&kit).await;
    std::fs::remove_dir_all(kit.state_dir()).unwrap();
    let second = open(&kit).await;
    for every in [3, 2] {
        publisher.publish(every).await;
        let error = first.refresh().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        assert!(error.message().contains("in use by process"), "{error}");
        second.refresh().await.unwrap().unwrap();
        let attached = Consumer::attach(kit.state_dir()).unwrap();
        assert_same(&attached.state(), &publisher.state());
    }
    second.shutdown().await;
    first.refresh().await.unwrap().unwrap();
    assert_same(&first.state(), &publisher.state());
    first.shutdown().await;
    assert_same(&open(&kit).await.state(), &publisher.state());
}
