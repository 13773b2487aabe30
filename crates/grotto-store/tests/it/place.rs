//! Stores of tests, and what lies in them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use grotto_env::{Clock, Env, ManualClock};
use grotto_format::log::BlobKind;
use grotto_store::follow::Journey;
use grotto_store::{
    Collection, Copied, CopyOptions, Dataset, Lease, Retention, RetryPolicy, Store, StoreOptions,
    Writer,
};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::kit::{acquire, commit, framed};
use crate::reading::Walker;
use crate::tap::Tap;

/// What collections of tests leave alone.
pub(crate) const GRACE: Duration = Duration::from_secs(3600);

/// A store of a test.
pub(crate) struct Place {
    pub(crate) store: Arc<Tap>,
    pub(crate) options: StoreOptions,
}

impl Place {
    pub(crate) fn new() -> Self {
        let once = |policy: RetryPolicy| RetryPolicy { tries: 1, ..policy };
        Self {
            store: Arc::new(Tap::default()),
            options: StoreOptions {
                reads: once(RetryPolicy::READS),
                writes: once(RetryPolicy::WRITES),
                breaker: None,
                ..StoreOptions::default()
            },
        }
    }

    /// With these objects in it.
    pub(crate) async fn with(objects: &BTreeMap<String, Bytes>) -> Self {
        let place = Self::new();
        for (name, bytes) in objects {
            let path = Path::from(format!("cities/{name}"));
            let put = place.store.inner.put(&path, bytes.clone().into());
            put.await.unwrap();
        }
        place
    }

    /// The same, all of them older than the grace.
    pub(crate) async fn with_aged(objects: &BTreeMap<String, Bytes>) -> Self {
        let place = Self::with(objects).await;
        place.age();
        place
    }

    pub(crate) fn dataset(&self) -> Dataset {
        self.dataset_by(Arc::clone(&self.store.clock))
    }

    /// For somebody whose clock stands at this time.
    pub(crate) fn dataset_at(&self, wall_ms: u64) -> Dataset {
        self.dataset_by(Arc::new(ManualClock::new(wall_ms)))
    }

    /// The time of the store.
    pub(crate) fn now_ms(&self) -> u64 {
        self.store.clock.wall_ms()
    }

    fn dataset_by(&self, clock: Arc<ManualClock>) -> Dataset {
        let env = Env {
            clock: clock as Arc<dyn Clock>,
            ..Env::system()
        };
        let store = Store::from_object_store(Arc::clone(&self.store) as Arc<dyn ObjectStore>);
        let store = store.with_env(env).with_options(self.options);
        Dataset::open(store, "cities").unwrap()
    }

    /// So many versions, with snapshots of these.
    pub(crate) async fn grown(&self, versions: u64, snapshots: &[u64]) -> Writer {
        let writer = acquire(&self.dataset(), "a").await;
        for version in 2..=versions {
            commit_to(&writer, version).await;
            if snapshots.contains(&version) {
                snapshot(&writer, version).await;
            }
        }
        writer
    }

    /// All that is there becomes older than any grace.
    pub(crate) fn age(&self) {
        self.store.clock.advance(2 * GRACE);
    }

    /// Collects what is older than the grace, but for so many snapshots.
    pub(crate) async fn collect(&self, snapshots: usize) -> Collection {
        self.dataset().collect(&retention(snapshots)).await.unwrap()
    }

    pub(crate) async fn objects(&self) -> BTreeMap<String, Bytes> {
        let inner = &self.store.inner;
        let all: Vec<_> = inner.list(None).try_collect().await.unwrap();
        let mut objects = BTreeMap::new();
        for meta in all {
            let bytes = inner
                .get(&meta.location)
                .await
                .unwrap()
                .bytes()
                .await
                .unwrap();
            let name = meta.location.as_ref().trim_start_matches("cities/");
            objects.insert(name.to_owned(), bytes);
        }
        objects
    }

    /// Flips a bit in the middle of an object.
    pub(crate) async fn flip(&self, name: &str) {
        let path = Path::from(format!("cities/{name}"));
        let found = self.store.inner.get(&path).await.unwrap();
        let mut bytes = found.bytes().await.unwrap().to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        self.store.inner.put(&path, bytes.into()).await.unwrap();
    }

    pub(crate) async fn put(&self, name: &str, bytes: Vec<u8>) {
        let path = Path::from(format!("cities/{name}"));
        self.store.inner.put(&path, bytes.into()).await.unwrap();
    }

