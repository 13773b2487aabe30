//! Leases of consumers: one that is damaged hides no other, ages are those of the store, many are no burden.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use grotto_env::Env;
use grotto_format::log::FORMAT;
use grotto_store::{
    ConsumerId, Dataset, ErrorKind, Lease, LeaseContent, LeaseObserver, Leases, RetryPolicy, Store,
    StoreOptions, StoreUrl,
};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;

use crate::kit::{Fault, FaultStore};

const SECOND: Duration = Duration::from_secs(1);

/// An in-memory store whose time is that of the paused runtime, and that takes 20 ms for a read.
#[derive(Debug)]
struct TimedStore {
    inner: InMemory,
    env: Env,
    times: Mutex<Vec<(Path, u64)>>,
    /// Reads under way, and the most of them at a time.
    reads: Mutex<(usize, usize)>,
}

impl TimedStore {
    /// A store, and a dataset in it whose reader's clock is the store's.
    fn new() -> (Arc<Self>, Dataset) {
        let env = Env::simulated(1);
        let store = Arc::new(Self {
            inner: InMemory::new(),
            env: env.clone(),
            times: Mutex::default(),
            reads: Mutex::default(),
        });
        let dataset = store.dataset(env);
        (store, dataset)
    }

    fn note(&self, at: &Path, time_ms: u64) {
        let mut times = self.times.lock();
        times.retain(|(path, _)| path != at);
        times.push((at.clone(), time_ms));
    }

    fn dataset(self: &Arc<Self>, env: Env) -> Dataset {
        let store = Store::from_object_store(Arc::clone(self) as Arc<dyn ObjectStore>);
        Dataset::open(store.with_env(env), "cities").unwrap()
    }

    /// The same dataset for a reader whose clock differs by some seconds.
    fn seen_from(self: &Arc<Self>, seconds: i64) -> Dataset {
        let clock = Arc::new(Skewed(self.env.clone(), seconds * 1000));
        let env = Env {
            clock,
            ..self.env.clone()
        };
        self.dataset(env)
    }
}

#[derive(Debug)]
struct Skewed(Env, i64);

impl grotto_env::Clock for Skewed {
    fn wall_ms(&self) -> u64 {
        self.0.clock.wall_ms().saturating_add_signed(self.1)
    }

    fn monotonic(&self) -> Duration {
        self.0.clock.monotonic()
    }
}

impl fmt::Display for TimedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TimedStore")
    }
}

#[async_trait]
impl ObjectStore for TimedStore {
    async fn put_opts(&self, at: &Path, payload: PutPayload, how: PutOptions) -> Result<PutResult> {
        self.note(at, self.env.clock.wall_ms());
        self.inner.put_opts(at, payload, how).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        {
            let mut reads = self.reads.lock();
            reads.0 += 1;
            reads.1 = reads.1.max(reads.0);
        }
        self.env.sleep(Duration::from_millis(20)).await;
        self.reads.lock().0 -= 1;
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let times = self.times.lock().clone();
        let dated = move |mut meta: ObjectMeta| {
            let time = times.iter().find(|(path, _)| *path == meta.location);
            let ms = i64::try_from(time.unwrap().1).unwrap();
            let since = std::time::UNIX_EPOCH + Duration::from_millis(ms as u64);
            meta.last_modified = since.into();
            meta
        };
        self.inner.list(prefix).map_ok(dated).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

fn lease(consumer: &str) -> Lease {
    Lease {
        format: FORMAT,
        dataset: "cities".to_owned(),
        dataset_id: "id".to_owned(),
        consumer: consumer.to_owned(),
        host: "host-1".to_owned(),
        process: "812".to_owned(),
        version: 7,
        newest: 7,
        pinned: None,
        channel: None,
        told: None,
        held: None,
        health: "ready".to_owned(),
        reasons: Vec::new(),
        staleness_ms: 0,
        running_ms: 1_000,
        health_ms: 1_000,
        expires_after_s: 30,
        // As wrong as a clock can be: nobody asks it.
        time_ms: u64::MAX,
    }
}

fn names(leases: &Leases, expired: bool) -> Vec<&str> {
    let found = leases.found.iter();
    let found = found.filter(|lease| lease.is_expired() == expired);
    found.map(|lease| lease.consumer.as_str()).collect()
}

fn content<'a>(leases: &'a Leases, name: &str) -> &'a LeaseContent {
    let mut found = leases.found.iter();
    &found
        .find(|lease| lease.consumer.as_str() == name)
        .unwrap()
        .content
}

