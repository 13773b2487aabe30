//! Many writers that commit the same version at once: one wins it, on every store.

use std::sync::Arc;
use std::time::Duration;

use grotto_store::{CommitFields, Dataset, Error, ErrorKind, LogEntry, Store, StoreUrl, Writer};
use tokio::sync::Barrier;

use crate::buckets;
use crate::kit::{acquire, named};

/// Each round: all read the same head, prove the store and claim the next epoch, and then commit at once.
async fn race(store: &Store, writers: usize, rounds: u64) {
    let dataset = Dataset::open(store.clone(), "race").unwrap();
    acquire(&dataset, "first").await;
    for round in 1..=rounds {
        let start = Arc::new(Barrier::new(writers));
        let racers = (0..writers).map(|number| {
            let (dataset, start) = (dataset.clone(), Arc::clone(&start));
            tokio::spawn(async move { run(dataset, &format!("racer-{number}"), &start).await })
        });
        let racers: Vec<_> = racers.collect();
        let mut won = Vec::new();
        for racer in racers {
            won.extend(racer.await.unwrap());
        }
        assert_eq!(won.len(), 1, "round {round}: {won:?}");
        let version = round + 1;
        assert_eq!((won[0].version, won[0].epoch), (version, version));
        let logged = outcome(|| dataset.read_entry(version)).await;
        assert_eq!(
            logged.unwrap().unwrap(),
            won[0],
            "what was acknowledged is what is there"
        );
    }
    let versions = outcome(|| dataset.list_versions(1..=u64::MAX)).await;
    assert_eq!(versions.unwrap().len() as u64, rounds + 1);
}

/// The outcome of an attempt that is made again, as writers do, while a server refuses so many at once.
async fn outcome<T, F>(attempt: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    loop {
        match attempt().await {
            Err(error)
                if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Overloaded) =>
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            outcome => return outcome,
        }
    }
}

async fn run(dataset: Dataset, name: &str, start: &Barrier) -> Option<LogEntry> {
    let prepared = outcome(|| Writer::prepare(dataset.clone(), named(name))).await;
    let (writer, _) = prepared.unwrap();
    outcome(|| writer.claim()).await.unwrap();
    start.wait().await;
    let fields = CommitFields {
        positions_only: true,
        ..CommitFields::default()
    };
    match outcome(|| writer.commit(fields.clone())).await {
        Ok(entry) => Some(entry),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
            None
        }
    }
}

fn folder() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let url = StoreUrl::Local(folder.path().to_owned());
    let store = Store::open_writable(&url).unwrap();
    (folder, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_writers_one_wins_each_version() {
    race(&Store::open(&StoreUrl::Memory).unwrap(), 16, 5).await;
    race(&folder().1, 16, 5).await;
    let buckets = [buckets::s3("race"), buckets::azure("race")];
    for store in buckets.into_iter().flatten() {
        race(&store, 16, 3).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "minutes: for one store by name, GROTTO_RACE=memory, folder, s3 or azure; GROTTO_RACE_ROUNDS for fewer rounds"]
async fn of_sixty_four_writers_one_wins_each_of_two_hundred_versions() {
    let kind = std::env::var("GROTTO_RACE").unwrap();
    let (kept, store) = match kind.as_str() {
        "memory" => (None, Store::open(&StoreUrl::Memory).unwrap()),
        "folder" => {
            let (folder, store) = folder();
            (Some(folder), store)
        }
        "s3" => (None, buckets::s3("race").unwrap()),
        "azure" => (None, buckets::azure("race").unwrap()),
        other => panic!("GROTTO_RACE: expected memory, folder, s3 or azure, found {other}"),
    };
    let rounds = std::env::var("GROTTO_RACE_ROUNDS");
    let rounds = rounds.map_or(200, |rounds| rounds.parse().unwrap());
    race(&store, 64, rounds).await;
    drop(kept);
}
