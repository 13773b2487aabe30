//! Blobs on disk, for the next start and for other consumers of this host.
//!
//! Owns: a folder of blobs, bounded by bytes and age. Never: fails a refresh: whatever does not work here is a
//! miss that is counted. Never: says that a blob is right; whoever asks verifies what it gets.
//!
//! A blob has the name of a hash of what it is known by. It is written under a temporary name and renamed, so that
//! others see it whole. Its modification time is when it was used last: what was not for longest goes first.
//! Several consumers may share the folder: each removes what is too much of all that is there.

mod bounds;
mod metrics;
#[cfg(test)]
mod tests;

pub(crate) use metrics::CacheMetrics;

use crate::builder::ConsumerBuilder;
use crate::dir::HostFiles;
use crate::error::{Error, ErrorKind, Result};
use crate::shared::blocking;
use bounds::{Bounds, Known};
use bytes::Bytes;
use grotto_env::{Clock, FileSystem, Random};
use grotto_store::{BlobCache, BlobKey, Dataset};
use parking_lot::{Mutex, MutexGuard};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_128;

/// Ending of blobs.
const BLOB: &str = ".blob";
/// Ending of blobs that are being written.
const TEMP: &str = ".tmp";
/// A write that takes longer than this was given up.
const WRITES_END_IN: Duration = Duration::from_secs(3_600);
/// Blobs that are put between two looks at what else is in the folder.
const PUTS_BETWEEN_SWEEPS: u32 = 256;

/// Where blobs are kept, and how many.
#[derive(Clone, Debug)]
pub(crate) struct CacheSettings {
    pub(crate) path: PathBuf,
    /// Bytes of all blobs together.
    pub(crate) bytes: u64,
    /// Time since a blob was used last.
    pub(crate) age: Duration,
}

/// A folder of blobs.
#[derive(Debug)]
pub(crate) struct FolderCache {
    system: Arc<dyn FileSystem>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    settings: CacheSettings,
    bounds: Mutex<Bounds>,
    metrics: CacheMetrics,
}

impl FolderCache {
    /// Makes the folder if it is missing, for its owner alone, and looks at what is there.
    ///
    /// # Errors
    /// When the folder is not one that this process' user alone may write to, or is a link.
    pub(crate) fn open(
        settings: CacheSettings,
        system: Option<Arc<dyn FileSystem>>,
        (clock, random): (Arc<dyn Clock>, Arc<dyn Random>),
        metrics: CacheMetrics,
    ) -> Result<Self> {
        let system = system.unwrap_or_else(|| Arc::new(HostFiles::default()));
        let path = &settings.path;
        let made = system.create_folder(path);
        made.map_err(|e| Error::io("use as a cache of blobs", path, e))?;
        let cache = Self {
            system,
            clock,
            random,
            settings,
            bounds: Mutex::default(),
            metrics,
        };
        cache.sweep();
        Ok(cache)
    }

    fn path_of(&self, key: &BlobKey) -> PathBuf {
        let checksum = key
            .checksum
            .map_or_else(String::new, |sum| format!("{sum:016x}"));
        let text = format!("{}\n{}\n{}\n{checksum}", key.dataset, key.name, key.length);
        let name = format!("{:032x}{BLOB}", xxh3_128(text.as_bytes()));
        self.settings.path.join(name)
    }

    /// Looks at all that is there, also what others put, and removes what is too much or too old. Blobs come and go
    /// meanwhile.
    fn sweep(&self) {
        if !self.bounds.lock().begin() {
            return;
        }
        match self.look_around() {
            Ok(found) => {
                let mut bounds = self.bounds.lock();
                bounds.end(found);
                self.shrink(bounds);
            }
            Err(_) => {
                self.bounds.lock().give_up();
                self.metrics.failed("list");
            }
        }
    }

    /// The blobs that are there. Removes what was left by writes that never ended.
    fn look_around(&self) -> std::io::Result<Vec<Known>> {
        let mut found = Vec::new();
        for path in self.system.list(&self.settings.path)? {
            let Ok(Some(mark)) = self.system.mark(&path) else {
                continue;
            };
            let used_ms = u64::try_from(mark.written_ns / 1_000_000).unwrap_or(0);
            if is_blob(&path) {
                let length = mark.length;
                found.push(Known {
                    path,
                    length,
                    used_ms,
                });
            } else if is_temp(&path) && self.since(used_ms) > WRITES_END_IN {
                self.remove(&path);
            }
        }
        Ok(found)
    }

    /// Removes what was not used for longest until the rest is within the limits. Nobody waits for a file to go.
    fn shrink(&self, mut bounds: MutexGuard<'_, Bounds>) {
        let age_ms = u64::try_from(self.settings.age.as_millis()).unwrap_or(u64::MAX);
        let oldest_ms = self.clock.wall_ms().saturating_sub(age_ms);
        let next = || bounds.surplus(self.settings.bytes, oldest_ms);
        let surplus: Vec<PathBuf> = std::iter::from_fn(next).collect();
        self.metrics.holds(bounds.bytes());
        drop(bounds);
        for path in surplus {
            self.remove(&path);
            self.metrics.evicted();
        }
    }

