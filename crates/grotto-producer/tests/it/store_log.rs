//! The write-ahead log in the store by itself: who may append, what is read back, and what a store may do to it.

use crate::kit::{SCHEMA, Trouble, TroubledStore};
use grotto_env::Env;
use grotto_format::Schema;
use grotto_producer::wal::{StoreLog, WalChange, WalEntry, WalOptions};
use grotto_producer::{ErrorKind, Result};
use grotto_store::{Confirm, Dataset, RetryPolicy, StoreOptions};
use object_store::path::Path;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn options() -> WalOptions {
    WalOptions {
        kept_slots: 0,
        ..WalOptions::default()
    }
}

/// One try, and answers that are not waited for long.
fn dataset(store: &Arc<TroubledStore>, seed: u64) -> Dataset {
    let once = RetryPolicy {
        tries: 1,
        ..RetryPolicy::READS
    };
    let store_options = StoreOptions {
        deadline: Duration::from_secs(2),
        reads: once,
        writes: once,
        breaker: None,
        ..StoreOptions::default()
    };
    let store = store.store().with_env(Env::simulated(seed));
    Dataset::open(store.with_options(store_options), "cities").unwrap()
}

fn log_with(store: &Arc<TroubledStore>, seed: u64, schema: &str, options: WalOptions) -> StoreLog {
    let schema = Arc::new(Schema::parse(schema).unwrap());
    StoreLog::new(&dataset(store, seed), &schema, options)
}

fn log(store: &Arc<TroubledStore>, seed: u64) -> StoreLog {
    log_with(store, seed, SCHEMA, options())
}

/// A record whose flat form is not looked at, with a key of its own.
fn entry(id: u64) -> Arc<WalEntry> {
    Arc::new(WalEntry {
        key: Some(format!("key {id}")),
        atomic: false,
        source: "test".to_owned(),
        positions: BTreeMap::new(),
        time_ms: id,
        changes: vec![WalChange::Upsert {
            type_id: 0,
            position: id,
            flat: vec![7; 40],
        }],
    })
}

/// The commit log is as it was fenced.
async fn nobody_wrote() -> Result<()> {
    Ok(())
}

async fn append(log: &StoreLog, id: u64) -> Result<u64> {
    log.append(&[entry(id)]).await
}

/// The ids of all entries that are not released, after a check of their numbers.
async fn ids(log: &StoreLog) -> Vec<u64> {
    let read = log.read_up_to(0, usize::MAX, usize::MAX).await.unwrap();
    let first = read.first().map_or(0, |read| read.number);
    let numbers: Vec<u64> = read.iter().map(|read| read.number).collect();
    let expected: Vec<u64> = (first..).take(read.len()).collect();
    assert_eq!(numbers, expected);
    read.iter().map(|read| read.entry.time_ms).collect()
}

fn slot(number: u64) -> String {
    format!("cities/wal/{number:020}.log")
}

async fn slots(store: &TroubledStore) -> Vec<u64> {
    let paths = store.paths("cities/wal").await;
    let digits = paths.iter().map(|path| &path["cities/wal/".len()..][..20]);
    digits.map(|digits| digits.parse().unwrap()).collect()
}

