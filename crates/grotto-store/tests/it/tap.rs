//! A store that has its own time, and fails on command.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use chrono::DateTime;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use grotto_env::{Clock, ManualClock};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;

/// When the time of such a store begins.
const BEGINNING_MS: u64 = 1_700_000_000_000;

type Hook = Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>;

/// Has its own time, fails writes on command, and does something else at the same time.
pub(crate) struct Tap {
    pub(crate) inner: Arc<InMemory>,
    pub(crate) clock: Arc<ManualClock>,
    /// When each object was written.
    written: Arc<Mutex<HashMap<Path, u64>>>,
    reads: AtomicUsize,
    multiparts: AtomicUsize,
    gate: Arc<Gate>,
    before_read: Mutex<Option<(usize, Hook)>>,
}

/// What writes and removals pass.
#[derive(Default)]
struct Gate {
    writes: AtomicUsize,
    /// Writes that succeed, and whether the last one of them is reported as failed.
    allowed: Mutex<Option<(usize, bool)>>,
    refused_part: Mutex<Option<&'static str>>,
    denied: AtomicBool,
    /// What happens before the operation of this number, counted from when it was set.
    before_write: Mutex<Option<(usize, Hook)>>,
}

impl Default for Tap {
    fn default() -> Self {
        Self {
            inner: Arc::default(),
            clock: Arc::new(ManualClock::new(BEGINNING_MS)),
            written: Arc::default(),
            reads: AtomicUsize::default(),
            multiparts: AtomicUsize::default(),
            gate: Arc::default(),
            before_read: Mutex::default(),
        }
    }
}

impl Tap {
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::Relaxed)
    }

    pub(crate) fn writes(&self) -> usize {
        self.gate.writes.load(Ordering::Relaxed)
    }

    pub(crate) fn multiparts(&self) -> usize {
        self.multiparts.load(Ordering::Relaxed)
    }

    /// From now on so many writes succeed, the last of which may be reported as failed, and all after that fail for
    /// want of room.
    pub(crate) fn allow_writes(&self, writes: usize, last_unheard: bool) {
        *self.gate.allowed.lock() = Some((writes, last_unheard));
    }

    pub(crate) fn fail_writes_of(&self, part: &'static str) {
        *self.gate.refused_part.lock() = Some(part);
    }

    pub(crate) fn mend(&self) {
        *self.gate.allowed.lock() = None;
        *self.gate.refused_part.lock() = None;
    }

    pub(crate) fn before_write(&self, number: usize, hook: Hook) {
        *self.gate.before_write.lock() = Some((number, hook));
    }

    pub(crate) fn before_read(&self, number: usize, hook: Hook) {
        *self.before_read.lock() = Some((number, hook));
    }

    /// From now on nobody may write.
    pub(crate) fn deny_writes(&self) {
        self.gate.denied.store(true, Ordering::Relaxed);
    }

    /// Whether what was to happen before a write has not happened.
    pub(crate) fn is_waiting(&self) -> bool {
        self.gate.before_write.lock().is_some()
    }
}

impl Gate {
    /// Whether the write is reported as failed though it is done.
    async fn admit(&self, location: &Path) -> Result<bool> {
        run_hook(&self.before_write).await;
        let refused = *self.refused_part.lock();
        if refused.is_some_and(|part| location.as_ref().contains(part)) {
            return Err(full());
        }
        if self.denied.load(Ordering::Relaxed) {
            return Err(object_store::Error::PermissionDenied {
                path: location.to_string(),
                source: "denied".into(),
            });
        }
        self.writes.fetch_add(1, Ordering::Relaxed);
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
    let ms = known.unwrap_or(BEGINNING_MS);
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
        let unheard = self.gate.admit(location).await?;
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
        self.gate.admit(location).await?;
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
        let (inner, gate) = (Arc::clone(&self.inner), Arc::clone(&self.gate));
        let delete = move |location: Result<Path>| {
            let (inner, gate) = (Arc::clone(&inner), Arc::clone(&gate));
            async move {
                let location = location?;
                let unheard = gate.admit(&location).await?;
                inner.delete(&location).await?;
                if unheard { Err(full()) } else { Ok(location) }
            }
        };
        locations.then(delete).boxed()
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
