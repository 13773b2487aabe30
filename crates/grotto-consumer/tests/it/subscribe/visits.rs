//! States of other versions than the served one.

use super::*;
use crate::faults::{Fault, FaultStore};
use std::sync::Arc;

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

/// Whether something is done while a refresh is in the middle of a step. The wait is for a test that would never end.
#[cfg(unix)]
async fn is_done<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Option<T> {
    let forever = Duration::from_secs(60);
    let done = tokio::time::timeout(forever, tokio::spawn(work)).await;
    done.ok().map(|ended| ended.unwrap())
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_waits_for_a_step_of_a_refresh() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    let first = publisher.publish(1).await;
    let disk = crate::disk::Disk::new();
    let builder = builder(&kit).state_dir(kit.state_dir());
    let builder = builder.file_system(Arc::clone(&disk) as Arc<dyn grotto_env::FileSystem>);
    let consumer = Arc::new(builder.open().await.unwrap());
    publisher.publish(2).await;
    consumer.refresh().await.unwrap().unwrap();
    publisher.publish(3).await;

    disk.slow_down(Some("segments"));
    let refreshing = Arc::clone(&consumer);
    let refresh = tokio::spawn(async move { refreshing.refresh().await });
    let watched = Arc::clone(&disk);
    tokio::task::spawn_blocking(move || watched.wait_for_writer())
        .await
        .unwrap();
    let others = (Arc::clone(&consumer), Arc::clone(&consumer));
    let subscribed = is_done(async move {
        let subscription = others.0.subscribe(Subscribe::named("all")).await.unwrap();
        subscription.position().clone()
    });
    let subscribed = subscribed.await;
    let visited = is_done(async move { others.1.state_at(first.version).await.unwrap() });
    let visited = visited.await;
    disk.slow_down(None);
    refresh.await.unwrap().unwrap().unwrap();
    let position = subscribed.expect("subscribing waits for the refresh");
    assert_eq!(position.dataset_id(), first.dataset_id);
    assert_eq!(position.version(), first.version + 1);
    let visited = visited.expect("a visit waits for the refresh");
    assert_eq!(visited.checksum(), first.state_checksum);
}

#[tokio::test]
async fn states_of_other_versions_count_to_the_memory_limit() {
    for folder in [false, true] {
        let kit = Kit::new();
        let mut publisher = kit.publisher().await;
        let small = publisher.publish(1).await;
        let large = publisher.publish_longer(&[1, 2, 3], 300_000).await.version;
        let last = publisher.publish_longer(&[1, 2, 3], 0).await.version;
        publisher.snapshot().await;
        let builder = builder(&kit).memory_limit(800_000);
        let builder = match folder {
            true => builder.state_dir(kit.state_dir()),
            false => builder,
        };
        let consumer = builder.open().await.unwrap();
        assert_eq!(consumer.version(), last);
        let visited = consumer.state_at(large).await;
        let error = visited.map(|state| state.version()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        let parts = [
            "does not fit: needs about ",
            "limit 800000 bytes, used now ",
        ];
        for part in parts {
            assert!(error.message().contains(part), "{folder}: {error}");
        }
        // The way over it is not gone either: another leads there.
        let visited = consumer.state_at(small.version).await;
        let checksum = visited.map(|state| state.checksum());
        assert_eq!(checksum.unwrap(), small.state_checksum);
        assert_eq!(consumer.version(), last);
    }
}

#[tokio::test]
async fn states_that_somebody_holds_count_until_they_are_let_go() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    for _ in 0..4 {
        publisher.publish(1).await;
    }
    let versions: Vec<u64> = publisher.entries.keys().copied().collect();
    let open = |limit| builder(&kit).memory_limit(limit).open();
    let measured = open(u64::MAX).await.unwrap();
    let one = measured.status().mapped_bytes;
    // The served one and the two of a way of two steps, but not a fourth.
    let consumer = open(one * 7 / 2).await.unwrap();
    let held = consumer.state_at(versions[2]).await.unwrap();
    let visited = consumer.state_at(versions[1]).await;
    let error = visited.map(|state| state.version()).unwrap_err();
    assert!(error.message().contains("does not fit"), "{error}");
    drop(held);
    let visited = consumer.state_at(versions[1]).await.unwrap();
    assert_eq!(visited.version(), versions[1]);
}
