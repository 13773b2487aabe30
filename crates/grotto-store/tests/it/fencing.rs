//! The five rules of fencing, one by one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use grotto_env::{Env, Random, SeededRandom};
use grotto_store::{
    CommitFields, Dataset, EntryKind, ErrorKind, Next, Store, TypeSummary, Writer, WriterOptions,
};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use futures::TryStreamExt;
use grotto_store::plan::{Known, plan_to_entry};

use crate::kit::{Creates, Fault, acquire, commit, faulty, fields, memory, named};

#[tokio::test]
async fn a_fence_raises_the_epoch_and_carries_the_state_forward() {
    let dataset = memory();
    let first = acquire(&dataset, "a").await;
    let mut filled = fields(&first, "x").await.unwrap();
    let cities = TypeSummary {
        changed: None,
        nested: false,
        records: 3,
        checksum: 9,
    };
    filled.types.insert("City".to_owned(), cities);
    filled.sources.insert("wal".to_owned(), 17);
    filled.schema_hash = 5;
    let before = first.commit(filled).await.unwrap();
    acquire(&dataset, "b").await;
    let fence = dataset.head().await.unwrap().unwrap();
    assert_eq!(
        (fence.kind, fence.epoch, fence.version),
        (EntryKind::Fence, 2, 3)
    );
    assert_eq!(fence.parent, before.version);
    assert_eq!(fence.state_version, before.version);
    assert_eq!(fence.dataset_id, before.dataset_id);
    assert_eq!(fence.links, before.links);
    assert_eq!(fence.state_checksum, before.state_checksum);
    assert_eq!(fence.types, before.types);
    assert_eq!(fence.sources, before.sources);
    assert_eq!(fence.schema_hash, before.schema_hash);
    assert_eq!(fence.blobs, None);
}

#[tokio::test]
async fn a_transition_names_the_fences_it_steps_over() {
    let dataset = memory();
    let first = acquire(&dataset, "a").await;
    commit(&first, "2").await.unwrap();
    acquire(&dataset, "b").await;
    let third = acquire(&dataset, "c").await;
    let entry = commit(&third, "5").await.unwrap();
    let steps: Vec<_> = entry
        .links
        .0
        .iter()
        .map(|t| (t.since, t.from, t.version()))
        .collect();
    assert_eq!(steps, [(0, 1, 2), (2, 4, 5)]);
}

#[tokio::test]
async fn entries_list_the_last_transitions_and_no_more() {
    let dataset = memory();
    let writer = acquire(&dataset, "a").await;
    let mut last = None;
    for _ in 0..70 {
        last = Some(commit(&writer, "x").await.unwrap());
    }
    let entry = last.unwrap();
    assert_eq!(entry.links.0.len(), 64);
    assert_eq!(entry.links.0[63].version(), entry.version);
    assert_eq!(entry.links.0[0].version(), entry.version - 63);
}

#[tokio::test]
async fn preparing_writes_nothing_and_fences_only_when_told() {
    let dataset = memory();
    let (writer, head) = Writer::prepare(dataset.clone(), named("lazy"))
        .await
        .unwrap();
    assert_eq!(head, None);
    assert_eq!(dataset.head().await.unwrap(), None);
    let early = writer.commit(CommitFields::default()).await.unwrap_err();
    assert_eq!(
        early.kind(),
        ErrorKind::Invalid,
        "no commit before the fence"
    );
    let upload = writer.upload_snapshot(1, Bytes::new()).await;
    assert_eq!(upload.unwrap_err().kind(), ErrorKind::Invalid);
    let fence = writer.fence().await.unwrap();
    assert_eq!(
        writer.fence().await.unwrap(),
        fence,
        "fencing twice changes nothing"
    );
    assert_eq!(commit(&writer, "x").await.unwrap().version, 2);
}

#[tokio::test]
async fn a_prepared_writer_is_fenced_if_the_log_moved_on() {
    let dataset = memory();
    let (lazy, _) = Writer::prepare(dataset.clone(), named("lazy"))
        .await
        .unwrap();
    let other = acquire(&dataset, "other").await;
    let error = lazy.fence().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert!(lazy.is_fenced());
    commit(&other, "unharmed").await.unwrap();
}

#[tokio::test]
async fn a_slot_below_the_collection_boundary_counts_as_lost() {
    let (faults, dataset) = faulty();
    let sleeper = acquire(&dataset, "sleeper").await;
    let new = acquire(&dataset, "new").await;
    for _ in 0..3 {
        commit(&new, "x").await.unwrap();
    }
    // A collector ran while the sleeper slept: boundary first, then the entries.
    dataset.raise_collected(3).await.unwrap();
    for version in 1..=3_u64 {
        let path = Path::from(format!("cities/log/{version:020}.json"));
        faults.delete(&path).await.unwrap();
    }
    let error = commit(&sleeper, "risen").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert!(error.message().contains("boundary 3"), "{error}");
    assert_eq!(
        dataset.read_entry(2).await.unwrap(),
        None,
        "nothing stays behind"
    );
    commit(&new, "unharmed").await.unwrap();
}

