//! Tests of what a host had acknowledged when another one took over.

use super::hosts::{Host, LEASE, end, of, published, two_hosts};
use super::{city, put};
use crate::kit::Trouble;
use grotto_producer::Pipeline;

/// A leader that cannot reach the store, has acknowledged two records, and was overtaken by a standby.
pub(super) async fn overtaken(one: &Host, two: &Host) -> (Pipeline, Pipeline) {
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
async fn a_standby_that_comes_before_anybody_overtakes_it_sets_aside_once_somebody_does() {
    let (store, one, two) = two_hosts();
    let leader = one.lead().await;
    put(&leader, 1, "Bern").await.published().await.unwrap();
    store.cause(Trouble::Fails, "");
    put(&leader, 2, "lost").await;
    end(&leader).await;
    store.heal();
    let waiting = one.stand_by();
    tokio::pin!(waiting);
    assert!(tokio::time::timeout(LEASE / 2, &mut waiting).await.is_err());
    assert_eq!(one.set_aside(), [""; 0], "nobody overtook it");
    let new = two.lead().await;
    put(&new, 3, "Basel").await.published().await.unwrap();
    assert!(tokio::time::timeout(LEASE / 2, &mut waiting).await.is_err());
    assert_eq!(one.set_aside().len(), 1);
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
