//! Logs whose newest entry leaves no version or no epoch to write: refused with a reason.

use grotto_format::checksum;
use grotto_format::log::MAX_VERSION;
use grotto_store::{Dataset, Error, ErrorKind, Writer, WriterOptions};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::kit::{acquire, commit, faulty, named};

/// A log of a fence, and far behind it another of this version and epoch, under a right seal.
async fn ends_with(version: u64, epoch: u64) -> Dataset {
    let (faults, dataset) = faulty();
    acquire(&dataset, "old").await;
    let path = |version: u64| Path::from(format!("cities/log/{version:020}.json"));
    let bytes = faults.get(&path(1)).await.unwrap().bytes().await.unwrap();
    let mut text = String::from_utf8(bytes.to_vec()).unwrap();
    for (from, to) in [
        ("\"version\":1,", format!("\"version\":{version},")),
        ("\"epoch\":1,", format!("\"epoch\":{epoch},")),
        ("\"parent\":0,", format!("\"parent\":{},", version - 1)),
    ] {
        assert!(text.contains(from), "{text}");
        text = text.replacen(from, &to, 1);
    }
    let unsealed = &text[..text.len() - 18];
    let digits = checksum::of_bytes(format!("{unsealed}\"}}").as_bytes());
    let sealed = format!("{unsealed}{digits:016x}\"}}");
    let path = path(version);
    faults.put(&path, sealed.into_bytes().into()).await.unwrap();
    dataset
}

async fn prepare(dataset: &Dataset, past_damage: bool) -> Error {
    let options = WriterOptions {
        past_damage,
        ..named("a")
    };
    let prepared = Writer::prepare(dataset.clone(), options).await;
    prepared.unwrap_err()
}

#[tokio::test]
async fn an_entry_past_the_last_version_is_refused_and_nothing_follows_it() {
    for version in [MAX_VERSION + 1, u64::MAX] {
        let dataset = ends_with(version, 2).await;
        let error = prepare(&dataset, false).await;
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        let wanted = format!("field version: expected 1 to {MAX_VERSION}, found {version}");
        assert!(error.to_string().contains(&wanted), "{error}");
        // Going on after it is what a new start would do with any other damage.
        let error = prepare(&dataset, true).await;
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        let wanted = format!("log/{version:020}.json leaves no version to write");
        assert!(error.message().contains(&wanted), "{error}");
        assert!(dataset.read_entry(1).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn the_last_version_is_written_and_none_after_it() {
    let dataset = ends_with(MAX_VERSION - 1, 2).await;
    let writer = acquire(&dataset, "a").await;
    assert_eq!(writer.head().unwrap().version, MAX_VERSION);
    let error = commit(&writer, "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.message().contains("field version"), "{error}");
    assert!(!writer.is_undecided());
    for past_damage in [false, true] {
        let error = prepare(&dataset, past_damage).await;
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.message().contains("no version to write"), "{error}");
    }
}

#[tokio::test]
async fn no_epoch_follows_the_last_one() {
    let dataset = ends_with(2, MAX_VERSION).await;
    let taken = Writer::acquire(dataset.clone(), named("a")).await;
    let error = taken.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(error.message().contains("field epoch"), "{error}");
    let dataset = ends_with(2, u64::MAX).await;
    assert_eq!(prepare(&dataset, false).await.kind(), ErrorKind::Corrupt);
}