    pub(crate) async fn lose(&self, name: &str) {
        let path = Path::from(format!("cities/{name}"));
        self.store.inner.delete(&path).await.unwrap();
    }

    /// Every version past the boundary is there with all that it names, up to `newest`, and somebody who begins gets
    /// there.
    pub(crate) async fn assert_whole(&self, newest: u64) {
        let dataset = self.dataset();
        let collected = dataset.collected().await.unwrap();
        let versions = dataset
            .list_versions(collected + 1..=u64::MAX)
            .await
            .unwrap();
        let first = versions.first().copied().unwrap_or(newest + 1);
        assert_eq!(versions, (first..=newest).collect::<Vec<u64>>());
        assert!(
            newest == 0 || first == collected + 1,
            "{first} after {collected}"
        );
        self.assert_readable(newest).await;
    }

    /// What each entry names is there, and somebody who begins gets to the newest version.
    pub(crate) async fn assert_readable(&self, newest: u64) {
        let dataset = self.dataset();
        let head = dataset.head().await.unwrap();
        assert_eq!(head.as_ref().map_or(0, |head| head.version), newest);
        let collected = dataset.collected().await.unwrap();
        let versions = dataset.list_versions(collected + 1..=newest).await.unwrap();
        let gap = versions.windows(2).rfind(|pair| pair[0] + 1 != pair[1]);
        let first = gap.map_or(collected + 1, |pair| pair[1]);
        for version in versions {
            let entry = dataset.read_entry(version).await.unwrap().unwrap();
            for kind in [BlobKind::Delta, BlobKind::Reverse] {
                if let Some(blob) = entry.blob(kind) {
                    dataset.fetch_blob(&blob).await.unwrap();
                }
            }
            if let Some(named) = entry.snapshot.filter(|named| named.version >= first) {
                dataset.fetch_blob(&named.blob).await.unwrap();
            }
        }
        for announced in dataset.snapshot_entries().await.unwrap() {
            dataset.fetch_blob(&announced.blob).await.unwrap();
        }
        if head.is_some() {
            self.assert_way(0, newest).await;
        }
    }

    /// Who is at a version gets to another one without beginning anew; 0 for somebody who begins.
    pub(crate) async fn assert_way(&self, from: u64, to: u64) {
        let dataset = self.dataset();
        let target = dataset.read_entry(to).await.unwrap().unwrap();
        let mut walker = Walker::default();
        walker.at.extend((from > 0).then_some(from));
        let mut journey = Journey::new(&dataset, &target);
        journey.travel(&mut walker).await.unwrap();
        assert_eq!(walker.at.last(), Some(&to));
        assert!(
            from == 0 || walker.at[0] == from,
            "begun anew at {:?}",
            walker.at
        );
    }
}

/// What a collection leaves, beside so many snapshots.
pub(crate) fn retention(snapshots: usize) -> Retention {
    Retention {
        snapshots,
        grace: GRACE,
    }
}

/// The lease of a consumer, believed for a minute.
pub(crate) fn lease(consumer: &str, version: u64, pinned: Option<u64>) -> Lease {
    let text = include_bytes!("../../../../docs/format/vectors/lease.json");
    Lease {
        dataset: "cities".to_owned(),
        consumer: consumer.to_owned(),
        version,
        pinned,
        expires_after_s: 60,
        ..Lease::decode(text).unwrap()
    }
}

pub(crate) async fn commit_to(writer: &Writer, version: u64) {
    while writer.next_version() <= version {
        let text = format!("to {}", writer.next_version());
        commit(writer, &text).await.unwrap();
    }
}

pub(crate) async fn snapshot(writer: &Writer, version: u64) {
    let bytes = framed(&format!("to {version}"));
    let blob = writer.upload_snapshot(version, bytes).await.unwrap();
    writer.announce_snapshot(version, blob).await.unwrap();
}

pub(crate) async fn copy(from: &Place, to: &Place) -> grotto_store::Result<Copied> {
    copy_with(from, to, &CopyOptions::default()).await
}

pub(crate) async fn copy_with(
    from: &Place,
    to: &Place,
    options: &CopyOptions,
) -> grotto_store::Result<Copied> {
    from.dataset()
        .copy_to(&to.dataset(), options, &|_| {})
        .await
}
