//! Reading from a store that takes its time: listings, boundaries, and blobs fetched ahead.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use grotto_store::follow::{Ahead, Fetched, Journey, Traveller};
use grotto_store::plan::Step;
use grotto_store::{Dataset, Error, ErrorKind, Next, Store, Writer, WriterOptions};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::kit::{acquire, commit, framed, memory, named};

/// An in-memory store that needs time for each listed path, and for each blob and log entry.
#[derive(Debug, Default)]
struct SlowStore {
    inner: InMemory,
    under_way: AtomicUsize,
    most: AtomicUsize,
}

impl fmt::Display for SlowStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SlowStore")
    }
}

#[async_trait]
impl ObjectStore for SlowStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
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
        if ["/delta/", "/log/"]
            .iter()
            .any(|part| location.as_ref().contains(part))
        {
            let now = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
            self.most.fetch_max(now, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(30)).await;
            self.under_way.fetch_sub(1, Ordering::Relaxed);
        }
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let slow = |meta| async move {
            tokio::time::sleep(Duration::from_secs(20)).await;
            meta
        };
        self.inner.list(prefix).then(slow).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

fn slow() -> (Arc<SlowStore>, Dataset) {
    let slow = Arc::new(SlowStore::default());
    let store = Store::from_object_store(Arc::clone(&slow) as Arc<dyn ObjectStore>);
    (slow, Dataset::open(store, "cities").unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_goes_on_may_take_longer_than_one_answer() {
    let (_, dataset) = slow();
    let writer = acquire(&dataset, "a").await;
    for text in ["x", "y", "z", "z", "z"] {
        commit(&writer, text).await.unwrap();
    }
    // Six entries of twenty seconds each; an answer has thirty.
    let versions = dataset.list_versions(1..=u64::MAX).await.unwrap();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn an_absent_slot_at_or_below_the_boundary_is_collected_and_not_without_news() {
    let dataset = memory();
    let writer = acquire(&dataset, "a").await;
    commit(&writer, "x").await.unwrap();
    assert_eq!(dataset.next_entry(2).await.unwrap(), Next::None);
    dataset.raise_collected(5).await.unwrap();
    let collected = Next::Collected { boundary: 5 };
    assert_eq!(dataset.next_entry(4).await.unwrap(), collected);
    assert_eq!(dataset.next_entry(5).await.unwrap(), Next::None);
}

/// Takes steps and remembers where they led.
#[derive(Default)]
pub(crate) struct Walker {
    pub(crate) at: Vec<u64>,
}

impl Traveller for Walker {
    type Error = Error;

    fn kind(error: &Error) -> ErrorKind {
        error.kind()
    }

    fn version(&self) -> u64 {
        self.at.last().copied().unwrap_or(0)
    }

    fn start_from_nothing(&mut self) {
        self.at.clear();
    }

    async fn apply(
        &mut self,
        step: &Step,
        fetched: Fetched,
        _last: bool,
    ) -> grotto_store::Result<()> {
        if let Some(bytes) = fetched.bytes {
            assert_eq!(bytes, framed(&format!("to {}", step.to())));
        }
        self.at.push(step.to());
        Ok(())
    }

    async fn recover(&mut self, _error: &Error, _blob: &str, _misfit: bool) -> bool {
        true
    }
}

/// The most requests for blobs under way at a time on a way of twenty steps.
async fn most_under_way(ahead: Ahead, inline_bytes: usize) -> usize {
    let (store, dataset) = slow();
    let options = WriterOptions {
        inline_bytes,
        ..named("a")
    };
    let (writer, _) = Writer::acquire(dataset.clone(), options).await.unwrap();
    for version in 2..=21 {
        commit(&writer, &format!("to {version}")).await.unwrap();
    }
    let head = writer.head().unwrap();
    let mut walker = Walker::default();
    let mut journey = Journey::new(&dataset, &head).ahead(ahead);
    journey.travel(&mut walker).await.unwrap();
    assert_eq!(walker.at, (1..=21).collect::<Vec<_>>());
    store.most.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn blobs_are_fetched_ahead_in_order_and_never_more_than_allowed() {
    let most = |blobs, bytes| most_under_way(Ahead { blobs, bytes }, 0);
    assert_eq!(most(4, 1 << 20).await, 4);
    // 28 and 29 bytes each.
    assert_eq!(most(9, 87).await, 3);
    // A blob that is larger than allowed is fetched all the same, alone.
    assert_eq!(most(9, 1).await, 1);
    assert_eq!(most(0, 1 << 20).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_blob_in_a_log_entry_counts_as_all_of_that_entry() {
    let most = |blobs, bytes| most_under_way(Ahead { blobs, bytes }, 1_000);
    assert_eq!(most(4, 1 << 20).await, 4);
    // A delta and a reverse delta of 28 or 29 bytes, their text of 76 or 80, and 4 KB for the rest.
    let entry = 29 * 2 + 80 + (4 << 10);
    assert_eq!(most(9, 3 * entry).await, 3);
    assert_eq!(most(9, 3 * (entry - 6) - 1).await, 2);
}
