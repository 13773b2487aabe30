//! A dataset in one file: a tar archive of the objects that a store would have.
//!
//! Owns: which files may be in it. Never: unpacks anything to the host, or believes a length before it was compared
//! with that of the file.
//!
//! An archive is made by a [copy](Dataset::copy_to) whose target it is, and read by one whose source it is: what is in it
//! is verified, and becomes visible, as any copy does. Any `tar` shows and unpacks it; the folder that comes of it is a store.

mod read;
mod scan;
#[cfg(test)]
mod tests;
mod write;

use std::fs::File;
use std::io::Write;
use std::path::Path as FsPath;
use std::sync::Arc;

use grotto_format::log::is_plain_name;
use object_store::ObjectStore;

use crate::copy::{Copied, CopyOptions, CopyWatch};
use crate::dataset::Dataset;
use crate::error::{Error, Result, from_host};
use crate::object::Store;
use crate::options::{Parts, StoreOptions};
use crate::retry::RetryPolicy;
use read::Archive;
use write::Sink;

/// Folders of a dataset that an archive may have files in.
const FOLDERS: [&str; 7] = [
    "collected",
    "control/accepted",
    "delta",
    "log",
    "reverse",
    "snapshot",
    "snapshots",
];
/// Longest name of a file in an archive.
const MOST_NAME: usize = 256;

impl Dataset {
    /// Writes all of the dataset into a tar archive, and gives back what it was written to. What is damaged is left
    /// out and told, as of any copy.
    ///
    /// # Errors
    /// As [`copy_to`](Self::copy_to). What was written is of no use then.
    pub async fn write_archive<W: Write + Send + 'static>(
        &self,
        to: W,
        options: &CopyOptions,
        watch: CopyWatch<'_>,
    ) -> Result<(Copied, W)> {
        let sink = Arc::new(Sink::new(to));
        let store = Store::from_object_store(Arc::clone(&sink) as Arc<dyn ObjectStore>);
        let store = store
            .with_env(self.store.env().clone())
            .with_options(of_archive());
        let target = Self::open(store, self.name())?;
        let copied = self.copy_to(&target, options, watch).await?;
        let written = sink
            .end()
            .map_err(|source| Error::io("end the archive", FsPath::new(self.name()), source))?;
        Ok((copied, written))
    }
}

impl Store {
    /// Opens an archive for reading, as the store that was written into it. Reads the header of each file in it, and
    /// blocks meanwhile.
    ///
    /// # Errors
    /// `Invalid` when there is no such file, or it is no archive of a dataset; `Corrupt` when it is cut or altered. The
    /// message says what was found.
    pub fn open_archive(path: &FsPath) -> Result<Self> {
        let file = File::open(path).map_err(|source| from_host("open archive", path, source))?;
        let members = scan::members(&file)
            .map_err(|error| error.at(format!("archive {}", path.display())))?;
        let archive = Arc::new(Archive::new(file, members));
        let store = Self::from_object_store(archive as Arc<dyn ObjectStore>);
        Ok(store.with_options(of_archive()))
    }
}

/// A file answers at once, and takes everything whole.
fn of_archive() -> StoreOptions {
    let once = |policy| RetryPolicy { tries: 1, ..policy };
    StoreOptions {
        parts: Parts {
            whole: u64::MAX,
            ..Parts::default()
        },
        reads: once(RetryPolicy::READS),
        writes: once(RetryPolicy::WRITES),
        breaker: None,
        ..StoreOptions::default()
    }
}

/// Whether a file of this name may be in an archive: one plain name in a known folder of a dataset.
fn is_member(name: &str) -> bool {
    let Some((dataset, below)) = name.split_once('/') else {
        return false;
    };
    let Some((folder, file)) = below.rsplit_once('/') else {
        return false;
    };
    let is_file = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    name.len() <= MOST_NAME
        && is_plain_name(dataset)
        && FOLDERS.contains(&folder)
        && !file.is_empty()
        && !file.starts_with('.')
        && file.bytes().all(is_file)
}
