//! What the tests share: producers of a small dataset, and an object store that stops answering on
//! command.

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use grotto_format::Schema;
use grotto_format::schema::TypeId;
use grotto_producer::{Producer, Published, Result};
use grotto_state::State;
use grotto_store::Store;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use tokio::sync::Semaphore;

pub(crate) const SCHEMA: &str = "City @PrimaryKey(id) { long id; string name; }";

/// What puts to matching paths meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Written; the answer never comes.
    LandsAndHangs,
    /// The request never gets anywhere, nor does an answer.
    Hangs,
    /// The request is under way until [`TroubledStore::go_on`] is given a permit.
    Waits,
    /// Refused, nothing is written.
    Fails,
    /// Refused for want of permission, nothing is written.
    Denied,
    /// Refused because the file system is read-only, nothing is written.
    ReadOnly,
    /// The server asks for less, nothing is written.
    Throttled,
    /// Written, then refused for want of permission, and so is reading it back.
    LandsThenDenied,
    /// Refused, and so is reading.
    Down,
    /// Whoever reads is told that there is nothing.
    Missing,
}

impl Trouble {
    fn error(self, location: &Path) -> Error {
        let read_only = std::io::Error::from(std::io::ErrorKind::ReadOnlyFilesystem);
        match self {
            Self::Denied | Self::LandsThenDenied => Error::PermissionDenied {
                path: location.to_string(),
                source: "denied".into(),
            },
            Self::ReadOnly => Error::Generic {
                store: "TroubledStore",
                source: Box::new(read_only),
            },
            Self::Throttled => Error::Generic {
                store: "TroubledStore",
                source: "Server returned non-2xx status code: 503 Service Unavailable: ".into(),
            },
            _ => Error::Generic {
                store: "TroubledStore",
                source: "no".into(),
            },
        }
    }
}

/// An in-memory store with trouble for puts on paths that contain a text.
#[derive(Debug)]
pub(crate) struct TroubledStore {
    inner: InMemory,
    trouble: Mutex<Option<(Trouble, &'static str)>>,
    /// Paths of gets, `LIST` and the prefix for listings.
    asked: Mutex<Vec<String>>,
    /// Nothing can be deleted.
    pub(crate) keeps: std::sync::atomic::AtomicBool,
    /// Listings leave out paths that contain any of these.
    hidden: Mutex<Vec<String>>,
    /// Neither listings nor gets show these paths, until something is to be created at one.
    behind: Mutex<Vec<String>>,
    /// One permit for each put that met trouble.
    pub(crate) met: Semaphore,
    pub(crate) go_on: Semaphore,
}

impl TroubledStore {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: InMemory::new(),
            trouble: Mutex::default(),
            asked: Mutex::default(),
            hidden: Mutex::default(),
            behind: Mutex::default(),
            keeps: Default::default(),
            met: Semaphore::new(0),
            go_on: Semaphore::new(0),
        })
    }

    pub(crate) fn cause(&self, trouble: Trouble, part: &'static str) {
        *self.trouble.lock() = Some((trouble, part));
    }

    pub(crate) fn heal(&self) {
        *self.trouble.lock() = None;
    }

    /// Listings are behind: they leave these paths out.
    pub(crate) fn hide(&self, paths: &[String]) {
        *self.hidden.lock() = paths.to_vec();
    }

    /// Answers with what it had before these paths were written, until something is to be created at one of them.
    pub(crate) fn fall_behind(&self, paths: Vec<String>) {
        *self.behind.lock() = paths;
    }

    /// What is in an object.
    pub(crate) async fn bytes(&self, path: &str) -> Vec<u8> {
        let found = self.inner.get(&Path::from(path)).await.unwrap();
        found.bytes().await.unwrap().to_vec()
    }

    /// Puts an object there, whatever trouble there is.
    pub(crate) async fn plant(&self, path: &str, bytes: Vec<u8>) {
        let payload = PutPayload::from(bytes);
        self.inner.put(&Path::from(path), payload).await.unwrap();
    }

    pub(crate) fn store(self: &Arc<Self>) -> Store {
        Store::from_object_store(Arc::clone(self) as Arc<dyn ObjectStore>)
    }

    /// Removes everything whose path contains `part`.
    pub(crate) async fn lose(&self, part: &str) {
        let all: Vec<ObjectMeta> = self.inner.list(None).try_collect().await.unwrap();
        for meta in all.iter().filter(|m| m.location.as_ref().contains(part)) {
            self.inner.delete(&meta.location).await.unwrap();
        }
    }

    /// With blobs in objects of their own, which trouble can meet.
    pub(crate) async fn producer(self: &Arc<Self>, snapshot_every: u64) -> Producer {
        let schema = Schema::parse(SCHEMA).unwrap();
        let builder = Producer::builder("cities", self.store())
            .schema(schema)
            .inline_blobs(0)
            .threads(1);
        builder.snapshot_every(snapshot_every).open().await.unwrap()
    }

    /// What was asked for since the last call.
    pub(crate) fn take_asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock())
    }

    pub(crate) async fn remove(&self, path: &str) {
        self.inner.delete(&Path::from(path)).await.unwrap();
    }

    /// Paths below a folder, sorted.
    pub(crate) async fn paths(&self, folder: &str) -> Vec<String> {
        let listing = self.inner.list(Some(&Path::from(folder)));
        let listed: Vec<_> = listing.try_collect().await.unwrap();
        let mut paths: Vec<_> = listed
            .iter()
            .map(|meta| meta.location.to_string())
            .collect();
        paths.sort();
        paths
    }

    /// What is to be created shows that it was behind.
    fn catch_up(&self, location: &Path) {
        let mut behind = self.behind.lock();
        if behind.iter().any(|path| path == location.as_ref()) {
            behind.clear();
        }
    }

    fn trouble_at(&self, location: &Path) -> Option<Trouble> {
        let trouble = *self.trouble.lock();
        let (trouble, _) = trouble.filter(|(_, part)| location.as_ref().contains(part))?;
        self.met.add_permits(1);
        Some(trouble)
    }
}

