//! Copies that are stopped anywhere: what is there is whole, and the next copy ends it.

use std::collections::BTreeMap;

use crate::place::{Place, commit_to, copy, copy_with, snapshot};
use grotto_store::{CopyOptions, ErrorKind};

/// Stops a copy after each of its writes in turn, with `unheard` after one that is reported as failed, and gives
/// how many there are.
async fn stop_everywhere(
    a: &Place,
    options: &CopyOptions,
    unheard: bool,
    begin: impl AsyncFn() -> Place,
) {
    let expected = {
        let b = begin().await;
        copy_with(a, &b, options).await.unwrap();
        let mut all = b.objects().await;
        all.retain(|name, _| !name.starts_with("collected/"));
        all
    };
    let last = a.dataset().head().await.unwrap().unwrap().version;
    for stop in 0.. {
        let b = begin().await;
        let before = b
            .dataset()
            .head()
            .await
            .unwrap()
            .map_or(0, |head| head.version);
        b.store.allow_writes(stop, unheard);
        let stopped = copy_with(a, &b, options).await;
        b.store.mend();
        let newest = b
            .dataset()
            .head()
            .await
            .unwrap()
            .map_or(0, |head| head.version);
        assert!(newest >= before, "stopped after {stop} writes");
        b.assert_readable(newest).await;
        if let Ok(copied) = stopped {
            assert!(stop >= 10, "{stop} writes are all: {copied:?}");
            return;
        }
        assert_eq!(stopped.unwrap_err().kind(), ErrorKind::Unavailable);
        copy_with(a, &b, options).await.unwrap();
        b.assert_whole(last).await;
        let found = b.objects().await;
        // Rows tell when they were made.
        let found: BTreeMap<_, _> = found
            .into_iter()
            .filter(|(name, _)| !name.starts_with("collected/"))
            .collect();
        let names: Vec<_> = found.keys().collect();
        assert_eq!(found, expected, "stopped after {stop} writes: {names:?}");
    }
}

#[tokio::test]
async fn a_first_copy_that_is_stopped_after_any_write_is_whole_and_is_ended_by_the_next() {
    let a = Place::new();
    a.grown(9, &[3, 6]).await;
    for unheard in [false, true] {
        stop_everywhere(&a, &CopyOptions::default(), unheard, async || Place::new()).await;
    }
}

#[tokio::test]
async fn one_that_begins_at_a_snapshot_likewise() {
    let a = Place::new();
    a.grown(12, &[3, 6, 9]).await;
    let options = CopyOptions {
        from: Some(6),
        ..CopyOptions::default()
    };
    stop_everywhere(&a, &options, false, async || Place::new()).await;
}

#[tokio::test]
async fn one_that_follows_up_likewise() {
    let a = Place::new();
    let writer = a.grown(6, &[3]).await;
    let old = Place::new();
    copy(&a, &old).await.unwrap();
    let old = old.objects().await;
    commit_to(&writer, 12).await;
    snapshot(&writer, 5).await;
    snapshot(&writer, 9).await;
    stop_everywhere(&a, &CopyOptions::default(), true, async || {
        Place::with(&old).await
    })
    .await;
}

#[tokio::test]
async fn one_that_goes_on_past_what_was_collected_likewise_but_for_the_gap() {
    let a = Place::new();
    let writer = a.grown(6, &[3]).await;
    let old = Place::new();
    copy(&a, &old).await.unwrap();
    let old = old.objects().await;
    for version in 7..=20 {
        commit_to(&writer, version).await;
        if version % 5 == 0 {
            snapshot(&writer, version).await;
        }
    }
    a.age();
    a.collect(2).await;
    stop_everywhere(&a, &CopyOptions::default(), false, async || {
        Place::with(&old).await
    })
    .await;
}