#[tokio::test(start_paused = true)]
async fn who_takes_over_has_all_entries_and_their_keys() {
    let store = TroubledStore::new();
    let one = log(&store, 1);
    one.take(1, 0, nobody_wrote()).await.unwrap();
    assert_eq!(append(&one, 10).await.unwrap(), 1);
    assert_eq!(one.append(&[entry(11), entry(12)]).await.unwrap(), 2);
    assert_eq!(ids(&one).await, [10, 11, 12]);
    let two = log(&store, 2);
    two.take(2, 1, nobody_wrote()).await.unwrap();
    assert_eq!(two.last(), 3);
    assert_eq!(ids(&two).await, [11, 12], "the first is in a version");
    assert_eq!(two.known_key("key 10"), Some(1), "it was acknowledged");
    assert_eq!(two.known_key("key 12"), Some(3));
    assert_eq!(append(&two, 13).await.unwrap(), 4);
    assert_eq!(ids(&two).await, [11, 12, 13]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_appended_before_the_log_is_taken_over() {
    let store = TroubledStore::new();
    let log = log(&store, 1);
    let error = append(&log, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(log.failed().unwrap().contains("not taken over yet"));
    assert!(slots(&store).await.is_empty());
    log.take(1, 0, nobody_wrote()).await.unwrap();
    assert_eq!(log.failed(), None);
    assert_eq!(append(&log, 1).await.unwrap(), 1);
}

/// Of rule 3 of the commit log, for this one: what a slow writer creates next was created, published and removed.
#[tokio::test(start_paused = true)]
async fn a_writer_that_slept_through_everything_appends_nothing() {
    let store = TroubledStore::new();
    let old = log(&store, 1);
    old.take(1, 0, nobody_wrote()).await.unwrap();
    append(&old, 1).await.unwrap();
    let mut epoch = 1;
    let mut last = 1;
    for _ in 0..3 {
        epoch += 1;
        let next = log(&store, epoch);
        next.take(epoch, last, nobody_wrote()).await.unwrap();
        for id in 0..4 {
            last = append(&next, id).await.unwrap();
        }
        next.release(last).await.unwrap();
    }
    assert!(
        slots(&store).await.len() < 6,
        "what is published is removed"
    );
    let error = append(&old, 2).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    assert!(error.message().contains("epoch 2"), "{error}");
    let error = append(&old, 3).await.unwrap_err();
    assert!(error.message().contains("epoch 2"), "it stays so: {error}");
    let newest = log(&store, 9);
    newest.take(9, last, nobody_wrote()).await.unwrap();
    assert!(ids(&newest).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_writer_of_before_does_not_take_the_log_back() {
    let store = TroubledStore::new();
    let (old, new) = (log(&store, 1), log(&store, 2));
    new.take(5, 0, nobody_wrote()).await.unwrap();
    append(&new, 1).await.unwrap();
    for hidden in [Vec::new(), vec![slot(1), slot(2)], vec![slot(2)]] {
        store.hide(&hidden);
        let error = old.take(4, 0, nobody_wrote()).await.unwrap_err();
        let expected = match hidden.len() {
            2 => ErrorKind::Unavailable,
            _ => ErrorKind::Fenced,
        };
        assert_eq!(error.kind(), expected, "{hidden:?}: {error}");
    }
    store.hide(&[]);
    assert_eq!(append(&new, 2).await.unwrap(), 2, "it noticed nothing");
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_the_log_is_taken_over_is_judged_like_the_rest() {
    let store = TroubledStore::new();
    let (old, new, late) = (log(&store, 1), log(&store, 2), log(&store, 3));
    old.take(1, 0, nobody_wrote()).await.unwrap();
    new.take(5, 0, nobody_wrote()).await.unwrap();
    // Its listing was made before.
    store.hide(&[slot(2)]);
    let error = late.take(4, 0, nobody_wrote()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    // The fence of another row, which begins elsewhere.
    let other = TroubledStore::new();
    log(&other, 9).take(1, 70, nobody_wrote()).await.unwrap();
    store.plant(&slot(2), other.bytes(&slot(1)).await).await;
    let error = log(&store, 4).take(6, 0, nobody_wrote()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(
        error.message().contains("expected entry 1, found 71"),
        "{error}"
    );
}

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

/// As the newest it would leave its number to another entry.
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
async fn a_log_that_is_new_goes_on_behind_what_is_committed() {
    let store = TroubledStore::new();
    let log = log(&store, 1);
    log.take(7, 500, nobody_wrote()).await.unwrap();
    assert_eq!(append(&log, 1).await.unwrap(), 501);
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
async fn published_slots_go_but_for_fences_and_the_newest() {
    let store = TroubledStore::new();
    let kept = WalOptions {
        kept_slots: 3,
        ..options()
    };
    let one = log_with(&store, 1, SCHEMA, kept.clone());
    one.take(1, 0, nobody_wrote()).await.unwrap();
    for id in 1..=10 {
        append(&one, id).await.unwrap();
    }
    let before = one.bytes();
    one.release(4).await.unwrap();
    assert!(one.bytes() < before, "room is made by what is published");
    assert_eq!(slots(&store).await, [1, 6, 7, 8, 9, 10, 11]);
    one.release(10).await.unwrap();
    assert_eq!(slots(&store).await, [1, 9, 10, 11]);
    assert_eq!(one.bytes(), 0);
    let two = log_with(&store, 2, SCHEMA, kept);
    two.take(2, 10, nobody_wrote()).await.unwrap();
    assert_eq!(two.known_key("key 8"), Some(8));
    assert_eq!(two.known_key("key 7"), None, "its slot is gone");
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_writer_left_is_removed_by_the_next() {
    let store = TroubledStore::new();
    let one = log(&store, 1);
    one.take(1, 0, nobody_wrote()).await.unwrap();
    for id in 1..=100 {
        append(&one, id).await.unwrap();
    }
    let two = log(&store, 2);
    two.take(2, 100, nobody_wrote()).await.unwrap();
    for _ in 0..3 {
        two.release(100).await.unwrap();
    }
    assert_eq!(slots(&store).await, [1, 102], "fences stay");
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

#[tokio::test(start_paused = true)]
async fn a_full_log_takes_nothing_until_something_is_published() {
    let store = TroubledStore::new();
    let small = WalOptions {
        max_bytes: 1_000,
        ..options()
    };
    let log = log_with(&store, 1, SCHEMA, small);
    log.take(1, 0, nobody_wrote()).await.unwrap();
    let mut id = 0;
    let error = loop {
        id += 1;
        assert!(id < 100, "the budget is never reached");
        match append(&log, id).await {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(id > 2);
    assert_eq!(error.kind(), ErrorKind::Overloaded);
    assert!(error.message().contains("at most 1000 bytes"), "{error}");
    log.release(log.last()).await.unwrap();
    append(&log, id).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn entries_are_read_in_parts_and_under_the_schema_in_use() {
    let store = TroubledStore::new();
    let one = log(&store, 1);
    one.take(1, 0, nobody_wrote()).await.unwrap();
    one.append(&[entry(1), entry(2), entry(3)]).await.unwrap();
    append(&one, 4).await.unwrap();
    let some = one.read_up_to(2, usize::MAX, 2).await.unwrap();
    assert_eq!(
        some.iter().map(|read| read.number).collect::<Vec<_>>(),
        [2, 3]
    );
    let some = one.read_up_to(2, 1, usize::MAX).await.unwrap();
    assert_eq!(some.len(), 1, "one at least");
    let other = "Town @PrimaryKey(id) { long id; }";
    let two = log_with(&store, 2, other, options());
    two.take(2, 0, nobody_wrote()).await.unwrap();
    let read = two.read_up_to(1, usize::MAX, usize::MAX).await.unwrap();
    assert_eq!(read.len(), 4);
    for read in read {
        assert!(read.entry.changes.is_empty());
        assert!(read.rejected[0].reason.contains("no type City"), "{read:?}");
    }
}
