//! Collection: what stays for whom, what goes, and in which order.

use std::collections::BTreeSet;

use grotto_store::{Collection, ConsumerId, Dataset, ErrorKind, Next, Why, Writer};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::kit::{acquire, commit, fields};
use crate::place::{Place, lease, retention, snapshot};

/// A dataset of 20 versions with snapshots of these.
async fn grown(snapshots: &[u64]) -> (Place, Dataset, Writer) {
    let place = Place::new();
    let writer = place.grown(20, snapshots).await;
    let dataset = place.dataset();
    (place, dataset, writer)
}

/// The same, all of it older than the grace.
async fn aged(snapshots: &[u64]) -> (Place, Dataset, Writer) {
    let grown = grown(snapshots).await;
    grown.0.age();
    grown
}

async fn names(place: &Place) -> BTreeSet<String> {
    place.objects().await.into_keys().collect()
}

/// Versions of which something is there in a folder.
async fn versions(place: &Place, folder: &str) -> BTreeSet<u64> {
    let names = names(place).await;
    let files = names
        .iter()
        .filter_map(|name| name.strip_prefix(&format!("{folder}/")));
    files
        .filter_map(|file| file.get(..20)?.parse().ok())
        .collect()
}

async fn assert_kept_from(place: &Place, first: u64) {
    for folder in ["log", "delta", "reverse"] {
        // Version 1 is the fence of the first writer, which has no blobs.
        let expected: BTreeSet<u64> = (first.max(u64::from(folder != "log") + 1)..=20).collect();
        assert_eq!(versions(place, folder).await, expected, "{folder}");
    }
}

fn why_of(collection: &Collection, part: &str) -> BTreeSet<Why> {
    let of = collection
        .objects
        .iter()
        .filter(|object| object.name.contains(part));
    of.map(|object| object.why).collect()
}

fn holds(collection: &Collection, why: &str) -> Option<u64> {
    let hold = collection.holds.iter().find(|hold| hold.why.contains(why));
    hold.map(|hold| hold.from)
}

#[tokio::test]
async fn what_follows_the_newest_snapshots_stays() {
    let (place, dataset, writer) = aged(&[4, 8, 12, 16]).await;
    let before = names(&place).await;
    let planned = dataset.plan_collection(&retention(2)).await.unwrap();
    assert_eq!(names(&place).await, before, "a plan leaves nothing behind");
    assert_eq!(
        (planned.before, planned.boundary, planned.newest),
        (0, 11, 20)
    );
    assert!(
        planned.holds[0].why.contains("newest 2 snapshots"),
        "{:?}",
        planned.holds
    );
    let done = dataset.collect(&retention(2)).await.unwrap();
    assert_eq!((done.before, done.boundary), (0, 11));
    assert!(done.bytes() > 0);
    assert_kept_from(&place, 12).await;
    assert_eq!(versions(&place, "snapshots").await, [12, 16].into());
    assert_eq!(versions(&place, "snapshot").await, [12, 16].into());
    assert_eq!(dataset.collected().await.unwrap(), 11);
    assert_eq!(
        dataset.next_entry(3).await.unwrap(),
        Next::Collected { boundary: 11 }
    );
    assert!(
        names(&place)
            .await
            .iter()
            .all(|name| !name.contains("probe"))
    );
    let again = dataset.collect(&retention(2)).await.unwrap();
    assert_eq!(
        (again.before, again.boundary, again.objects.len()),
        (11, 11, 0)
    );
    assert_eq!(commit(&writer, "more").await.unwrap().version, 21);
}

