//! Which states of a way are served: those that are judged, and no others.

use crate::damage::alter_with;
use crate::faults::{Fault, FaultStore};
use crate::kit::{DATASET, Kit, Publisher, VirtualClock, assert_same};
use crate::limited::{accept, builder, tight};
use grotto_consumer::{Consumer, ErrorKind, Guards, State};
use grotto_env::Env;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

/// A consumer of 100 pairs, which are served.
async fn served(kit: &Kit) -> (Publisher, Consumer) {
    let mut publisher = kit.publisher().await;
    publisher.publish_exactly(100, 0).await;
    let consumer = builder(kit).open().await.unwrap();
    (publisher, consumer)
}

/// Takes the delta of the newest version away; gives what puts it back.
fn lose_delta(kit: &Kit, publisher: &Publisher) -> impl FnOnce() + use<> {
    let delta = kit.file(&publisher.delta_of(publisher.state().version()));
    let intact = fs::read(&delta).unwrap();
    fs::remove_file(&delta).unwrap();
    move || fs::write(&delta, intact).unwrap()
}

#[tokio::test]
async fn a_version_on_the_way_to_an_accepted_one_is_not_accepted_with_it() {
    let kit = Kit::new();
    let (mut publisher, consumer) = served(&kit).await;
    let before = consumer.state();
    publisher.publish_exactly(400, 0).await;
    let accepted = publisher.publish_exactly(1_200, 0).await.version;
    accept(&kit, accepted).await;
    let put_back = lose_delta(&kit, &publisher);
    let error = consumer.refresh().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing, "{error}");
    assert_same(&consumer.state(), &before);
    put_back();
    consumer.refresh().await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn a_version_on_the_way_to_one_that_is_asked_for_is_not_asked_for_with_it() {
    let kit = Kit::new();
    let (mut publisher, consumer) = served(&kit).await;
    let before = consumer.state();
    publisher.publish_exactly(400, 0).await;
    let asked = publisher.publish_exactly(1_200, 0).await.version;
    let put_back = lose_delta(&kit, &publisher);
    let error = consumer.refresh_to(asked).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing, "{error}");
    assert_same(&consumer.state(), &before);
    put_back();
    consumer.refresh_to(asked).await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn a_version_on_the_way_that_is_within_the_limits_is_served_where_the_way_breaks_off() {
    let kit = Kit::new();
    let (mut publisher, consumer) = served(&kit).await;
    let part = publisher.publish_exactly(150, 0).await;
    let accepted = publisher.publish_exactly(1_200, 0).await.version;
    accept(&kit, accepted).await;
    drop(lose_delta(&kit, &publisher));
    consumer.refresh().await.unwrap().unwrap();
    let error = consumer.refresh().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing, "{error}");
    assert_eq!(consumer.version(), part.version);
}

#[tokio::test]
async fn a_version_that_the_log_lost_is_not_served_where_the_way_breaks_off_at_it() {
    let kit = Kit::new();
    let (mut publisher, consumer) = served(&kit).await;
    let before = consumer.state();
    let lost = publisher.publish_exactly(400, 0).await.version;
    publisher.snapshot().await;
    // Without the lost one each step is within the limits.
    for pairs in [150, 225, 330] {
        publisher.publish_exactly(pairs, 0).await;
    }
    fs::remove_file(kit.file(&format!("log/{lost:020}.json"))).unwrap();
    // Its snapshot is loaded, and leads no further.
    for version in [lost, lost + 1] {
        fs::remove_file(kit.file(&publisher.delta_of(version))).unwrap();
    }
    let error = consumer.refresh().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing, "{error}");
    assert_same(&consumer.state(), &before);
}

#[tokio::test]
async fn the_version_before_a_jump_is_reached_back_from_a_snapshot_of_the_jump() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish_exactly(100, 0).await;
    let few = Guards {
        min_records: 2,
        ..tight()
    };
    let consumer = builder(&kit).guards(few).open().await.unwrap();
    let lost = publisher.publish_exactly(190, 0).await.version;
    publisher.publish_exactly(370, 0).await;
    let before = publisher.publish_exactly(700, 0).await.version;
    // As seen from there, that before is as far past the limits.
    let jump = publisher.publish_exactly(4, 0).await.version;
    publisher.snapshot().await;
    fs::remove_file(kit.file(&publisher.delta_of(lost))).unwrap();
    consumer.refresh().await.unwrap().unwrap();
    assert_eq!(consumer.version(), before);
    let error = consumer.refresh().await.unwrap_err();
    assert!(error.message().contains("4 records of"), "{error}");
    assert_eq!(consumer.status().held.unwrap().version, jump);
}

