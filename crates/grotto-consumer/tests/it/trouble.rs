//! Damaged, torn and missing blobs; a store that goes away: named, never served, recovered from.

use crate::kit::{DATASET, Kit, Publisher, assert_same, flip, rounds};
use grotto_consumer::{Consumer, ErrorKind, StepKind};
use grotto_env::{Env, ManualClock};
use grotto_state::format::blob::{Blob, BlobWriter};
use grotto_store::{LogEntry, TypeSummary};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

async fn open(kit: &Kit) -> Consumer {
    Consumer::builder(DATASET, kit.store.clone())
        .open()
        .await
        .unwrap()
}

/// What happens to a file.
type Damage = fn(&Path);

/// What happens to a file, and the kind of error it should cause.
fn damages() -> Vec<(&'static str, Damage, ErrorKind)> {
    vec![
        ("first byte", |path| flip(path, 0), ErrorKind::Corrupt),
        (
            "middle byte",
            |path| flip(path, std::fs::read(path).unwrap().len() / 2),
            ErrorKind::Corrupt,
        ),
        (
            "last byte",
            |path| flip(path, std::fs::read(path).unwrap().len() - 1),
            ErrorKind::Corrupt,
        ),
        ("truncated", |path| cut(path, 10), ErrorKind::Corrupt),
        (
            "empty",
            |path| std::fs::write(path, b"").unwrap(),
            ErrorKind::Corrupt,
        ),
        (
            "extended",
            |path| std::fs::write(path, [std::fs::read(path).unwrap(), vec![0]].concat()).unwrap(),
            ErrorKind::Corrupt,
        ),
        (
            "missing",
            |path| std::fs::remove_file(path).unwrap(),
            ErrorKind::Missing,
        ),
    ]
}

fn cut(path: &Path, by: usize) {
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(path, &bytes[..bytes.len() - by]).unwrap();
}

/// A consumer at the first of two versions.
async fn one_behind(kit: &Kit) -> (Publisher, Consumer) {
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = open(kit).await;
    publisher.publish(3).await;
    (publisher, consumer)
}

#[tokio::test]
async fn a_damaged_delta_is_named_and_the_version_kept_until_it_is_right() {
    for (what, damage, kind) in damages() {
        let kit = Kit::new();
        let (publisher, consumer) = one_behind(&kit).await;
        let before = consumer.state();
        let name = publisher.delta_of(publisher.state().version());
        let intact = std::fs::read(kit.file(&name)).unwrap();
        damage(&kit.file(&name));
        for _ in 0..2 {
            let error = consumer.refresh().await.unwrap_err();
            assert_eq!(error.kind(), kind, "{what}: {error}");
            assert!(error.message().contains(&name), "{what}: {error}");
            let version = format!("version {}", publisher.state().version());
            assert!(error.message().contains(&version), "{what}: {error}");
            assert_same(&consumer.state(), &before);
        }
        std::fs::write(kit.file(&name), intact).unwrap();
        consumer.refresh().await.unwrap().unwrap();
        assert_same(&consumer.state(), &publisher.state());
    }
}

