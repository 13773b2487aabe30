//! Collection where things go wrong: wrong clocks, damage, collectors that die, writers and readers that sleep.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use grotto_store::follow::Journey;
use grotto_store::{CommitFields, ConsumerId, Dataset, ErrorKind, Lease, Next, Writer};

use crate::kit::{acquire, commit, framed};
use crate::place::{GRACE, Place, commit_to, lease, retention, snapshot};
use crate::reading::Walker;

const DAY_MS: u64 = 86_400_000;
const SIXTH: &str = "log/00000000000000000006.json";

/// 20 versions older than the grace, with these snapshots.
async fn aged(snapshots: &[u64]) -> (Place, Writer) {
    let place = Place::new();
    let writer = place.grown(20, snapshots).await;
    place.age();
    (place, writer)
}

#[tokio::test]
async fn a_collector_whose_clock_is_wrong_goes_by_the_time_of_the_store() {
    for (ahead, expected) in [(true, 5), (false, 5)] {
        let (place, _) = aged(&[4, 8, 12, 16]).await;
        let now = place.now_ms();
        let wrong = match ahead {
            true => now + 10 * DAY_MS,
            false => now - 10 * DAY_MS,
        };
        place
            .dataset()
            .write_lease(&lease("late", 6, None))
            .await
            .unwrap();
        let collector = place.dataset_at(wrong);
        let plan = collector.plan_collection(&retention(2)).await.unwrap();
        assert_eq!(plan.boundary, expected, "ahead: {ahead}, {:?}", plan.holds);
        let done = collector.collect(&retention(2)).await.unwrap();
        assert_eq!(done.boundary, expected, "ahead: {ahead}, {:?}", done.holds);
        place.assert_way(6, 20).await;
        // And is as fast as any.
        place.age();
        let done = collector.collect(&retention(2)).await.unwrap();
        assert_eq!(done.boundary, 11, "ahead: {ahead}, {:?}", done.holds);
    }
}

#[tokio::test]
async fn young_orphans_and_versions_stay_though_the_clock_of_the_collector_is_ahead() {
    let place = Place::new();
    let writer = place.grown(20, &[4, 8, 12, 16]).await;
    drop(crate::kit::fields(&writer, "lost").await.unwrap());
    acquire(&place.dataset(), "b").await;
    let before = place.objects().await;
    let collector = place.dataset_at(place.now_ms() + 10 * DAY_MS);
    let done = collector.collect(&retention(2)).await.unwrap();
    assert_eq!((done.boundary, done.objects), (0, Vec::new()));
    assert_eq!(place.objects().await, before);
}

#[tokio::test]
async fn a_plan_needs_no_writes_and_a_collection_does() {
    let (place, _) = aged(&[4, 8, 12, 16]).await;
    let before = place.objects().await;
    place.store.deny_writes();
    let plan = place
        .dataset()
        .plan_collection(&retention(2))
        .await
        .unwrap();
    assert_eq!(plan.boundary, 11);
    let refused = place.dataset().collect(&retention(2)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid, "{refused}");
    assert_eq!(place.objects().await, before);
}

#[tokio::test]
async fn a_damaged_entry_below_the_oldest_snapshot_ends_no_collection() {
    let (place, _) = aged(&[8]).await;
    place.flip("log/00000000000000000007.json").await;
    let done = place.dataset().collect(&retention(2)).await.unwrap();
    assert_eq!(done.boundary, 7, "{:?}", done.holds);
    place.assert_way(0, 20).await;
    // A lost one likewise.
    let (place, _) = aged(&[8]).await;
    place.lose("log/00000000000000000007.json").await;
    let done = place.dataset().collect(&retention(2)).await.unwrap();
    assert_eq!(done.boundary, 7, "{:?}", done.holds);
}

#[tokio::test]
async fn where_damage_hides_which_snapshot_is_older_nothing_goes() {
    let (place, _) = aged(&[16]).await;
    for version in 6..16 {
        place.flip(&format!("log/{version:020}.json")).await;
    }
    let before = place.objects().await;
    let done = place.dataset().collect(&retention(2)).await.unwrap();
    assert_eq!(done.boundary, 0);
    assert!(
        done.holds[0].why.contains("are damaged"),
        "{:?}",
        done.holds
    );
    assert_eq!(place.objects().await, before);
    // As many as were asked for are known: nothing older counts.
    let done = place.dataset().collect(&retention(1)).await.unwrap();
    assert_eq!(done.boundary, 15);
}

/// Version 2 is a start with a snapshot that only its own entry names.
async fn started_with_a_snapshot(place: &Place) -> Writer {
    let writer = acquire(&place.dataset(), "a").await;
    let blob = writer.upload_snapshot(2, framed("to 2")).await.unwrap();
    let fields = CommitFields {
        snapshot: Some(blob),
        state_checksum: 2,
        ..CommitFields::default()
    };
    writer.commit(fields).await.unwrap();
    writer
}

