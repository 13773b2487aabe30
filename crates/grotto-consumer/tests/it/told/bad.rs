//! Pins and channels that cannot be followed: what is served stays.

use super::{SECOND, assert_exact, counting, point, published, remove};
#[cfg(unix)]
use crate::damage::alter_with;
use crate::faults::{Fault, FaultStore};
use crate::kit::{DATASET, Kit, assert_same};
use grotto_consumer::{Consumer, ErrorKind, Health};
use grotto_store::{Dataset, Pointer, PointerName};
use std::sync::{Arc, Mutex};

const PIN: &str = "control/pin.json";

/// A pin that no command would write.
async fn crafted(kit: &Kit, change: impl FnOnce(&mut Pointer)) -> Vec<u8> {
    let dataset = Dataset::open(kit.store.clone(), DATASET).unwrap();
    let before = dataset.pointer(&PointerName::Pin).await.unwrap();
    point(kit, &PointerName::Pin, 4).await;
    let pin = dataset.pointer(&PointerName::Pin).await.unwrap();
    let mut pin = pin.unwrap();
    match before {
        Some(before) => point(kit, &PointerName::Pin, before.version).await,
        None => remove(kit, &PointerName::Pin).await,
    }
    change(&mut pin);
    pin.encode().unwrap()
}

/// The bytes of a pin at version 0, sealed as a writer would: only its value is wrong.
fn version_zero(good: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(good.to_vec()).unwrap();
    let text = text.replace("\"version\":4,", "\"version\":0,");
    let end = text.len() - 18;
    let unsealed = format!("{}\"}}", &text[..end]);
    let sum = grotto_state::format::checksum::of_bytes(unsealed.as_bytes());
    format!("{}{sum:016x}\"}}", &text[..end]).into_bytes()
}