#[tokio::test]
async fn the_version_before_a_jump_is_judged_by_its_bytes_too() {
    let kit = Kit::new();
    let (mut publisher, consumer) = served(&kit).await;
    let before = consumer.state();
    let large = publisher.publish_exactly(100, 2_000).await.version;
    publisher.publish_exactly(400, 2_000).await;
    let error = consumer.refresh().await.unwrap_err();
    assert!(error.message().contains("its records take"), "{error}");
    assert_same(&consumer.state(), &before);
    let held = consumer.status().held.unwrap();
    assert_eq!(held.version, large);
}

#[tokio::test]
async fn bytes_may_become_fewer_as_records_did_step_by_step() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish_exactly(200, 2_000).await;
    let consumer = builder(&kit).open().await.unwrap();
    for pairs in [100, 60, 18, 8] {
        publisher.publish_exactly(pairs, 2_000).await;
        // Then nothing is known of the steps but what the log says of them.
        if pairs == 100 {
            drop(lose_delta(&kit, &publisher));
        }
    }
    publisher.snapshot().await;
    consumer.refresh().await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn a_way_of_small_steps_is_judged_by_its_bytes_too() {
    for snapshot in [false, true] {
        let kit = Kit::new();
        let (mut publisher, consumer) = served(&kit).await;
        let before = consumer.state();
        // By their number of records each is within the limits of the one before.
        for (pairs, longer) in [(150, 0), (225, 2_000), (330, 2_000)] {
            publisher.publish_exactly(pairs, longer).await;
            // Then nothing is known of the steps but what the log says of them.
            if snapshot && pairs == 150 {
                drop(lose_delta(&kit, &publisher));
            }
        }
        if snapshot {
            publisher.snapshot().await;
        }
        let error = consumer.refresh().await.unwrap_err();
        assert!(error.message().contains("its records take"), "{error}");
        assert_same(&consumer.state(), &before);
    }
}

/// What leads from 200 pairs to 8 step by step, of which nothing is known but what the log says: whether that is served
/// where what is left of the notes has so many bytes more, and bytes are looked at from `min_bytes` on.
async fn shrunk_is_served(longer: usize, min_bytes: u64) -> bool {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish_exactly(200, 20_000).await;
    let guards = Guards {
        min_bytes,
        ..tight()
    };
    let consumer = builder(&kit).guards(guards).open().await.unwrap();
    let before = consumer.state();
    for pairs in [100, 60, 18, 8] {
        publisher.publish_exactly(pairs, longer).await;
        if pairs == 100 {
            drop(lose_delta(&kit, &publisher));
        }
    }
    publisher.snapshot().await;
    match consumer.refresh().await {
        Ok(_) => assert_same(&consumer.state(), &publisher.state()),
        Err(error) => {
            assert!(error.message().contains("a share of"), "{error}");
            assert_same(&consumer.state(), &before);
        }
    }
    consumer.version() > before.version()
}

#[tokio::test]
async fn bytes_that_became_fewer_than_records_did_step_by_step_are_held() {
    assert!(shrunk_is_served(20_000, 1_000).await);
    assert!(!shrunk_is_served(0, 1_000).await);
    // What 8 of 200 pairs take is less than what is looked at.
    assert!(shrunk_is_served(0, 1_000_000).await);
}

#[tokio::test]
async fn bytes_that_are_too_few_to_be_looked_at_may_grow_on_a_way_of_small_steps() {
    for (min_bytes, is_served) in [(1_000, false), (1_000_000, true)] {
        let kit = Kit::new();
        let (mut publisher, _) = served(&kit).await;
        let guards = Guards {
            min_bytes,
            ..tight()
        };
        let consumer = builder(&kit).guards(guards).open().await.unwrap();
        for (pairs, longer) in [(150, 0), (225, 2_000), (330, 2_000)] {
            publisher.publish_exactly(pairs, longer).await;
            if pairs == 150 {
                drop(lose_delta(&kit, &publisher));
            }
        }
        publisher.snapshot().await;
        let refreshed = consumer.refresh().await;
        assert_eq!(refreshed.is_ok(), is_served, "{refreshed:?}");
    }
}

