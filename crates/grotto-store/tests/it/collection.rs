//! Collection: what stays for whom, what goes, and in which order.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use grotto_env::{Clock, Env, ManualClock, SystemClock};
use grotto_format::log::FORMAT;
use grotto_store::{
    Collection, Dataset, ErrorKind, Lease, Next, Retention, RetryPolicy, Store, StoreOptions, Why,
    Writer,
};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::kit::{Fault, FaultStore, acquire, commit, damage, faulty, fields, framed};

const TWO: Retention = Retention {
    snapshots: 2,
    grace: Duration::from_secs(3600),
};

/// The same dataset, for a collector to whom all that is there is `hours` old.
fn later(faults: &Arc<FaultStore>, hours: u64) -> Dataset {
    let clock = ManualClock::new(SystemClock::new().wall_ms() + hours * 3_600_000);
    let env = Env {
        clock: Arc::new(clock),
        ..Env::system()
    };
    let store = Store::from_object_store(Arc::clone(faults) as Arc<dyn ObjectStore>);
    let options = StoreOptions {
        writes: RetryPolicy {
            tries: 1,
            ..RetryPolicy::WRITES
        },
        breaker: None,
        ..StoreOptions::default()
    };
    Dataset::open(store.with_env(env).with_options(options), "cities").unwrap()
}

async fn snapshot(writer: &Writer, version: u64) {
    let bytes = framed(&format!("state {version}"));
    let blob = writer.upload_snapshot(version, bytes).await.unwrap();
    writer.announce_snapshot(version, blob).await.unwrap();
}

