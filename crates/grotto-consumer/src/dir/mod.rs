//! State directories: a host's segments and roots for one dataset.
//!
//! Owns: everything on disk below the directory. Never: knows where a state comes from.
//!
//! ```text
//! LOCK                 held by the one writer
//! CURRENT              names the newest root; replaced by rename
//! FRESH                its modification time: when that was last known to be the newest version
//! roots/<seq>.root     tables of one version
//! segments/<name>.seg  blocks and index pages, shared by versions
//! ```
//!
//! **Invariants**: a file with its name is whole and never written or truncated again; it goes only
//! by unlink, which leaves it to those who have it mapped. `CURRENT` is replaced after everything it
//! leads to is in place. The root before the newest stays for readers that have just read `CURRENT`.

mod check;
mod current;
mod files;
mod fresh;
#[cfg(unix)]
mod host;
#[cfg(not(unix))]
#[path = "host/elsewhere.rs"]
mod host;
mod lock;
mod open;
mod read;
mod root;
mod seal;
mod sums;
#[cfg(test)]
pub(crate) mod tests;
mod trust;
mod verify;

pub(crate) use check::Soundness;
pub(crate) use current::Current;
pub(crate) use files::Paths;
pub use host::is_state_mode;
pub(crate) use host::{Access, HostFiles};
pub(crate) use read::{Held, Image, ReadError, Segments, check_exists, read_current, read_image};
pub(crate) use trust::{Looked, look_at, verify_parts};
pub use verify::DirReport;
pub(crate) use verify::verify_dir;

use crate::error::{Error, Result};
use fresh::Fresh;
use grotto_env::FileSystem;
use grotto_state::{SegmentOptions, State};
use lock::DirLock;
use open::{load, occupy};
use root::{Root, SegmentFile};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

/// Roots kept: the newest, and the one before as grace for attached readers.
const ROOTS_KEPT: usize = 2;

/// A state directory that this process writes to.
#[derive(Debug)]
pub(crate) struct StateDir {
    system: Arc<dyn FileSystem>,
    paths: Paths,
    dataset: String,
    boot: Option<String>,
    options: SegmentOptions,
    next_segment: u64,
    next_root: u64,
    /// Segment files that exist, by name.
    files: BTreeMap<u64, SegmentFile>,
    /// Segments sealed since the last publication.
    sealed: Vec<u64>,
    /// Published roots that exist, oldest first, and the segments they use.
    roots: Vec<(u64, BTreeSet<u64>)>,
    fresh: Fresh,
    lock: DirLock,
}

/// A state found in a directory.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) state: State,
    pub(crate) dataset_id: String,
    /// When it was last known to be the newest, by the wall clock.
    pub(crate) fresh_ms: Option<u64>,
}

impl StateDir {
    /// Opens a directory for writing, creates it if it is missing, and loads what it holds.
    /// Contents that cannot be trusted are discarded with a warning: they can be downloaded again.
    ///
    /// # Errors
    /// When another process writes to it, it belongs to another dataset, or it cannot be written.
    pub(crate) fn open(
        system: Arc<dyn FileSystem>,
        path: &Path,
        dataset: &str,
    ) -> Result<(Self, Option<Found>)> {
        let boot = system.boot();
        Self::open_in_boot(system, path, dataset, boot)
    }

    fn open_in_boot(
        system: Arc<dyn FileSystem>,
        path: &Path,
        dataset: &str,
        boot: Option<String>,
    ) -> Result<(Self, Option<Found>)> {
        let paths = Paths::new(path);
        let lock = occupy(&*system, &paths)?;
        let image = load(&*system, &paths, dataset, boot.as_deref())?;
        let mut dir = Self {
            system,
            paths,
            dataset: dataset.to_owned(),
            boot,
            options: SegmentOptions::default(),
            next_segment: 1,
            next_root: 1,
            files: BTreeMap::new(),
            sealed: Vec::new(),
            roots: Vec::new(),
            fresh: Fresh::default(),
            lock,
        };
        let found = dir.adopt(image)?;
        Ok((dir, found))
    }