#[tokio::test]
async fn the_slot_at_the_collection_boundary_counts_as_lost_and_the_next_does_not() {
    for (boundary, lost) in [(2, true), (1, false)] {
        let dataset = memory();
        let sleeper = acquire(&dataset, "sleeper").await;
        dataset.raise_collected(boundary).await.unwrap();
        let committed = commit(&sleeper, "x").await;
        assert_eq!(committed.is_err(), lost, "{boundary}: {committed:?}");
        assert_eq!(dataset.read_entry(2).await.unwrap().is_none(), lost);
    }
}

#[tokio::test]
async fn a_collector_that_slept_cannot_lower_what_is_collected() {
    let (faults, dataset) = faulty();
    let sleeper = acquire(&dataset, "sleeper").await;
    let new = acquire(&dataset, "new").await;
    for _ in 0..9 {
        commit(&new, "x").await.unwrap();
    }
    // One collector decided on 4 and fell asleep before it said so; another went on.
    for version in [2, 6, 8] {
        dataset.raise_collected(version).await.unwrap();
    }
    for version in 1..=8_u64 {
        let path = Path::from(format!("cities/log/{version:020}.json"));
        faults.delete(&path).await.unwrap();
    }
    dataset.raise_collected(4).await.unwrap();
    assert_eq!(dataset.collected().await.unwrap(), 8);
    assert_eq!(
        commit(&sleeper, "risen").await.unwrap_err().kind(),
        ErrorKind::Fenced
    );
    dataset.raise_collected(8).await.unwrap();
    // A row that is damaged says what its name says.
    let row = Path::from(format!("cities/collected/{:020}.json", 8));
    faults.put(&row, "torn".into()).await.unwrap();
    assert_eq!(dataset.collected().await.unwrap(), 8);
    let rows: Vec<_> = faults
        .list(Some(&Path::from("cities/collected")))
        .try_collect()
        .await
        .unwrap();
    assert_eq!(rows.len(), 2, "the two highest: {rows:?}");
}

#[tokio::test]
async fn positions_stay_over_commits_and_fences_and_move_alone() {
    let dataset = memory();
    let first = acquire(&dataset, "a").await;
    let mut filled = fields(&first, "x").await.unwrap();
    filled.sources.insert("wal".to_owned(), 17);
    filled.tags.insert("note".to_owned(), "n".to_owned());
    let state = first.commit(filled).await.unwrap();
    let second = acquire(&dataset, "b").await;
    let moved = CommitFields {
        sources: [("feed".to_owned(), 3)].into(),
        positions_only: true,
        ..CommitFields::default()
    };
    let entry = second.commit(moved).await.unwrap();
    assert_eq!((entry.version, entry.kind), (4, EntryKind::Positions));
    assert_eq!((entry.state_version, entry.commits), (2, state.commits));
    assert_eq!(entry.links, state.links);
    assert_eq!(entry.tags, state.tags);
    assert_eq!((&entry.blobs, entry.state_checksum), (&None, 2));
    let expected = [("feed".to_owned(), 3), ("wal".to_owned(), 17)].into();
    assert_eq!(dataset.positions().await.unwrap(), expected);
    let next = commit(&second, "y").await.unwrap();
    assert_eq!(next.sources, expected, "a commit that says nothing of them");
    let last = next.links.0[1];
    assert_eq!((last.since, last.from), (2, 4));
    let fence = acquire(&dataset, "c").await.head().unwrap();
    assert_eq!(fence.sources, expected);
    let plan = plan_to_entry(Some(2), &fence, &Known::new()).unwrap();
    assert_eq!(plan.steps.len(), 3, "skip, delta, skip: {plan:?}");
}

#[tokio::test]
async fn a_reader_does_not_follow_an_entry_below_the_boundary() {
    let dataset = memory();
    let writer = acquire(&dataset, "a").await;
    commit(&writer, "x").await.unwrap();
    dataset.raise_collected(2).await.unwrap();
    let next = dataset.next_entry(1).await.unwrap();
    assert_eq!(next, Next::Collected { boundary: 2 });
}