/// A dataset of 20 versions with snapshots of these.
async fn grown(snapshots: &[u64]) -> (Arc<FaultStore>, Dataset, Writer) {
    let (faults, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    while writer.next_version() <= 20 {
        let version = commit(&writer, "delta").await.unwrap().version;
        if snapshots.contains(&version) {
            snapshot(&writer, version).await;
        }
    }
    (faults, dataset, writer)
}

async fn names(faults: &FaultStore) -> BTreeSet<String> {
    let all: Vec<_> = faults.list(None).try_collect().await.unwrap();
    let names = all.into_iter().map(|meta| meta.location.to_string());
    names
        .map(|name| name.trim_start_matches("cities/").to_owned())
        .collect()
}

/// Versions of which something is there in a folder.
async fn versions(faults: &FaultStore, folder: &str) -> BTreeSet<u64> {
    let names = names(faults).await;
    let files = names
        .iter()
        .filter_map(|name| name.strip_prefix(&format!("{folder}/")));
    files
        .filter_map(|file| file.get(..20)?.parse().ok())
        .collect()
}

async fn assert_kept_from(faults: &FaultStore, first: u64) {
    for folder in ["log", "delta", "reverse"] {
        // Version 1 is the fence of the first writer, which has no blobs.
        let expected: BTreeSet<u64> = (first.max(u64::from(folder != "log") + 1)..=20).collect();
        assert_eq!(versions(faults, folder).await, expected, "{folder}");
    }
}

fn lease(consumer: &str, version: u64, pinned: Option<u64>) -> Lease {
    Lease {
        format: FORMAT,
        dataset: "cities".to_owned(),
        consumer: consumer.to_owned(),
        version,
        pinned,
        expires_after_s: 60,
        ..sample_lease()
    }
}

fn sample_lease() -> Lease {
    let text = include_bytes!("../../../../docs/format/vectors/lease.json");
    Lease::decode(text).unwrap()
}

fn why_of(collection: &Collection, part: &str) -> BTreeSet<Why> {
    let of = collection
        .objects
        .iter()
        .filter(|object| object.name.contains(part));
    of.map(|object| object.why).collect()
}

#[tokio::test]
async fn what_follows_the_newest_snapshots_stays() {
    let (faults, dataset, writer) = grown(&[4, 8, 12, 16]).await;
    let collector = later(&faults, 2);
    let before = names(&faults).await;
    let planned = collector.plan_collection(&TWO).await.unwrap();
    assert_eq!(names(&faults).await, before, "a plan only reads");
    assert_eq!(
        (planned.before, planned.boundary, planned.newest),
        (0, 11, 20)
    );
    assert!(
        planned.holds[0].why.contains("newest 2 snapshots"),
        "{:?}",
        planned.holds
    );
    let done = collector.collect(&TWO).await.unwrap();
    assert_eq!((done.before, done.boundary), (0, 11));
    assert!(done.bytes() > 0);
    assert_kept_from(&faults, 12).await;
    assert_eq!(versions(&faults, "snapshots").await, [12, 16].into());
    assert_eq!(versions(&faults, "snapshot").await, [12, 16].into());
    assert_eq!(dataset.collected().await.unwrap(), 11);
    assert_eq!(
        dataset.next_entry(3).await.unwrap(),
        Next::Collected { boundary: 11 }
    );
    let again = collector.collect(&TWO).await.unwrap();
    assert_eq!(
        (again.before, again.boundary, again.objects.len()),
        (11, 11, 0)
    );
    assert_eq!(commit(&writer, "more").await.unwrap().version, 21);
}

#[tokio::test]
async fn nothing_goes_within_the_grace_and_nothing_without_a_snapshot() {
    let (faults, _, _) = grown(&[4, 8, 12, 16]).await;
    let before = names(&faults).await;
    let done = later(&faults, 0).collect(&TWO).await.unwrap();
    assert_eq!((done.boundary, done.objects.len()), (0, 0));
    assert!(
        done.holds
            .iter()
            .any(|hold| hold.why == "younger than 3600 s" && hold.from == 1)
    );
    assert_eq!(names(&faults).await, before);
    let (faults, _, _) = grown(&[]).await;
    let before = names(&faults).await;
    let done = later(&faults, 2).collect(&TWO).await.unwrap();
    assert_eq!(done.holds[0].why, "there is no snapshot yet");
    assert_eq!(names(&faults).await, before);
    let (faults, dataset) = faulty();
    assert_eq!(
        later(&faults, 2).collect(&TWO).await.unwrap(),
        Collection::default()
    );
    assert_eq!(dataset.collected().await.unwrap(), 0);
}

#[tokio::test]
async fn consumers_keep_what_they_go_on_from() {
    let (faults, dataset, _) = grown(&[4, 8, 12, 16]).await;
    let collector = later(&faults, 2);
    for (consumer, version) in [("new", 0), ("late", 6), ("far", 19)] {
        collector
            .write_lease(&lease(consumer, version, None))
            .await
            .unwrap();
    }
    // By the clock of the store they are young: that of the collector is ahead.
    let long = Retention {
        grace: Duration::from_secs(3 * 3600),
        ..TWO
    };
    let held = collector.plan_collection(&long).await.unwrap();
    let whys: Vec<_> = held
        .holds
        .iter()
        .map(|hold| (hold.from, hold.why.as_str()))
        .collect();
    assert!(
        whys.contains(&(6, "consumer late")) && whys.contains(&(19, "consumer far")),
        "{whys:?}"
    );
    assert!(
        !whys
            .iter()
            .any(|(_, why)| why.contains("new") && why.contains("consumer")),
        "{whys:?}"
    );
    // Beyond grace and expiry they are gone.
    let done = collector.collect(&TWO).await.unwrap();
    assert_eq!(done.boundary, 11);
    assert_eq!(dataset.collected().await.unwrap(), 11);
}

#[tokio::test]
async fn a_snapshot_whose_blob_is_lost_counts_for_none() {
    let (faults, dataset, _) = grown(&[4, 8, 12, 16]).await;
    let lost = dataset.snapshot_entry(16).await.unwrap().unwrap();
    let path = Path::from(format!("cities/{}", lost.blob.name));
    faults.delete(&path).await.unwrap();
    let done = later(&faults, 2).collect(&TWO).await.unwrap();
    assert_eq!(done.boundary, 7);
    assert_kept_from(&faults, 8).await;
}

#[tokio::test]
async fn a_pinned_consumer_keeps_the_way_to_its_version() {
    let (faults, _, writer) = grown(&[4, 8, 12, 16]).await;
    while writer.next_version() <= 30 {
        let version = commit(&writer, "delta").await.unwrap().version;
        if version % 4 == 0 {
            snapshot(&writer, version).await;
        }
    }
    // Two hours by the clock of the collector, and a lease that lives by that of the store.
    let mut living = lease("web", 10, Some(10));
    living.expires_after_s = 86_400;
    let collector = later(&faults, 2);
    collector.write_lease(&living).await.unwrap();
    let done = collector.collect(&TWO).await.unwrap();
    assert_eq!(done.boundary, 7);
    assert!(
        done.holds[0].why.contains("pinned to version 10"),
        "{:?}",
        done.holds
    );
    assert_eq!(
        versions(&faults, "snapshots").await,
        [8, 12, 16, 24, 28].into()
    );
    assert_eq!(
        versions(&faults, "snapshot").await,
        [8, 12, 16, 24, 28].into()
    );
    // Log entries that stay name what lies between.
    assert_eq!(
        why_of(&done, "snapshots/00000000000000000016"),
        BTreeSet::new()
    );
    assert_eq!(
        why_of(&done, "snapshots/00000000000000000004"),
        [Why::Collected].into()
    );
    assert_eq!(versions(&faults, "log").await, (8..=30).collect());
    // Once it is gone, so is the rest.
    collector
        .remove_lease(&grotto_store::ConsumerId::parse("web").unwrap())
        .await
        .unwrap();
    assert_eq!(collector.collect(&TWO).await.unwrap().boundary, 23);
    assert_eq!(versions(&faults, "snapshot").await, [24, 28].into());
}

#[tokio::test]
async fn a_lease_that_cannot_be_read_keeps_everything() {
    let (faults, _, _) = grown(&[4, 8, 12, 16]).await;
    let path = Path::from("cities/consumers/odd.json");
    faults.put(&path, "not a lease".into()).await.unwrap();
    let before = names(&faults).await;
    let done = later(&faults, 2).collect(&TWO).await.unwrap();
    assert_eq!(done.boundary, 0);
    assert!(
        done.holds[0]
            .why
            .contains("lease of consumer odd cannot be read"),
        "{:?}",
        done.holds
    );
    assert_eq!(names(&faults).await, before);
}

#[tokio::test]
async fn what_lost_attempts_left_goes_once_nobody_can_commit_it() {
    let (faults, dataset, writer) = grown(&[12, 16]).await;
    // One writer prepares a version, another one commits it.
    let lost = fields(&writer, "lost").await.unwrap();
    let ahead = versions(&faults, "delta").await;
    assert!(ahead.contains(&21), "{ahead:?}");
    let collector = later(&faults, 2);
    let done = collector.collect(&TWO).await.unwrap();
    assert_eq!(
        why_of(&done, "00000000000000000021"),
        BTreeSet::new(),
        "it may still be committed"
    );
    let other = acquire(&dataset, "b").await;
    drop(lost);
    let young = later(&faults, 0).collect(&TWO).await.unwrap();
    assert_eq!(why_of(&young, "00000000000000000021"), BTreeSet::new());
    let done = collector.collect(&TWO).await.unwrap();
    assert_eq!(why_of(&done, "00000000000000000021"), [Why::Orphan].into());
    assert_eq!(versions(&faults, "delta").await, (12..=20).collect());
    // A blob of a version whose entry cannot be read may be the one that it names.
    let stray = fields(&other, "stray").await.unwrap();
    drop(stray);
    commit(&other, "committed").await.unwrap();
    commit(&other, "newest").await.unwrap();
    damage(&faults, 22).await;
    let before = versions(&faults, "delta").await;
    collector.collect(&TWO).await.unwrap();
    assert_eq!(versions(&faults, "delta").await, before);
}

#[tokio::test]
async fn the_boundary_is_raised_before_anything_is_removed() {
    let (faults, dataset, _) = grown(&[4, 8, 12, 16]).await;
    let before = names(&faults).await;
    faults.script(Fault::PutFails, "collected/");
    let failed = later(&faults, 2).collect(&TWO).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Unavailable, "{failed}");
    assert_eq!(names(&faults).await, before);
    assert_eq!(dataset.collected().await.unwrap(), 0);
}