#[tokio::test]
async fn nothing_goes_within_the_grace_and_nothing_without_a_snapshot() {
    let (place, dataset, _) = grown(&[4, 8, 12, 16]).await;
    let before = names(&place).await;
    let done = dataset.collect(&retention(2)).await.unwrap();
    assert_eq!((done.boundary, done.objects.len()), (0, 0));
    assert_eq!(holds(&done, "younger than 3600 s"), Some(1));
    assert_eq!(names(&place).await, before);
    let (place, dataset, _) = aged(&[]).await;
    let before = names(&place).await;
    let done = dataset.collect(&retention(2)).await.unwrap();
    assert_eq!(done.holds[0].why, "there is no snapshot yet");
    assert_eq!(names(&place).await, before);
    let dataset = Place::new().dataset();
    assert_eq!(
        dataset.collect(&retention(2)).await.unwrap(),
        Collection::default()
    );
    assert_eq!(dataset.collected().await.unwrap(), 0);
}

#[tokio::test]
async fn consumers_keep_what_they_go_on_from_until_they_are_gone() {
    let (place, dataset, _) = aged(&[4, 8, 12, 16]).await;
    for (consumer, version) in [("new", 0), ("late", 6), ("far", 19)] {
        let lease = lease(consumer, version, None);
        dataset.write_lease(&lease).await.unwrap();
    }
    let held = dataset.collect(&retention(2)).await.unwrap();
    assert_eq!(held.boundary, 5);
    assert_eq!(holds(&held, "consumer late"), Some(6));
    assert_eq!(holds(&held, "consumer far"), Some(19));
    assert_eq!(holds(&held, "consumer new"), None);
    // Beyond grace and expiry they are gone.
    place.age();
    let done = dataset.collect(&retention(2)).await.unwrap();
    assert_eq!(done.boundary, 11);
    assert_eq!(dataset.collected().await.unwrap(), 11);
}

#[tokio::test]
async fn a_snapshot_whose_blob_is_lost_counts_for_none() {
    let (place, dataset, _) = aged(&[4, 8, 12, 16]).await;
    let lost = dataset.snapshot_entry(16).await.unwrap().unwrap();
    place.lose(&lost.blob.name).await;
    let done = dataset.collect(&retention(2)).await.unwrap();
    assert_eq!(done.boundary, 7);
    assert_kept_from(&place, 8).await;
}

#[tokio::test]
async fn a_pinned_consumer_keeps_the_way_to_its_version() {
    let (place, dataset, writer) = grown(&[4, 8, 12, 16]).await;
    while writer.next_version() <= 30 {
        let version = commit(&writer, "delta").await.unwrap().version;
        if version % 4 == 0 {
            snapshot(&writer, version).await;
        }
    }
    place.age();
    let living = lease("web", 10, Some(10));
    dataset.write_lease(&living).await.unwrap();
    let done = dataset.collect(&retention(2)).await.unwrap();
    assert_eq!(done.boundary, 7);
    assert!(
        done.holds[0].why.contains("pinned to version 10"),
        "{:?}",
        done.holds
    );
    // Log entries that stay name what lies between.
    let kept: BTreeSet<u64> = [8, 12, 16, 24, 28].into();
    assert_eq!(versions(&place, "snapshots").await, kept);
    assert_eq!(versions(&place, "snapshot").await, kept);
    let announced = "snapshots/000000000000000000";
    assert_eq!(why_of(&done, &format!("{announced}16")), BTreeSet::new());
    assert_eq!(
        why_of(&done, &format!("{announced}04")),
        [Why::Collected].into()
    );
    assert_eq!(versions(&place, "log").await, (8..=30).collect());
    // Once it is gone, so is the rest.
    let web = ConsumerId::parse("web").unwrap();
    dataset.remove_lease(&web).await.unwrap();
    let done = dataset.collect(&retention(2)).await.unwrap();
    assert_eq!(done.boundary, 23);
    assert_eq!(versions(&place, "snapshot").await, [24, 28].into());
}

#[tokio::test]
async fn a_lease_that_cannot_be_read_keeps_everything() {
    let (place, dataset, _) = aged(&[4, 8, 12, 16]).await;
    let path = Path::from("cities/consumers/odd.json");
    let put = place.store.inner.put(&path, "not a lease".into());
    put.await.unwrap();
    let before = names(&place).await;
    let done = dataset.collect(&retention(2)).await.unwrap();
    assert_eq!(done.boundary, 0);
    assert!(
        done.holds[0]
            .why
            .contains("lease of consumer odd cannot be read"),
        "{:?}",
        done.holds
    );
    assert_eq!(names(&place).await, before);
}