    /// Takes note that a blob is not there, or of no use.
    fn forget(&self, path: &Path) {
        let mut bounds = self.bounds.lock();
        bounds.forget(path);
        self.metrics.holds(bounds.bytes());
    }

    fn since(&self, wall_ms: u64) -> Duration {
        Duration::from_millis(self.clock.wall_ms().saturating_sub(wall_ms))
    }

    /// Somebody else may have been faster.
    fn remove(&self, path: &Path) {
        match self.system.remove(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                self.metrics.failed("remove");
            }
            _ => {}
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
        let temp = path.with_extension(format!("{:016x}{TEMP}", self.random.next_u64()));
        let written = self.system.write(&temp, bytes);
        let named = written.and_then(|()| self.system.rename(&temp, path));
        if named.is_err() {
            self.remove(&temp);
        }
        named
    }

    /// Takes note of a blob that is there and was used now.
    fn used(&self, path: PathBuf, length: u64) {
        let mut bounds = self.bounds.lock();
        let used_ms = self.clock.wall_ms();
        bounds.add(Known {
            path,
            length,
            used_ms,
        });
        self.shrink(bounds);
    }
}

impl ConsumerBuilder {
    /// Keeps blobs that were fetched in this folder, for the next start and for other consumers of this host that
    /// name the same: at most so many `bytes`, and none that was not used for longer than `age`. What was not
    /// used for longest goes first. No cache unless set.
    ///
    /// What comes out of it is verified as what comes from the store is. It never fails a refresh: what is
    /// damaged, or does not work, is fetched and counted. The folder is made for this process' user alone.
    #[must_use]
    pub fn blob_cache(mut self, path: impl Into<PathBuf>, bytes: u64, age: Duration) -> Self {
        let path = path.into();
        self.cache = Some(CacheSettings { path, bytes, age });
        self
    }
}

/// The dataset with its cache. One that cannot be used now is done without; a folder that nobody should use is
/// refused.
pub(crate) async fn with_cache(
    dataset: Dataset,
    settings: Option<CacheSettings>,
    system: Option<Arc<dyn FileSystem>>,
    metrics: CacheMetrics,
) -> Result<Dataset> {
    let Some(settings) = settings else {
        return Ok(dataset);
    };
    let env = dataset.store().env().clone();
    let sources = (Arc::clone(&env.clock), Arc::clone(&env.random));
    let open = move || FolderCache::open(settings, system, sources, metrics);
    match blocking(&env, open).await? {
        Ok(cache) => Ok(dataset.with_cache(Arc::new(cache))),
        Err(error) if error.kind() == ErrorKind::Invalid => Err(error),
        Err(error) => {
            tracing::warn!(%error, dataset = dataset.name(), "no cache of blobs: each is fetched");
            Ok(dataset)
        }
    }
}

impl BlobCache for FolderCache {
    fn get(&self, key: &BlobKey) -> Option<Bytes> {
        let path = self.path_of(key);
        let found = match self.system.read(&path, key.length) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                self.metrics.missed();
                self.forget(&path);
                return None;
            }
            Err(_) => {
                self.metrics.missed();
                self.metrics.failed("read");
                self.forget(&path);
                self.remove(&path);
                return None;
            }
        };
        // When it was used decides only what goes first.
        let touched = self.system.touch(&path, self.clock.wall_ms());
        touched.unwrap_or_else(|_| self.metrics.failed("touch"));
        self.metrics.hit(found.len() as u64);
        self.used(path, found.len() as u64);
        Some(Bytes::from(found))
    }

    fn put(&self, key: &BlobKey, bytes: &Bytes) {
        let length = bytes.len() as u64;
        // One that leaves no room for others is of no use.
        if length > self.settings.bytes / 2 {
            return self.metrics.failed("too large");
        }
        let path = self.path_of(key);
        if self.write(&path, bytes).is_err() {
            return self.metrics.failed("write");
        }
        self.used(path, length);
        let due = self.bounds.lock().is_sweep_due(PUTS_BETWEEN_SWEEPS);
        if due {
            self.sweep();
        }
    }

    fn refuse(&self, key: &BlobKey) {
        self.metrics.failed("damaged");
        let path = self.path_of(key);
        self.forget(&path);
        self.remove(&path);
    }
}

fn name_of(path: &Path) -> &str {
    path.file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("")
}

fn is_hash(text: &str) -> bool {
    text.len() == 32
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Anything else in the folder is not ours, whatever it is.
fn is_blob(path: &Path) -> bool {
    name_of(path).strip_suffix(BLOB).is_some_and(is_hash)
}

fn is_temp(path: &Path) -> bool {
    let name = name_of(path).strip_suffix(TEMP);
    let parts = name.and_then(|name| name.split_once('.'));
    parts.is_some_and(|(hash, _)| is_hash(hash))
}
