//! Tests of what a host had acknowledged when another one took over.

use super::hosts::{Host, LEASE, of, published, two_hosts};
use super::{city, put};
use crate::kit::Trouble;
use grotto_producer::Pipeline;

/// A leader that cannot reach the store, has acknowledged two records, and was overtaken by a standby.
async fn overtaken(one: &Host, two: &Host) -> (Pipeline, Pipeline) {
    let store = &one.store;
    let leader = one.lead().await;
    put(&leader, 1, "Bern").await.published().await.unwrap();
    drop(leader);
    let standby = two.stand_by().await;
    // The same log again, whose process is not yet told that it was fenced.
    let leader = one.lead().await;
    store.cause(Trouble::Fails, "");
    put(&leader, 2, "lost \u{1F30D}").await;
    put(&leader, 3, "lost").await;
    drop(standby);
    (
        leader,
        two.builder_with(two.options()).start().await.unwrap(),
    )
}

#[tokio::test(start_paused = true)]
async fn what_a_fenced_host_had_acknowledged_is_set_aside_and_never_published() {
    let (store, one, two) = two_hosts();
    let (old, new) = overtaken(&one, &two).await;
    drop(old);
    store.heal();
    put(&new, 3, "Basel").await.published().await.unwrap();
    let lines = [
        r#"{"op":"upsert","type":"City","record":{"id":2,"name":"lost 🌍"}}"#,
        r#"{"op":"upsert","type":"City","record":{"id":3,"name":"lost"}}"#,
    ];
    for again in 0..3 {
        let waiting = one.stand_by();
        assert!(tokio::time::timeout(LEASE * 3, waiting).await.is_err());
        assert_eq!(one.set_aside(), lines, "{again}");
    }
    assert_eq!(published(&store).await, of(&[(1, "Bern"), (3, "Basel")]));
    // A person drops them; whoever takes over with this log does not publish them either.
    one.finish();
    assert_eq!(one.set_aside(), [""; 0]);
    drop(new);
    let back = one.stand_by().await.start().await.unwrap();
    put(&back, 4, "Olten").await.published().await.unwrap();
    back.shutdown().await;
    let back = one.stand_by().await.start().await.unwrap();
    put(&back, 5, "Aarau").await.published().await.unwrap();
    assert_eq!(one.set_aside(), [""; 0]);
    let all = of(&[(1, "Bern"), (3, "Basel"), (4, "Olten"), (5, "Aarau")]);
    assert_eq!(published(&store).await, all);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_starts_at_once_sets_aside_what_others_overtook_and_publishes_what_is_new() {
    let (store, one, two) = two_hosts();
    let (old, new) = overtaken(&one, &two).await;
    drop(old);
    store.heal();
    put(&new, 3, "Basel").await.published().await.unwrap();
    store.cause(Trouble::Fails, "");
    let back = one.builder().start().await.unwrap();
    // Acknowledged before the store said who published meanwhile; the same key again, as its sender does not know.
    let mut fresh = put(&back, 4, "Olten").await;
    store.heal();
    fresh.published().await.unwrap();
    assert_eq!(one.set_aside().len(), 2);
    assert_eq!(
        published(&store).await,
        of(&[(1, "Bern"), (3, "Basel"), (4, "Olten")])
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_set_aside_is_not_published_by_a_leader_whose_first_commit_would_be_its_fence() {
    let (store, one, two) = two_hosts();
    let (old, new) = overtaken(&one, &two).await;
    drop(old);
    store.heal();
    put(&new, 3, "Basel").await.published().await.unwrap();
    drop(new);
    let lazy = one.producer().lazy_fence(true).pipeline(one.options());
    let back = lazy.start().await.unwrap();
    put(&back, 4, "Olten").await.published().await.unwrap();
    assert_eq!(one.set_aside().len(), 2);
    let all = of(&[(1, "Bern"), (3, "Basel"), (4, "Olten")]);
    assert_eq!(published(&store).await, all);
}

#[tokio::test(start_paused = true)]
async fn what_was_set_aside_is_taken_again_when_its_sender_sends_it_again() {
    let (store, one, two) = two_hosts();
    let leader = one.lead().await;
    put(&leader, 1, "Bern").await.published().await.unwrap();
    store.cause(Trouble::Fails, "");
    let keyed = |pipeline: &Pipeline| {
        let mut batch = city(pipeline, 2, "Basel");
        batch.set_key("k").unwrap();
        batch
    };
    let mut ack = leader.submit(keyed(&leader)).await.unwrap();
    ack.durable().await.unwrap();
    drop((ack, leader));
    store.heal();
    let other = two.stand_by().await.start().await.unwrap();
    put(&other, 3, "Chur").await.published().await.unwrap();
    drop(other);
    let back = one.stand_by().await.start().await.unwrap();
    let mut ack = back.submit(keyed(&back)).await.unwrap();
    ack.published().await.unwrap();
    assert!(!ack.is_repeated());
    let all = of(&[(1, "Bern"), (2, "Basel"), (3, "Chur")]);
    assert_eq!(published(&store).await, all);
}

/// A host that led, was overtaken and led again, and log entries since its second reign began.
async fn led_again(one: &Host, two: &Host) -> Vec<String> {
    let store = &one.store;
    let mut entries = Vec::new();
    for (host, id, name) in [(one, 11, "Bern"), (two, 12, "Basel"), (one, 13, "Chur")] {
        entries = store.paths("cities/log").await;
        let leader = host.lead().await;
        put(&leader, id, name).await.published().await.unwrap();
        leader.shutdown().await;
        leader.closed().await;
    }
    let all = store.paths("cities/log").await;
    all.into_iter()
        .filter(|entry| !entries.contains(entry))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_store_that_answers_with_what_it_had_sets_nothing_aside_that_is_published() {
    let (store, one, two) = two_hosts();
    let newest = led_again(&one, &two).await;
    store.fall_behind(newest);
    let back = one.lead().await;
    put(&back, 4, "Olten").await.published().await.unwrap();
    assert_eq!(one.set_aside(), [""; 0]);
    let all = of(&[(4, "Olten"), (11, "Bern"), (12, "Basel"), (13, "Chur")]);
    assert_eq!(published(&store).await, all);
}

#[tokio::test(start_paused = true)]
async fn a_standby_sets_aside_once_the_store_shows_who_overtook_it() {
    let (store, one, two) = two_hosts();
    let reign = led_again(&one, &two).await;
    let (old, new) = overtaken(&one, &two).await;
    drop(old);
    store.heal();
    put(&new, 4, "Olten").await.published().await.unwrap();
    // Entries sort by their versions.
    let all = store.paths("cities/log").await;
    store.fall_behind(all.into_iter().filter(|entry| *entry >= reign[0]).collect());
    let waiting = one.stand_by();
    tokio::pin!(waiting);
    assert!(tokio::time::timeout(LEASE / 2, &mut waiting).await.is_err());
    assert_eq!(one.set_aside(), [""; 0]);
    store.fall_behind(Vec::new());
    assert!(tokio::time::timeout(LEASE / 2, &mut waiting).await.is_err());
    let lines = one.set_aside();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    drop(new);
}
