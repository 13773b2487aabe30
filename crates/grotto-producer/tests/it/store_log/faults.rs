//! What a store may do to the log in it: answers that are lost, listings that are behind, damage.

use super::{append, ids, log, nobody_wrote, options, slot, slots};
use crate::kit::{SCHEMA, Trouble, TroubledStore};
use grotto_format::Schema;
use grotto_producer::ErrorKind;
use grotto_producer::wal::StoreLog;
use grotto_store::{Confirm, Dataset};
use object_store::path::Path;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::Ordering;

#[tokio::test(start_paused = true)]
async fn an_append_without_an_answer_is_settled_before_the_next() {
    for (trouble, place) in [
        (Trouble::Hangs, "it did not"),
        (Trouble::LandsThenDenied, "it landed and cannot be read"),
    ] {
        let store = TroubledStore::new();
        let log = log(&store, 1);
        log.take(1, 0, nobody_wrote()).await.unwrap();
        store.cause(trouble, "/wal/");
        let error = append(&log, 1).await.unwrap_err();
        assert!(error.kind() != ErrorKind::Fenced, "{place}: {error}");
        assert!(log.failed().is_some());
        assert_eq!(log.known_key("key 1"), None, "nobody knows yet");
        store.heal();
        assert_eq!(append(&log, 2).await.unwrap(), 2, "{place}");
        assert_eq!(ids(&log).await, [1, 2], "{place}");
        assert_eq!(log.known_key("key 1"), Some(1));
        assert_eq!(log.failed(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn who_reads_damage_in_its_place_is_not_fenced_by_it() {
    let store = TroubledStore::new();
    let log = log(&store, 1);
    log.take(1, 0, nobody_wrote()).await.unwrap();
    store.plant(&slot(2), b"no slot".to_vec()).await;
    let error = append(&log, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.message().contains(&slot(2)), "{error}");
    store.remove(&slot(2)).await;
    assert_eq!(append(&log, 2).await.unwrap(), 2);
    assert_eq!(ids(&log).await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_is_looked_for() {
    let store = TroubledStore::new();
    let log = log(&store, 1);
    log.take(1, 0, nobody_wrote()).await.unwrap();
    store.cause(Trouble::LandsAndHangs, "/wal/");
    assert_eq!(append(&log, 1).await.unwrap(), 1);
    assert_eq!(ids(&log).await, [1]);
}

#[tokio::test(start_paused = true)]
async fn an_append_without_an_answer_and_a_fence_in_its_place_is_none() {
    let store = TroubledStore::new();
    let (old, new) = (log(&store, 1), log(&store, 2));
    old.take(1, 0, nobody_wrote()).await.unwrap();
    store.cause(Trouble::Hangs, "/wal/");
    append(&old, 1).await.unwrap_err();
    store.heal();
    new.take(2, 0, nobody_wrote()).await.unwrap();
    assert_eq!(old.settle().await.unwrap_err().kind(), ErrorKind::Fenced);
    assert!(ids(&new).await.is_empty());
    assert_eq!(append(&new, 2).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn listings_that_are_behind_lose_nothing() {
    let store = TroubledStore::new();
    let one = log(&store, 1);
    one.take(1, 0, nobody_wrote()).await.unwrap();
    for id in 1..=40 {
        append(&one, id).await.unwrap();
    }
    let all: Vec<u64> = (1..=40).collect();
    // The newest, some between, all but the fence at the beginning.
    let hidden = [
        (30..=41).map(slot).collect::<Vec<_>>(),
        (5..=20).map(slot).collect(),
        (2..=41).map(slot).collect(),
    ];
    for (turn, hidden) in hidden.iter().enumerate() {
        store.hide(hidden);
        let next = log(&store, 10);
        next.take(2 + turn as u64, 0, nobody_wrote()).await.unwrap();
        assert_eq!(ids(&next).await, all);
        assert_eq!(next.last(), 40);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_is_listed_and_not_found_is_waited_for() {
    for path in [
        "wal/00000000000000000004.log",
        "wal/00000000000000000002.log",
    ] {
        let store = TroubledStore::new();
        let one = log(&store, 1);
        one.take(1, 0, nobody_wrote()).await.unwrap();
        for id in 1..=3 {
            append(&one, id).await.unwrap();
        }
        store.cause(Trouble::Missing, path);
        let next = log(&store, 2);
        let error = next.take(2, 0, nobody_wrote()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.message().contains(path), "{error}");
        assert_eq!(slots(&store).await, [1, 2, 3, 4], "no fence behind a gap");
        store.heal();
        next.take(2, 0, nobody_wrote()).await.unwrap();
        assert_eq!(ids(&next).await, [1, 2, 3]);
        assert_eq!(append(&next, 4).await.unwrap(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_ends_before_what_is_committed_is_not_believed() {
    let store = TroubledStore::new();
    let one = log(&store, 1);
    one.take(1, 0, nobody_wrote()).await.unwrap();
    for id in 1..=10 {
        append(&one, id).await.unwrap();
    }
    one.release(8).await.unwrap();
    // What is there is the fence and the slots of entries 9 and 10.
    assert_eq!(slots(&store).await, [1, 10, 11]);
    for hidden in [vec![slot(10), slot(11)], vec![slot(1), slot(10), slot(11)]] {
        store.hide(&hidden);
        let next = log(&store, 2);
        let error = next.take(2, 8, nobody_wrote()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.message().contains("behind"), "{error}");
        assert_eq!(
            slots(&store).await,
            [1, 10, 11],
            "no fence in a wrong place"
        );
    }
    store.hide(&[]);
    let next = log(&store, 2);
    next.take(2, 8, nobody_wrote()).await.unwrap();
    assert_eq!(ids(&next).await, [9, 10]);
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_or_damaged_is_told_with_its_name() {
    let store = TroubledStore::new();
    let one = log(&store, 1);
    one.take(1, 0, nobody_wrote()).await.unwrap();
    for id in 1..=5 {
        append(&one, id).await.unwrap();
    }
    let bytes = store.bytes(&slot(3)).await;
    store.remove(&slot(3)).await;
    let error = log(&store, 2).take(2, 0, nobody_wrote()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(
        error.message().contains("expected entry 2, found 3"),
        "{error}"
    );
    let error = one.read_up_to(2, 10, 10).await.unwrap_err();
    assert!(error.message().contains(&slot(3)), "{error}");
    // What is committed may be gone.
    log(&store, 3).take(2, 2, nobody_wrote()).await.unwrap();
    for (at, byte) in bytes.iter().enumerate() {
        for damaged in [byte ^ 1, byte ^ 0x80] {
            let mut bytes = bytes.clone();
            bytes[at] = damaged;
            store.plant(&slot(3), bytes).await;
            let error = log(&store, 4).take(3, 0, nobody_wrote()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}: {error}");
            assert!(error.message().contains(&slot(3)), "{error}");
        }
    }
    for length in 0..bytes.len() {
        store.plant(&slot(3), bytes[..length].to_vec()).await;
        let error = log(&store, 4).take(3, 0, nobody_wrote()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{length} bytes: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slot_of_another_dataset_is_refused() {
    let store = TroubledStore::new();
    let one = log(&store, 1);
    one.take(1, 0, nobody_wrote()).await.unwrap();
    let bytes = store.bytes(&slot(1)).await;
    store
        .plant("towns/wal/00000000000000000001.log", bytes)
        .await;
    let towns = Dataset::open(store.store(), "towns").unwrap();
    let schema = Arc::new(Schema::parse(SCHEMA).unwrap());
    let log = StoreLog::new(&towns, &schema, options());
    let error = log.take(2, 0, nobody_wrote()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(
        error.message().contains("expected dataset \"towns\""),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_removed_is_removed_later() {
    let store = TroubledStore::new();
    let log = log(&store, 1);
    log.take(1, 0, nobody_wrote()).await.unwrap();
    for id in 1..=3 {
        append(&log, id).await.unwrap();
    }
    store.keeps.store(true, Ordering::Relaxed);
    let error = log.release(3).await.unwrap_err();
    assert!(error.kind().is_outage(), "{error}");
    assert_eq!(slots(&store).await, [1, 2, 3, 4]);
    store.keeps.store(false, Ordering::Relaxed);
    log.release(3).await.unwrap();
    assert_eq!(slots(&store).await, [1, 4], "the newest stays");
}

/// What a folder shows may not be on its disk yet.
#[derive(Debug, Default)]
struct Confirmed(Mutex<Vec<String>>);

#[async_trait::async_trait]
impl Confirm for Confirmed {
    async fn confirm(&self, location: &Path) -> object_store::Result<()> {
        self.0.lock().push(location.to_string());
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_built_on_is_there_for_good() {
    let store = TroubledStore::new();
    let one = log(&store, 1);
    one.take(1, 0, nobody_wrote()).await.unwrap();
    append(&one, 1).await.unwrap();
    let confirmed = Arc::new(Confirmed::default());
    let folder = store.store().with_confirm(confirmed.clone());
    let schema = Arc::new(Schema::parse(SCHEMA).unwrap());
    let cities = Dataset::open(folder, "cities").unwrap();
    store.hide(&[slot(2)]);
    let two = StoreLog::new(&cities, &schema, options());
    two.take(2, 0, nobody_wrote()).await.unwrap();
    let asked = std::mem::take(&mut *confirmed.0.lock());
    assert_eq!(asked, [slot(1), slot(2)], "listed, and found on the way");
}
