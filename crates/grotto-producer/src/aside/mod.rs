//! Records that a fenced host had acknowledged and not published, set aside for a person.
//!
//! Owns: the files of a folder of them, and which entries of a write-ahead log they have. Never: decides that
//! something is to be set aside, and never publishes it.
//!
//! A file, `<log>-<first entry>-<last entry>.ndjson`, has a line for each change as a sender would send it, in order.
//! It gets its name when it is whole and on the disk. One that a person has dealt with leaves an empty
//! `….done` behind, until a version says that its entries are behind: nobody may take them from the log again.

mod write;

use crate::{Error, Result};
use grotto_env::AppendFiles;
use std::ffi::OsString;
use std::io::ErrorKind::NotFound;
use std::path::{Path, PathBuf};

pub(crate) use write::write;

const LINES: &str = "ndjson";
const DONE: &str = "done";

/// A file of records that were set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsideFile {
    /// Where it is.
    pub path: PathBuf,
    /// [`Wal::id`](crate::wal::Wal::id) of the log that had them.
    pub wal: String,
    /// Number of their first entry.
    pub first: u64,
    /// Number of their last entry.
    pub last: u64,
    /// Its length.
    pub bytes: u64,
}

/// The folder for records that are set aside from the write-ahead log of a folder.
#[must_use]
pub fn folder_of(wal_dir: &Path) -> PathBuf {
    let mut name = OsString::from(wal_dir.file_name().unwrap_or_default());
    name.push(".set-aside");
    wal_dir.with_file_name(name)
}

/// The files of a folder, oldest first; none where there is no such folder.
///
/// # Errors
/// `Unavailable` when the disk does not answer.
pub fn list(files: &dyn AppendFiles, folder: &Path) -> Result<Vec<AsideFile>> {
    let mut found = Vec::new();
    for name in names(files, folder)? {
        let Some((wal, first, last)) = parse(&name, LINES) else {
            continue;
        };
        let path = folder.join(&name);
        let bytes = match files.length(&path) {
            // A person was faster.
            Err(error) if error.kind() == NotFound => continue,
            length => length.map_err(|error| Error::io("look up", &path, error))?,
        };
        found.push(AsideFile {
            path,
            wal,
            first,
            last,
            bytes,
        });
    }
    found.sort_by(|a, b| (&a.wal, a.first).cmp(&(&b.wal, b.first)));
    Ok(found)
}

/// Removes a file whose records a person has dealt with. Its entries stay known as set aside.
///
/// # Errors
/// `Unavailable` when the disk does not take it; calling again goes on.
pub fn finish(files: &dyn AppendFiles, file: &AsideFile) -> Result<()> {
    let done = file.path.with_extension(DONE);
    match files.create(&done) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        created => {
            let mut created = created.map_err(|error| Error::io("create", &done, error))?;
            let synced = created.sync();
            synced.map_err(|error| Error::io("sync", &done, error))?;
        }
    }
    sync_parent(files, &file.path)?;
    remove(files, &file.path)?;
    sync_parent(files, &file.path)
}

/// The last entry of a log that was set aside, dealt with or not; 0 if none was.
pub(crate) fn through(files: &dyn AppendFiles, folder: &Path, wal: &str) -> Result<u64> {
    let names = names(files, folder)?;
    let parsed = names
        .iter()
        .filter_map(|name| parse(name, LINES).or_else(|| parse(name, DONE)));
    let of_log = parsed.filter(|(id, _, _)| id == wal);
    let Some(last) = of_log.map(|(_, _, last)| last).max() else {
        return Ok(0);
    };
    // A name whose sync failed can be seen and may get lost with the host, and what it has would be passed over.
    let synced = files.sync_folder(folder);
    synced.map_err(|error| Error::io("sync", folder, error))?;
    Ok(last)
}

/// Forgets what was dealt with and is behind what a version says of the log.
pub(crate) fn forget(
    files: &dyn AppendFiles,
    folder: &Path,
    wal: &str,
    committed: u64,
) -> Result<()> {
    for name in names(files, folder)? {
        let done = parse(&name, DONE);
        if done.is_some_and(|(id, _, last)| id == wal && last <= committed) {
            remove(files, &folder.join(name))?;
        }
    }
    Ok(())
}

