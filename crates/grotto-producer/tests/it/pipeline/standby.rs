//! Tests of producers that stand by, take over and hand over, and of what a fenced host had acknowledged.

use super::{city, options, put, until_is};
use crate::kit::{SCHEMA, Trouble, TroubledStore, names};
use grotto_env::{Env, SystemFiles};
use grotto_format::Schema;
use grotto_producer::pipeline::Condition;
use grotto_producer::{
    ErrorKind, Pipeline, PipelineBuilder, PipelineOptions, Producer, ProducerBuilder, aside,
};
use grotto_store::StandbyOptions;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(10);

fn standing() -> StandbyOptions {
    StandbyOptions {
        lease: LEASE,
        look_every: Duration::from_secs(1),
    }
}

/// A host with a disk of its own.
struct Host {
    name: &'static str,
    store: Arc<TroubledStore>,
    folder: tempfile::TempDir,
    seed: u64,
}

impl Host {
    fn new(store: &Arc<TroubledStore>, name: &'static str, seed: u64) -> Self {
        Self {
            name,
            store: Arc::clone(store),
            folder: tempfile::tempdir().unwrap(),
            seed,
        }
    }

    fn options(&self) -> PipelineOptions {
        PipelineOptions {
            heartbeat: Some(Duration::from_secs(2)),
            ..options(self.folder.path())
        }
    }

    fn producer(&self) -> ProducerBuilder {
        let store = self.store.store().with_env(Env::simulated(self.seed));
        Producer::builder("cities", store)
            .schema(Schema::parse(SCHEMA).unwrap())
            .writer_id(self.name)
            .snapshot_every(0)
            .threads(1)
    }

    fn builder_with(&self, options: PipelineOptions) -> PipelineBuilder {
        self.producer().pipeline(options)
    }

    fn builder(&self) -> PipelineBuilder {
        self.builder_with(self.options())
    }

    async fn lead(&self) -> Pipeline {
        let pipeline = self.builder().start().await.unwrap();
        until_is(&pipeline, Condition::Running).await;
        pipeline
    }

    async fn stand_by(&self) -> PipelineBuilder {
        let waited = self.builder().stand_by(standing(), |_, _| {}).await;
        waited.unwrap()
    }

    /// Lines that were set aside.
    fn set_aside(&self) -> Vec<String> {
        let folder = aside::folder_of(&self.folder.path().join("wal"));
        let files = aside::list(&SystemFiles, &folder).unwrap();
        let text = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
        let all: String = files.iter().map(|file| text(&file.path)).collect();
        all.lines().map(str::to_owned).collect()
    }

    /// As a person does who has dealt with what was set aside.
    fn finish(&self) {
        let folder = aside::folder_of(&self.folder.path().join("wal"));
        for file in aside::list(&SystemFiles, &folder).unwrap() {
            aside::finish(&SystemFiles, &file).unwrap();
        }
    }
}

async fn published(store: &Arc<TroubledStore>) -> Vec<(i64, String)> {
    let builder = Producer::builder("cities", store.store()).lazy_fence(true);
    names(&builder.open().await.unwrap().state())
}

fn of(pairs: &[(i64, &str)]) -> Vec<(i64, String)> {
    let pairs = pairs.iter();
    pairs.map(|(id, name)| (*id, (*name).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_standby_waits_for_as_long_as_there_are_heartbeats_and_a_lease_longer() {
    let store = TroubledStore::new();
    let (one, two) = (Host::new(&store, "one", 1), Host::new(&store, "two", 2));
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
    let store = TroubledStore::new();
    let (one, two) = (Host::new(&store, "one", 1), Host::new(&store, "two", 2));
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
    let store = TroubledStore::new();
    let (one, two) = (Host::new(&store, "one", 1), Host::new(&store, "two", 2));
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
    let store = TroubledStore::new();
    let (one, two) = (Host::new(&store, "one", 1), Host::new(&store, "two", 2));
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
    let store = TroubledStore::new();
    let one = Host::new(&store, "one", 1);
    let leader = one.lead().await;
    put(&leader, 1, "Bern").await.published().await.unwrap();
    drop(leader);
    let hosts = [Host::new(&store, "two", 2), Host::new(&store, "three", 3)];
    let (two, three) = tokio::join!(hosts[0].stand_by(), hosts[1].stand_by());
    let two = two.start().await.unwrap();
    until_is(&two, Condition::Running).await;
    let three = three.start().await.unwrap();
    until_is(&three, Condition::Failed).await;
    assert_eq!(three.failure().unwrap().kind(), ErrorKind::Fenced);
    put(&two, 2, "Basel").await.published().await.unwrap();
    assert_eq!(published(&store).await, of(&[(1, "Bern"), (2, "Basel")]));
}

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
    let store = TroubledStore::new();
    let (one, two) = (Host::new(&store, "one", 1), Host::new(&store, "two", 2));
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
    let store = TroubledStore::new();
    let (one, two) = (Host::new(&store, "one", 1), Host::new(&store, "two", 2));
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
    let store = TroubledStore::new();
    let (one, two) = (Host::new(&store, "one", 1), Host::new(&store, "two", 2));
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
    let store = TroubledStore::new();
    let (one, two) = (Host::new(&store, "one", 1), Host::new(&store, "two", 2));
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

#[tokio::test(start_paused = true)]
async fn a_leader_without_anything_to_publish_learns_by_its_heartbeat_that_it_was_fenced() {
    let store = TroubledStore::new();
    let (one, two) = (Host::new(&store, "one", 1), Host::new(&store, "two", 2));
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
    let store = TroubledStore::new();
    let (one, two) = (Host::new(&store, "one", 1), Host::new(&store, "two", 2));
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
    let store = TroubledStore::new();
    let (one, two) = (Host::new(&store, "one", 1), Host::new(&store, "two", 2));
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
    let store = TroubledStore::new();
    let (one, two) = (Host::new(&store, "one", 1), Host::new(&store, "two", 2));
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