/// What an entry says wrongly of one type, and what the error says of it.
type Lie = (fn(&mut TypeSummary), &'static str);

#[tokio::test]
async fn a_version_whose_entry_is_wrong_about_one_type_is_refused() {
    let lies: [Lie; 2] = [
        (|ty| ty.checksum ^= 1, "state checksum of Right expected"),
        (|ty| ty.records += 1, "expected 501 records of Right"),
    ];
    for (lie, wanted) in lies {
        let kit = Kit::new();
        let (mut publisher, consumer) = one_behind(&kit).await;
        // A snapshot too: no other way leads to what the entry says.
        publisher.snapshot().await;
        let before = consumer.state();
        let version = publisher.state().version();
        let path = kit.file(&format!("log/{version:020}.json"));
        let intact = std::fs::read(&path).unwrap();
        let mut entry = LogEntry::decode(&intact).unwrap();
        lie(entry.types.get_mut("Right").unwrap());
        std::fs::write(&path, entry.encode().unwrap()).unwrap();
        for _ in 0..2 {
            let error = consumer.refresh().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            let wanted = format!("version {version}: {wanted}");
            assert!(error.message().contains(&wanted), "{error}");
            assert_same(&consumer.state(), &before);
        }
        let started = Consumer::builder(DATASET, kit.store.clone()).open().await;
        assert_eq!(started.unwrap_err().kind(), ErrorKind::Corrupt);
        std::fs::write(&path, intact).unwrap();
        consumer.refresh().await.unwrap().unwrap();
        assert_same(&consumer.state(), &publisher.state());
    }
}

#[tokio::test]
async fn a_snapshot_leads_around_a_damaged_delta() {
    for (what, damage, _) in damages() {
        let kit = Kit::new();
        let (mut publisher, consumer) = one_behind(&kit).await;
        let name = publisher.delta_of(publisher.state().version());
        publisher.snapshot().await;
        damage(&kit.file(&name));
        let report = consumer.refresh().await.unwrap().unwrap();
        assert_eq!(report.steps[0].kind, StepKind::Snapshot, "{what}");
        assert!(
            report.recovered[0].contains(&name),
            "{what}: {:?}",
            report.recovered
        );
        assert_same(&consumer.state(), &publisher.state());
        let text = consumer.metrics_text();
        assert!(
            text.contains("grotto_consumer_errors_total{"),
            "{what}: {text}"
        );
    }
}

#[tokio::test]
async fn deltas_lead_around_a_damaged_snapshot() {
    for (what, damage, _) in damages() {
        let kit = Kit::new();
        let mut publisher = kit.publisher().await;
        publisher.publish(1).await;
        publisher.publish_many(40).await;
        let name = publisher.snapshot().await;
        publisher.publish(2).await;
        damage(&kit.file(&name));
        let consumer = open(&kit).await;
        assert_same(&consumer.state(), &publisher.state());
        assert!(rounds(&consumer.state()).len() > 1, "{what}");
    }
}

#[tokio::test]
async fn a_damaged_reverse_delta_keeps_the_version_or_goes_by_snapshot() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    let first = publisher.publish(1).await;
    let second = publisher.publish(3).await;
    let consumer = open(&kit).await;
    let name = publisher.reverse_of(second.version);
    // Also the way forward from nothing is cut.
    let delta = publisher.delta_of(first.version);
    let intact = std::fs::read(kit.file(&delta)).unwrap();
    std::fs::remove_file(kit.file(&delta)).unwrap();
    flip(&kit.file(&name), 100);
    let error = consumer.refresh_to(first.version).await.unwrap_err();
    assert!(error.message().contains(&name), "{error}");
    assert_eq!(consumer.version(), second.version);
    std::fs::write(kit.file(&delta), intact).unwrap();
    consumer.refresh_to(first.version).await.unwrap().unwrap();
    assert_eq!(consumer.state().checksum(), first.state_checksum);
}

#[tokio::test]
async fn a_gap_in_the_middle_of_the_chain_is_bridged_by_a_later_snapshot() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = open(&kit).await;
    let before = consumer.version();
    publisher.publish_many(4).await;
    let broken = publisher.delta_of(before + 3);
    std::fs::remove_file(kit.file(&broken)).unwrap();
    let error = consumer.refresh().await.unwrap_err();
    assert!(error.message().contains(&broken), "{error}");
    // What could be reached is served: whole versions, never less than before.
    assert_eq!(consumer.version(), before + 2);
    assert_eq!(
        rounds(&consumer.state()).values().max(),
        Some(&(before as i64 + 2))
    );
    publisher.snapshot().await;
    publisher.publish(2).await;
    consumer.refresh().await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn a_damaged_log_entry_is_looked_past_once_there_is_a_newer_one() {
    let kit = Kit::new();
    let (mut publisher, consumer) = one_behind(&kit).await;
    let version = publisher.state().version();
    flip(&kit.file(&format!("log/{version:020}.json")), 50);
    assert_eq!(
        consumer.refresh().await.unwrap_err().kind(),
        ErrorKind::Corrupt
    );
    assert_eq!(consumer.version(), version - 1);
    publisher.publish(2).await;
    consumer.refresh().await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn a_delta_that_the_log_describes_wrongly_is_refused() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = open(&kit).await;
    let delta = std::fs::read(kit.file(&publisher.delta_of(consumer.version()))).unwrap();
    let mut header = Blob::parse(delta.clone().into()).unwrap().header;
    let wrong: [(&str, Vec<u8>); 3] = [
        (
            "expected a delta from version 2 to 3, found a delta from version 1 to 2",
            delta,
        ),
        (
            "not a grotto blob",
            b"junk that is intact in transit".to_vec(),
        ),
        ("expected dataset pairs, found \"other\"", {
            (header.from, header.to, header.dataset) = (2, 3, "other".to_owned());
            BlobWriter::new(header, None).finish().unwrap()
        }),
    ];
    let before = consumer.state();
    let checksum = before.checksum();
    publisher.publish_bytes(wrong[0].1.clone(), checksum).await;
    let error = consumer.refresh().await.unwrap_err();
    assert!(error.message().contains(wrong[0].0), "{error}");
    for (reason, bytes) in &wrong[1..] {
        let kit = Kit::new();
        let mut publisher = kit.publisher().await;
        publisher.publish(1).await;
        let consumer = open(&kit).await;
        publisher.publish_bytes(bytes.clone(), checksum).await;
        let error = consumer.refresh().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.message().contains(reason), "{error}");
    }
    assert_same(&consumer.state(), &before);
}

