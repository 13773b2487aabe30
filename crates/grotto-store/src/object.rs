//! One object store: small operations with deadlines, and errors that say what to do.
//!
//! Owns: time limits, the mapping of the backend's answers. Never: knows a dataset's layout.

mod deadlines;
mod listing;
mod open;
mod parts;

use crate::breaker::{BreakerState, CircuitBreaker};
use crate::confirm::Confirm;
use crate::error::{Error, ErrorKind, Place, Result, is_without_bucket};
use crate::fallback::Fallback;
use crate::options::StoreOptions;
use bytes::Bytes;
use grotto_env::Env;
use object_store::path::Path;
use object_store::{
    Error as ObjectError, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    PutPayload,
};
use std::fmt;
use std::future::Future;
use std::path::Path as FsPath;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An open store. Cheap to clone; all clones share one backend.
#[derive(Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    /// The folder of this host that it is.
    root: Option<Arc<FsPath>>,
    /// The bucket that it is, for people.
    bucket: Option<Arc<str>>,
    /// The store that is written to, where reads have another one to fall back on.
    first: Option<Arc<Self>>,
    /// How often the other one was asked.
    fallbacks: Arc<AtomicU64>,
    /// Where what can be read back may exist in memory only.
    confirms: Option<Arc<dyn Confirm>>,
    /// Where blobs are kept that are too large for memory.
    spool: Option<Arc<FsPath>>,
    env: Env,
    options: StoreOptions,
    /// Shared by all clones.
    breaker: Option<Arc<CircuitBreaker>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.objects)
    }
}

/// How a create-if-absent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Created {
    /// The object is new.
    New,
    /// The store says that it was there. A question, not an answer: our own first attempt may
    /// have landed before the client tried again.
    Exists,
}

impl Store {
    /// Wraps any object store: other backends, and fault wrappers in tests.
    pub fn from_object_store(objects: Arc<dyn ObjectStore>) -> Self {
        let (env, options) = (Env::system(), StoreOptions::default());
        Self {
            objects,
            root: None,
            bucket: None,
            first: None,
            fallbacks: Arc::default(),
            confirms: None,
            spool: None,
            breaker: breaker(&env, &options),
            env,
            options,
        }
    }

    /// The same store with another clock and other randomness, and a breaker of its own.
    #[must_use]
    pub fn with_env(mut self, env: Env) -> Self {
        self.breaker = breaker(&env, &self.options);
        self.env = env;
        self
    }

    /// The same store with other deadlines, retries and another breaker of its own.
    #[must_use]
    pub fn with_options(mut self, options: StoreOptions) -> Self {
        self.breaker = breaker(&self.env, &options);
        self.options = options;
        self
    }

    /// The same store, whose objects can be read before they are there for good: `confirms` says when
    /// they are.
    #[must_use]
    pub fn with_confirm(mut self, confirms: Arc<dyn Confirm>) -> Self {
        self.confirms = Some(confirms);
        self
    }

    /// The same store, which reads from another one while it does not answer: a copy of its datasets, which may be
    /// behind. Writers never read from there, and nothing is ever written there.
    #[must_use]
    pub fn with_fallback(self, fallback: &Self) -> Self {
        let first = self.alone();
        let (objects, other) = (Arc::clone(&first.objects), Arc::clone(&fallback.objects));
        let fallback = Fallback::new(objects, other, &self.env);
        Self {
            fallbacks: fallback.answers(),
            objects: Arc::new(fallback),
            first: Some(Arc::new(first)),
            ..self
        }
    }

    /// The same store, which keeps large blobs in files of this folder while they are used, instead of in memory. The
    /// files have no names and never stay.
    #[must_use]
    pub fn with_spool(mut self, folder: impl AsRef<FsPath>) -> Self {
        self.spool = Some(folder.as_ref().into());
        self
    }

    /// How often something was read from the store to fall back on. What was read while this rose may be of a copy that
    /// is behind.
    pub fn fallback_reads(&self) -> u64 {
        self.fallbacks.load(Ordering::Relaxed)
    }