#[tokio::test]
async fn a_collection_that_is_stopped_anywhere_is_finished_by_the_next_one() {
    let (faults, _, _) = grown(&[4, 8, 12, 16]).await;
    let collector = later(&faults, 2);
    let plan = collector.plan_collection(&TWO).await.unwrap();
    collector.raise_collected(plan.boundary).await.unwrap();
    let plan = collector.plan_collection(&TWO).await.unwrap();
    assert!(plan.objects.len() > 30);
    let position = |part: &str| {
        plan.objects
            .iter()
            .position(|object| object.name.starts_with(part))
            .unwrap()
    };
    assert!(position("snapshots/") < position("log/") && position("log/") < position("delta/"));
    for (number, object) in plan.objects.iter().enumerate() {
        let path = Path::from(format!("cities/{}", object.name));
        faults.delete(&path).await.unwrap();
        if number % 5 == 0 {
            assert_eq!(collector.head().await.unwrap().unwrap().version, 20);
            let announced = collector.snapshot_entries().await.unwrap();
            for entry in &announced {
                collector.fetch_blob(&entry.blob).await.unwrap();
            }
            let rest = collector.plan_collection(&TWO).await.unwrap();
            assert_eq!(rest.objects, plan.objects[number + 1..]);
        }
    }
    assert_kept_from(&faults, 12).await;
}

#[tokio::test]
async fn storage_stays_bounded_over_many_versions() {
    let (faults, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    let collector = later(&faults, 2);
    let mut most = 0;
    for round in 0..40 {
        for _ in 0..50 {
            let version = commit(&writer, "delta").await.unwrap().version;
            if version % 25 == 0 {
                snapshot(&writer, version).await;
            }
        }
        collector.collect(&TWO).await.unwrap();
        let count = names(&faults).await.len();
        most = if round < 2 { most.max(count) } else { most };
        assert!(
            count <= most + 5,
            "{count} objects after round {round}, {most} at first"
        );
    }
    assert_eq!(dataset.head().await.unwrap().unwrap().version, 2001);
}
