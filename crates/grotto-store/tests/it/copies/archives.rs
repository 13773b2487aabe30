//! Datasets in archives: written by a copy, and read by one.

use std::io::{self, Write};
use std::path::Path as FsPath;

use grotto_store::{CopyOptions, Dataset, ErrorKind, Store};

use crate::place::{Place, commit_to, copy};

/// Writes all of a dataset into a file.
async fn write(from: &Place, path: &FsPath) {
    let file = std::fs::File::create(path).unwrap();
    let options = CopyOptions::default();
    let dataset = from.dataset();
    let (copied, _) = dataset
        .write_archive(file, &options, &|_| {})
        .await
        .unwrap();
    assert_eq!(copied.faults, []);
}

async fn read(path: &FsPath, to: &Place) -> grotto_store::Result<grotto_store::Copied> {
    let dataset = Dataset::open(Store::open_archive(path)?, "cities")?;
    let options = CopyOptions {
        strict: true,
        ..CopyOptions::default()
    };
    dataset.copy_to(&to.dataset(), &options, &|_| {}).await
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn what_is_read_from_an_archive_is_what_was_written_to_it() {
    let (a, b, direct) = (Place::new(), Place::new(), Place::new());
    let writer = a.grown(20, &[5, 15]).await;
    let dir = folder();
    let file = dir.path().join("cities.tar");
    write(&a, &file).await;
    let store = Store::open_archive(&file).unwrap();
    assert_eq!(store.datasets().await.unwrap(), ["cities"]);
    let copied = read(&file, &b).await.unwrap();
    assert_eq!((copied.first, copied.newest), (1, 20));
    b.assert_whole(20).await;
    copy(&a, &direct).await.unwrap();
    assert_eq!(b.objects().await, direct.objects().await);
    // A later archive brings it up to date.
    commit_to(&writer, 25).await;
    write(&a, &file).await;
    let copied = read(&file, &b).await.unwrap();
    assert_eq!((copied.before, copied.versions, copied.newest), (20, 5, 25));
    b.assert_whole(25).await;
}

#[tokio::test]
async fn an_archive_of_a_collected_dataset_begins_at_a_snapshot() {
    let (a, b) = (Place::new(), Place::new());
    a.grown(20, &[5, 10, 15]).await;
    a.age();
    a.collect(2).await;
    let dir = folder();
    let file = dir.path().join("cities.tar");
    write(&a, &file).await;
    let copied = read(&file, &b).await.unwrap();
    assert_eq!((copied.first, copied.newest), (10, 20));
    b.assert_whole(20).await;
}

#[tokio::test]
async fn nothing_becomes_visible_of_an_archive_with_any_altered_byte() {
    let a = Place::new();
    a.grown(6, &[3]).await;
    let dir = folder();
    let file = dir.path().join("cities.tar");
    write(&a, &file).await;
    let whole = std::fs::read(&file).unwrap();
    let (mut refused, mut taken) = (0, 0);
    for at in (0..whole.len()).step_by(7) {
        let mut altered = whole.clone();
        altered[at] ^= 0x10;
        std::fs::write(&file, &altered).unwrap();
        let b = Place::new();
        match read(&file, &b).await {
            Ok(_) => {
                // Padding behind a file, which is no part of it; or blanks for zeros before the checksum of a header.
                let in_checksum = (148..156).contains(&(at % 512)) && whole[at] == b'0';
                assert!(whole[at] == 0 || in_checksum, "byte {at}");
                b.assert_whole(6).await;
                taken += 1;
            }
            Err(error) => {
                let kinds = [
                    ErrorKind::Corrupt,
                    ErrorKind::Invalid,
                    ErrorKind::Missing,
                    ErrorKind::NoDataset,
                ];
                assert!(kinds.contains(&error.kind()), "byte {at}: {error}");
                assert_eq!(b.dataset().head().await.unwrap(), None, "byte {at}");
                refused += 1;
            }
        }
    }
    assert!(
        refused > taken && taken > 0,
        "{refused} refused, {taken} taken"
    );
}

/// A disk with room for so many bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.checked_sub(bytes.len()) {
            None => Err(io::ErrorKind::StorageFull.into()),
            Some(left) => {
                self.0 = left;
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_disk_that_is_full_ends_an_archive_wherever_it_is() {
    let a = Place::new();
    a.grown(4, &[3]).await;
    let options = CopyOptions::default();
    let mut ended = false;
    for room in (0..40_000).step_by(512) {
        let written = a
            .dataset()
            .write_archive(Full(room), &options, &|_| {})
            .await;
        match written {
            Ok(_) => ended = true,
            Err(error) => {
                assert!(!ended);
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            }
        }
    }
    assert!(ended);
}

#[tokio::test]
async fn a_damaged_source_is_written_as_far_as_it_is_whole() {
    let (a, b) = (Place::new(), Place::new());
    a.grown(20, &[5]).await;
    a.lose("log/00000000000000000012.json").await;
    let dir = folder();
    let file = dir.path().join("cities.tar");
    let (copied, _) = a
        .dataset()
        .write_archive(
            std::fs::File::create(&file).unwrap(),
            &CopyOptions::default(),
            &|_| {},
        )
        .await
        .unwrap();
    assert_eq!((copied.newest, copied.faults.len()), (11, 1));
    read(&file, &b).await.unwrap();
    b.assert_whole(11).await;
}

#[tokio::test]
async fn a_strict_copy_of_damage_shows_nothing() {
    for folder in ["delta", "snapshot", "log", "snapshots"] {
        let (a, b) = (Place::new(), Place::new());
        a.grown(10, &[5]).await;
        let start = format!("{folder}/00000000000000000005");
        let objects = a.objects().await;
        let name = objects.keys().find(|name| name.starts_with(&start));
        a.flip(name.unwrap()).await;
        let options = CopyOptions {
            strict: true,
            ..CopyOptions::default()
        };
        let refused = super::copy_with(&a, &b, &options).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Corrupt, "{refused}");
        assert!(refused.message().contains("version 5"), "{refused}");
        assert_eq!(b.dataset().head().await.unwrap(), None);
    }
}
