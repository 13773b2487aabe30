//! Whether a file is the one that was sealed.
//!
//! Owns: when bytes are believed and when they are verified before they are served. Never: writes.
//!
//! Within one boot of the host a file whose number, length and times are those that the root has for it
//! is what it was: the page cache stands between the disk and everyone, and whoever writes to a file
//! changes a time that nobody can set. Any other file may still have the right bytes: a copy, one whose
//! mode was set, one that has another name elsewhere. So its bytes are verified, as those of all files
//! are after a boot, or where boots cannot be told apart.

use crate::dir::files::Paths;
use crate::dir::read::{Held, ReadError, Segments};
use crate::dir::root::{Identity, SegmentFile};
use grotto_env::FileSystem;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Maps the segments of a root, all that are not among `reuse`. Tells whether any had to be verified.
pub(super) fn map_all(
    system: &dyn FileSystem,
    paths: &Paths,
    files: Vec<SegmentFile>,
    reuse: &Segments,
    same_boot: bool,
) -> Result<(Segments, bool), ReadError> {
    let mut segments = Segments::new();
    let mut doubtful = Vec::new();
    for file in files {
        let name = file.name;
        let known = reuse
            .get(&name)
            .filter(|held| held.file.has_bytes_of(&file));
        let held = match known {
            // Verified or believed when it was mapped.
            Some(held) => held.clone(),
            None => {
                let (held, believed) = map_one(system, &paths.segment(name), file)?;
                if !(believed && same_boot) {
                    doubtful.push(name);
                }
                held
            }
        };
        segments.insert(name, held);
    }
    let doubtful: Vec<&Held> = doubtful
        .iter()
        .filter_map(|name| segments.get(name))
        .collect();
    verify(paths, &doubtful).map_err(ReadError::Damaged)?;
    let verified = !doubtful.is_empty();
    Ok((segments, verified))
}

/// Maps a file; tells whether it is the one that was sealed.
pub(super) fn map_one(
    system: &dyn FileSystem,
    path: &Path,
    mut file: SegmentFile,
) -> Result<(Held, bool), ReadError> {
    let mapped = system.map(path);
    let mapped = mapped.map_err(|e| ReadError::io("map", path, e))?;
    let (path, found, expected) = (path.display(), mapped.bytes.len() as u64, file.length);
    if found != expected {
        return Err(ReadError::Damaged(format!(
            "{path}: expected {expected} bytes, found {found}"
        )));
    }
    if !file.sums.fit(expected) {
        let sums = file.sums.count();
        return Err(ReadError::Damaged(format!(
            "{path}: {sums} checksums in the root do not fit {expected} bytes"
        )));
    }
    let believed = file.is(mapped.mark);
    file.identity = mapped.mark.into();
    let bytes = mapped.bytes;
    Ok((Held { file, bytes }, believed))
}

/// What a file that is mapped is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    /// What it was.
    Same,
    /// Without its name.
    Gone,
    /// Another one, or changed.
    Other(Identity),
}

/// Looks again at a file that is mapped.
pub(crate) fn look_at(
    system: &dyn FileSystem,
    paths: &Paths,
    held: &Held,
) -> Result<Looked, ReadError> {
    let path = paths.segment(held.file.name);
    let mark = system.mark(&path);
    let mark = mark.map_err(|e| ReadError::io("look at", &path, e))?;
    Ok(match mark {
        None => Looked::Gone,
        Some(mark) if held.file.is(mark) => Looked::Same,
        Some(mark) => Looked::Other(mark.into()),
    })
}

/// Compares parts of a file that is mapped with their checksums. It has no parts past its end.
pub(crate) fn verify_parts(
    paths: &Paths,
    held: &Held,
    parts: Range<usize>,
) -> Result<(), ReadError> {
    let parts = parts.start..parts.end.min(held.file.sums.count());
    let work_items: Vec<_> = parts.map(|at| (held, at)).collect();
    compare(paths, &work_items).map_err(ReadError::Damaged)
}

/// Compares all checksums.
fn verify(paths: &Paths, all: &[&Held]) -> Result<(), String> {
    let parts = |held: &'_ Held| 0..held.file.sums.count();
    let work_items: Vec<(&Held, usize)> = all
        .iter()
        .flat_map(|held| parts(held).map(|at| (*held, at)))
        .collect();
    compare(paths, &work_items)
}

/// Compares parts of files with their checksums, on as many threads as the host runs at a time.
fn compare(paths: &Paths, work_items: &[(&Held, usize)]) -> Result<(), String> {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((held, at)) = work_items.get(next.fetch_add(1, Ordering::Relaxed)) {
            let checked = held.file.sums.check_at(&held.bytes, *at);
            checked.map_err(|damage| altered(&paths.segment(held.file.name), &damage))?;
        }
        Ok(())
    };
    let threads = std::thread::available_parallelism()
        .map_or(1, |n| n.get())
        .min(work_items.len());
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

/// What is said of a file that was altered.
pub(super) fn altered(path: &Path, damage: &super::sums::Damage) -> String {
    format!("{}: the file was altered: {damage}", path.display())
}