    /// The folder for large blobs.
    pub fn spool(&self) -> Option<&FsPath> {
        self.spool.as_deref()
    }

    pub(crate) fn spool_for(&self, length: u64) -> Option<&FsPath> {
        self.spool().filter(|_| length > self.options.spool_from)
    }

    /// The same store without the one to fall back on.
    pub(crate) fn alone(&self) -> Self {
        match &self.first {
            None => self.clone(),
            Some(first) => Self {
                objects: Arc::clone(&first.objects),
                root: first.root.clone(),
                first: None,
                ..self.clone()
            },
        }
    }

    /// How it waits and tries again.
    pub fn options(&self) -> &StoreOptions {
        &self.options
    }

    /// Whether nothing more is written to it until it is [renewed](Self::renewed).
    pub fn is_spent(&self) -> bool {
        self.confirms
            .as_ref()
            .is_some_and(|confirms| confirms.is_spent())
    }

    /// How often the breaker opened.
    pub fn breaker_trips(&self) -> u64 {
        self.breaker.as_ref().map_or(0, |breaker| breaker.trips())
    }

    /// What the breaker does with the next call; closed where there is none.
    pub fn breaker(&self) -> BreakerState {
        let breaker = self.breaker.as_ref();
        breaker.map_or(BreakerState::Closed, |breaker| breaker.state())
    }

    /// The clock and randomness it uses.
    pub fn env(&self) -> &Env {
        &self.env
    }

    /// The folder behind this store, if it is one.
    pub(crate) fn local_root(&self) -> Option<&FsPath> {
        self.root.as_deref()
    }