fn names(files: &dyn AppendFiles, folder: &Path) -> Result<Vec<String>> {
    match files.list(folder) {
        Err(error) if error.kind() == NotFound => Ok(Vec::new()),
        names => names.map_err(|error| Error::io("list", folder, error)),
    }
}

fn name_of(wal: &str, first: u64, last: u64) -> String {
    format!("{wal}-{first:020}-{last:020}.{LINES}")
}

/// Log, first and last entry of a name with this ending; `None` for any other file.
fn parse(name: &str, ending: &str) -> Option<(String, u64, u64)> {
    let stem = name.strip_suffix(ending)?.strip_suffix('.')?;
    let mut parts = stem.split('-');
    let (wal, first, last) = (parts.next()?, parts.next()?, parts.next()?);
    let is_id = wal.len() == 8 && wal.bytes().all(|b| b.is_ascii_hexdigit());
    let number = |text: &str| -> Option<u64> {
        let plain = text.len() == 20 && text.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| text.parse().ok()).flatten()
    };
    let (first, last) = (number(first)?, number(last)?);
    let is_whole = is_id && parts.next().is_none() && first <= last;
    is_whole.then(|| (wal.to_owned(), first, last))
}

fn remove(files: &dyn AppendFiles, path: &Path) -> Result<()> {
    match files.remove(path) {
        Err(error) if error.kind() == NotFound => Ok(()),
        removed => removed.map_err(|error| Error::io("remove", path, error)),
    }
}

fn sync_parent(files: &dyn AppendFiles, path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let synced = files.sync_folder(folder);
    synced.map_err(|error| Error::io("sync", folder, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wal::{Wal, WalChange, WalEntry, WalOptions};
    use grotto_env::{FileOperation, ForgetfulFiles};
    use grotto_format::Schema;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    fn log_of_one(files: &ForgetfulFiles, schema: &Schema) -> Wal {
        let nonce = || "0123456789abcdef0123456789abcdef".to_owned();
        let folder = Path::new("/log");
        let files = Arc::new(files.clone());
        let (wal, _) = Wal::open(files, folder, schema, WalOptions::default(), nonce).unwrap();
        let entry = WalEntry {
            key: None,
            atomic: false,
            source: "test".to_owned(),
            positions: BTreeMap::new(),
            time_ms: 1,
            changes: Vec::<WalChange>::new(),
        };
        wal.append(&[Arc::new(entry)]).unwrap();
        wal
    }

    #[test]
    fn what_counts_as_set_aside_outlives_the_host() {
        let schema = Schema::parse("City @PrimaryKey(id) { long id; }").unwrap();
        let folder = Path::new("/log.set-aside");
        for seed in 0..20 {
            let files = ForgetfulFiles::new(seed);
            let wal = log_of_one(&files, &schema);
            files.create_folder(folder).unwrap();
            // The name is there, and its sync fails.
            files.fail_next(FileOperation::SyncFolder, 0);
            write(&files, folder, &wal, &schema, 1..=1).unwrap_err();
            let counted = through(&files, folder, wal.id()).unwrap();
            files.reboot();
            let left = through(&files, folder, wal.id()).unwrap();
            assert_eq!(
                left, counted,
                "seed {seed}: what the fence passed over is gone"
            );
        }
    }

    #[test]
    fn only_names_of_this_folder_count() {
        let name = name_of("00ff00ff", 3, 17);
        assert_eq!(parse(&name, LINES), Some(("00ff00ff".to_owned(), 3, 17)));
        assert_eq!(parse(&name, DONE), None);
        for other in [
            "LOCK",
            "wal-00000000000000000001.log",
            ".ndjson",
            "00ff00ff-00000000000000000009-00000000000000000003.ndjson",
            "00ff00ff-3-17.ndjson",
            "00ff00ff-00000000000000000003-00000000000000000017-1.ndjson",
            "00ff00ff-00000000000000000003-99999999999999999999.ndjson",
            "zzff00ff-00000000000000000003-00000000000000000017.ndjson",
        ] {
            assert_eq!(parse(other, LINES), None, "{other}");
        }
    }

    #[test]
    fn the_folder_lies_beside_the_log() {
        let folder = folder_of(Path::new("/var/lib/grotto/wal/cities"));
        assert_eq!(folder, Path::new("/var/lib/grotto/wal/cities.set-aside"));
    }
}