#[tokio::test]
async fn the_snapshot_of_a_start_counts_though_nothing_announces_it() {
    for damaged in [false, true] {
        let place = Place::new();
        let writer = started_with_a_snapshot(&place).await;
        commit_to(&writer, 20).await;
        snapshot(&writer, 12).await;
        place.age();
        if damaged {
            place.flip("log/00000000000000000011.json").await;
        }
        let done = place.dataset().collect(&retention(2)).await.unwrap();
        assert_eq!(done.boundary, 1, "{:?}", done.holds);
        place.assert_way(0, 2).await;
        // One that is lost does not.
        let names = place.objects().await.into_keys();
        let own = names.filter(|name| name.starts_with("snapshot/00000000000000000002"));
        for name in own {
            place.lose(&name).await;
        }
        let done = place.dataset().collect(&retention(2)).await.unwrap();
        assert_eq!(done.boundary, 11, "{:?}", done.holds);
    }
}

#[tokio::test]
async fn a_writer_that_slept_through_a_collection_commits_nothing_in_a_slot_that_is_gone() {
    let place = Place::new();
    let asleep = place.grown(5, &[]).await;
    let awake = acquire(&place.dataset(), "b").await;
    commit_to(&awake, 20).await;
    for version in [12, 16] {
        snapshot(&awake, version).await;
    }
    let sixth = place.objects().await[SIXTH].to_vec();
    place.age();
    let done = place.dataset().collect(&retention(2)).await.unwrap();
    assert_eq!(done.boundary, 11);
    // Its slot is free: only the boundary tells that it is not the next one.
    assert_eq!(asleep.next_version(), 6);
    assert_eq!(place.dataset().read_entry(6).await.unwrap(), None);
    let fenced = commit(&asleep, "to 6").await.unwrap_err();
    assert_eq!(fenced.kind(), ErrorKind::Fenced, "{fenced}");
    assert_eq!(place.dataset().read_entry(6).await.unwrap(), None);
    let again = commit(&asleep, "to 6").await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Fenced, "for good");
    assert_eq!(place.dataset().head().await.unwrap().unwrap().version, 20);
    assert_eq!(commit(&awake, "to 21").await.unwrap().version, 21);
    // Even before it has cleaned up after itself, nobody takes it for news.
    place.put(SIXTH, sixth).await;
    let next = place.dataset().next_entry(5).await.unwrap();
    assert_eq!(next, Next::Collected { boundary: 11 });
}

/// A store that three readers need: one at version 9, one pinned to version 10, and whoever begins.
async fn needed() -> BTreeMap<String, Bytes> {
    let (place, _) = aged(&[4, 8, 12, 16]).await;
    let dataset = place.dataset();
    for (name, version, pinned) in [("late", 9, None), ("pinned", 10, Some(10))] {
        let living = Lease {
            expires_after_s: 86_400,
            ..lease(name, version, pinned)
        };
        dataset.write_lease(&living).await.unwrap();
    }
    place.objects().await
}

async fn assert_needed(place: &Place) {
    place.assert_way(9, 20).await;
    place.assert_way(0, 10).await;
    place.assert_way(0, 20).await;
}

/// All but rows, which tell when they were made.
async fn rest(place: &Place) -> BTreeMap<String, Bytes> {
    let mut objects = place.objects().await;
    objects.retain(|name, _| !name.starts_with("collected/"));
    objects
}

async fn collected_at_once(before: &BTreeMap<String, Bytes>) -> BTreeMap<String, Bytes> {
    let place = Place::with_aged(before).await;
    place.dataset().collect(&retention(1)).await.unwrap();
    assert_needed(&place).await;
    rest(&place).await
}

#[tokio::test]
async fn a_collector_that_dies_after_any_write_costs_nobody_anything_and_the_next_one_goes_on() {
    let before = needed().await;
    let expected = collected_at_once(&before).await;
    assert!(expected.len() + 15 < before.len());
    for stop in 0.. {
        let place = Place::with_aged(&before).await;
        place.store.allow_writes(stop, stop % 2 == 1);
        let died = place.dataset().collect(&retention(1)).await;
        place.store.mend();
        assert_needed(&place).await;
        let done = place.dataset().collect(&retention(1)).await.unwrap();
        assert_eq!(done.boundary, 7);
        let mut found = rest(&place).await;
        // What it asked the store its time with goes once it is old.
        found.retain(|name, _| !name.contains("control/probe"));
        assert_eq!(found, expected, "stopped after {stop} writes");
        if died.is_ok() {
            assert!(stop > 15, "{stop} writes");
            return;
        }
    }
}

#[tokio::test]
async fn a_second_collector_at_any_moment_of_the_first_one_does_no_harm() {
    let before = needed().await;
    let expected = collected_at_once(&before).await;
    for moment in 0.. {
        let place = Place::with_aged(&before).await;
        let other = place.dataset();
        let collect = move || -> futures::future::BoxFuture<'static, ()> {
            Box::pin(async move {
                other.collect(&retention(1)).await.unwrap();
            })
        };
        place.store.before_write(moment, Box::new(collect));
        place.dataset().collect(&retention(1)).await.unwrap();
        assert_needed(&place).await;
        assert_eq!(rest(&place).await, expected, "before write {moment}");
        if place.store.is_waiting() {
            assert!(moment > 15, "{moment} writes");
            return;
        }
    }
}

