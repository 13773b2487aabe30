//! Large snapshots, sent to a bucket part by part.

use bytes::Bytes;
use grotto_store::{Dataset, ErrorKind, Parts, Ranges, StoreOptions, Writer};
use hyper::Method;
use std::time::Duration;

use crate::fake::{Fake, Trick};
use crate::kit::acquire;

/// Of a snapshot that takes four parts and six ranges.
const LENGTH: usize = 1_234;

/// A writer to the server whose thresholds are small.
async fn writer(fake: &Fake) -> Writer {
    let store = fake.impatient(Duration::from_secs(60));
    let options = StoreOptions {
        parts: Parts {
            whole: 1_000,
            bytes: 400,
            at_once: 2,
        },
        ranges: Ranges {
            bytes: 250,
            at_once: 3,
            ..Ranges::default()
        },
        ..*store.options()
    };
    let dataset = Dataset::open(store.with_options(options), "cities").unwrap();
    acquire(&dataset, "a").await
}

fn snapshot(length: usize) -> Bytes {
    (0..length).map(|at| (at * 7 % 251) as u8).collect()
}

/// How many parts were sent.
fn sent(fake: &Fake) -> usize {
    fake.asked(&Method::PUT, "partNumber=")
}

#[tokio::test]
async fn a_large_snapshot_goes_in_parts_and_comes_in_ranges() {
    let fake = Fake::start().await;
    let writer = writer(&fake).await;
    let blob = writer.upload_snapshot(1, snapshot(LENGTH)).await.unwrap();
    assert_eq!((sent(&fake), fake.unfinished()), (4, 0));
    let fetched = writer.dataset().fetch_blob(&blob).await.unwrap();
    assert_eq!(fetched, snapshot(LENGTH));
    assert_eq!(fake.asked(&Method::GET, "/snapshot/"), 5);
    let checksum = format!("{:016x}.snapshot", blob.checksum);
    assert!(blob.name.ends_with(&checksum), "{}", blob.name);
    let whole = writer.upload_snapshot(1, snapshot(1_000)).await.unwrap();
    assert_eq!(sent(&fake), 4, "no larger than what is sent whole");
    writer.dataset().fetch_blob(&whole).await.unwrap();
}

#[tokio::test]
async fn a_part_that_fails_is_sent_again_alone() {
    let fake = Fake::start().await;
    let writer = writer(&fake).await;
    fake.script(
        Trick::Refuse(500, "InternalError"),
        Method::PUT,
        "partNumber=2",
    );
    fake.script(
        Trick::DoThenRefuse(503, "SlowDown"),
        Method::PUT,
        "partNumber=3",
    );
    let blob = writer.upload_snapshot(1, snapshot(LENGTH)).await.unwrap();
    assert!(fake.script_is_used_up());
    assert_eq!((sent(&fake), fake.unfinished()), (6, 0));
    assert_eq!(fake.asked(&Method::POST, "uploads"), 1);
    let fetched = writer.dataset().fetch_blob(&blob).await.unwrap();
    assert_eq!(fetched, snapshot(LENGTH));
}

#[tokio::test]
async fn an_upload_that_is_refused_leaves_no_parts_and_no_snapshot() {
    let fake = Fake::start().await;
    let writer = writer(&fake).await;
    fake.script(
        Trick::Refuse(403, "AccessDenied"),
        Method::PUT,
        "partNumber=3",
    );
    let error = writer
        .upload_snapshot(1, snapshot(LENGTH))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert!(
        error
            .message()
            .starts_with("cannot send a part of cities/snapshot/"),
        "{error}"
    );
    assert_eq!(fake.unfinished(), 0);
    assert_eq!(fake.asked(&Method::POST, "uploadId="), 0, "never completed");
}

#[tokio::test]
async fn an_upload_whose_end_landed_without_an_answer_is_not_sent_twice() {
    let fake = Fake::start().await;
    let writer = writer(&fake).await;
    fake.script(
        Trick::DoThenRefuse(500, "InternalError"),
        Method::POST,
        "uploadId=",
    );
    let blob = writer.upload_snapshot(1, snapshot(LENGTH)).await.unwrap();
    assert!(fake.script_is_used_up());
    assert_eq!((sent(&fake), fake.unfinished()), (4, 0));
    writer.dataset().fetch_blob(&blob).await.unwrap();
}

#[tokio::test]
async fn an_upload_whose_end_failed_is_sent_again_under_another_name() {
    let fake = Fake::start().await;
    let writer = writer(&fake).await;
    fake.script(
        Trick::Refuse(500, "InternalError"),
        Method::POST,
        "uploadId=",
    );
    let blob = writer.upload_snapshot(1, snapshot(LENGTH)).await.unwrap();
    assert!(fake.script_is_used_up());
    assert_eq!((sent(&fake), fake.unfinished()), (8, 0));
    let fetched = writer.dataset().fetch_blob(&blob).await.unwrap();
    assert_eq!(fetched, snapshot(LENGTH));
}
