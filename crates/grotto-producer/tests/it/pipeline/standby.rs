//! Tests of producers that stand by, take over and hand over.

use super::hosts::{Host, LEASE, of, published, two_hosts};
use super::{city, put, until_is};
use crate::kit::{Trouble, TroubledStore};
use grotto_producer::pipeline::Condition;
use grotto_producer::{ErrorKind, PipelineOptions};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_standby_waits_for_as_long_as_there_are_heartbeats_and_a_lease_longer() {
    let (store, one, two) = two_hosts();
    let leader = one.lead().await;
    put(&leader, 1, "Bern").await.published().await.unwrap();
    let waiting = two.stand_by();
    tokio::pin!(waiting);
    let idle = tokio::time::timeout(Duration::from_secs(600), &mut waiting).await;
    assert!(idle.is_err(), "the leader is idle, not gone");
    let silent = tokio::time::Instant::now();
    drop(leader);
    let next = waiting.await.start().await.unwrap();
    let waited = silent.elapsed();
    assert!(waited >= LEASE - Duration::from_secs(3), "{waited:?}");
    assert!(waited <= LEASE + Duration::from_secs(3), "{waited:?}");
    put(&next, 2, "Basel").await.published().await.unwrap();
    assert_eq!(published(&store).await, of(&[(1, "Bern"), (2, "Basel")]));
}