#[tokio::test]
async fn what_lost_attempts_left_goes_once_nobody_can_commit_it() {
    let (place, dataset, writer) = grown(&[12, 16]).await;
    // One writer prepares a version, another one commits it.
    drop(fields(&writer, "lost").await.unwrap());
    assert!(versions(&place, "delta").await.contains(&21));
    place.age();
    let done = dataset.collect(&retention(2)).await.unwrap();
    assert_eq!(
        why_of(&done, "00000000000000000021"),
        BTreeSet::new(),
        "it may still be committed"
    );
    let other = acquire(&dataset, "b").await;
    drop(fields(&other, "young").await.unwrap());
    acquire(&dataset, "c").await;
    let done = dataset.collect(&retention(2)).await.unwrap();
    assert_eq!(why_of(&done, "00000000000000000021"), [Why::Orphan].into());
    assert_eq!(why_of(&done, "00000000000000000022"), BTreeSet::new());
    place.age();
    let done = dataset.collect(&retention(2)).await.unwrap();
    assert_eq!(why_of(&done, "00000000000000000022"), [Why::Orphan].into());
    assert_eq!(versions(&place, "delta").await, (12..=20).collect());
}

#[tokio::test]
async fn a_blob_of_a_version_whose_entry_cannot_be_read_may_be_the_one_that_it_names() {
    let (place, dataset, writer) = grown(&[12, 16]).await;
    drop(fields(&writer, "stray").await.unwrap());
    commit(&writer, "committed").await.unwrap();
    commit(&writer, "newest").await.unwrap();
    place.flip("log/00000000000000000021.json").await;
    place.age();
    let before = names(&place).await;
    let done = dataset.collect(&retention(2)).await.unwrap();
    assert_eq!(why_of(&done, "00000000000000000021"), BTreeSet::new());
    let gone = before.difference(&names(&place).await).count();
    assert_eq!(gone, done.objects.len());
}

#[tokio::test]
async fn the_boundary_is_raised_before_anything_is_removed() {
    let (place, dataset, _) = aged(&[4, 8, 12, 16]).await;
    let before = names(&place).await;
    place.store.fail_writes_of("collected/");
    let failed = dataset.collect(&retention(2)).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::Unavailable, "{failed}");
    assert_eq!(names(&place).await, before);
    assert_eq!(dataset.collected().await.unwrap(), 0);
}

#[tokio::test]
async fn what_names_something_goes_before_what_it_names() {
    let (_, dataset, _) = aged(&[4, 8, 12, 16]).await;
    let plan = dataset.plan_collection(&retention(2)).await.unwrap();
    assert!(plan.objects.len() > 30);
    let position = |part: &str| {
        let mut objects = plan.objects.iter();
        objects.position(|object| object.name.starts_with(part))
    };
    assert!(position("snapshots/") < position("log/") && position("log/") < position("delta/"));
}

#[tokio::test]
async fn whoever_begins_to_need_something_before_it_is_removed_keeps_it() {
    // Before the time is asked for, while it is, and before the boundary is raised.
    for moment in 0..3 {
        let (place, dataset, _) = aged(&[4, 8, 12, 16]).await;
        let consumer = place.dataset();
        let begin = move || -> futures::future::BoxFuture<'static, ()> {
            Box::pin(async move {
                let begun = lease("begun", 6, None);
                consumer.write_lease(&begun).await.unwrap();
            })
        };
        place.store.before_write(moment, Box::new(begin));
        let done = dataset.collect(&retention(2)).await.unwrap();
        assert_eq!(holds(&done, "consumer begun"), Some(6));
        assert_eq!(done.boundary, 5, "before write {moment}");
        place.assert_way(6, 20).await;
    }
}