/// A consumer on the heap of two versions, both of which are held by readers. Sizes are the same each time, as what
/// keys are hashed with decides how large an index is.
async fn two_held(kit: &Kit, guards: Guards, limit: u64) -> (Publisher, Consumer, [Arc<State>; 2]) {
    let mut publisher = kit.publisher().await;
    publisher.publish_exactly(100, 0).await;
    let store = kit.store.clone().with_env(Env::deterministic(7));
    let builder = Consumer::builder(DATASET, store).guards(guards);
    let consumer = builder.memory_limit(limit).open().await.unwrap();
    let first = consumer.state();
    publisher.publish_exactly(101, 0).await;
    consumer.refresh().await.unwrap().unwrap();
    let second = consumer.state();
    (publisher, consumer, [first, second])
}

#[tokio::test]
async fn what_was_held_for_memory_is_judged_like_any_other_once_it_fits() {
    let kit = Kit::new();
    let (mut publisher, consumer, [first, _second]) =
        two_held(&kit, Guards::none(), u64::MAX).await;
    publisher.publish_exactly(101, 2_000).await;
    consumer.refresh().await.unwrap().unwrap();
    let all = consumer.status().mapped_bytes;
    drop(first);
    consumer.refresh().await.unwrap();
    let fits = consumer.status().mapped_bytes;
    assert!(fits < all, "{fits} of {all}");

    let kit = Kit::new();
    let (mut publisher, consumer, [first, second]) = two_held(&kit, tight(), fits).await;
    let large = publisher.publish_exactly(101, 2_000).await.version;
    let error = consumer.refresh().await.unwrap_err();
    assert!(error.message().contains("needs about"), "{error}");
    drop(first);
    let error = consumer.refresh().await.unwrap_err();
    assert!(error.message().contains("its records take"), "{error}");
    assert_same(&consumer.state(), &second);
    assert_eq!(consumer.status().held.unwrap().version, large);
    accept(&kit, large).await;
    consumer.refresh().await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_goes_away_after_a_refusal_is_told_as_such() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let store = FaultStore::new(&kit.folder.path().join("store"));
    let builder = Consumer::builder(DATASET, store.store().with_env(VirtualClock::env()));
    let consumer = builder.memory_limit(400_000).open().await.unwrap();
    let before = consumer.state();
    let few = [1, 2, 3, 4, 5];
    publisher.publish_longer(&few, 200_000).await;
    publisher.publish_longer(&few, 0).await;
    publisher.snapshot().await;
    store.cause(Fault::Fails, "snapshot/");
    let error = consumer.refresh().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(store.asked("delta/") > 0);
    assert_eq!(consumer.status().held, None);
    assert_same(&consumer.state(), &before);
    store.heal();
    consumer.refresh().await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn a_version_is_not_held_any_more_once_it_is_served() {
    let kit = Kit::new();
    let (mut publisher, consumer) = served(&kit).await;
    let version = publisher.publish_exactly(400, 0).await.version;
    consumer.refresh().await.unwrap_err();
    let consumer = Arc::new(consumer);
    let told = |consumer: &Consumer| consumer.status().held.map(|held| held.version);
    assert_eq!(told(&consumer), Some(version));
    accept(&kit, version).await;
    let waiting = Arc::clone(&consumer);
    let seen = tokio::spawn(async move {
        let served = waiting.wait_for(version, Duration::from_secs(600)).await;
        served.map(|_| told(&waiting))
    });
    // It still finds out what changed when the version is served.
    consumer.refresh().await.unwrap().unwrap();
    assert_eq!(seen.await.unwrap().unwrap(), None);
}

#[tokio::test]
async fn what_is_damaged_is_loaded_afresh_while_a_newer_version_is_held() {
    for entry in ["intact", "damaged", "gone"] {
        let kit = Kit::new();
        let mut publisher = kit.publisher().await;
        let version = publisher.publish_exactly(100, 0).await.version;
        let first = publisher.state();
        let builder = builder(&kit).state_dir(kit.state_dir());
        let consumer = builder.open().await.unwrap();
        let jump = publisher.publish_exactly(400, 0).await.version;
        alter_with(&kit.state_dir(), " for pair", b'_');
        let file = kit.file(&format!("log/{version:020}.json"));
        if entry == "intact" {
            let refresh = consumer.refresh().await.unwrap().unwrap();
            let (from, to) = (refresh.before().version(), refresh.after().version());
            assert_eq!((from, to), (version, version));
            assert_same(&consumer.state(), &first);
            assert_same(&Consumer::attach(kit.state_dir()).unwrap().state(), &first);
        } else if entry == "damaged" {
            fs::write(file, "{").unwrap();
        } else {
            fs::remove_file(file).unwrap();
        }
        let error = consumer.refresh().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{entry}: {error}");
        let held = consumer.status().held.map(|held| held.version);
        assert_eq!((held, consumer.version()), (Some(jump), version));
    }
}