#[tokio::test]
async fn a_lease_is_written_over_and_removed_in_a_folder_too() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_writable(&StoreUrl::Local(folder.path().to_owned())).unwrap();
    let dataset = Dataset::open(store, "cities").unwrap();
    assert_eq!(dataset.leases().await.unwrap().found, []);
    for version in [7, 8] {
        let lease = Lease {
            version,
            ..lease("web-1")
        };
        dataset.write_lease(&lease).await.unwrap();
        let leases = dataset.leases().await.unwrap();
        assert!(leases.complete);
        assert_eq!(leases.found.len(), 1);
        assert_eq!(leases.found[0].lease(), Some(&lease));
        assert!(!leases.found[0].is_expired());
    }
    let id = ConsumerId::parse("web-1").unwrap();
    for _ in 0..2 {
        dataset.remove_lease(&id).await.unwrap();
        assert_eq!(dataset.leases().await.unwrap().found, []);
    }
}

#[tokio::test]
async fn a_lease_of_another_dataset_or_with_a_bad_name_is_not_written() {
    let faults = Arc::new(FaultStore::new());
    let dataset = Dataset::open(Store::from_object_store(faults.clone()), "cities").unwrap();
    let other = Lease {
        dataset: "films".to_owned(),
        ..lease("web-1")
    };
    for bad in [other, lease("../web"), lease("")] {
        let error = dataset.write_lease(&bad).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    assert_eq!(faults.puts(""), 0);
}

#[tokio::test]
async fn one_that_is_damaged_hides_no_other() {
    let faults = Arc::new(FaultStore::new());
    let dataset = Dataset::open(Store::from_object_store(faults.clone()), "cities").unwrap();
    dataset.write_lease(&lease("good")).await.unwrap();
    let put = async |name: &str, bytes: Vec<u8>| {
        let path = Path::from(format!("cities/consumers/{name}"));
        faults.put(&path, bytes.into()).await.unwrap();
    };
    let sound = lease("good").encode().unwrap();
    put("copied.json", sound.clone()).await;
    put("torn.json", sound[..100].to_vec()).await;
    put("long.json", vec![b' '; 20_000]).await;
    put("empty.json", Vec::new()).await;
    put("note.txt", b"no lease".to_vec()).await;
    put("deeper/good.json", sound).await;
    let leases = dataset.leases().await.unwrap();
    let all = ["copied", "empty", "good", "long", "torn"];
    assert_eq!(names(&leases, false), all);
    assert!(matches!(content(&leases, "good"), LeaseContent::Lease(_)));
    for (name, expected) in [
        (
            "copied",
            "expected the lease of copied of dataset cities, found that of good of dataset cities",
        ),
        ("empty", "does not end in a checksum"),
        ("torn", "does not end in a checksum"),
        ("long", "is 20000 bytes, expected at most 16384"),
    ] {
        let LeaseContent::Damaged(reason) = content(&leases, name) else {
            panic!("{name} is not damaged")
        };
        assert!(reason.contains(expected), "{reason}");
    }
    assert_eq!(faults.gets("long"), 0, "longer than any lease, and read");
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_no_fleet_of_none() {
    let faults = Arc::new(FaultStore::new());
    let store = Store::from_object_store(faults.clone()).with_options(StoreOptions {
        reads: RetryPolicy {
            tries: 1,
            ..RetryPolicy::READS
        },
        ..StoreOptions::default()
    });
    let dataset = Dataset::open(store, "cities").unwrap();
    dataset.write_lease(&lease("web-1")).await.unwrap();
    faults.script(Fault::ListFails, "consumers");
    assert!(dataset.leases().await.unwrap_err().kind().is_outage());
    faults.script(Fault::GetFails, "consumers");
    assert!(dataset.leases().await.unwrap_err().kind().is_outage());
    assert_eq!(dataset.leases().await.unwrap().found.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn ages_are_those_of_the_store_whatever_the_clocks_of_hosts() {
    let (store, dataset) = TimedStore::new();
    dataset.write_lease(&lease("dead")).await.unwrap();
    tokio::time::sleep(40 * SECOND).await;
    dataset.write_lease(&lease("alive")).await.unwrap();
    tokio::time::sleep(5 * SECOND).await;
    for skew in [-50, 0, 50] {
        let leases = store.seen_from(skew).leases().await.unwrap();
        assert_eq!(names(&leases, false), ["alive"], "{skew} s");
        assert_eq!(names(&leases, true), ["dead"], "{skew} s");
    }
    // Without one that lives, the reader's clock has to tell, a minute later.
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(names(&dataset.leases().await.unwrap(), false), ["alive"]);
    tokio::time::sleep(30 * SECOND).await;
    assert_eq!(
        names(&dataset.leases().await.unwrap(), true),
        ["alive", "dead"]
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_looks_again_needs_no_clock_but_its_own() {
    let (store, dataset) = TimedStore::new();
    let ahead = store.seen_from(3_600);
    let mut observer = LeaseObserver::default();
    let mut look = async || {
        let mut leases = ahead.leases().await.unwrap();
        observer.observe(&mut leases, ahead.store().env().clock.monotonic());
        names(&leases, false).join(" ")
    };
    for name in ["a", "b"] {
        dataset.write_lease(&lease(name)).await.unwrap();
    }
    assert_eq!(look().await, "", "an hour old by that clock");
    tokio::time::sleep(10 * SECOND).await;
    dataset.write_lease(&lease("a")).await.unwrap();
    assert_eq!(look().await, "a");
    tokio::time::sleep(29 * SECOND).await;
    assert_eq!(look().await, "a");
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(look().await, "");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_are_read_in_little_time_and_few_at_a_time() {
    let (store, dataset) = TimedStore::new();
    for number in 0..1000 {
        let lease = lease(&format!("web-{number:03}"));
        dataset.write_lease(&lease).await.unwrap();
    }
    let began = tokio::time::Instant::now();
    let leases = dataset.leases().await.unwrap();
    assert_eq!(leases.found.len(), 1000);
    assert!(
        leases
            .found
            .is_sorted_by_key(|lease| lease.consumer.clone())
    );
    // 20 ms each: a second and a half for 1,000, 32 at a time.
    assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
    assert_eq!(store.reads.lock().1, 32);
}

#[tokio::test(start_paused = true)]
async fn those_that_are_long_gone_are_not_read_and_are_removed_by_a_collector_alone() {
    let (store, dataset) = TimedStore::new();
    let hour = 3_600 * SECOND;
    dataset.write_lease(&lease("yesterday")).await.unwrap();
    tokio::time::sleep(25 * hour).await;
    dataset.write_lease(&lease("hours-ago")).await.unwrap();
    tokio::time::sleep(3 * hour).await;
    dataset.write_lease(&lease("alive")).await.unwrap();
    let leases = dataset.leases().await.unwrap();
    assert_eq!(content(&leases, "yesterday"), &LeaseContent::Old);
    assert_eq!(names(&leases, true), ["hours-ago", "yesterday"]);
    let gone = dataset.remove_expired_leases(hour * 7 / 2).await.unwrap();
    assert_eq!(gone, [ConsumerId::parse("yesterday").unwrap()]);
    let gone = dataset.remove_expired_leases(2 * hour).await.unwrap();
    assert_eq!(gone, [ConsumerId::parse("hours-ago").unwrap()]);
    assert_eq!(store.times.lock().len(), 3);
    assert_eq!(names(&dataset.leases().await.unwrap(), false), ["alive"]);
}