    /// Keeps segments in another way than the default.
    pub(crate) fn with_options(mut self, options: SegmentOptions) -> Self {
        self.options = options;
        self
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> (Arc<dyn FileSystem>, PathBuf) {
        (Arc::clone(&self.system), self.paths.dir().to_owned())
    }

    /// Takes over an image and sweeps everything else.
    fn adopt(&mut self, image: Option<Image>) -> Result<Option<Found>> {
        let Some(image) = image else {
            self.unlink_here(&self.paths.current());
            self.sweep()?;
            return Ok(None);
        };
        self.files = image
            .segments
            .values()
            .map(|held| (held.file.name, held.file.clone()))
            .collect();
        self.roots = vec![(image.current.seq, self.files.keys().copied().collect())];
        self.sweep()?;
        if self.admit()? || image.verified {
            // Says which files are right in this boot, so that the next start need not look.
            self.publish(&image.state, &image.dataset_id)?;
        }
        Ok(Some(Found {
            state: image.state,
            dataset_id: image.dataset_id,
            fresh_ms: self.system.touched(&self.paths.fresh()),
        }))
    }

    /// Lets those read what is here whom the settings name now; tells whether they could not before.
    fn admit(&mut self) -> Result<bool> {
        let mut any = false;
        for (seq, _) in &self.roots {
            let path = self.paths.root(*seq);
            let admitted = self.system.admit(&path);
            any |= admitted.map_err(|e| Error::io("set the mode of", &path, e))?;
        }
        for file in self.files.values_mut() {
            let path = self.paths.segment(file.name);
            let refused = |e| Error::io("set the mode of", &path, e);
            if self.system.admit(&path).map_err(refused)? {
                // Which is a change of a file that was just found to be right.
                let mark = self.system.mark(&path).map_err(refused)?;
                file.identity = mark.map_or(file.identity, Into::into);
                any = true;
            }
        }
        Ok(any)
    }

    /// Removes what no root refers to: leftovers of a writer that died. Files that are not of ours
    /// are left alone, whatever they are. Names go on from the largest ever seen.
    fn sweep(&mut self) -> Result<()> {
        let keep_root = |seq: u64| self.roots.iter().any(|(kept, _)| *kept == seq);
        let folders = [
            (self.paths.segments(), "seg"),
            (self.paths.roots(), "root"),
            (self.paths.dir().to_owned(), ""),
        ];
        for (folder, ending) in folders {
            let found = self
                .system
                .list(&folder)
                .map_err(|e| Error::io("list", &folder, e))?;
            for path in found {
                let number = files::number_of(&path, ending);
                let keep = match (ending, number) {
                    ("seg", Some(name)) => {
                        self.next_segment = self.next_segment.max(name.saturating_add(1));
                        self.files.contains_key(&name)
                    }
                    ("root", Some(seq)) => {
                        self.next_root = self.next_root.max(seq.saturating_add(1));
                        keep_root(seq)
                    }
                    _ => !files::is_temp(&path, ending),
                };
                if !keep {
                    self.unlink_here(&path);
                }
            }
        }
        Ok(())
    }

    /// Makes sure that this process is the one that writes to the folder with this name. One that was
    /// removed, or removed and made again, is taken over if nobody else has it: `false` says that it
    /// holds nothing any more, so that the state has to be loaded afresh.
    ///
    /// # Errors
    /// When another process has taken it over, or it cannot be made.
    pub(crate) fn keep_hold(&mut self) -> Result<bool> {
        if self.lock.is_held()? {
            return Ok(true);
        }
        let lock = occupy(&*self.system, &self.paths)?;
        // What lies there may be of a writer that has ended, but not of another dataset.
        load(
            &*self.system,
            &self.paths,
            &self.dataset,
            self.boot.as_deref(),
        )?;
        let dir = self.paths.dir().display();
        tracing::warn!(%dir, "the state directory was removed or replaced: took it over");
        self.fresh = Fresh::default();
        self.files.clear();
        self.sealed.clear();
        self.roots.clear();
        self.unlink_here(&self.paths.current());
        self.sweep()?;
        // Last: what fails before has to be done again.
        self.lock = lock;
        Ok(false)
    }

    /// Notes that what the directory holds is the newest version now.
    pub(crate) fn note_fresh(&mut self, now: Duration, wall_ms: u64) {
        if !self.fresh.is_due(now) || self.check_hold().is_err() {
            return;
        }
        let path = self.paths.fresh();
        if let Err(error) = self.fresh.note(&*self.system, &path, now, wall_ms) {
            tracing::debug!(%error, path = %path.display(), "cannot note that the state is the newest");
        }
    }

    /// Whether the folder is still the one that this process writes to.
    pub(crate) fn is_held(&self) -> Result<bool> {
        self.lock.is_held()
    }

    /// Unlinks a file of ours; in a folder of somebody else another file has its name.
    fn unlink(&self, path: &Path) {
        if self.check_hold().is_ok() {
            self.unlink_here(path);
        }
    }

    fn unlink_here(&self, path: &Path) {
        files::unlink(&*self.system, path);
    }

    /// An error if what is written now would be written to a folder of somebody else.
    fn check_hold(&self) -> Result<()> {
        if self.lock.is_held()? {
            return Ok(());
        }
        Err(Error::unavailable(format!(
            "state directory {} was removed or replaced while it was written to",
            self.paths.dir().display()
        )))
    }

    /// Makes a state the newest one: for attached readers from now on, and for the next start.
    pub(crate) fn publish(&mut self, state: &State, dataset_id: &str) -> Result<()> {
        self.check_hold()?;
        let seq = self.next_root;
        let root = self.root_of(state, dataset_id, seq)?;
        let names = root.segments.iter().map(|file| file.name).collect();
        let bytes = root
            .encode()
            .map_err(|e| Error::internal(e.to_string()).with_source(e))?;
        let path = self.paths.root(seq);
        files::write_whole(&*self.system, &path, &bytes)
            .map_err(|e| Error::io("write", &path, e))?;
        let current = Current {
            seq,
            checksum: xxh3_64(&bytes),
        };
        self.check_hold()?;
        let pointer = self.paths.current();
        let text = current.print();
        if let Err(error) = files::write_whole(&*self.system, &pointer, text.as_bytes()) {
            self.unlink(&path);
            return Err(Error::io("replace", &pointer, error));
        }
        self.next_root = seq.saturating_add(1);
        self.sealed.clear();
        self.roots.push((seq, names));
        self.retire(ROOTS_KEPT);
        Ok(())
    }

    fn root_of(&self, state: &State, dataset_id: &str, seq: u64) -> Result<Root> {
        let parts = state.to_parts();
        let used = parts.segments.iter().filter(|part| part.length > 0);
        let segments = used.map(|part| {
            let file = self
                .files
                .get(&part.name)
                .filter(|file| file.length == part.length);
            file.cloned().ok_or_else(|| {
                Error::internal(format!(
                    "state uses segment {} that is not in the directory",
                    part.name
                ))
            })
        });
        Ok(Root {
            seq,
            boot_id: self.boot.clone().unwrap_or_default(),
            dataset: self.dataset.clone(),
            dataset_id: dataset_id.to_owned(),
            segments: segments.collect::<Result<_>>()?,
            parts,
        })
    }

    /// Gives up the grace that attached readers have, so that the next try has more room.
    pub(crate) fn reclaim(&mut self) {
        self.retire(1);
    }

    /// Unlinks all but the newest roots, and the segments that only those used.
    fn retire(&mut self, keep: usize) {
        let surplus = self.roots.len().saturating_sub(keep);
        let retired: Vec<u64> = self.roots.drain(..surplus).map(|(seq, _)| seq).collect();
        let used = self.roots.iter().flat_map(|(_, names)| names);
        let used: BTreeSet<u64> = used.chain(&self.sealed).copied().collect();
        let unused = self.files.extract_if(.., |name, _| !used.contains(name));
        let unused: Vec<u64> = unused.map(|(name, _)| name).collect();
        let roots = retired.into_iter().map(|seq| self.paths.root(seq));
        let segments = unused.into_iter().map(|name| self.paths.segment(name));
        roots.chain(segments).for_each(|path| self.unlink(&path));
    }
}
