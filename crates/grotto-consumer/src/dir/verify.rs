//! Verifying a state directory, whoever maintains it.
//!
//! Owns: what is told of its files. Never: writes, locks, or asks the store.

use super::files::Paths;
use super::read::{Held, ReadError, check_exists, read_current, read_root};
use super::root::{Root, SegmentFile};
use super::trust;
use crate::error::{Error, Result};
use grotto_env::FileSystem;
use std::path::Path;

/// Times that it is begun again, because whoever maintains it was faster.
const TRIES: usize = 16;

/// What a state directory holds, and what of it is damaged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DirReport {
    /// Name of the dataset.
    pub dataset: String,
    /// Version of the state that it holds.
    pub version: u64,
    /// Files that were read, the root apart.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files with the right bytes that are not the ones that were sealed: copies, or files whose mode,
    /// owner, time or links were changed. They are verified whenever they are opened.
    pub changed: u64,
    /// One line for each part of a file that does not hold what was written: which file, which bytes.
    pub damage: Vec<String>,
}

/// Reads every byte of what the directory holds.
pub(crate) fn verify_dir(system: &dyn FileSystem, dir: &Path) -> Result<DirReport> {
    check_exists(system, dir)?;
    let paths = Paths::new(dir);
    let shown = dir.display();
    let (mut gone, mut last) = (String::new(), None);
    for _ in 0..TRIES {
        let root = read_current(system, &paths).and_then(|current| {
            current
                .map(|current| read_root(system, &paths, current).map(|root| (current, root)))
                .transpose()
        });
        let (current, root) = match root {
            Ok(Some(found)) => found,
            Ok(None) => {
                return Err(Error::unavailable(format!(
                    "state directory {shown} holds no state: nothing was written there yet, or what was is dropped"
                )));
            }
            Err(ReadError::Vanished(reason)) => {
                gone = reason;
                continue;
            }
            Err(ReadError::Damaged(reason)) => return Err(Error::corrupt(reason)),
            Err(ReadError::Refused(error)) => return Err(error),
        };
        let report = verify_root(system, &paths, root)?;
        // What was replaced meanwhile says nothing of what is there now.
        let again = read_current(system, &paths).ok().flatten();
        if report.damage.is_empty() || again == Some(current) {
            return Ok(report);
        }
        last = Some(report);
    }
    last.ok_or_else(|| Error::corrupt(format!("state directory {shown}: {gone}")))
}

fn verify_root(system: &dyn FileSystem, paths: &Paths, root: Root) -> Result<DirReport> {
    let mut report = DirReport {
        dataset: root.dataset,
        version: root.parts.version,
        ..DirReport::default()
    };
    for file in root.segments {
        let path = paths.segment(file.name);
        match trust::map_one(system, &path, file) {
            Ok((held, believed)) => verify_file(&path, &held, believed, &mut report),
            Err(ReadError::Refused(error)) => return Err(error),
            Err(ReadError::Damaged(reason) | ReadError::Vanished(reason)) => {
                report.damage.push(reason);
            }
        }
    }
    Ok(report)
}

fn verify_file(path: &Path, held: &Held, believed: bool, report: &mut DirReport) {
    let SegmentFile { sums, length, .. } = &held.file;
    let found: Vec<String> = (0..sums.count())
        .filter_map(|at| sums.check_at(&held.bytes, at).err())
        .map(|damage| trust::altered(path, &damage))
        .collect();
    report.files += 1;
    report.bytes += length;
    report.changed += u64::from(found.is_empty() && !believed);
    report.damage.extend(found);
}