#[tokio::test(start_paused = true)]
async fn versions_are_signs_of_life_too() {
    let (_, one, two) = two_hosts();
    let quiet = PipelineOptions {
        heartbeat: None,
        ..one.options()
    };
    let leader = one.builder_with(quiet).start().await.unwrap();
    put(&leader, 0, "x").await.published().await.unwrap();
    let waiting = two.stand_by();
    tokio::pin!(waiting);
    for id in 1..100 {
        put(&leader, id, "x").await.published().await.unwrap();
        let idle = tokio::time::timeout(LEASE / 2, &mut waiting).await;
        assert!(idle.is_err(), "{id}");
    }
    let gone = tokio::time::timeout(LEASE * 2, &mut waiting).await;
    assert!(gone.is_ok(), "without any it counts as gone");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_says_nothing_of_the_leader() {
    let (store, one, two) = two_hosts();
    let leader = one.lead().await;
    put(&leader, 1, "Bern").await.published().await.unwrap();
    let waiting = two.stand_by();
    tokio::pin!(waiting);
    let look = tokio::time::timeout(LEASE / 2, &mut waiting).await;
    assert!(look.is_err());
    store.cause(Trouble::Down, "");
    let down = tokio::time::timeout(Duration::from_secs(600), &mut waiting).await;
    assert!(down.is_err(), "while it is down");
    store.heal();
    let back = tokio::time::timeout(Duration::from_secs(600), &mut waiting).await;
    assert!(back.is_err(), "after it came back, with the leader");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_hands_over_is_followed_at_once_and_nothing_is_left() {
    let (store, one, two) = two_hosts();
    let leader = one.lead().await;
    let waiting = two.stand_by();
    tokio::pin!(waiting);
    assert!(
        tokio::time::timeout(LEASE / 2, &mut waiting).await.is_err(),
        "nothing happened yet"
    );
    put(&leader, 1, "Bern").await;
    let begun = tokio::time::Instant::now();
    let last = leader.hand_over().await.unwrap();
    let next = waiting.await.start().await.unwrap();
    assert!(begun.elapsed() < LEASE / 2, "{:?}", begun.elapsed());
    let version = put(&next, 2, "Basel").await.published().await.unwrap();
    assert_eq!(version, last + 2, "a fence lies between");
    assert_eq!(published(&store).await, of(&[(1, "Bern"), (2, "Basel")]));
    // The first one stands by now, and there is nothing of it to be set aside.
    let waiting = one.stand_by();
    let idle = tokio::time::timeout(LEASE * 10, waiting).await;
    assert!(idle.is_err());
    assert_eq!(one.set_aside(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn one_of_two_standbys_takes_over_and_the_other_ends_as_fenced() {
    // Containers may have the same host and process.
    for names in [["two", "three"], ["same", "same"]] {
        let store = TroubledStore::new();
        let one = Host::new(&store, "one", 1);
        let leader = one.lead().await;
        put(&leader, 1, "Bern").await.published().await.unwrap();
        drop(leader);
        let hosts = [
            Host::new(&store, names[0], 2),
            Host::new(&store, names[1], 3),
        ];
        let (two, three) = tokio::join!(hosts[0].stand_by(), hosts[1].stand_by());
        let two = two.start().await.unwrap();
        until_is(&two, Condition::Running).await;
        let three = three.start().await.unwrap();
        until_is(&three, Condition::Failed).await;
        assert_eq!(three.failure().unwrap().kind(), ErrorKind::Fenced);
        put(&two, 2, "Basel").await.published().await.unwrap();
        assert_eq!(published(&store).await, of(&[(1, "Bern"), (2, "Basel")]));
    }
}

#[tokio::test(start_paused = true)]
async fn of_two_standbys_that_begin_a_dataset_one_leads_and_the_other_acknowledges_nothing() {
    let (store, one, two) = two_hosts();
    let (first, second) = tokio::join!(one.stand_by(), two.stand_by());
    let first = first.start().await.unwrap();
    until_is(&first, Condition::Running).await;
    let second = second.start().await.unwrap();
    until_is(&second, Condition::Failed).await;
    assert_eq!(second.failure().unwrap().kind(), ErrorKind::Fenced);
    drop(first);
    // It left nothing but its fence.
    let next = two.stand_by().await.start().await.unwrap();
    put(&next, 1, "Bern").await.published().await.unwrap();
    assert_eq!(published(&store).await, of(&[(1, "Bern")]));
}

#[tokio::test(start_paused = true)]
async fn a_standby_whose_fence_landed_without_an_answer_does_not_take_it_for_another_ones() {
    let (store, one, two) = two_hosts();
    let leader = one.lead().await;
    put(&leader, 1, "Bern").await.published().await.unwrap();
    drop(leader);
    let standby = two.stand_by().await;
    store.cause(Trouble::LandsAndHangs, "cities/log");
    let next = standby.start().await.unwrap();
    store.met.acquire().await.unwrap().forget();
    store.cause(Trouble::Down, "");
    until_is(&next, Condition::Degraded).await;
    store.heal();
    put(&next, 2, "Basel").await.published().await.unwrap();
    assert_eq!(published(&store).await, of(&[(1, "Bern"), (2, "Basel")]));
}

#[tokio::test(start_paused = true)]
async fn a_leader_without_anything_to_publish_learns_by_its_heartbeat_that_it_was_fenced() {
    let (_, one, two) = two_hosts();
    let old = one.lead().await;
    put(&old, 1, "Bern").await.published().await.unwrap();
    let new = two.lead().await;
    until_is(&old, Condition::Failed).await;
    assert_eq!(old.failure().unwrap().kind(), ErrorKind::Fenced);
    let refused = old.submit(city(&old, 2, "Basel")).await.map(|_| ());
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::Fenced);
    old.closed().await;
    drop(new);
}

#[tokio::test(start_paused = true)]
async fn a_leader_without_heartbeats_learns_at_its_next_commit_that_it_was_fenced() {
    let (store, one, two) = two_hosts();
    let quiet = PipelineOptions {
        heartbeat: None,
        ..one.options()
    };
    let old = one.builder_with(quiet).start().await.unwrap();
    put(&old, 1, "Bern").await.published().await.unwrap();
    let new = two.lead().await;
    put(&new, 2, "Basel").await.published().await.unwrap();
    put(&old, 2, "lost").await;
    until_is(&old, Condition::Failed).await;
    assert_eq!(old.failure().unwrap().kind(), ErrorKind::Fenced);
    put(&new, 3, "Chur").await.published().await.unwrap();
    let all = of(&[(1, "Bern"), (2, "Basel"), (3, "Chur")]);
    assert_eq!(published(&store).await, all);
}
