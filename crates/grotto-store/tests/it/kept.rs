//! What keeps versions from being collected, for how long, and what does not.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use futures::TryStreamExt;
use futures::future::BoxFuture;
use grotto_store::{Acceptance, Collection, ConsumerId, Dataset, ErrorKind, Store, StoreUrl};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::kit::{acquire, commit, framed};
use crate::place::{GRACE, Place, lease, retention, snapshot};

/// A dataset of 20 versions with snapshots of four, all of it older than the grace.
async fn aged() -> (Place, Dataset) {
    let place = Place::new();
    place.grown(20, &[4, 8, 12, 16]).await;
    place.age();
    let dataset = place.dataset();
    (place, dataset)
}

/// From where on a hold keeps versions.
fn holds(collection: &Collection, why: &str) -> Option<u64> {
    let hold = collection.holds.iter().find(|hold| hold.why == why);
    hold.map(|hold| hold.from)
}

#[tokio::test]
async fn a_consumer_is_believed_for_the_grace_longer_than_its_lease() {
    let (place, dataset) = aged().await;
    dataset.write_lease(&lease("late", 6, None)).await.unwrap();
    place.store.clock.advance(GRACE);
    let held = dataset.collect(&retention(2)).await.unwrap();
    assert_eq!((holds(&held, "consumer late"), held.boundary), (Some(6), 5));
    place.assert_way(6, 20).await;
    place.store.clock.advance(Duration::from_secs(61));
    assert_eq!(place.collect(2).await.boundary, 11);
}

#[tokio::test]
async fn what_comes_before_the_first_snapshot_is_kept_for_who_is_pinned_there() {
    let (place, dataset) = aged().await;
    dataset
        .write_lease(&lease("web", 10, Some(3)))
        .await
        .unwrap();
    let done = dataset.collect(&retention(2)).await.unwrap();
    assert_eq!(done.boundary, 0, "{:?}", done.holds);
    place.assert_way(0, 3).await;
}

#[tokio::test]
async fn no_snapshots_to_keep_are_one() {
    for snapshots in [0, 1] {
        let (place, _) = aged().await;
        let done = place.collect(snapshots).await;
        assert_eq!(done.boundary, 15, "{:?}", done.holds);
        place.assert_whole(20).await;
    }
}

#[tokio::test]
async fn where_there_are_more_consumers_than_are_listed_nothing_is_collected() {
    let (place, dataset) = aged().await;
    for number in 0..=10_000 {
        let path = Path::from(format!("cities/consumers/c{number}.json"));
        let put = place.store.put(&path, Vec::new().into());
        put.await.unwrap();
    }
    // None of them is believed any more, or even read.
    place.store.clock.advance(Duration::from_secs(2 * 86_400));
    let done = dataset.collect(&retention(2)).await.unwrap();
    let why = "more consumers than can be listed";
    assert_eq!((holds(&done, why), done.boundary), (Some(1), 0));
}

#[tokio::test]
async fn a_snapshot_whose_blob_is_cut_short_counts_for_none() {
    let (place, dataset) = aged().await;
    let cut = dataset.snapshot_entry(16).await.unwrap().unwrap();
    place.put(&cut.blob.name, b"half".to_vec()).await;
    assert_eq!(place.collect(2).await.boundary, 7);
    place.assert_way(0, 20).await;
}

/// What would be found there counts for nothing, and what is not there hides nothing.
#[tokio::test]
async fn slots_that_were_collected_say_nothing_of_snapshots() {
    let (place, _) = aged().await;
    assert_eq!(place.collect(2).await.boundary, 11);
    // Only two snapshots are left.
    let done = place.collect(3).await;
    let why = "the newest 3 snapshots and what follows them";
    assert_eq!((holds(&done, why), done.boundary), (Some(12), 11));
}

#[tokio::test]
async fn nothing_past_the_boundary_goes_though_nobody_needs_it_any_more() {
    let (place, dataset) = aged().await;
    dataset.write_lease(&lease("late", 6, None)).await.unwrap();
    let consumer = place.dataset();
    let end = move || -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let late = ConsumerId::parse("late").unwrap();
            consumer.remove_lease(&late).await.unwrap();
        })
    };
    // When it is known how far the boundary is raised: after the time was asked for.
    place.store.before_write(2, Box::new(end));
    let done = dataset.collect(&retention(2)).await.unwrap();
    assert!(!place.store.is_waiting());
    assert_eq!(done.boundary, 5);
    place.assert_whole(20).await;
    assert_eq!(place.collect(2).await.boundary, 11);
}

