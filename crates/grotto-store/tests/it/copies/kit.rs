//! Stores of tests, and what lies in them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use grotto_env::{Clock, Env};
use grotto_format::log::BlobKind;
use grotto_store::follow::Journey;
use grotto_store::{
    Collection, Copied, CopyOptions, Dataset, Retention, RetryPolicy, Store, StoreOptions, Writer,
};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::tap::Tap;
use crate::kit::{acquire, commit, framed};
use crate::reading::Walker;

const GRACE: Duration = Duration::from_secs(3600);

/// A store of a test.
pub(super) struct Place {
    pub(super) store: Arc<Tap>,
    pub(super) options: StoreOptions,
}

impl Place {
    pub(super) fn new() -> Self {
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
    pub(super) async fn with(objects: &BTreeMap<String, Bytes>) -> Self {
        let place = Self::new();
        for (name, bytes) in objects {
            let path = Path::from(format!("cities/{name}"));
            let put = place.store.inner.put(&path, bytes.clone().into());
            put.await.unwrap();
        }
        place
    }

    pub(super) fn dataset(&self) -> Dataset {
        let env = Env {
            clock: Arc::clone(&self.store.clock) as Arc<dyn Clock>,
            ..Env::system()
        };
        let store = Store::from_object_store(Arc::clone(&self.store) as Arc<dyn ObjectStore>);
        let store = store.with_env(env).with_options(self.options);
        Dataset::open(store, "cities").unwrap()
    }

    /// So many versions, with snapshots of these.
    pub(super) async fn grown(&self, versions: u64, snapshots: &[u64]) -> Writer {
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
    pub(super) fn age(&self) {
        self.store.clock.advance(2 * GRACE);
    }

    /// Collects what is older than the grace, but for so many snapshots.
    pub(super) async fn collect(&self, snapshots: usize) -> Collection {
        let retention = Retention {
            snapshots,
            grace: GRACE,
        };
        self.dataset().collect(&retention).await.unwrap()
    }

    pub(super) async fn objects(&self) -> BTreeMap<String, Bytes> {
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
    pub(super) async fn flip(&self, name: &str) {
        let path = Path::from(format!("cities/{name}"));
        let found = self.store.inner.get(&path).await.unwrap();
        let mut bytes = found.bytes().await.unwrap().to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        self.store.inner.put(&path, bytes.into()).await.unwrap();
    }

    pub(super) async fn lose(&self, name: &str) {
        let path = Path::from(format!("cities/{name}"));
        self.store.inner.delete(&path).await.unwrap();
    }

    /// Every version past the boundary is there with all that it names, up to `newest`, and somebody who begins gets
    /// there.
    pub(super) async fn assert_whole(&self, newest: u64) {
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
    pub(super) async fn assert_readable(&self, newest: u64) {
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
        if let Some(head) = head {
            let mut walker = Walker::default();
            Journey::new(&dataset, &head)
                .travel(&mut walker)
                .await
                .unwrap();
            assert_eq!(walker.at.last(), Some(&newest));
        }
    }
}

pub(super) async fn commit_to(writer: &Writer, version: u64) {
    while writer.next_version() <= version {
        let text = format!("to {}", writer.next_version());
        commit(writer, &text).await.unwrap();
    }
}

pub(super) async fn snapshot(writer: &Writer, version: u64) {
    let bytes = framed(&format!("to {version}"));
    let blob = writer.upload_snapshot(version, bytes).await.unwrap();
    writer.announce_snapshot(version, blob).await.unwrap();
}

pub(super) async fn copy(from: &Place, to: &Place) -> grotto_store::Result<Copied> {
    copy_with(from, to, &CopyOptions::default()).await
}

pub(super) async fn copy_with(
    from: &Place,
    to: &Place,
    options: &CopyOptions,
) -> grotto_store::Result<Copied> {
    from.dataset()
        .copy_to(&to.dataset(), options, &|_| {})
        .await
}
