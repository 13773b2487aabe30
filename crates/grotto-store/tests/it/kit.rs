//! What the tests share: datasets, commits, and an object store that misbehaves on command.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use grotto_store::{CommitFields, Dataset, LogEntry, Store, Writer, WriterOptions};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};
use parking_lot::Mutex;

/// A dataset in a store of its own, on top of `faults`.
pub(crate) fn faulty() -> (Arc<FaultStore>, Dataset) {
    let faults = Arc::new(FaultStore::new());
    let dataset = Dataset::open(Store::from_object_store(faults.clone()), "cities").unwrap();
    (faults, dataset)
}

pub(crate) fn memory() -> Dataset {
    faulty().1
}

pub(crate) fn named(writer: &str) -> WriterOptions {
    WriterOptions {
        writer: writer.to_owned(),
        ..WriterOptions::default()
    }
}

pub(crate) async fn acquire(dataset: &Dataset, writer: &str) -> Writer {
    Writer::acquire(dataset.clone(), named(writer))
        .await
        .unwrap()
        .0
}

/// Bytes with the footer of a blob, which is all that the store knows of one.
pub(crate) fn framed(text: &str) -> Bytes {
    let mut bytes = [b"GROTTO\x1aB", text.as_bytes()].concat();
    bytes.extend_from_slice(&(bytes.len() as u64 + 16).to_le_bytes());
    let checksum = grotto_format::checksum::of_bytes(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    Bytes::from(bytes)
}

/// Uploads a delta and a reverse delta for the next version.
pub(crate) async fn fields(writer: &Writer, text: &str) -> grotto_store::Result<CommitFields> {
    let version = writer.next_version();
    let bytes = framed(text);
    let step = writer
        .upload_step(version, bytes.clone(), Some(bytes))
        .await?;
    Ok(CommitFields {
        blobs: Some(step),
        state_checksum: version,
        ..CommitFields::default()
    })
}

pub(crate) async fn commit(writer: &Writer, text: &str) -> grotto_store::Result<LogEntry> {
    writer.commit(fields(writer, text).await?).await
}

/// All entries of a log, with all that is in them.
pub(crate) async fn log(dataset: &Dataset) -> Vec<LogEntry> {
    let mut log = Vec::new();
    for version in dataset.list_versions(1..=u64::MAX).await.unwrap() {
        log.push(dataset.read_entry(version).await.unwrap().unwrap());
    }
    log
}

/// Flips a bit of the entry of a version.
pub(crate) async fn damage(faults: &FaultStore, version: u64) {
    let path = format!("cities/log/{version:020}.json");
    change(faults, &path, |bytes| bytes[40] ^= 1).await;
}

/// Flips a bit in the middle of an object.
pub(crate) async fn flip(faults: &FaultStore, path: &str) {
    let middle = |bytes: &mut Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    };
    change(faults, path, middle).await;
}

/// Changes the bytes of an object.
pub(crate) async fn change(faults: &FaultStore, path: &str, how: impl FnOnce(&mut Vec<u8>)) {
    let path = Path::from(path);
    let got = faults.get(&path).await.unwrap();
    let mut bytes = got.bytes().await.unwrap().to_vec();
    how(&mut bytes);
    faults.put(&path, bytes.into()).await.unwrap();
}

/// What happens to one matching operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A put fails and nothing is written.
    PutFails,
    /// A put is written, then reported as failed.
    PutLandsThenFails,
    /// A put is written, then reported as a collision: the client tried again by itself.
    PutLandsThenExists,
    /// A put is reported as a collision though nothing is there.
    PutExistsOfNothing,
    /// A get fails.
    GetFails,
    /// A get is never answered.
    GetHangs,
    /// A get returns the object with one bit flipped.
    GetFlipsABit,
    /// A get of an object that is there finds none.
    GetFindsNothing,
    /// A listing fails.
    ListFails,
}

/// Whether it befalls gets.
fn fault_of_get(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::GetFails | Fault::GetHangs | Fault::GetFlipsABit | Fault::GetFindsNothing
    )
}

