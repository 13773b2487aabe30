//! The suite that every backend must pass.

use std::sync::Arc;

use bytes::Bytes;
use grotto_store::plan::{Known, plan_to_entry};
use grotto_store::{
    Dataset, EntryKind, ErrorKind, Next, Parts, Ranges, Store, StoreOptions, StoreUrl, Writer,
};

use crate::kit::{FaultStore, acquire, commit, log, named};

/// Runs every promise against one store.
pub(crate) async fn run(store: Store) {
    nothing_is_there_at_first(&dataset(&store, "empty")).await;
    commits_are_seen_in_order(&dataset(&store, "order")).await;
    blobs_come_back_whole(&dataset(&store, "blobs")).await;
    large_blobs_go_in_parts_and_come_in_ranges(&store).await;
    snapshots_are_announced_once(&dataset(&store, "snapshots")).await;
    a_new_writer_ends_the_old_one(&dataset(&store, "takeover")).await;
    racing_writers_never_share_a_version(&dataset(&store, "race")).await;
    the_boundary_only_rises(&dataset(&store, "boundary")).await;
    // Written in: order, blobs, large, snapshots, takeover, race, boundary. Reading creates nothing.
    let written = [
        "blobs",
        "boundary",
        "large",
        "order",
        "race",
        "snapshots",
        "takeover",
    ];
    assert_eq!(store.datasets().await.unwrap(), written);
}

fn dataset(store: &Store, name: &str) -> Dataset {
    Dataset::open(store.clone(), name).unwrap()
}

async fn nothing_is_there_at_first(dataset: &Dataset) {
    assert_eq!(dataset.head().await.unwrap(), None);
    assert_eq!(dataset.read_entry(1).await.unwrap(), None);
    assert_eq!(dataset.next_entry(0).await.unwrap(), Next::None);
    assert_eq!(dataset.leader_hint().await.unwrap(), None);
    assert_eq!(dataset.collected().await.unwrap(), 0);
    assert!(dataset.snapshot_entries().await.unwrap().is_empty());
    assert!(dataset.outlines(1..=u64::MAX).await.unwrap().is_empty());
}

async fn commits_are_seen_in_order(dataset: &Dataset) {
    let (writer, head) = Writer::acquire(dataset.clone(), named("a")).await.unwrap();
    assert_eq!(head, None);
    let fence = dataset.head().await.unwrap().unwrap();
    assert_eq!((fence.version, fence.kind), (1, EntryKind::Fence));
    let mut committed = vec![fence];
    for round in 0..4 {
        committed.push(commit(&writer, &format!("round {round}")).await.unwrap());
        if round == 1 {
            writer.heartbeat().await;
        }
    }
    assert_eq!(log(dataset).await, committed);
    assert_eq!(dataset.list_versions(2..=3).await.unwrap(), [2, 3]);
    assert_eq!(dataset.leader_hint().await.unwrap().unwrap().version, 3);
    let head = dataset.head().await.unwrap().unwrap();
    assert_eq!(Some(&head), committed.last());
    let news = dataset.next_entry(4).await.unwrap();
    assert_eq!(news, Next::Entry(Box::new(head.clone())));
    assert_eq!(dataset.next_entry(5).await.unwrap(), Next::None);
    let plan = plan_to_entry(None, &head, &Known::new()).unwrap();
    assert_eq!(plan.steps.len(), 5, "one skip and four deltas: {plan:?}");
}

async fn blobs_come_back_whole(dataset: &Dataset) {
    let writer = acquire(dataset, "a").await;
    // Empty, small, and past two ranges.
    for length in [0, 1_000, (33 << 20) + 7] {
        let bytes = Bytes::from_iter((0..length).map(|i: u32| (i % 251) as u8));
        let blob = writer.upload_snapshot(1, bytes.clone()).await.unwrap();
        assert!(
            dataset.fetch_blob(&blob).await.unwrap() == bytes,
            "{length}"
        );
        let mut longer = blob.clone();
        longer.length += 1;
        let error = dataset.fetch_blob(&longer).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    }
    let mut gone = writer
        .upload_snapshot(1, Bytes::from_static(b"x"))
        .await
        .unwrap();
    gone.name.insert_str("snapshot/".len(), "no-");
    let error = dataset.fetch_blob(&gone).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing);
    assert!(error.message().contains(&gone.name), "{error}");
}

