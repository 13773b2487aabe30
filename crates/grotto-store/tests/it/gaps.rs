//! Writers that find their slot free because the entry in it was lost. Owns nothing.

use std::sync::Arc;

use bytes::Bytes;
use grotto_store::{CommitFields, Dataset, ErrorKind, Writer};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::kit::{Fault, FaultStore, acquire, commit, damage, faulty, fields, named};

async fn lose(faults: &FaultStore, version: u64) {
    let path = Path::from(format!("cities/log/{version:020}.json"));
    faults.delete(&path).await.unwrap();
}

async fn claimed(dataset: &Dataset, writer: &str) -> Writer {
    let prepared = Writer::prepare(dataset.clone(), named(writer)).await;
    let (writer, _) = prepared.unwrap();
    writer.claim().await.unwrap();
    writer
}

/// A commit that rests on nothing before it.
async fn new_start(writer: &Writer) -> CommitFields {
    let version = writer.next_version();
    let snapshot = writer.upload_snapshot(version, Bytes::new()).await.unwrap();
    CommitFields {
        snapshot: Some(snapshot),
        state_checksum: version,
        ..CommitFields::default()
    }
}

/// What another writer does at the head.
#[derive(Clone, Copy, Debug)]
enum Does {
    Fence,
    Commit,
    Start,
}

const ALL: [Does; 3] = [Does::Fence, Does::Commit, Does::Start];

async fn take_over(dataset: &Dataset, does: Does) -> Writer {
    match does {
        Does::Fence => acquire(dataset, "new").await,
        Does::Commit => {
            let writer = claimed(dataset, "new").await;
            commit(&writer, "new").await.unwrap();
            writer
        }
        Does::Start => {
            let writer = claimed(dataset, "new").await;
            let start = new_start(&writer).await;
            writer.commit(start).await.unwrap();
            writer
        }
    }
}

async fn assert_is_lost(sleeper: &Writer, fields: CommitFields, case: &str) {
    for _ in 0..2 {
        let error = sleeper.commit(fields.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Fenced, "{case}: {error}");
        let told = error.message();
        assert!(told.contains("lost from the log"), "{case}: {told}");
    }
    assert!(sleeper.is_fenced(), "{case}");
}

#[tokio::test]
async fn a_slot_in_the_middle_of_the_log_is_no_slot_to_win() {
    for does in ALL {
        let (faults, dataset) = faulty();
        let sleeper = acquire(&dataset, "sleeper").await;
        let (slot, late) = (2, fields(&sleeper, "late").await.unwrap());
        let new = take_over(&dataset, does).await;
        commit(&new, "3").await.unwrap();
        lose(&faults, slot).await;
        assert_is_lost(&sleeper, late, &format!("{does:?}")).await;
        assert!(dataset.read_entry(slot).await.unwrap().is_some());
        commit(&new, "unharmed").await.unwrap();
    }
}

/// Its first commit was to be the fence.
#[tokio::test]
async fn a_claimed_epoch_wins_no_slot_in_the_middle_of_the_log() {
    for does in ALL {
        let (faults, dataset) = faulty();
        commit(&acquire(&dataset, "first").await, "2")
            .await
            .unwrap();
        let sleeper = claimed(&dataset, "sleeper").await;
        let late = fields(&sleeper, "late").await.unwrap();
        // Of the epoch that the sleeper claimed.
        let new = take_over(&dataset, does).await;
        commit(&new, "4").await.unwrap();
        lose(&faults, 3).await;
        assert_is_lost(&sleeper, late, &format!("{does:?}")).await;
    }
}

/// What it created stays its version, whoever came after.
#[tokio::test]
async fn an_entry_that_others_went_on_from_is_won() {
    for does in ALL {
        let (faults, dataset) = faulty();
        let sleeper = acquire(&dataset, "sleeper").await;
        commit(&sleeper, "2").await.unwrap();
        let attempt = fields(&sleeper, "3").await.unwrap();
        landed_unheard(&faults, &sleeper, &attempt).await;
        take_over(&dataset, does).await;
        let entry = sleeper.commit(attempt).await.unwrap();
        assert_eq!(entry.version, 3, "{does:?}");
        let next = commit(&sleeper, "4").await.unwrap_err();
        assert_eq!(next.kind(), ErrorKind::Fenced, "{does:?}: {next}");
    }
}

/// Nothing but its snapshot tells one new start from another.
#[tokio::test]
async fn a_new_start_that_others_went_on_from_is_won_and_another_in_its_place_is_not() {
    for lost in [false, true] {
        for does in ALL {
            let (faults, dataset) = faulty();
            let sleeper = acquire(&dataset, "sleeper").await;
            let attempt = new_start(&sleeper).await;
            if lost {
                take_over(&dataset, Does::Start).await;
            } else {
                landed_unheard(&faults, &sleeper, &attempt).await;
            }
            let next = take_over(&dataset, does).await;
            if !lost {
                assert_eq!(sleeper.commit(attempt).await.unwrap().version, 2);
                continue;
            }
            lose(&faults, 2).await;
            match does {
                // It rests on nothing: whatever is before it, nobody misses.
                Does::Start => drop(sleeper.commit(attempt).await.unwrap()),
                Does::Fence | Does::Commit => assert_is_lost(&sleeper, attempt, "start").await,
            }
            commit(&next, "unharmed").await.unwrap();
        }
    }
}

/// As long as the log is, the links of an entry are the last ones only.
#[tokio::test]
async fn an_entry_that_others_went_on_from_is_won_behind_a_long_log() {
    let (faults, dataset) = faulty();
    let sleeper = acquire(&dataset, "sleeper").await;
    for _ in 0..70 {
        commit(&sleeper, "x").await.unwrap();
    }
    let attempt = fields(&sleeper, "x").await.unwrap();
    landed_unheard(&faults, &sleeper, &attempt).await;
    take_over(&dataset, Does::Commit).await;
    assert_eq!(sleeper.commit(attempt).await.unwrap().version, 72);
}

#[tokio::test]
async fn a_next_entry_that_is_damaged_proves_no_gap() {
    let (faults, dataset) = faulty();
    let sleeper = acquire(&dataset, "sleeper").await;
    let attempt = fields(&sleeper, "2").await.unwrap();
    landed_unheard(&faults, &sleeper, &attempt).await;
    take_over(&dataset, Does::Fence).await;
    damage(&faults, 3).await;
    assert_eq!(sleeper.commit(attempt).await.unwrap().version, 2);
}

/// The entry is in the log, and its writer does not know.
async fn landed_unheard(faults: &Arc<FaultStore>, writer: &Writer, attempt: &CommitFields) {
    (0..3).for_each(|_| faults.script(Fault::ListFails, "collected"));
    let error = writer.commit(attempt.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(writer.is_undecided() && faults.script_is_used_up());
}
