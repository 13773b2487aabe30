//! Beginning to use a state directory: its folders, its lock, what it holds.
//!
//! Owns: whether what is there may be used. Never: removes anything.

use crate::dir::files::Paths;
use crate::dir::lock::DirLock;
use crate::dir::read::{Image, ReadError, Segments, read_current, read_image};
use crate::error::{Error, Result};
use grotto_env::FileSystem;
use std::path::Path;

/// Makes the folders and takes the lock.
pub(super) fn occupy(system: &dyn FileSystem, paths: &Paths) -> Result<DirLock> {
    let create = |folder: &Path| {
        let created = system.create_folder(folder);
        created.map_err(|e| Error::io("create state directory", folder, e))
    };
    create(paths.dir())?;
    let lock = DirLock::take(system, paths.dir())?;
    create(&paths.segments())?;
    create(&paths.roots())?;
    Ok(lock)
}

/// What the directory holds, if it can be trusted.
pub(super) fn load(
    system: &dyn FileSystem,
    paths: &Paths,
    dataset: &str,
    boot: Option<&str>,
) -> Result<Option<Image>> {
    let read = read_current(system, paths).and_then(|current| {
        current
            .map(|c| read_image(system, paths, c, &Segments::new(), boot))
            .transpose()
    });
    match read {
        Ok(Some(image)) if image.dataset != dataset => Err(Error::invalid(format!(
            "state directory {} holds dataset {}, expected {dataset}",
            paths.dir().display(),
            image.dataset
        ))),
        Ok(image) => Ok(image),
        Err(ReadError::Damaged(reason) | ReadError::Vanished(reason)) => {
            let dir = paths.dir().display();
            tracing::warn!(%dir, reason, "discarding a state that cannot be trusted; it will be downloaded again");
            Ok(None)
        }
        Err(ReadError::Refused(error)) => Err(error),
    }
}
