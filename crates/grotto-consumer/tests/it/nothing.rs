//! Datasets that nobody has published.

use crate::kit::{DATASET, Kit, VirtualClock, assert_same};
use grotto_consumer::{Consumer, ErrorKind};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_name_that_nobody_published_under_is_refused_and_its_directory_serves_the_right_one() {
    let kit = Kit::new();
    kit.publisher().await.publish(1).await;
    for polls in [true, false] {
        let builder = Consumer::builder("paris", kit.store.clone()).state_dir(kit.state_dir());
        let opened = match polls {
            true => builder.start().await,
            false => builder.open().await,
        };
        let error = opened.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoDataset, "{error}");
        assert!(error.to_string().contains("paris"), "{error}");
    }
    let builder = Consumer::builder(DATASET, kit.store.clone());
    let consumer = builder.state_dir(kit.state_dir()).start().await.unwrap();
    assert!(consumer.version() > 0);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_waits_for_a_dataset_is_stale_until_it_comes() {
    let kit = Kit::new();
    let builder = Consumer::builder(DATASET, kit.store.clone().with_env(VirtualClock::env()));
    let consumer = builder.wait_for_dataset(true).start().await.unwrap();
    assert_eq!(consumer.version(), 0);
    tokio::time::sleep(40 * SECOND).await;
    let stale = consumer.staleness();
    assert!(
        stale >= 40 * SECOND,
        "nothing there is not fresh: {stale:?}"
    );
    let mut publisher = kit.publisher().await;
    let version = publisher.publish(1).await.version;
    consumer.wait_for(version, 40 * SECOND).await.unwrap();
    assert_same(&consumer.state(), &publisher.state());
    tokio::time::sleep(SECOND).await;
    assert!(consumer.staleness() < 3 * SECOND);
}
