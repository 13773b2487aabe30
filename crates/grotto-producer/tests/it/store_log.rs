//! The write-ahead log in the store by itself: who may append, and what is read back.

mod faults;
mod size;

use crate::kit::{SCHEMA, TroubledStore};
use grotto_env::Env;
use grotto_format::Schema;
use grotto_producer::wal::{StoreLog, WalChange, WalEntry, WalOptions};
use grotto_producer::{ErrorKind, Result};
use grotto_store::{Dataset, RetryPolicy, StoreOptions};
use std::collections::BTreeMap;
use std::sync::Arc;
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

/// As the newest it would leave its number to another entry.
#[tokio::test(start_paused = true)]
async fn a_log_that_is_new_goes_on_behind_what_is_committed() {
    let store = TroubledStore::new();
    let log = log(&store, 1);
    log.take(7, 500, nobody_wrote()).await.unwrap();
    assert_eq!(append(&log, 1).await.unwrap(), 501);
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