    fn place(&self) -> Place<'_> {
        match (self.root.as_deref(), self.bucket.as_deref()) {
            (Some(root), _) => Place::Folder(root),
            (None, Some(bucket)) => Place::Bucket(bucket),
            (None, None) => Place::Unnamed,
        }
    }

    /// Whether what can be read back may still get lost.
    pub(crate) fn may_lose_what_it_shows(&self) -> bool {
        self.confirms.is_some()
    }

    /// Returns once an object that can be read is there for good. A folder's writer may have died, or
    /// failed, between naming a file and syncing its name.
    pub(crate) async fn confirm(&self, path: &Path) -> Result<()> {
        match &self.confirms {
            None => Ok(()),
            Some(confirms) => {
                let confirmed = self.limited("confirm", path.as_ref(), 0, confirms.confirm(path));
                // Whoever asks again finds what is there now.
                confirmed.await.map_err(|error| match error.kind() {
                    ErrorKind::Missing => error.of_kind(ErrorKind::Unavailable),
                    _ => error,
                })
            }
        }
    }

    /// A whole small object; `None` if there is none. Refuses more than `limit` bytes unread.
    pub(crate) async fn get(&self, path: &Path, limit: u64) -> Result<Option<Bytes>> {
        self.reading(|| self.get_part(path, None, limit)).await
    }

    /// A range of an object, or all of it; `None` if there is none. Tried once.
    pub(crate) async fn get_part(
        &self,
        path: &Path,
        range: Option<std::ops::Range<u64>>,
        limit: u64,
    ) -> Result<Option<Bytes>> {
        let fetch = async {
            let options = GetOptions::default().with_range(range);
            // Its length comes first: a small object may not take as long as the largest one.
            let asked = self.objects.get_opts(path, options);
            let found = match self.within(0, asked).await? {
                Err(error) if is_absent(&error) => return Ok(Ok(None)),
                Err(error) => return Ok(Err(error)),
                Ok(found) => found,
            };
            let length = found.range.end.saturating_sub(found.range.start);
            if length > limit {
                return Ok(Ok(Some(Err(length))));
            }
            let bytes = self.within(length, found.bytes()).await?;
            Ok(bytes.map(|bytes| Some(Ok(bytes))))
        };
        match self.guarded("read", path.as_ref(), fetch).await? {
            Some(Ok(bytes)) => Ok(Some(bytes)),
            Some(Err(length)) => Err(Error::corrupt(format!(
                "{path} is {length} bytes, expected at most {limit}"
            ))),
            None => self.check_root().await.map(|()| None),
        }
    }

    /// How long an object is, in bytes; `None` if there is none. Tried once.
    pub(crate) async fn length(&self, path: &Path) -> Result<Option<u64>> {
        Ok(self.look_up(path).await?.map(|meta| meta.size))
    }

    /// When an object was written by the time of the store, in milliseconds since 1970; `None` if there is none. Tried once.
    pub(crate) async fn written_ms(&self, path: &Path) -> Result<Option<u64>> {
        let found = self.look_up(path).await?;
        Ok(found.map(|meta| u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or(0)))
    }

    async fn look_up(&self, path: &Path) -> Result<Option<ObjectMeta>> {
        let ask = async {
            match self.objects.head(path).await {
                Ok(meta) => Ok(Some(meta)),
                Err(error) if is_absent(&error) => Ok(None),
                Err(error) => Err(error),
            }
        };
        match self.limited("look up", path.as_ref(), 0, ask).await? {
            Some(meta) => Ok(Some(meta)),
            None => self.check_root().await.map(|()| None),
        }
    }

    /// Writes an object whatever was there. Tried once.
    pub(crate) async fn put(&self, path: &Path, bytes: Bytes) -> Result<()> {
        let length = bytes.len() as u64;
        let put = self.objects.put(path, PutPayload::from(bytes));
        self.limited("write", path.as_ref(), length, put)
            .await
            .map(|_| ())
    }

    /// Creates an object if there is none. Tried once: what an error means is for the caller to
    /// find out by reading back.
    pub(crate) async fn create(&self, path: &Path, bytes: Bytes) -> Result<Created> {
        let length = bytes.len() as u64;
        let create = async {
            let options = PutOptions::from(PutMode::Create);
            let put = self
                .objects
                .put_opts(path, PutPayload::from(bytes), options);
            match put.await {
                Ok(_) => Ok(Created::New),
                Err(ObjectError::AlreadyExists { .. } | ObjectError::Precondition { .. }) => {
                    Ok(Created::Exists)
                }
                Err(error) => Err(error),
            }
        };
        self.limited("create", path.as_ref(), length, create).await
    }

    /// Deletes an object; one that is already gone is fine.
    pub(crate) async fn delete(&self, path: &Path) -> Result<()> {
        let delete = async {
            match self.objects.delete(path).await {
                Err(error) if is_absent(&error) => Ok(()),
                other => other,
            }
        };
        self.limited("delete", path.as_ref(), 0, delete).await
    }

    /// "Not found" and "nothing there" are only answers while the store is there: an unmounted folder would otherwise
    /// look like a dataset without news, forever.
    async fn check_root(&self) -> Result<()> {
        let Some(root) = self.root.as_ref() else {
            return Ok(());
        };
        match tokio::fs::metadata(root).await {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::unavailable(format!(
                "store folder {} is gone or not readable",
                root.display()
            ))
            .with_source(error)),
        }
    }

    /// Tries a read again while the store is unavailable.
    pub(crate) async fn reading<T, F, Fut>(&self, operation: F) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        self.options.reads.run(&self.env, operation).await
    }

    /// Tries a write that may be repeated again while the store is unavailable.
    pub(crate) async fn writing<T, F, Fut>(&self, operation: F) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        self.options.writes.run(&self.env, operation).await
    }
}

/// Whether an object is not there, in a bucket that is.
fn is_absent(error: &ObjectError) -> bool {
    matches!(error, ObjectError::NotFound { .. }) && !is_without_bucket(error)
}

fn breaker(env: &Env, options: &StoreOptions) -> Option<Arc<CircuitBreaker>> {
    let breaker = |options| CircuitBreaker::new(Arc::clone(&env.clock), options);
    options.breaker.map(breaker).map(Arc::new)
}