#[tokio::test]
async fn a_writer_that_commits_at_any_moment_of_a_collection_loses_nothing() {
    let before = needed().await;
    for moment in 0.. {
        let place = Place::with_aged(&before).await;
        let dataset = place.dataset();
        let write = move || -> futures::future::BoxFuture<'static, ()> {
            Box::pin(async move {
                let writer = acquire(&dataset, "b").await;
                commit_to(&writer, 24).await;
                snapshot(&writer, 23).await;
            })
        };
        place.store.before_write(moment, Box::new(write));
        place.dataset().collect(&retention(1)).await.unwrap();
        if place.store.is_waiting() {
            assert!(moment > 15, "{moment} writes");
            return;
        }
        place.assert_way(9, 24).await;
        place.assert_way(0, 10).await;
        place.assert_way(0, 24).await;
    }
}

/// A consumer that follows, and keeps its lease.
struct Follower {
    name: &'static str,
    walker: Walker,
    pinned: Option<u64>,
}

impl Follower {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            walker: Walker::default(),
            pinned: None,
        }
    }

    fn at(&self) -> u64 {
        self.walker.at.last().copied().unwrap_or(0)
    }

    /// Goes to the newest version, or to the one that it is pinned to, and never begins anew.
    async fn follow(&mut self, dataset: &Dataset) {
        let target = match self.pinned {
            None => dataset.head().await.unwrap().unwrap(),
            Some(pinned) => dataset.read_entry(pinned).await.unwrap().unwrap(),
        };
        let from = self.at();
        self.walker.at = Vec::from_iter((from > 0).then_some(from));
        let mut journey = Journey::new(dataset, &target);
        journey.travel(&mut self.walker).await.unwrap();
        if from > 0 {
            assert_eq!(
                self.walker.at.first(),
                Some(&from),
                "{} began anew",
                self.name
            );
        }
        assert_eq!(self.at(), target.version);
    }

    async fn renew(&self, dataset: &Dataset) {
        let lease = lease(self.name, self.at(), self.pinned);
        dataset.write_lease(&lease).await.unwrap();
    }
}

#[tokio::test]
async fn storage_stays_bounded_over_2000_versions_with_consumers_that_lag_and_are_pinned() {
    const ROUND: u64 = 50;
    let place = Place::new();
    let dataset = place.dataset();
    let writer = acquire(&dataset, "a").await;
    let mut prompt = Follower::new("prompt");
    let mut late = Follower::new("late");
    let mut held = Follower::new("held");
    let mut most = 0;
    for round in 0..40 {
        for _ in 0..ROUND {
            commit_to(&writer, writer.next_version()).await;
            let version = writer.next_version() - 1;
            if version % 25 == 0 {
                snapshot(&writer, version).await;
            }
            place.store.clock.advance(Duration::from_secs(60));
        }
        prompt.follow(&dataset).await;
        // Every fourth round only, and another one stays for ten rounds at a time.
        if round % 4 == 0 {
            late.follow(&dataset).await;
        }
        if round % 10 == 0 {
            held.pinned = None;
            held.follow(&dataset).await;
            held.pinned = Some(held.at() - 13);
            held.walker = Walker::default();
            held.follow(&dataset).await;
        }
        for follower in [&prompt, &late, &held] {
            follower.renew(&dataset).await;
        }
        dataset.collect(&retention(2)).await.unwrap();
        // Whoever comes to a pinned version anew finds its way as well.
        let mut fresh = Follower::new("fresh");
        fresh.pinned = held.pinned;
        fresh.follow(&dataset).await;
        let head = dataset.head().await.unwrap().unwrap().version;
        let collected = dataset.collected().await.unwrap();
        let oldest = held.pinned.unwrap_or(head).min(late.at());
        assert!(
            collected + 30 >= oldest.min(head.saturating_sub(110)),
            "{collected} in round {round}"
        );
        most = most.max(place.objects().await.len());
    }
    // A pinned consumer holds ten rounds at most: an entry and two blobs a version, and what belongs to a snapshot.
    let bound = (12 * ROUND * 3 + 12 * 4 + 30) as usize;
    assert!(most <= bound, "{most} objects, {bound} expected");
    assert_eq!(dataset.head().await.unwrap().unwrap().version, 2_001);
    for name in ["held", "late"] {
        dataset
            .remove_lease(&ConsumerId::parse(name).unwrap())
            .await
            .unwrap();
    }
    dataset.collect(&retention(2)).await.unwrap();
    let left = place.objects().await.len();
    let young = usize::try_from(GRACE.as_secs() / 60).unwrap();
    assert!(left <= (young + 25) * 3 + 30, "{left} objects");
    prompt.follow(&dataset).await;
}