#[tokio::test]
async fn who_serves_something_stays_and_who_serves_nothing_loads_nothing() {
    let kit = Kit::new();
    let mut publisher = published(&kit, 6).await;
    let local = || Consumer::builder(DATASET, kit.store.clone()).state_dir(kit.state_dir());
    let (mut bad, good) = (Vec::new(), crafted(&kit, |_| {}).await);
    for (bytes, kind, told) in [
        (b"{}".to_vec(), ErrorKind::Corrupt, "checksum"),
        (vec![b' '; 70_000], ErrorKind::Corrupt, "70000 bytes"),
        (Vec::new(), ErrorKind::Corrupt, "checksum"),
        (
            version_zero(&good),
            ErrorKind::Corrupt,
            "field version: expected 1 to",
        ),
        (
            crafted(&kit, |pin| pin.version = 5_000).await,
            ErrorKind::Missing,
            "names version 5000, which is not in the log",
        ),
        (
            crafted(&kit, |pin| pin.dataset_id = "another".into()).await,
            ErrorKind::Invalid,
            "of dataset identity another",
        ),
        (
            crafted(&kit, |pin| pin.dataset = "others".into()).await,
            ErrorKind::Corrupt,
            "expected dataset pairs",
        ),
        (
            crafted(&kit, |pin| pin.channel = Some("stable".into())).await,
            ErrorKind::Corrupt,
            "expected the pin, found channel stable",
        ),
    ] {
        bad.push((bytes, kind, told));
    }
    let consumer = local().open().await.unwrap();
    for (bytes, kind, told) in &bad {
        let before = consumer.state();
        publisher.publish(3).await;
        std::fs::write(kit.file(PIN), bytes).unwrap();
        let error = consumer.refresh().await.unwrap_err();
        assert_eq!(error.kind(), *kind, "{error}");
        for part in [*told, "grotto unpin"] {
            assert!(error.message().contains(part), "{part} in {error}");
        }
        assert_same(&consumer.state(), &before);
        let status = consumer.status();
        assert_eq!(status.health, Health::Degraded);
        let reasons = status.reasons.join("\n");
        assert!(reasons.contains(told), "{reasons}");
        // One without a state waits for somebody to mend it.
        let fresh = Consumer::builder(DATASET, kit.store.clone()).open().await;
        assert_eq!(fresh.unwrap_err().kind(), *kind, "{told}");
        // Mended, it leads on.
        point(&kit, &PointerName::Pin, 5).await;
        consumer.refresh().await.unwrap();
        assert_exact(&kit, &consumer, 5).await;
        assert_eq!(consumer.status().health, Health::Ready);
        remove(&kit, &PointerName::Pin).await;
        consumer.refresh().await.unwrap().unwrap();
        assert_same(&consumer.state(), &publisher.state());
    }
    // What was found on the disk is served, whatever the pin is.
    std::fs::write(kit.file(PIN), b"{}").unwrap();
    consumer.shutdown().await;
    drop(consumer);
    let consumer = local().start().await.unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn a_version_that_was_collected_is_not_gone_to_though_its_slot_is_there() {
    let kit = Kit::new();
    published(&kit, 6).await;
    let consumer = Consumer::builder(DATASET, kit.store.clone());
    let consumer = consumer.open().await.unwrap();
    point(&kit, &PointerName::Pin, 3).await;
    let dataset = Dataset::open(kit.store.clone(), DATASET).unwrap();
    dataset.raise_collected(3).await.unwrap();
    let error = consumer.refresh().await.unwrap_err();
    assert!(error.message().contains("which was collected"), "{error}");
    assert_eq!(consumer.version(), 6);
}

#[tokio::test]
async fn a_way_whose_blobs_are_gone_leaves_what_is_served() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.reverse = false;
    while publisher.state().version() < 6 {
        publisher.publish(3).await;
    }
    let consumer = Consumer::builder(DATASET, kit.store.clone());
    let consumer = consumer.open().await.unwrap();
    // Forward from nothing, as nothing leads back.
    point(&kit, &PointerName::Pin, 4).await;
    consumer.refresh().await.unwrap().unwrap();
    assert_exact(&kit, &consumer, 4).await;
    std::fs::remove_file(kit.file(&publisher.delta_of(3))).unwrap();
    point(&kit, &PointerName::Pin, 3).await;
    consumer.refresh().await.unwrap_err();
    assert_eq!(consumer.version(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_dataset_that_is_created_anew_under_a_pin_replaces_nothing() {
    let kit = Kit::new();
    let publisher = published(&kit, 6).await;
    point(&kit, &PointerName::Pin, 4).await;
    let (_store, builder) = counting(&kit);
    let consumer = builder.start().await.unwrap();
    let before = consumer.state();
    drop(publisher);
    // The pin is there all the time: without it, whoever looks follows the new one.
    for folder in std::fs::read_dir(kit.file("")).unwrap() {
        let path = folder.unwrap().path();
        if !path.ends_with("control") {
            std::fs::remove_dir_all(path).unwrap();
        }
    }
    let publisher = published(&kit, 5).await;
    tokio::time::sleep(60 * SECOND).await;
    assert_same(&consumer.state(), &before);
    let reasons = consumer.status().reasons.join("\n");
    assert!(reasons.contains("the log is of identity"), "{reasons}");
    remove(&kit, &PointerName::Pin).await;
    tokio::time::sleep(30 * SECOND).await;
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn a_pin_of_a_dataset_that_was_created_anew_leads_there_though_its_version_is_served_already()
{
    let kit = Kit::new();
    published(&kit, 6).await;
    point(&kit, &PointerName::Pin, 4).await;
    let consumer = Consumer::builder(DATASET, kit.store.clone());
    let consumer = consumer.open().await.unwrap();
    assert_eq!(consumer.version(), 4);
    std::fs::remove_dir_all(kit.file("")).unwrap();
    let mut publisher = kit.publisher().await;
    while publisher.state().version() < 5 {
        publisher.publish(2).await;
    }
    point(&kit, &PointerName::Pin, 4).await;
    let refresh = consumer.refresh().await.unwrap().unwrap();
    assert!(refresh.replaced, "{refresh:?}");
    assert_exact(&kit, &consumer, 4).await;
}

/// Small looks do not see the head of the log, which would tell the same.
#[tokio::test(start_paused = true)]
async fn a_pin_of_another_dataset_leads_nobody_anywhere_who_looks_often() {
    let kit = Kit::new();
    published(&kit, 6).await;
    let another = crafted(&kit, |pin| pin.dataset_id = "another".into()).await;
    let (_store, builder) = counting(&kit);
    let versions = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&versions);
    let builder = builder.on_refresh(move |refresh| seen.lock().unwrap().push(refresh.to));
    let consumer = builder.start().await.unwrap();
    tokio::time::sleep(SECOND / 2).await;
    std::fs::write(kit.file(PIN), another).unwrap();
    tokio::time::sleep(60 * SECOND).await;
    let reasons = consumer.status().reasons.join("\n");
    assert!(reasons.contains("dataset identity another"), "{reasons}");
    assert!(!versions.lock().unwrap().contains(&4));
    assert_eq!(consumer.version(), 6);
}

#[tokio::test]
async fn where_a_pin_leads_does_not_depend_on_whether_the_newest_entry_can_be_read() {
    let kit = Kit::new();
    published(&kit, 6).await;
    let consumer = Consumer::builder(DATASET, kit.store.clone());
    let consumer = consumer.open().await.unwrap();
    let newest = kit.file(&format!("log/{:020}.json", 6));
    std::fs::write(newest, "{").unwrap();
    point(&kit, &PointerName::Pin, 4).await;
    consumer.refresh().await.unwrap().unwrap();
    assert_exact(&kit, &consumer, 4).await;
}

#[tokio::test]
async fn who_is_pinned_to_a_version_that_the_log_has_otherwise_loads_it_afresh() {
    let kit = Kit::new();
    let publisher = published(&kit, 6).await;
    let consumer = Consumer::builder(DATASET, kit.store.clone());
    let consumer = consumer.open().await.unwrap();
    // The log is restored without its end, and a fence takes the number: it has the state of the version before.
    drop(publisher);
    std::fs::remove_file(kit.file(&format!("log/{:020}.json", 6))).unwrap();
    let writer = kit.publisher().await.writer;
    assert_eq!(writer.next_version(), 7);
    point(&kit, &PointerName::Pin, 6).await;
    let refresh = consumer.refresh().await.unwrap().unwrap();
    assert_eq!((refresh.from, refresh.to), (6, 6));
    assert_exact(&kit, &consumer, 6).await;
}

#[cfg(unix)]
#[tokio::test]
async fn what_a_pin_names_is_loaded_afresh_where_it_is_damaged() {
    let kit = Kit::new();
    published(&kit, 6).await;
    point(&kit, &PointerName::Pin, 4).await;
    let builder = Consumer::builder(DATASET, kit.store.clone());
    let consumer = builder.state_dir(kit.state_dir()).open().await.unwrap();
    alter_with(&kit.state_dir(), " for pair", b'_');
    consumer.refresh().await.unwrap().unwrap();
    assert_exact(&kit, &consumer, 4).await;
    let found = Consumer::attach(kit.state_dir()).unwrap().state();
    assert_same(&found, &consumer.state());
}

#[tokio::test]
async fn who_waits_for_a_dataset_does_not_wait_for_what_is_gone_from_it() {
    let kit = Kit::new();
    let publisher = published(&kit, 6).await;
    std::fs::remove_file(kit.file(&publisher.delta_of(2))).unwrap();
    let builder = Consumer::builder(DATASET, kit.store.clone());
    let error = builder.wait_for_dataset(true).start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Missing, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_dataset_that_vanishes_under_a_pin_is_told() {
    let kit = Kit::new();
    published(&kit, 6).await;
    point(&kit, &PointerName::Pin, 4).await;
    let (_store, builder) = counting(&kit);
    let consumer = builder.start().await.unwrap();
    std::fs::remove_dir_all(kit.file("log")).unwrap();
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(consumer.version(), 4);
    let reasons = consumer.status().reasons.join("\n");
    assert!(reasons.contains("the store has no log of it"), "{reasons}");
}

#[cfg(unix)]
#[tokio::test]
async fn what_is_served_is_loaded_afresh_though_the_pin_is_broken() {
    let kit = Kit::new();
    let publisher = published(&kit, 4).await;
    let builder = Consumer::builder(DATASET, kit.store.clone());
    let consumer = builder.state_dir(kit.state_dir()).open().await.unwrap();
    std::fs::write(kit.file(PIN), b"{}").unwrap();
    alter_with(&kit.state_dir(), " for pair", b'_');
    consumer.refresh().await.unwrap();
    consumer.refresh().await.unwrap_err();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn a_copy_without_the_pin_does_not_end_it() {
    let kit = Kit::new();
    published(&kit, 6).await;
    let copy = tempfile::tempdir().unwrap();
    copy_all(&kit.folder.path().join("store"), copy.path());
    point(&kit, &PointerName::Pin, 4).await;
    let (first, other) = (
        FaultStore::new(&kit.folder.path().join("store")),
        FaultStore::new(copy.path()),
    );
    let store = first.store().with_fallback(&other.store());
    let consumer = Consumer::builder(DATASET, store).open().await.unwrap();
    assert_eq!(consumer.version(), 4);
    first.cause(Fault::Fails, "");
    other.take_asked();
    assert!(consumer.refresh().await.unwrap().is_none());
    assert!(other.asked(PIN) > 0);
    assert_eq!(consumer.version(), 4);
    first.heal();
    // One that never heard of the pin takes the copy's word for it.
    first.cause(Fault::Fails, "");
    let store = first.store().with_fallback(&other.store());
    let fresh = Consumer::builder(DATASET, store).open().await.unwrap();
    assert_eq!(fresh.version(), 6);
}

#[tokio::test]
async fn a_copy_with_a_pin_that_was_removed_does_not_bring_it_back() {
    let kit = Kit::new();
    published(&kit, 6).await;
    point(&kit, &PointerName::Pin, 4).await;
    let copy = tempfile::tempdir().unwrap();
    copy_all(&kit.folder.path().join("store"), copy.path());
    remove(&kit, &PointerName::Pin).await;
    let (first, other) = (
        FaultStore::new(&kit.folder.path().join("store")),
        FaultStore::new(copy.path()),
    );
    let store = first.store().with_fallback(&other.store());
    let consumer = Consumer::builder(DATASET, store).open().await.unwrap();
    assert_eq!(consumer.version(), 6);
    first.cause(Fault::Fails, "");
    other.take_asked();
    assert!(consumer.refresh().await.unwrap().is_none());
    assert!(other.asked(PIN) > 0);
    assert_eq!(consumer.version(), 6);
}

fn copy_all(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, to) = (
            entry.as_ref().unwrap().path(),
            to.join(entry.unwrap().file_name()),
        );
        match path.is_dir() {
            true => copy_all(&path, &to),
            false => drop(std::fs::copy(path, to).unwrap()),
        }
    }
}