/// How a store treats create-if-absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Creates {
    /// As it should.
    #[default]
    Honest,
    /// Ignores the condition.
    Overwrites,
    /// Looks first and writes then, which two at a time can do.
    LooksThenWrites,
    /// Answers with a collision, and overwrites.
    RefusesAndOverwrites,
    /// Refuses a create while another one is under way, and overwrites afterwards.
    RefusesWhileWriting,
    /// Answers a create that meets another one under way with a collision, and overwrites that one's.
    LosersOverwrite,
}

/// An in-memory store with scripted faults: each is used once, by the first operation on a path
/// that contains its text.
#[derive(Debug)]
pub(crate) struct FaultStore {
    inner: InMemory,
    script: Mutex<VecDeque<(Fault, &'static str)>>,
    creates: Mutex<Creates>,
    hidden: Mutex<Option<&'static str>>,
    gets: Mutex<Vec<String>>,
    puts: Mutex<Vec<String>>,
    lists: AtomicUsize,
    /// What somebody else creates in the place of the next put that fails.
    rival_bytes: Mutex<Option<Bytes>>,
    /// Puts that are under way.
    writing: Mutex<Vec<Path>>,
    rivals: Mutex<usize>,
}

impl FaultStore {
    pub(crate) fn new() -> Self {
        Self {
            inner: InMemory::new(),
            script: Mutex::default(),
            creates: Mutex::default(),
            hidden: Mutex::default(),
            gets: Mutex::default(),
            puts: Mutex::default(),
            lists: AtomicUsize::default(),
            rival_bytes: Mutex::default(),
            writing: Mutex::default(),
            rivals: Mutex::default(),
        }
    }

    /// Adds a fault for the next matching operation not yet spoken for.
    pub(crate) fn script(&self, fault: Fault, path_part: &'static str) {
        self.script.lock().push_back((fault, path_part));
    }

    pub(crate) fn script_is_used_up(&self) -> bool {
        self.script.lock().is_empty()
    }

    /// From now on creates are honoured like this.
    pub(crate) fn honour_creates(&self, how: Creates) {
        *self.creates.lock() = how;
    }

    /// The next log entries are each preceded by one of another writer.
    pub(crate) fn send_rivals(&self, number: usize) {
        *self.rivals.lock() = number;
    }

    pub(crate) fn rivals_left(&self) -> usize {
        *self.rivals.lock()
    }

    /// Somebody else takes the slot of the log that `payload` is meant for.
    async fn let_rival_in(&self, location: &Path, payload: &PutPayload) {
        let left = *self.rivals.lock();
        if left == 0 || !location.as_ref().contains("/log/") {
            return;
        }
        *self.rivals.lock() = left - 1;
        let bytes: Vec<u8> = payload.iter().flatten().copied().collect();
        let mut entry = LogEntry::decode(&bytes).unwrap();
        entry.writer = "rival".to_owned();
        let put = self.inner.put(location, entry.encode().unwrap().into());
        put.await.unwrap();
    }

    /// The next put that fails does so while somebody else creates the object with these bytes.
    pub(crate) fn replace_when_refused(&self, bytes: Bytes) {
        *self.rival_bytes.lock() = Some(bytes);
    }

    /// From now on listings leave out paths that contain `part`, as if made a moment ago.
    pub(crate) fn hide_from_listings(&self, part: &'static str) {
        *self.hidden.lock() = Some(part);
    }

    /// How many gets of paths containing `part` there were.
    pub(crate) fn gets(&self, part: &str) -> usize {
        self.gets.lock().iter().filter(|p| p.contains(part)).count()
    }

    /// How many puts of paths containing `part` there were.
    pub(crate) fn puts(&self, part: &str) -> usize {
        self.puts.lock().iter().filter(|p| p.contains(part)).count()
    }

    /// How many listings there were.
    pub(crate) fn lists(&self) -> usize {
        self.lists.load(Ordering::Relaxed)
    }

