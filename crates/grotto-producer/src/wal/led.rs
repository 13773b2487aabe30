//! Under which epoch a host led a dataset last.
//!
//! Owns: an empty file beside the segments of a log, whose name says it. Never: decides who leads.
//!
//! A store may answer with what it had a while ago. Who led under an epoch knows that an entry of an older one is not the
//! newest, or that the dataset was restored to what it was before.

use super::{remove, sync_folder};
use crate::{Error, Result};
use grotto_env::AppendFiles;
use std::io::ErrorKind::{AlreadyExists, NotFound};
use std::path::Path;

/// Notes an epoch that this host leads under, on the disk when this returns.
///
/// # Errors
/// `Unavailable` when the disk does not take it.
pub(crate) fn note(
    files: &dyn AppendFiles,
    folder: &Path,
    dataset_id: &str,
    epoch: u64,
) -> Result<()> {
    if !is_identity(dataset_id) {
        return Ok(());
    }
    let name = format!("led-{dataset_id}-{epoch:020}");
    let path = folder.join(&name);
    match files.create(&path) {
        Err(error) if error.kind() == AlreadyExists => {}
        created => drop(created.map_err(|error| Error::io("create", &path, error))?),
    }
    sync_folder(files, folder)?;
    for other in names(files, folder)? {
        let of_dataset = parse(&other).is_some_and(|(id, _)| id == dataset_id);
        if of_dataset && other != name {
            remove(files, &folder.join(other))?;
        }
    }
    sync_folder(files, folder)
}

/// The newest epoch that this host is known to have led a dataset under.
///
/// # Errors
/// `Unavailable` when the disk does not answer.
pub(crate) fn newest(
    files: &dyn AppendFiles,
    folder: &Path,
    dataset_id: &str,
) -> Result<Option<u64>> {
    let names = names(files, folder)?;
    let led = names.iter().filter_map(|name| parse(name));
    let of_dataset = led.filter(|(id, _)| *id == dataset_id);
    Ok(of_dataset.map(|(_, epoch)| epoch).max())
}

/// Identity of a dataset, and an epoch.
fn parse(name: &str) -> Option<(&str, u64)> {
    let (id, epoch) = name.strip_prefix("led-")?.split_once('-')?;
    let plain = epoch.len() == 20 && epoch.bytes().all(|b| b.is_ascii_digit());
    let epoch = plain.then(|| epoch.parse().ok()).flatten()?;
    is_identity(id).then_some((id, epoch))
}

/// Whether a log entry's word for a dataset may be a part of a file name.
fn is_identity(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_hexdigit())
}

fn names(files: &dyn AppendFiles, folder: &Path) -> Result<Vec<String>> {
    match files.list(folder) {
        Err(error) if error.kind() == NotFound => Ok(Vec::new()),
        names => names.map_err(|error| Error::io("list", folder, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grotto_env::ForgetfulFiles;

    #[test]
    fn the_newest_epoch_of_a_dataset_outlives_the_host() {
        let folder = Path::new("/log");
        for seed in 0..20 {
            let files = ForgetfulFiles::new(seed);
            files.create_folder(folder).unwrap();
            assert_eq!(newest(&files, folder, "c0ffee").unwrap(), None);
            for epoch in [3, 9, 10] {
                note(&files, folder, "c0ffee", epoch).unwrap();
                note(&files, folder, "c0ffee", epoch).unwrap();
                files.reboot();
                assert_eq!(newest(&files, folder, "c0ffee").unwrap(), Some(epoch));
            }
            assert_eq!(newest(&files, folder, "bead").unwrap(), None);
            let left = files.list(folder).unwrap();
            assert!(left.contains(&"led-c0ffee-00000000000000000010".to_owned()));
        }
    }

    #[test]
    fn words_that_are_no_identity_make_no_names() {
        let files = ForgetfulFiles::new(1);
        let folder = Path::new("/log");
        files.create_folder(folder).unwrap();
        for id in ["", "../x", "a-b", "caf\u{e9}", &"a".repeat(65)] {
            note(&files, folder, id, 1).unwrap();
            assert_eq!(newest(&files, folder, id).unwrap(), None);
        }
        assert_eq!(files.list(folder).unwrap(), [""; 0]);
        for name in [
            "led-c0ffee-1",
            "led-c0ffee",
            "LOCK",
            "led-c0ffee-99999999999999999999",
        ] {
            assert_eq!(parse(name), None, "{name}");
        }
    }
}
