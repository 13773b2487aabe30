//! Reading a state directory: from `CURRENT` to a state over mapped segments.
//!
//! Owns: what both the writer at its start and attached readers do, and when bytes must be verified
//! before they are served. Never: writes.
//!
//! Within one boot of the host, sealed files are what they were: the page cache stands between the
//! disk and everyone. After a boot, or where boots cannot be told apart, every byte is verified.

use crate::dir::current::{self, Current};
use crate::dir::files::Paths;
use crate::dir::root::{self, Root, SegmentFile};
use crate::error::Error;
use bytes::Bytes;
use grotto_env::FileSystem;
use grotto_state::{SegmentPart, State, StateError};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use xxhash_rust::xxh3::xxh3_64;

/// Mapped segments by name.
pub(crate) type Segments = BTreeMap<u64, Held>;

/// A segment file that is mapped.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) file: SegmentFile,
    pub(crate) bytes: Bytes,
}

/// What a state directory held at one moment.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) current: Current,
    pub(crate) state: State,
    pub(crate) dataset: String,
    pub(crate) dataset_id: String,
    pub(crate) segments: Segments,
    /// Whether the bytes were verified, as the boot was another.
    pub(crate) verified: bool,
}

/// Why there is no image.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// A file that `CURRENT` led to is gone: the writer moved on, or somebody removed it.
    Vanished(String),
    /// Bytes are not what they were.
    Damaged(String),
    /// The system refused.
    Refused(Error),
}

impl ReadError {
    fn io(action: &str, path: &Path, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Vanished(format!("{} is gone", path.display())),
            io::ErrorKind::InvalidData => Self::Damaged(format!("{}: {error}", path.display())),
            _ => Self::Refused(Error::io(action, path, error)),
        }
    }
}

/// What `CURRENT` says; `None` if there is no such file.
pub(crate) fn read_current(
    system: &dyn FileSystem,
    paths: &Paths,
) -> Result<Option<Current>, ReadError> {
    let path = paths.current();
    let bytes = system
        .read(&path, current::MAX_BYTES)
        .map_err(|e| ReadError::io("read", &path, e))?;
    bytes
        .map(|bytes| Current::parse(&bytes).map_err(ReadError::Damaged))
        .transpose()
}

/// Reads the root that `CURRENT` named and maps the segments that are not among `reuse`.
pub(crate) fn read_image(
    system: &dyn FileSystem,
    paths: &Paths,
    current: Current,
    reuse: &Segments,
    boot: Option<&str>,
) -> Result<Image, ReadError> {
    let root = read_root(system, paths, current)?;
    let mut segments = Segments::new();
    for file in &root.segments {
        segments.insert(file.name, hold(system, paths, *file, reuse)?);
    }
    let same_boot = boot.is_some_and(|boot| boot == root.boot_id);
    if !same_boot {
        // What is held already was verified when it was first mapped.
        let fresh = segments.values().filter(|held| !is_held(held.file, reuse));
        verify(&fresh.collect::<Vec<_>>()).map_err(ReadError::Damaged)?;
    }
    let mut open = |part: &SegmentPart| {
        let held = segments
            .get(&part.name)
            .filter(|held| held.file.length == part.length);
        held.map(|held| held.bytes.clone()).ok_or_else(|| {
            StateError::Damaged(format!(
                "expected segment {} of {} bytes in the root",
                part.name, part.length
            ))
        })
    };
    let state =
        State::from_parts(root.parts, &mut open).map_err(|e| ReadError::Damaged(e.to_string()))?;
    Ok(Image {
        current,
        state,
        dataset: root.dataset,
        dataset_id: root.dataset_id,
        segments,
        verified: !same_boot,
    })
}

fn read_root(system: &dyn FileSystem, paths: &Paths, current: Current) -> Result<Root, ReadError> {
    let path = paths.root(current.seq);
    let bytes = system
        .read(&path, root::MAX_BYTES)
        .map_err(|e| ReadError::io("read", &path, e))?;
    let bytes = bytes.ok_or_else(|| ReadError::Vanished(format!("{} is gone", path.display())))?;
    let damaged = |reason: String| ReadError::Damaged(format!("{}: {reason}", path.display()));
    let found = xxh3_64(&bytes);
    if found != current.checksum {
        return Err(damaged(format!(
            "checksum expected {:016x}, found {found:016x}",
            current.checksum
        )));
    }
    let root = Root::decode(&bytes).map_err(|e| damaged(e.to_string()))?;
    if root.seq != current.seq {
        return Err(damaged(format!(
            "expected root {}, found {}",
            current.seq, root.seq
        )));
    }
    Ok(root)
}

/// The name alone is not enough: a writer that lost everything starts to count anew.
fn is_held(file: SegmentFile, held: &Segments) -> bool {
    held.get(&file.name).is_some_and(|held| held.file == file)
}

fn hold(
    system: &dyn FileSystem,
    paths: &Paths,
    file: SegmentFile,
    reuse: &Segments,
) -> Result<Held, ReadError> {
    if let Some(held) = reuse.get(&file.name).filter(|held| held.file == file) {
        return Ok(held.clone());
    }
    let path = paths.segment(file.name);
    let bytes = system
        .map(&path)
        .map_err(|e| ReadError::io("map", &path, e))?;
    let found = bytes.len() as u64;
    if found != file.length {
        let (path, expected) = (path.display(), file.length);
        return Err(ReadError::Damaged(format!(
            "{path}: expected {expected} bytes, found {found}"
        )));
    }
    Ok(Held { file, bytes })
}

/// Compares the checksums of all segments, on as many threads as the host runs at a time.
fn verify(all: &[&Held]) -> Result<(), String> {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(held) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            let found = xxh3_64(&held.bytes);
            if found != held.file.checksum {
                let SegmentFile { name, checksum, .. } = held.file;
                return Err(format!(
                    "segment {name}: checksum expected {checksum:016x}, found {found:016x}"
                ));
            }
        }
        Ok(())
    };
    let threads = std::thread::available_parallelism()
        .map_or(1, |n| n.get())
        .min(all.len());
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mine = work();
        let theirs = others.into_iter().map(|other| {
            other
                .join()
                .unwrap_or_else(|_| Err("a check ended early".to_owned()))
        });
        theirs.fold(mine, Result::and)
    })
}
