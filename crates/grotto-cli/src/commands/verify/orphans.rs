//! Blobs that nothing refers to.
//!
//! Owns: finding them in a folder; other stores are not searched. Never: deletes.

use crate::failure::{Failure, Outcome};
use grotto::store::{BlobKind, StoreUrl};
use std::collections::BTreeSet;
use std::io::ErrorKind;

/// What is left over.
#[derive(Default)]
pub(super) struct Orphans {
    pub(super) names: Vec<String>,
    pub(super) bytes: u64,
}

/// The blobs of a dataset that are not among the named ones.
pub(super) fn find(url: &StoreUrl, dataset: &str, named: &BTreeSet<String>) -> Outcome<Orphans> {
    let mut orphans = Orphans::default();
    let StoreUrl::Local(root) = url else {
        return Ok(orphans);
    };
    for kind in [BlobKind::Delta, BlobKind::Reverse, BlobKind::Snapshot] {
        let folder = root.join(dataset).join(kind.folder());
        let refused = |e| Failure::io(&format!("list {}", folder.display()), &e);
        let files = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            other => other.map_err(refused)?,
        };
        for file in files {
            let file = file.map_err(refused)?;
            let name = format!("{}/{}", kind.folder(), file.file_name().to_string_lossy());
            if !named.contains(&name) {
                orphans.bytes += file.metadata().map_err(refused)?.len();
                orphans.names.push(name);
            }
        }
    }
    orphans.names.sort();
    Ok(orphans)
}
