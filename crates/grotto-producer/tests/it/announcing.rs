//! Announcements: what is told of commits, and when; nothing that comes of telling it reaches a commit.

use crate::kit::{SCHEMA, Trouble, TroubledStore, put};
use futures::FutureExt as _;
use grotto_format::Schema;
use grotto_producer::Producer;
use grotto_store::{Announcement, Announcer, LogEntry};
use parking_lot::Mutex;
use std::sync::Arc;

/// Hears what is announced, and looks whether it is in the log by then.
#[derive(Clone, Debug)]
struct Ear {
    store: Arc<TroubledStore>,
    told: Arc<Mutex<Vec<u64>>>,
    /// Panics whenever it is told something.
    panics: bool,
}

impl Ear {
    fn of(store: &Arc<TroubledStore>) -> Self {
        Self {
            store: Arc::clone(store),
            told: Arc::default(),
            panics: false,
        }
    }

    /// Versions that were announced since the last call.
    fn take(&self) -> Vec<u64> {
        std::mem::take(&mut *self.told.lock())
    }

    async fn producer(&self) -> Producer {
        let builder = Producer::builder("cities", self.store.store())
            .schema(Schema::parse(SCHEMA).unwrap())
            .threads(1)
            .announcer(self.clone());
        builder.open().await.unwrap()
    }
}

impl Announcer for Ear {
    fn announce(&self, told: &Announcement) {
        let path = format!("cities/log/{:020}.json", told.version);
        // The store is in memory and answers at once; it panics where there is nothing.
        let found = self.store.bytes(&path).now_or_never().unwrap();
        let entry = LogEntry::decode(&found).unwrap();
        let named = (&*told.dataset, &told.dataset_id, told.version);
        assert_eq!(named, ("cities", &entry.dataset_id, entry.version));
        self.told.lock().push(told.version);
        assert!(!self.panics, "as it was told to");
    }
}

#[tokio::test]
async fn a_version_is_announced_once_it_is_committed_and_never_before() {
    let ear = Ear::of(&TroubledStore::new());
    let producer = ear.producer().await;
    let _ = ear.take();
    for id in 0..5 {
        let published = put(&producer, id, "name").await.unwrap().unwrap();
        assert_eq!(ear.take(), [published.version]);
    }
    ear.store.cause(Trouble::Waits, "/log/");
    let cycle = put(&producer, 7, "seven");
    tokio::pin!(cycle);
    tokio::select! {
        _ = &mut cycle => panic!("expected the cycle to be stuck"),
        met = ear.store.met.acquire() => met.unwrap().forget(),
    }
    assert!(ear.take().is_empty(), "it is not committed yet");
    ear.store.go_on.add_permits(1);
    let published = cycle.await.unwrap().unwrap();
    assert_eq!(ear.take(), [published.version]);
}

#[tokio::test]
async fn what_did_not_get_into_the_log_is_not_announced_and_what_may_have_is_once_that_is_known() {
    let ear = Ear::of(&TroubledStore::new());
    let producer = ear.producer().await;
    put(&producer, 1, "one").await.unwrap();
    let _ = ear.take();
    ear.store.cause(Trouble::Denied, "/log/");
    put(&producer, 2, "two").await.unwrap_err();
    assert!(ear.take().is_empty());
    ear.store.heal();
    // What was refused is committed by the next call, and both are told.
    let third = put(&producer, 3, "three").await.unwrap().unwrap().version;
    assert_eq!(ear.take().last(), Some(&third));
    ear.store.cause(Trouble::LandsThenDenied, "/log/");
    put(&producer, 4, "four").await.unwrap_err();
    assert!(ear.take().is_empty(), "nobody knows whether it is there");
    ear.store.heal();
    let settled = producer.settle_pending().await.unwrap().unwrap().version;
    assert_eq!(ear.take(), [settled]);
}

#[tokio::test]
async fn whoever_opens_tells_of_what_its_predecessor_had_no_time_to_tell() {
    let ear = Ear::of(&TroubledStore::new());
    // Nobody was told of these.
    let quiet = ear.store.producer(0).await;
    put(&quiet, 1, "one").await.unwrap();
    drop(quiet);
    let producer = ear.producer().await;
    let newest = ear.store.paths("cities/log").await.pop().unwrap();
    let told = ear.take();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        newest.ends_with(&format!("{:020}.json", told[0])),
        "{newest}"
    );
    assert!(producer.version() <= told[0]);
}

#[tokio::test]
async fn one_that_panics_fails_no_commit_and_keeps_nothing_from_the_others() {
    let store = TroubledStore::new();
    let (first, last) = (
        Ear {
            panics: true,
            ..Ear::of(&store)
        },
        Ear::of(&store),
    );
    let builder = Producer::builder("cities", store.store())
        .schema(Schema::parse(SCHEMA).unwrap())
        .threads(1)
        .announcer(first.clone())
        .announcer(last.clone());
    let producer = builder.open().await.unwrap();
    let _ = (first.take(), last.take());
    for id in 0..3 {
        let published = put(&producer, id, "name").await.unwrap().unwrap();
        assert_eq!(first.take(), [published.version]);
        assert_eq!(last.take(), [published.version]);
    }
}