#[tokio::test]
async fn a_store_that_does_not_fence_is_refused_and_names_the_way_out() {
    let second = "the second of two creates succeeded";
    for (creates, found) in [
        (Creates::Overwrites, second),
        (Creates::LooksThenWrites, "4 of 4 racing creates succeeded"),
        (Creates::RefusesAndOverwrites, second),
        (Creates::RefusesWhileWriting, second),
        (
            Creates::LosersOverwrite,
            "the winner of a race was overwritten",
        ),
    ] {
        let (faults, dataset) = faulty();
        faults.honour_creates(creates);
        let acquired = Writer::acquire(dataset.clone(), named("a")).await;
        let error = acquired.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{creates:?}: {error}");
        assert!(
            error
                .message()
                .contains(&format!("cannot keep two writers apart ({found})")),
            "{creates:?}: {error}"
        );
        assert_eq!(dataset.head().await.unwrap(), None, "nothing was written");
        let (lazy, _) = Writer::prepare(dataset, named("b")).await.unwrap();
        assert_eq!(lazy.fence().await.unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[tokio::test]
async fn the_head_is_found_past_what_a_listing_shows() {
    let (faults, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    for _ in 0..3 {
        commit(&writer, "x").await.unwrap();
    }
    faults.hide_from_listings("0000000004.json");
    assert_eq!(dataset.list_versions(1..=9).await.unwrap(), [1, 2, 3]);
    assert_eq!(dataset.head().await.unwrap().unwrap().version, 4);
}

#[tokio::test]
async fn an_overwriting_store_can_be_used_where_that_is_allowed() {
    let (faults, dataset) = faulty();
    faults.honour_creates(Creates::Overwrites);
    let options = WriterOptions {
        allow_unfenced: true,
        ..named("a")
    };
    let (first, _) = Writer::acquire(dataset.clone(), options.clone())
        .await
        .unwrap();
    commit(&first, "x").await.unwrap();
    // Still noticed where it can be: the slot is looked at before it is written.
    let (second, _) = Writer::acquire(dataset.clone(), options).await.unwrap();
    let error = commit(&first, "y").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    commit(&second, "z").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_cannot_be_read_back_once_proves_nothing_and_is_made_again() {
    let (faults, dataset) = faulty();
    faults.script(Fault::GetFindsNothing, "probe");
    acquire(&dataset, "a").await;
    assert!(faults.script_is_used_up());
}

#[tokio::test]
async fn the_probe_leaves_nothing_behind() {
    let (faults, dataset) = faulty();
    acquire(&dataset, "a").await;
    let control = Path::from("cities/control");
    let left = faults.list_with_delimiter(Some(&control)).await.unwrap();
    assert!(left.objects.is_empty(), "{left:?}");
}

#[tokio::test]
async fn blobs_of_another_version_or_reign_cannot_be_committed() {
    let dataset = memory();
    let old = acquire(&dataset, "old").await;
    let stale = fields(&old, "x").await.unwrap();
    let new = acquire(&dataset, "new").await;
    let error = new.commit(stale).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error.message().contains("was not uploaded for version 3"),
        "{error}"
    );
}

#[tokio::test]
async fn a_stale_or_foreign_leader_hint_does_not_hide_the_head() {
    let (faults, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    writer.heartbeat().await;
    for _ in 0..3 {
        commit(&writer, "x").await.unwrap();
    }
    assert_eq!(dataset.head().await.unwrap().unwrap().version, 4, "stale");
    let leader = Path::from("cities/control/leader.json");
    faults.put(&leader, "garbage".into()).await.unwrap();
    assert_eq!(dataset.head().await.unwrap().unwrap().version, 4, "garbage");
    let far = grotto_store::LeaderHint {
        format: 1,
        dataset: "cities".to_owned(),
        version: 1_000_000,
        epoch: 9,
        writer: "liar".to_owned(),
        time_ms: 0,
        resigned: false,
    };
    faults
        .put(&leader, far.encode().unwrap().into())
        .await
        .unwrap();
    assert_eq!(dataset.head().await.unwrap().unwrap().version, 4, "lying");
}

/// A dataset as a process of one of several clones sees it: they all draw the same numbers.
fn cloned(faults: &Arc<crate::kit::FaultStore>, random: impl Random + 'static) -> Dataset {
    let env = Env {
        random: Arc::new(random),
        ..Env::system()
    };
    let store = Store::from_object_store(Arc::clone(faults) as Arc<dyn ObjectStore>);
    Dataset::open(store.with_env(env), "cities").unwrap()
}

#[tokio::test]
async fn clones_that_draw_the_same_nonce_are_told_apart_by_the_rest_of_their_entries() {
    let (faults, _) = faulty();
    let clone = || cloned(&faults, SeededRandom::new(1));
    let (first, _) = Writer::prepare(clone(), named("one")).await.unwrap();
    let (second, _) = Writer::prepare(clone(), named("two")).await.unwrap();
    let fence = first.fence().await.unwrap();
    let error = second.fence().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    assert_eq!(first.dataset().head().await.unwrap(), Some(fence));
    commit(&first, "unharmed").await.unwrap();
}

/// Draws each nonce twice.
#[derive(Debug)]
struct Twice(AtomicU64);

impl Random for Twice {
    fn next_u64(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    fn nonce(&self) -> String {
        format!("{:032x}", self.next_u64() / 2)
    }
}

#[tokio::test(start_paused = true)]
async fn a_blob_is_never_written_over_by_one_that_drew_its_name() {
    let (faults, _) = faulty();
    let dataset = cloned(&faults, Twice(AtomicU64::new(0)));
    let options = WriterOptions {
        allow_unfenced: true, // the probe's bodies repeat, too
        ..named("a")
    };
    let (writer, _) = Writer::acquire(dataset.clone(), options).await.unwrap();
    let mut blobs = Vec::new();
    for text in ["one", "two", "three", "four"] {
        let bytes = Bytes::from_static(text.as_bytes());
        let blob = writer.upload_snapshot(2, bytes.clone()).await;
        blobs.push((blob.unwrap(), bytes));
    }
    for (blob, bytes) in blobs {
        assert_eq!(dataset.fetch_blob(&blob).await.unwrap(), bytes);
    }
}