pub(crate) async fn put(producer: &Producer, id: i64, name: &str) -> Result<Option<Published>> {
    let text = format!(r#"{{"id":{id},"name":"{name}"}}"#);
    producer
        .run_incremental(move |cycle| Ok(cycle.upsert_json("City", &text, 1)?))
        .await
}

pub(crate) fn names(state: &State) -> Vec<(i64, String)> {
    let mut all: Vec<_> = state
        .scan(TypeId(0))
        .map(|city| (city.word(0) as i64, city.text(1).to_owned()))
        .collect();
    all.sort();
    all
}

impl fmt::Display for TroubledStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TroubledStore")
    }
}

#[async_trait]
impl ObjectStore for TroubledStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.catch_up(location);
        match self.trouble_at(location) {
            Some(Trouble::LandsAndHangs) => {
                self.inner.put_opts(location, payload, options).await?;
                std::future::pending().await
            }
            Some(Trouble::Hangs) => std::future::pending().await,
            Some(Trouble::Waits) => {
                if let Ok(permit) = self.go_on.acquire().await {
                    permit.forget();
                }
                self.inner.put_opts(location, payload, options).await
            }
            Some(trouble @ Trouble::LandsThenDenied) => {
                self.inner.put_opts(location, payload, options).await?;
                Err(trouble.error(location))
            }
            Some(trouble) => Err(trouble.error(location)),
            None => self.inner.put_opts(location, payload, options).await,
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(
        &self,
        location: &Path,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        self.asked.lock().push(location.to_string());
        let trouble = *self.trouble.lock();
        if let Some((trouble @ (Trouble::LandsThenDenied | Trouble::Down), part)) = trouble
            && location.as_ref().contains(part)
        {
            return Err(trouble.error(location));
        }
        let misses = trouble.is_some_and(|(trouble, part)| {
            trouble == Trouble::Missing && location.as_ref().contains(part)
        });
        let path = location.to_string();
        if misses || self.behind.lock().contains(&path) {
            let source = "not now".into();
            return Err(Error::NotFound { path, source });
        }
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        if self.keeps.load(std::sync::atomic::Ordering::Relaxed) {
            let refused = |path: object_store::Result<Path>| {
                path.and_then(|path| Err(Trouble::Fails.error(&path)))
            };
            return locations.map(refused).boxed();
        }
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let prefix_text = prefix.map_or("", Path::as_ref);
        self.asked.lock().push(format!("LIST {prefix_text}"));
        let hidden = [self.hidden.lock().clone(), self.behind.lock().clone()].concat();
        let is_shown = move |meta: &ObjectMeta| {
            let path = meta.location.as_ref();
            !hidden.iter().any(|part| path.contains(part))
        };
        let listed = self.inner.list(prefix);
        let shown = listed.try_filter(move |meta| std::future::ready(is_shown(meta)));
        shown.boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