/// With thresholds as small as buckets take them.
async fn large_blobs_go_in_parts_and_come_in_ranges(store: &Store) {
    let options = StoreOptions {
        parts: Parts {
            whole: 5 << 20,
            bytes: 5 << 20,
            at_once: 2,
        },
        ranges: Ranges {
            bytes: 1 << 20,
            at_once: 3,
            ..Ranges::default()
        },
        ..*store.options()
    };
    let dataset = dataset(&store.clone().with_options(options), "large");
    let writer = acquire(&dataset, "a").await;
    let bytes = Bytes::from_iter((0..(12 << 20) + 7).map(|i: u32| (i % 253) as u8));
    let blob = writer.upload_snapshot(1, bytes.clone()).await.unwrap();
    assert!(dataset.fetch_blob(&blob).await.unwrap() == bytes);
    let mut torn = blob.clone();
    torn.length -= 1;
    let error = dataset.fetch_blob(&torn).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

async fn snapshots_are_announced_once(dataset: &Dataset) {
    let writer = acquire(dataset, "a").await;
    let version = commit(&writer, "first").await.unwrap().version;
    let snapshot = || writer.upload_snapshot(version, Bytes::from_static(b"s"));
    let (first, second) = (snapshot().await.unwrap(), snapshot().await.unwrap());
    assert_ne!(first.name, second.name);
    let announced = writer
        .announce_snapshot(version, first.clone())
        .await
        .unwrap();
    let again = writer
        .announce_snapshot(version, second.clone())
        .await
        .unwrap();
    assert_eq!(announced.blob, first);
    assert_eq!(again, announced, "the first announcement stays");
    assert_eq!(dataset.snapshot_entries().await.unwrap(), [announced]);
    let next = commit(&writer, "second").await.unwrap();
    assert_eq!(next.snapshot.unwrap().blob, first);
    let early = writer.announce_snapshot(99, second).await.unwrap_err();
    assert_eq!(early.kind(), ErrorKind::Invalid);
}

async fn a_new_writer_ends_the_old_one(dataset: &Dataset) {
    let old = acquire(dataset, "old").await;
    let kept = commit(&old, "kept").await.unwrap();
    let (new, head) = Writer::acquire(dataset.clone(), named("new"))
        .await
        .unwrap();
    assert_eq!(head.unwrap(), kept);
    let error = commit(&old, "too late").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assert!(error.message().contains("\"new\" of epoch 2"), "{error}");
    let newer = commit(&new, "next").await.unwrap();
    assert_eq!((newer.version, newer.epoch), (4, 2));
    let still = commit(&old, "still too late").await.unwrap_err();
    assert_eq!(still.kind(), ErrorKind::Fenced, "fenced is for good");
    assert!(old.is_fenced() && !new.is_fenced());
    assert_eq!(dataset.head().await.unwrap().unwrap(), newer);
}

/// Many writers take over and commit at once: each version has one owner, every commit that was
/// acknowledged is in the log, and epochs never fall.
async fn racing_writers_never_share_a_version(dataset: &Dataset) {
    let race = |number: u32| {
        let dataset = dataset.clone();
        async move {
            let mut acknowledged = Vec::new();
            for _ in 0..3 {
                let options = named(&format!("racer-{number}"));
                let Ok((writer, _)) = Writer::acquire(dataset.clone(), options).await else {
                    continue;
                };
                for _ in 0..3 {
                    match commit(&writer, "race").await {
                        Ok(entry) => acknowledged.push(entry),
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
                            break;
                        }
                    }
                    tokio::task::yield_now().await;
                }
            }
            acknowledged
        }
    };
    let tasks: Vec<_> = (0..4).map(|n| tokio::spawn(race(n))).collect();
    let mut acknowledged = Vec::new();
    for task in tasks {
        acknowledged.extend(task.await.unwrap());
    }
    let log = log(dataset).await;
    let versions: Vec<u64> = log.iter().map(|entry| entry.version).collect();
    let gapless: Vec<u64> = (1..=log.len() as u64).collect();
    assert_eq!(versions, gapless);
    assert!(log.is_sorted_by_key(|entry| entry.epoch));
    acknowledged.sort_by_key(|entry| entry.version);
    let commits: Vec<_> = log
        .into_iter()
        .filter(|entry| entry.kind == EntryKind::Commit)
        .collect();
    assert_eq!(
        acknowledged, commits,
        "acknowledged and logged are the same"
    );
}

async fn the_boundary_only_rises(dataset: &Dataset) {
    dataset.raise_collected(7).await.unwrap();
    dataset.raise_collected(3).await.unwrap();
    assert_eq!(dataset.collected().await.unwrap(), 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_passes_the_suite() {
    run(Store::open(&StoreUrl::Memory).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_local_folder_passes_the_suite() {
    let folder = tempfile::tempdir().unwrap();
    let url = StoreUrl::Local(folder.path().join("made/on/demand"));
    run(Store::open_writable(&url).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_store_without_faults_passes_the_suite() {
    run(Store::from_object_store(Arc::new(FaultStore::new()))).await;
}
