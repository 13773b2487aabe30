//! A server of S3 that answers as scripted, met by the client that is used for real: the right outcome each time.

use std::time::Duration;

use grotto_store::{CommitFields, Dataset, EntryKind, ErrorKind, LogEntry, Store, Writer};
use hyper::Method;

use crate::conformance;
use crate::fake::{Conditions, Fake, Trick};
use crate::kit::{acquire, commit, fields, framed, log, named};

/// Long enough for any answer that comes.
const LONG: Duration = Duration::from_secs(60);
/// For answers that do not come.
const SHORT: Duration = Duration::from_millis(400);
const SLOT_2: &str = "/log/00000000000000000002.json";

fn cities(store: Store) -> Dataset {
    Dataset::open(store, "cities").unwrap()
}

/// Commits version 2 while the server plays tricks with it; what `commit` gave, and the log.
async fn commit_through(
    tricks: &[(Trick, Method)],
    deadline: Duration,
) -> (grotto_store::Result<LogEntry>, Vec<LogEntry>) {
    let fake = Fake::start().await;
    let writer = acquire(&cities(fake.impatient(deadline)), "a").await;
    let fields = fields(&writer, "x").await.unwrap();
    for (trick, method) in tricks {
        fake.script(*trick, method.clone(), SLOT_2);
    }
    let done = writer.commit(fields).await;
    assert!(fake.script_is_used_up());
    (done, log(&cities(fake.store())).await)
}

#[track_caller]
fn landed_once(done: grotto_store::Result<LogEntry>, log: &[LogEntry]) {
    let entry = done.unwrap();
    assert_eq!((entry.version, entry.kind), (2, EntryKind::Commit));
    assert_eq!(log.len(), 2);
    assert_eq!(log.last(), Some(&entry));
}

#[tokio::test]
async fn the_scripted_server_without_a_script_passes_the_suite() {
    let fake = Fake::start().await;
    conformance::run(fake.store()).await;
    assert_eq!(fake.unfinished(), 0);
}

#[tokio::test]
async fn googles_interface_passes_the_suite() {
    let fake = Fake::start().await;
    conformance::run(fake.google()).await;
    assert_eq!(fake.unfinished(), 0);
}

#[tokio::test]
async fn a_commit_that_landed_before_the_server_failed_is_acknowledged() {
    for status in [500, 502, 503, 504] {
        let tricks = [(Trick::DoThenRefuse(status, "InternalError"), Method::PUT)];
        let (done, log) = commit_through(&tricks, LONG).await;
        landed_once(done, &log);
    }
}

#[tokio::test]
async fn a_commit_that_landed_is_acknowledged_also_when_reading_it_back_fails_at_first() {
    let tricks = [
        (Trick::DoThenRefuse(500, "InternalError"), Method::PUT),
        (Trick::Refuse(503, "SlowDown"), Method::GET),
        (Trick::CutBody, Method::GET),
    ];
    let (done, log) = commit_through(&tricks, LONG).await;
    landed_once(done, &log);
}

#[tokio::test]
async fn a_commit_that_failed_before_anything_landed_is_tried_again() {
    for (status, code) in [
        (500, "InternalError"),
        (503, "SlowDown"),
        (409, "ConditionalRequestConflict"),
        (409, "OperationAborted"),
    ] {
        let tricks = [(Trick::Refuse(status, code), Method::PUT)];
        let (done, log) = commit_through(&tricks, LONG).await;
        landed_once(done, &log);
    }
}

#[tokio::test]
async fn a_conflict_after_our_own_landing_is_a_commit() {
    for (status, code) in [
        (409, "ConditionalRequestConflict"),
        (412, "PreconditionFailed"),
    ] {
        let tricks = [(Trick::DoThenRefuse(status, code), Method::PUT)];
        let (done, log) = commit_through(&tricks, LONG).await;
        landed_once(done, &log);
    }
}

#[tokio::test]
async fn a_commit_without_an_answer_is_settled_whether_it_landed_or_not() {
    for trick in [Trick::DoThenHang, Trick::Hang] {
        let (done, log) = commit_through(&[(trick, Method::PUT)], SHORT).await;
        landed_once(done, &log);
    }
}

#[tokio::test]
async fn a_commit_that_never_gets_an_answer_stays_in_doubt_until_the_server_is_back() {
    let fake = Fake::start().await;
    let writer = acquire(&cities(fake.impatient(SHORT)), "a").await;
    let fields = fields(&writer, "x").await.unwrap();
    fake.script(Trick::DoThenHang, Method::PUT, SLOT_2);
    // Two looks at the slot after each of three tries.
    (0..6).for_each(|_| fake.script(Trick::Hang, Method::GET, SLOT_2));
    (0..2).for_each(|_| fake.script(Trick::Refuse(500, "InternalError"), Method::PUT, SLOT_2));
    let error = writer.commit(fields.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(fake.script_is_used_up() && writer.is_undecided());
    let head = cities(fake.store()).head().await.unwrap().unwrap();
    assert_eq!((head.version, head.kind), (2, EntryKind::Commit));
}

#[tokio::test]
async fn a_writer_whose_slot_another_one_took_is_fenced_whatever_the_server_says() {
    for (status, code) in [
        (409, "ConditionalRequestConflict"),
        (412, "PreconditionFailed"),
        (500, "InternalError"),
    ] {
        let fake = Fake::start().await;
        let old = acquire(&cities(fake.impatient(LONG)), "old").await;
        let fields = fields(&old, "x").await.unwrap();
        acquire(&cities(fake.store()), "new").await;
        fake.script(Trick::Refuse(status, code), Method::PUT, SLOT_2);
        let error = old.commit(fields).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Fenced, "{status}: {error}");
        assert!(fake.script_is_used_up());
    }
}

