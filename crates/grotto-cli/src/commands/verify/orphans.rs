//! What writers that died left in a store: blobs that nothing refers to, and files that they did not finish.
//!
//! Owns: finding them in a folder, and what is told of them; other stores are not searched. Never: deletes.

use crate::failure::{Failure, Outcome};
use crate::output::Out;
use crate::text::{bytes, things};
use grotto::store::{BlobKind, Dataset, StoreUrl};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;

/// Some files of a dataset: their names in its folder, and their length together.
#[derive(Default)]
pub(super) struct Files {
    pub(super) names: Vec<String>,
    pub(super) bytes: u64,
}

/// What is left over.
#[derive(Default)]
pub(super) struct Orphans {
    /// Whole blobs.
    pub(super) blobs: Files,
    /// Parts of blobs, entries and hints; some may be of a writer at work.
    pub(super) unfinished: Files,
}

/// What the folder of a dataset holds besides the named blobs.
pub(super) async fn find(
    url: &StoreUrl,
    dataset: &Dataset,
    named: &BTreeSet<String>,
) -> Outcome<Orphans> {
    let StoreUrl::Local(root) = url else {
        return Ok(Orphans::default());
    };
    let folder = root.join(dataset.name());
    let mut unfinished = Files::default();
    for leftover in dataset.leftovers().await? {
        unfinished.names.push(leftover.name.display().to_string());
        unfinished.bytes += leftover.bytes;
    }
    let is_known = |name: &String| named.contains(name) || unfinished.names.contains(name);
    let blobs = blobs(&folder, is_known)?;
    Ok(Orphans { blobs, unfinished })
}

/// The blobs in a folder that are not known.
fn blobs(folder: &Path, is_known: impl Fn(&String) -> bool) -> Outcome<Files> {
    let mut orphans = Files::default();
    for kind in [BlobKind::Delta, BlobKind::Reverse, BlobKind::Snapshot] {
        let folder = folder.join(kind.folder());
        let refused = |e| Failure::io(&format!("list {}", folder.display()), &e);
        let files = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            other => other.map_err(refused)?,
        };
        for file in files {
            let file = file.map_err(refused)?;
            let name = format!("{}/{}", kind.folder(), file.file_name().to_string_lossy());
            if !is_known(&name) {
                orphans.bytes += file.metadata().map_err(refused)?.len();
                orphans.names.push(name);
            }
        }
    }
    orphans.names.sort();
    Ok(orphans)
}

impl Orphans {
    pub(super) fn print(&self, out: &mut Out) -> Outcome<()> {
        for (files, noun, what) in [
            (
                &self.blobs,
                "blob",
                "that no version refers to (left by writers that died)",
            ),
            (
                &self.unfinished,
                "unfinished file",
                "(left by writers that died, or still being written)",
            ),
        ] {
            if files.names.is_empty() {
                continue;
            }
            let (number, length) = (files.names.len() as u64, bytes(files.bytes));
            out.line(format_args!("{} of {length} {what}:", things(number, noun)))?;
            let mut names = files.names.iter();
            names.try_for_each(|name| out.line(format_args!("  {name}")))?;
        }
        Ok(())
    }
}
