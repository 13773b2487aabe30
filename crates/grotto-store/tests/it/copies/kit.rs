//! Two stores, what lies in them, and one that fails on command.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::DateTime;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use grotto_env::{Clock, Env, ManualClock};
use grotto_format::log::BlobKind;
use grotto_store::follow::Journey;
use grotto_store::{
    Collection, Copied, CopyOptions, Dataset, Retention, RetryPolicy, Store, StoreOptions, Writer,
};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;

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

type Hook = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

/// Has its own time, fails writes on command, and does something else at the same time.
pub(super) struct Tap {
    pub(super) inner: InMemory,
    pub(super) clock: Arc<ManualClock>,
    /// When each object was written.
    written: Arc<Mutex<HashMap<Path, u64>>>,
    reads: AtomicUsize,
    writes: AtomicUsize,
    multiparts: AtomicUsize,
    /// Writes that succeed, and whether the last one of them is reported as failed.
    allowed: Mutex<Option<(usize, bool)>>,
    refused_part: Mutex<Option<&'static str>>,
    /// What happens before the operation of this number, counted from when it was set.
    before_write: Mutex<Option<(usize, Hook)>>,
    before_read: Mutex<Option<(usize, Hook)>>,
}

impl Default for Tap {
    fn default() -> Self {
        Self {
            inner: InMemory::new(),
            clock: Arc::new(ManualClock::new(1_700_000_000_000)),
            written: Arc::default(),
            reads: AtomicUsize::default(),
            writes: AtomicUsize::default(),
            multiparts: AtomicUsize::default(),
            allowed: Mutex::default(),
            refused_part: Mutex::default(),
            before_write: Mutex::default(),
            before_read: Mutex::default(),
        }
    }
}

impl Tap {
    pub(super) fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    pub(super) fn writes(&self) -> usize {
        self.writes.load(Ordering::Relaxed)
    }

    pub(super) fn multiparts(&self) -> usize {
        self.multiparts.load(Ordering::Relaxed)
    }

    /// From now on so many writes succeed, the last of which may be reported as failed, and all after that fail for
    /// want of room.
    pub(super) fn allow_writes(&self, writes: usize, last_unheard: bool) {
        *self.allowed.lock() = Some((writes, last_unheard));
    }

    pub(super) fn fail_writes_of(&self, part: &'static str) {
        *self.refused_part.lock() = Some(part);
    }

    pub(super) fn mend(&self) {
        *self.allowed.lock() = None;
        *self.refused_part.lock() = None;
    }

    pub(super) fn before_write(&self, number: usize, hook: Hook) {
        *self.before_write.lock() = Some((number, hook));
    }

    pub(super) fn before_read(&self, number: usize, hook: Hook) {
        *self.before_read.lock() = Some((number, hook));
    }

    /// Whether the write is reported as failed though it is done.
    fn admit(&self, location: &Path) -> Result<bool> {
        let refused = *self.refused_part.lock();
        if refused.is_some_and(|part| location.as_ref().contains(part)) {
            return Err(full());
        }
        let mut allowed = self.allowed.lock();
        let Some((left, unheard)) = &mut *allowed else {
            return Ok(false);
        };
        match left.checked_sub(1) {
            None => Err(full()),
            Some(rest) => {
                *left = rest;
                Ok(rest == 0 && *unheard)
            }
        }
    }
}

fn dated(written: &Mutex<HashMap<Path, u64>>, mut meta: ObjectMeta) -> ObjectMeta {
    let known = written.lock().get(&meta.location).copied();
    // What a test put there by itself is of the beginning.
    let ms = known.unwrap_or(1_700_000_000_000);
    meta.last_modified = DateTime::from_timestamp_millis(ms.try_into().unwrap()).unwrap();
    meta
}

async fn run_hook(hook: &Mutex<Option<(usize, Hook)>>) {
    let due = {
        let mut hook = hook.lock();
        match &mut *hook {
            Some((0, _)) => hook.take(),
            Some((left, _)) => {
                *left -= 1;
                None
            }
            None => None,
        }
    };
    if let Some((_, hook)) = due {
        hook().await;
    }
}

fn full() -> object_store::Error {
    object_store::Error::Generic {
        store: "Tap",
        source: Box::new(io::Error::from(io::ErrorKind::StorageFull)),
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tap")
    }
}

impl fmt::Display for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tap")
    }
}

#[async_trait]
impl ObjectStore for Tap {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        run_hook(&self.before_write).await;
        let unheard = self.admit(location)?;
        self.writes.fetch_add(1, Ordering::Relaxed);
        let done = self.inner.put_opts(location, payload, options).await;
        if done.is_ok() {
            let now = self.clock.wall_ms();
            self.written.lock().insert(location.clone(), now);
        }
        if unheard { Err(full()) } else { done }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.admit(location)?;
        self.multiparts.fetch_add(1, Ordering::Relaxed);
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        run_hook(&self.before_read).await;
        self.reads.fetch_add(1, Ordering::Relaxed);
        let mut found = self.inner.get_opts(location, options).await?;
        found.meta = dated(&self.written, found.meta);
        Ok(found)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let written = Arc::clone(&self.written);
        let listing = self.inner.list(prefix);
        listing.map_ok(move |meta| dated(&written, meta)).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: object_store::CopyOptions,
    ) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
