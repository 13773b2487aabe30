//! Folders that must not be one.
//!
//! Owns: comparing the folders of all datasets by their paths, and naming both keys. Never: looks at a disk.

use super::rules::Broken;
use super::{DatasetSettings, Durability, ProducerSettings};
use grotto::StoreUrl;
use std::path::{Component, Path, PathBuf};

/// A folder, and the key that names it.
struct Folder {
    key: String,
    path: PathBuf,
}

impl Folder {
    fn new(at: &str, key: &str, path: &Path) -> Self {
        let plain = |part: &Component<'_>| *part != Component::CurDir;
        Self {
            key: format!("{at}.{key}"),
            path: path.components().filter(plain).collect(),
        }
    }
}

/// Whether nothing takes in, or locks, what something else writes.
pub(super) fn check(producer: &ProducerSettings) -> Result<(), Broken> {
    let (mut sources, mut written) = (Vec::new(), Vec::new());
    for (index, dataset) in producer.datasets().iter().enumerate() {
        let at = match producer.listed.is_empty() {
            true => "producer".to_owned(),
            false => format!("producer.datasets.{index}"),
        };
        if let Some(folder) = &dataset.sources.folder {
            let folder = Folder::new(&at, "sources.folder", folder);
            apart(&folder, &sources)?;
            sources.push(folder);
        }
        let own = written_by(&at, dataset);
        // Datasets have folders of their names in each: only those of one dataset are in each other's way.
        for (count, folder) in own.iter().enumerate() {
            apart(folder, own.get(..count).unwrap_or_default())?;
        }
        written.extend(own);
    }
    sources
        .iter()
        .try_for_each(|folder| apart(folder, &written))
}

/// Folders that the daemon writes to for a dataset.
fn written_by(at: &str, dataset: &DatasetSettings) -> Vec<Folder> {
    let mut all = Vec::new();
    if let Some(StoreUrl::Local(folder)) = &dataset.store {
        all.push(Folder::new(at, "store", folder));
    }
    if dataset.wal.durability == Durability::Host {
        all.push(Folder::new(at, "wal.dir", &dataset.wal.dir));
    }
    all.push(Folder::new(at, "dead_letter.dir", &dataset.dead_letter.dir));
    all
}

fn apart(folder: &Folder, others: &[Folder]) -> Result<(), Broken> {
    match others.iter().find(|other| other.path == folder.path) {
        None => Ok(()),
        Some(other) => Err(Broken::new(
            &folder.key,
            format!(
                "expected a folder of its own, found {}, which {} is too",
                folder.path.display(),
                other.key
            ),
        )),
    }
}
