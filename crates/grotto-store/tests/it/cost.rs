//! What things cost in requests and in time, where each request takes thirty milliseconds.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use grotto_store::follow::Journey;
use grotto_store::{Dataset, Store, Writer};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::time::Instant;

use crate::kit::{acquire, commit, framed, named};
use crate::reading::Walker;

const REQUEST: Duration = Duration::from_millis(30);
/// Objects that one answer of a listing names.
const PAGE: usize = 1_000;

/// An in-memory store in which requests take time and are counted.
#[derive(Debug)]
pub(crate) struct FarStore {
    pub(crate) inner: Arc<InMemory>,
    pub(crate) requests: Arc<AtomicUsize>,
}

impl FarStore {
    pub(crate) fn new(inner: Arc<InMemory>) -> Self {
        Self {
            inner,
            requests: Arc::default(),
        }
    }
}

async fn request(requests: &AtomicUsize) {
    requests.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(REQUEST).await;
}

/// A listing in pages, each of which is a request once it is needed.
fn paged(
    listing: BoxStream<'static, Result<ObjectMeta>>,
    requests: Arc<AtomicUsize>,
) -> BoxStream<'static, Result<ObjectMeta>> {
    let pages = futures::stream::unfold((listing, 0), move |(mut listing, asked)| {
        let requests = Arc::clone(&requests);
        async move {
            let page: Vec<_> = listing.by_ref().take(PAGE).collect().await;
            if page.is_empty() && asked > 0 {
                return None;
            }
            request(&requests).await;
            Some((futures::stream::iter(page), (listing, asked + 1)))
        }
    });
    pages.flatten().boxed()
}

impl fmt::Display for FarStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FarStore")
    }
}

#[async_trait]
impl ObjectStore for FarStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        request(&self.requests).await;
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        request(&self.requests).await;
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        paged(self.inner.list(prefix), Arc::clone(&self.requests))
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let listing = self.inner.list_with_offset(prefix, offset);
        paged(listing, Arc::clone(&self.requests))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A dataset of so many versions, with a snapshot at every `every`-th, and the store as one far away.
async fn aged(versions: u64, every: u64) -> (Arc<FarStore>, Dataset) {
    let inner = Arc::new(InMemory::new());
    let near = Store::from_object_store(Arc::clone(&inner) as Arc<dyn ObjectStore>);
    let near = Dataset::open(near, "cities").unwrap();
    let writer = acquire(&near, "a").await;
    for version in 2..=versions {
        commit(&writer, &format!("to {version}")).await.unwrap();
        if version % every == 0 {
            let bytes = framed(&format!("to {version}"));
            let blob = writer.upload_snapshot(version, bytes).await.unwrap();
            writer.announce_snapshot(version, blob).await.unwrap();
        }
    }
    writer.heartbeat().await;
    let far = Arc::new(FarStore::new(inner));
    let store = Store::from_object_store(Arc::clone(&far) as Arc<dyn ObjectStore>);
    (far, Dataset::open(store, "cities").unwrap())
}

/// Requests for the head, for a writer that takes over, and for a state from nothing.
async fn requests_at(versions: u64) -> [usize; 3] {
    let (far, dataset) = aged(versions, 25).await;
    let taken = || far.requests.swap(0, Ordering::Relaxed);
    let head = dataset.head().await.unwrap().unwrap();
    assert_eq!(head.version, versions);
    let head_cost = taken();
    let mut walker = Walker::default();
    Journey::new(&dataset, &head)
        .travel(&mut walker)
        .await
        .unwrap();
    assert_eq!(walker.at.last(), Some(&versions));
    let restored = taken();
    Writer::acquire(dataset, named("b")).await.unwrap();
    [head_cost, taken(), restored]
}

#[tokio::test(start_paused = true)]
async fn an_old_dataset_costs_no_more_requests_than_a_young_one() {
    let young = requests_at(110).await;
    let old = requests_at(3_010).await;
    assert_eq!(young, old);
    assert!(young.iter().all(|requests| *requests <= 40), "{young:?}");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_versions_are_caught_up_with_in_few_rounds_of_requests() {
    let (far, dataset) = aged(1_005, u64::MAX).await;
    let began = Instant::now();
    let head = dataset.head().await.unwrap().unwrap();
    let mut walker = Walker::default();
    walker.at.push(5);
    Journey::new(&dataset, &head)
        .travel(&mut walker)
        .await
        .unwrap();
    let took = began.elapsed();
    assert_eq!(walker.at, (5..=1_005).collect::<Vec<u64>>());
    let planning = far.requests.load(Ordering::Relaxed) - 1_000;
    assert!(
        planning <= 40,
        "{planning} requests besides those for deltas"
    );
    // One after the other for the head, two rounds of eight entries, and one for every 32 deltas.
    let rounds = took.as_millis() / REQUEST.as_millis();
    assert!(rounds <= 4 + 2 + 32, "{rounds} rounds");
}

#[tokio::test(start_paused = true)]
async fn a_version_costs_its_writer_six_requests_and_a_snapshot_two_more() {
    let far = Arc::new(FarStore::new(Arc::new(InMemory::new())));
    let store = Store::from_object_store(Arc::clone(&far) as Arc<dyn ObjectStore>);
    let writer = acquire(&Dataset::open(store, "cities").unwrap(), "a").await;
    for version in 2..=10 {
        far.requests.store(0, Ordering::Relaxed);
        // The way there, the way back, the log entry, whether its slot was collected or a gap; and the hint.
        commit(&writer, &format!("to {version}")).await.unwrap();
        writer.heartbeat().await;
        assert_eq!(far.requests.swap(0, Ordering::Relaxed), 6);
        let blob = writer.upload_snapshot(version, framed("state")).await;
        writer
            .announce_snapshot(version, blob.unwrap())
            .await
            .unwrap();
        assert_eq!(far.requests.load(Ordering::Relaxed), 2);
    }
}