#[tokio::test]
async fn a_state_that_is_not_what_the_log_promised_is_never_served() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = open(&kit).await;
    let before = consumer.state();
    // An intact delta without any change, committed under a checksum that no state has.
    let intact = std::fs::read(kit.file(&publisher.delta_of(before.version()))).unwrap();
    let mut header = Blob::parse(intact.into()).unwrap().header;
    (header.from, header.to) = (before.version(), before.version() + 1);
    header.from_checksum = before.checksum();
    header.to_checksum = before.checksum();
    header.from_schema_hash = before.schema_hash();
    header.schema_text = None;
    publisher
        .publish_bytes(
            BlobWriter::new(header, None).finish().unwrap(),
            before.checksum() ^ 1,
        )
        .await;
    let error = consumer.refresh().await.unwrap_err();
    assert!(
        error.message().contains("state checksum expected"),
        "{error}"
    );
    assert_same(&consumer.state(), &before);
}

#[tokio::test]
async fn a_store_that_goes_away_is_unavailable_and_comes_back() {
    let kit = Kit::new();
    let (publisher, consumer) = one_behind(&kit).await;
    let before = consumer.state();
    let (here, away) = (
        kit.folder.path().join("store"),
        kit.folder.path().join("away"),
    );
    std::fs::rename(&here, &away).unwrap();
    let error = consumer.refresh().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert_same(&consumer.state(), &before);
    std::fs::rename(&away, &here).unwrap();
    consumer.refresh().await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn a_dataset_that_was_created_anew_under_the_same_name_is_loaded_afresh() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let builder = || Consumer::builder(DATASET, kit.store.clone()).state_dir(kit.state_dir());
    builder().open().await.unwrap().shutdown().await;
    std::fs::remove_dir_all(kit.file("")).unwrap();
    let mut publisher = kit.publisher().await;
    publisher.publish(2).await;
    let consumer = builder().open().await.unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn a_polling_consumer_notices_that_its_dataset_was_created_anew() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    publisher.publish_many(5).await;
    let clock = Arc::new(ManualClock::new(1_700_000_000_000));
    let env = Env {
        clock: Arc::clone(&clock) as Arc<dyn grotto_env::Clock>,
        ..Env::system()
    };
    let builder = Consumer::builder(DATASET, kit.store.clone().with_env(env));
    let consumer = builder
        .poll_interval(Duration::from_millis(1))
        .start()
        .await
        .unwrap();
    std::fs::remove_dir_all(kit.file("")).unwrap();
    let mut publisher = kit.publisher().await;
    publisher.publish(2).await;
    // Fewer versions than before: the next one, which it asks for, may never come.
    while consumer.version() != publisher.state().version() {
        clock.advance(Duration::from_secs(31));
        tokio::task::yield_now().await;
    }
    assert_same(&consumer.state(), &publisher.state());
    consumer.shutdown().await;
}