#[tokio::test]
async fn a_head_that_listings_do_not_show_yet_is_found_all_the_same() {
    let fake = Fake::start().await;
    let dataset = cities(fake.store());
    let writer = acquire(&dataset, "a").await;
    for round in ["x", "y", "z"] {
        commit(&writer, round).await.unwrap();
    }
    fake.hide_from_listings("/log/00000000000000000003");
    fake.hide_from_listings("/log/00000000000000000004");
    assert_eq!(dataset.head().await.unwrap().unwrap().version, 4);
    // All but the first are hidden: a writer that begins there must still not write a second history.
    fake.hide_from_listings("/log/00000000000000000002");
    let other = acquire(&dataset, "b").await;
    let versions = commit(&other, "new").await.unwrap();
    assert_eq!((versions.version, versions.epoch), (6, 2));
}

#[tokio::test]
async fn listings_of_several_answers_are_read_to_their_end() {
    let fake = Fake::start().await;
    let dataset = cities(fake.store());
    let writer = acquire(&dataset, "a").await;
    for _ in 0..250 {
        let fields = CommitFields {
            positions_only: true,
            ..CommitFields::default()
        };
        writer.commit(fields).await.unwrap();
    }
    let versions: Vec<u64> = (1..=251).collect();
    assert_eq!(dataset.list_versions(1..=999).await.unwrap(), versions);
    let some = dataset.list_versions(101..=230).await.unwrap();
    assert_eq!(some, versions[100..230]);
    assert_eq!(dataset.head().await.unwrap().unwrap().version, 251);
}

#[tokio::test]
async fn a_store_that_ignores_conditions_is_refused() {
    for conditions in [Conditions::Ignored, Conditions::CheckThenWrite] {
        let fake = Fake::start().await;
        fake.honour(conditions);
        let dataset = cities(fake.store());
        let error = Writer::acquire(dataset.clone(), named("a"))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{conditions:?}");
        let message = error.message();
        assert!(message.contains("cannot keep two writers apart"), "{error}");
        assert!(dataset.list_versions(1..=9).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_body_that_stops_or_ends_half_way_is_fetched_again() {
    for (trick, deadline) in [(Trick::HangInBody, SHORT), (Trick::CutBody, LONG)] {
        let fake = Fake::start().await;
        let dataset = cities(fake.impatient(deadline));
        let writer = acquire(&dataset, "a").await;
        let blob = writer.upload_snapshot(1, framed("whole")).await.unwrap();
        fake.script(trick, Method::GET, "/snapshot/");
        assert_eq!(dataset.fetch_blob(&blob).await.unwrap(), framed("whole"));
        assert!(fake.script_is_used_up());
    }
}

#[tokio::test]
async fn what_the_server_refuses_is_told_with_the_store_and_the_mend_and_not_asked_again() {
    for (status, code, mend) in [
        (404, "NoSuchBucket", "create it, or mend the address"),
        (403, "InvalidAccessKeyId", "check the key"),
        (403, "SignatureDoesNotMatch", "check the secret"),
        (403, "RequestTimeTooSkewed", "set it, by NTP"),
        (403, "AccessDenied", "to list objects"),
        (400, "AuthorizationHeaderMalformed", "set AWS_REGION"),
        (301, "PermanentRedirect", "set AWS_REGION"),
        (400, "ExpiredToken", "renew them"),
    ] {
        let fake = Fake::start().await;
        let dataset = cities(fake.store());
        fake.script(Trick::Refuse(status, code), Method::GET, SLOT_2);
        let error = dataset.read_entry(2).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{code}: {error}");
        let start = "cannot read cities/log/00000000000000000002.json in s3://bucket/shop: ";
        assert!(error.message().starts_with(start), "{error}");
        assert!(error.message().contains(mend), "{error}");
        assert_eq!(fake.asked(&Method::GET, SLOT_2), 1, "{code}");
    }
}

#[tokio::test]
async fn only_the_rules_of_the_store_say_how_often_a_request_is_tried() {
    let fake = Fake::start().await;
    let dataset = cities(fake.impatient(LONG));
    for status in [500, 503, 429] {
        (0..9).for_each(|_| fake.script(Trick::Refuse(status, "Failed"), Method::GET, SLOT_2));
        let before = fake.asked(&Method::GET, SLOT_2);
        let error = dataset.read_entry(2).await.unwrap_err();
        assert!(error.kind().is_outage(), "{error}");
        assert_eq!(fake.asked(&Method::GET, SLOT_2), before + 2, "{status}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_listen_is_unavailable_by_name() {
    let unreachable = cities(Fake::nowhere().impatient(LONG));
    let error = unreachable.read_entry(1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        error
            .message()
            .contains("in s3://bucket/shop: no connection ("),
        "{error}"
    );
}