    /// Treats a create as this store does. Returns whether to answer with a collision all the same.
    async fn honour(&self, location: &Path, options: &mut PutOptions) -> Result<bool> {
        let creates = *self.creates.lock();
        if creates == Creates::Honest || options.mode != PutMode::Create {
            return Ok(false);
        }
        let exists = self.inner.head(location).await.is_ok();
        let is_rival = self.writing.lock().contains(location);
        let refuses = match creates {
            Creates::LooksThenWrites => {
                tokio::task::yield_now().await;
                exists
            }
            Creates::RefusesWhileWriting => is_rival,
            Creates::LosersOverwrite => exists,
            _ => false,
        };
        if refuses {
            return Err(collision(location));
        }
        options.mode = PutMode::Overwrite;
        match creates {
            Creates::RefusesWhileWriting | Creates::LosersOverwrite if !is_rival => {
                self.writing.lock().push(location.clone());
                tokio::task::yield_now().await;
                self.writing.lock().retain(|path| path != location);
                Ok(false)
            }
            Creates::LosersOverwrite => {
                while self.writing.lock().contains(location) {
                    tokio::task::yield_now().await;
                }
                Ok(true)
            }
            _ => Ok(exists && creates == Creates::RefusesAndOverwrites),
        }
    }

    fn take(&self, location: &Path, fits: impl Fn(Fault) -> bool) -> Option<Fault> {
        let mut script = self.script.lock();
        let at = script
            .iter()
            .position(|(fault, part)| fits(*fault) && location.as_ref().contains(part))?;
        script.remove(at).map(|(fault, _)| fault)
    }
}

impl fmt::Display for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultStore")
    }
}

fn outage() -> Error {
    Error::Generic {
        store: "FaultStore",
        source: "scripted outage".into(),
    }
}

fn collision(location: &Path) -> Error {
    Error::AlreadyExists {
        path: location.to_string(),
        source: "scripted collision".into(),
    }
}

fn nothing(location: &Path) -> Error {
    Error::NotFound {
        path: location.to_string(),
        source: "scripted absence".into(),
    }
}

async fn flipped(result: GetResult) -> Result<GetResult> {
    let (meta, range) = (result.meta.clone(), result.range.clone());
    let attributes = result.attributes.clone();
    let extensions = result.extensions.clone();
    let mut bytes = result.bytes().await?.to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let stream = futures::stream::once(async move { Ok(Bytes::from(bytes)) });
    Ok(GetResult {
        payload: object_store::GetResultPayload::Stream(Box::pin(stream)),
        meta,
        range,
        attributes,
        extensions,
    })
}

#[async_trait]
impl ObjectStore for FaultStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut options: PutOptions,
    ) -> Result<PutResult> {
        self.puts.lock().push(location.to_string());
        self.let_rival_in(location, &payload).await;
        let answer_collision = self.honour(location, &mut options).await?;
        let is_put = |fault| !fault_of_get(fault) && fault != Fault::ListFails;
        let fault = self.take(location, is_put);
        match fault {
            Some(Fault::PutFails) => {
                let rival = self.rival_bytes.lock().take();
                if let Some(bytes) = rival {
                    self.inner.put(location, bytes.into()).await?;
                }
                return Err(outage());
            }
            Some(Fault::PutExistsOfNothing) => return Err(collision(location)),
            _ => {}
        }
        let answer = self.inner.put_opts(location, payload, options).await?;
        match fault {
            _ if answer_collision => Err(collision(location)),
            Some(Fault::PutLandsThenFails) => Err(outage()),
            Some(Fault::PutLandsThenExists) => Err(collision(location)),
            _ => Ok(answer),
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.gets.lock().push(location.to_string());
        let fault = self.take(location, fault_of_get);
        match fault {
            Some(Fault::GetFails) => return Err(outage()),
            Some(Fault::GetHangs) => return std::future::pending().await,
            Some(Fault::GetFindsNothing) => return Err(nothing(location)),
            _ => {}
        }
        let result = self.inner.get_opts(location, options).await?;
        match fault {
            Some(_) => flipped(result).await,
            None => Ok(result),
        }
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        let asked = prefix.cloned().unwrap_or_default();
        if self
            .take(&asked, |fault| fault == Fault::ListFails)
            .is_some()
        {
            return futures::stream::once(async { Err(outage()) }).boxed();
        }
        let Some(hidden) = *self.hidden.lock() else {
            return self.inner.list(prefix);
        };
        let seen = move |meta: &ObjectMeta| !meta.location.as_ref().contains(hidden);
        let listing = self.inner.list(prefix);
        Box::pin(listing.try_filter(move |meta| std::future::ready(seen(meta))))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
