//! Reading a state directory: from `CURRENT` to a state over mapped segments.
//!
//! Owns: what both the writer at its start and attached readers do, and when bytes must be verified
//! before they are served. Never: writes.
//!
//! Whether sealed files are what they were is for `trust` to say.

use crate::dir::current::{self, Current};
use crate::dir::files::Paths;
use crate::dir::root::{self, Root, SegmentFile};
use crate::dir::trust;
use crate::error::Error;
use bytes::Bytes;
use grotto_env::FileSystem;
use grotto_state::{SegmentPart, State, StateError};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
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
    /// Whether bytes had to be verified: the root says too little of the files.
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
    pub(super) fn io(action: &str, path: &Path, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Vanished(format!("{} is gone", path.display())),
            io::ErrorKind::InvalidData => Self::Damaged(format!("{}: {error}", path.display())),
            _ => Self::Refused(Error::io(action, path, error)),
        }
    }
}

/// Refuses a path at which there is no folder.
pub(crate) fn check_exists(system: &dyn FileSystem, dir: &Path) -> crate::error::Result<()> {
    match system.list(dir) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::invalid(format!(
            "state directory {} does not exist: expected a folder that a consumer writes to",
            dir.display()
        ))),
        Err(error) => Err(Error::io("list", dir, error)),
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
    let same_boot = boot.is_some_and(|boot| boot == root.boot_id);
    let (segments, verified) = trust::map_all(system, paths, root.segments, reuse, same_boot)?;
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
        // Without segments nothing was looked at, and the boot was another all the same.
        verified: verified || !same_boot,
    })
}

pub(super) fn read_root(
    system: &dyn FileSystem,
    paths: &Paths,
    current: Current,
) -> Result<Root, ReadError> {
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