#[tokio::test]
async fn what_crashes_left_in_a_folder_goes_with_a_collection() {
    let folder = tempfile::tempdir().unwrap();
    let url = StoreUrl::Local(folder.path().to_owned());
    let store = Store::open_writable(&url).unwrap();
    let dataset = Dataset::open(store, "cities").unwrap();
    commit(&acquire(&dataset, "w").await, "one").await.unwrap();
    let delta = folder.path().join("cities/delta");
    std::fs::create_dir_all(&delta).unwrap();
    let staged = delta.join("00000000000000000009-1-ab.delta#1");
    let old = std::fs::File::create(&staged).unwrap();
    old.set_modified(UNIX_EPOCH + GRACE).unwrap();
    let young = delta.join("00000000000000000009-1-cd.delta#1");
    std::fs::write(&young, "x").unwrap();
    dataset.collect(&retention(2)).await.unwrap();
    assert_eq!((staged.exists(), young.exists()), (false, true));
}

#[tokio::test]
async fn what_was_accepted_goes_with_its_version_and_what_checks_left_in_its_time() {
    let (place, dataset) = aged().await;
    let note = Acceptance {
        by: "ada".to_owned(),
        reason: String::new(),
    };
    for version in [6, 18] {
        dataset.accept(version, &note).await.unwrap();
    }
    let check = async |name: &str| {
        let path = Path::from(format!("cities/control/probe-{name}"));
        place.store.put(&path, "x".into()).await.unwrap();
    };
    check("old").await;
    place.age();
    check("young").await;
    assert_eq!(place.collect(2).await.boundary, 11);
    let left = place.objects().await.into_keys();
    let left = left.filter(|name| name.contains("/accepted/") || name.contains("/probe-"));
    let expected = [
        "control/accepted/00000000000000000018.json",
        "control/probe-young",
    ];
    assert_eq!(left.collect::<Vec<String>>(), expected);
}

#[tokio::test]
async fn a_blob_of_a_snapshot_that_is_announced_or_named_by_the_log_stays_and_another_one_goes() {
    let place = Place::new();
    let writer = place.grown(20, &[8, 12]).await;
    let announced = async || {
        let found = place.dataset().snapshot_entry(12).await.unwrap();
        found.unwrap().blob.name
    };
    let first = announced().await;
    // Its announcement is lost, and made anew: entries that follow name the first one.
    place.lose("snapshots/00000000000000000012.json").await;
    snapshot(&writer, 12).await;
    let second = announced().await;
    let third = writer.upload_snapshot(12, framed("lost")).await.unwrap();
    place.age();
    assert_eq!(place.collect(2).await.boundary, 7);
    let left = place.objects().await;
    let stays = [&first, &second, &third.name].map(|name| left.contains_key(name));
    assert_eq!(stays, [true, true, false]);
    place.assert_whole(20).await;
}

#[tokio::test]
async fn a_blob_of_a_snapshot_whose_announcement_may_yet_come_or_cannot_be_read_stays() {
    for damaged in [false, true] {
        let place = Place::new();
        let writer = place.grown(20, &[12, 16]).await;
        let blob = writer.upload_snapshot(20, framed("to 20")).await.unwrap();
        if damaged {
            let announced = writer.announce_snapshot(20, blob.clone()).await;
            announced.unwrap();
            place.flip("snapshots/00000000000000000020.json").await;
        }
        place.age();
        assert_eq!(place.collect(2).await.boundary, 11);
        assert!(place.objects().await.contains_key(&blob.name), "{damaged}");
    }
}

/// Without it everything might be old.
#[tokio::test]
async fn nothing_goes_where_the_store_does_not_tell_its_time() {
    let (place, dataset) = aged().await;
    let before = place.objects().await;
    let inner = Arc::clone(&place.store.inner);
    let lose = move || -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let folder = Path::from("cities/control");
            let found: Vec<_> = inner.list(Some(&folder)).try_collect().await.unwrap();
            let mut probes = found.iter().map(|meta| &meta.location);
            let probe = probes.find(|path| path.as_ref().contains("/probe-"));
            inner.delete(probe.unwrap()).await.unwrap();
        })
    };
    place.store.before_read(0, Box::new(lose));
    let error = dataset.collect(&retention(2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let told = "the store contradicts itself";
    assert!(error.message().contains(told), "{error}");
    assert_eq!(place.objects().await, before);
}
