//! The pin and the channels: what they say, what is refused, and what they keep from being collected.

use grotto_format::log::Rollout;
use grotto_store::{ChannelId, Dataset, ErrorKind, Note, Pointer, PointerName};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use std::sync::Arc;

use crate::kit::{Fault, FaultStore, acquire, commit, faulty, flip};
use crate::place::{Place, retention};

const PIN: &str = "cities/control/pin.json";

fn by(name: &str) -> Note {
    Note {
        by: name.to_owned(),
        reason: "it is right".to_owned(),
    }
}

fn channel(name: &str) -> PointerName {
    PointerName::Channel(ChannelId::parse(name).unwrap())
}

/// A log of four versions, the first of which is a fence.
async fn filled() -> (Arc<FaultStore>, Dataset) {
    let (faults, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    for text in ["2", "3", "4"] {
        commit(&writer, text).await.unwrap();
    }
    (faults, dataset)
}

async fn set(
    dataset: &Dataset,
    name: &PointerName,
    version: u64,
) -> Result<Pointer, grotto_store::Error> {
    dataset.set_pointer(name, version, &by("ada")).await
}

/// What is there: names with versions, or errors.
async fn all(dataset: &Dataset) -> Vec<(String, Result<u64, ErrorKind>)> {
    let found = dataset.pointers().await.unwrap().into_iter();
    let content = |pointer: &Pointer| pointer.version;
    found
        .map(|found| {
            let content = found.content.as_ref().map(content);
            let content = content.map_err(grotto_store::Error::kind);
            (found.name.to_string(), content)
        })
        .collect()
}

#[tokio::test]
async fn what_was_set_last_counts_until_it_is_removed() {
    let (_faults, dataset) = filled().await;
    let (pin, stable) = (PointerName::Pin, channel("stable"));
    assert!(all(&dataset).await.is_empty());
    assert_eq!(dataset.pointer(&pin).await.unwrap(), None);
    for (version, who) in [(4, "ada"), (2, "bob")] {
        let set = dataset.set_pointer(&pin, version, &by(who)).await.unwrap();
        assert_eq!(dataset.pointer(&pin).await.unwrap(), Some(set.clone()));
        let said = (set.version, set.by.as_str(), set.reason.as_str());
        assert_eq!(said, (version, who, "it is right"));
        let entry = dataset.read_entry(version).await.unwrap().unwrap();
        assert_eq!((set.dataset_id, set.channel), (entry.dataset_id, None));
    }
    set(&dataset, &stable, 3).await.unwrap();
    set(&dataset, &channel("canary"), 4).await.unwrap();
    let named = |name: &str, version| (name.to_owned(), Ok(version));
    assert_eq!(
        all(&dataset).await,
        [
            named("the pin", 2),
            named("channel canary", 4),
            named("channel stable", 3)
        ]
    );
    for name in [&pin, &stable] {
        assert!(dataset.remove_pointer(name).await.unwrap());
        assert!(!dataset.remove_pointer(name).await.unwrap());
        assert_eq!(dataset.pointer(name).await.unwrap(), None);
    }
    assert_eq!(all(&dataset).await, [named("channel canary", 4)]);
}

#[tokio::test]
async fn what_no_consumer_could_follow_is_not_set() {
    let (faults, dataset) = filled().await;
    for version in [0, 5, u64::MAX] {
        let error = set(&dataset, &PointerName::Pin, version).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains("is not in the log"), "{error}");
    }
    for (note, expected) in [
        ("x".repeat(1_001), "reason: expected at most 1000 bytes"),
        ("a\nb".to_owned(), "reason: expected one line"),
    ] {
        let note = Note {
            reason: note,
            ..by("ada")
        };
        let error = dataset.set_pointer(&PointerName::Pin, 3, &note).await;
        let error = error.unwrap_err();
        assert!(error.message().starts_with(expected), "{error}");
    }
    assert_eq!(faults.puts("pin"), 0);
    // The slot is there, and counts for nothing.
    dataset.raise_collected(2).await.unwrap();
    let error = set(&dataset, &PointerName::Pin, 2).await.unwrap_err();
    assert!(
        error.message().contains("version 2 was collected"),
        "{error}"
    );
    assert_eq!(faults.puts("pin"), 0);
}

#[tokio::test]
async fn bad_documents_are_told_as_such_and_hide_no_other() {
    let (faults, dataset) = filled().await;
    let stable = channel("stable");
    set(&dataset, &stable, 3).await.unwrap();
    let good = faults
        .get(&Path::from("cities/control/channels/stable.json"))
        .await
        .unwrap();
    let good = good.bytes().await.unwrap();
    let other = || async {
        // Of another dataset of this name, in another store: it is for its readers to compare identities.
        let (_, other) = filled().await;
        set(&other, &PointerName::Pin, 3).await.unwrap()
    };
    for (bytes, expected) in [
        (b"not a pin".to_vec(), "does not end in a checksum"),
        (vec![b' '; (64 << 10) + 1], "expected at most 65536"),
        (good.to_vec(), "expected the pin, found channel stable"),
        (Vec::new(), "does not end in a checksum"),
    ] {
        faults.put(&Path::from(PIN), bytes.into()).await.unwrap();
        let error = dataset.pointer(&PointerName::Pin).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.message().contains(expected), "{error}");
        let found = all(&dataset).await;
        assert_eq!(found[0], ("the pin".to_owned(), Err(ErrorKind::Corrupt)));
        assert_eq!(found[1], ("channel stable".to_owned(), Ok(3)));
    }
    let theirs = other().await;
    let bytes = theirs.encode().unwrap();
    faults.put(&Path::from(PIN), bytes.into()).await.unwrap();
    let found = dataset.pointer(&PointerName::Pin).await.unwrap();
    assert_eq!(found, Some(theirs));
    // One that cannot be read can be removed, and replaced.
    flip(&faults, PIN).await;
    let pin = set(&dataset, &PointerName::Pin, 4).await.unwrap();
    assert_eq!(pin.version, 4);
    flip(&faults, PIN).await;
    assert!(dataset.remove_pointer(&PointerName::Pin).await.unwrap());
    assert_eq!(all(&dataset).await.len(), 1);
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_not_a_fleet_without_a_pin() {
    let (faults, dataset) = filled().await;
    set(&dataset, &PointerName::Pin, 3).await.unwrap();
    for _ in 0..3 {
        faults.script(Fault::GetFails, "pin");
    }
    let error = dataset.pointer(&PointerName::Pin).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    // A put that landed and was reported as failed is tried again.
    faults.script(Fault::PutLandsThenFails, "pin");
    let pin = set(&dataset, &PointerName::Pin, 4).await.unwrap();
    assert_eq!(pin.version, 4);
}

/// A dataset of 20 versions with snapshots of four, all of it older than the grace.
async fn aged() -> (Place, Dataset) {
    let place = Place::new();
    let _writer = place.grown(20, &[4, 8, 12, 16]).await;
    place.age();
    let dataset = place.dataset();
    (place, dataset)
}

#[tokio::test]
async fn what_is_pinned_or_a_channel_names_is_not_collected() {
    for name in [PointerName::Pin, channel("stable")] {
        let (place, dataset) = aged().await;
        set(&dataset, &name, 6).await.unwrap();
        let done = place.collect(2).await;
        // The snapshot before it, and what leads from there to the version.
        assert_eq!(done.boundary, 3, "{name}");
        let why = format!("{name} names version 6");
        assert!(done.holds.iter().any(|hold| hold.why == why), "{done:?}");
        place.assert_way(0, 6).await;
        place.assert_way(20, 6).await;
        // Without it, the newest snapshots are all that is kept.
        dataset.remove_pointer(&name).await.unwrap();
        assert_eq!(place.collect(2).await.boundary, 11);
    }
}

fn rollout(to: u64) -> Rollout {
    Rollout {
        to,
        nonce: "00000000c0ffee00".to_owned(),
        stages: vec![100, 10_000],
        stage: 0,
        share: 100,
        wait_ms: 1_000,
        halted: None,
    }
}

#[tokio::test]
async fn a_rollout_keeps_the_version_that_it_leads_to_as_well() {
    let (place, dataset) = aged().await;
    let stable = channel("stable");
    let before = set(&dataset, &stable, 18).await.unwrap();
    let pointer = Pointer {
        rollout: Some(rollout(6)),
        ..before.clone()
    };
    let changed = dataset.change_pointer(&stable, &before, &pointer).await;
    changed.unwrap();
    let done = place.collect(2).await;
    assert_eq!(done.boundary, 3);
    // Setting the channel ends the rollout.
    set(&dataset, &stable, 18).await.unwrap();
    let now = dataset.pointer(&stable).await.unwrap().unwrap();
    assert_eq!(now.rollout, None);
    assert_eq!(place.collect(2).await.boundary, 11);
    // And one cannot lead to what is gone: the channel is as it was.
    let gone = dataset.change_pointer(&stable, &now, &pointer).await;
    let error = gone.unwrap_err();
    assert!(
        error.message().contains("version 6 was collected"),
        "{error}"
    );
    assert_eq!(dataset.pointer(&stable).await.unwrap(), Some(now));
}

#[tokio::test]
async fn a_channel_that_somebody_else_changed_is_left_as_it_is() {
    let (_faults, dataset) = filled().await;
    let stable = channel("stable");
    let before = set(&dataset, &stable, 2).await.unwrap();
    let theirs = set(&dataset, &stable, 3).await.unwrap();
    let ours = Pointer {
        rollout: Some(rollout(4)),
        ..before.clone()
    };
    let error = dataset.change_pointer(&stable, &before, &ours).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(dataset.pointer(&stable).await.unwrap(), Some(theirs));
    dataset.remove_pointer(&stable).await.unwrap();
    let error = dataset.change_pointer(&stable, &before, &ours).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Busy);
}

#[tokio::test]
async fn a_pointer_that_cannot_be_read_keeps_everything() {
    for name in [PointerName::Pin, channel("stable")] {
        let (place, dataset) = aged().await;
        set(&dataset, &name, 18).await.unwrap();
        place
            .flip(match &name {
                PointerName::Pin => "control/pin.json",
                PointerName::Channel(_) => "control/channels/stable.json",
            })
            .await;
        let done = place.collect(2).await;
        assert_eq!(done.boundary, 0, "{name}");
        let start = format!("{name} cannot be read: ");
        assert!(done.holds[0].why.starts_with(&start), "{:?}", done.holds);
    }
    // One that the store does not tell is not one that is not there.
    let (faults, dataset) = filled().await;
    for _ in 0..3 {
        faults.script(Fault::GetFails, "pin");
    }
    let error = dataset.collect(&retention(2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(dataset.collected().await.unwrap(), 0);
}

#[tokio::test]
async fn a_pin_at_a_version_that_is_collected_meanwhile_is_as_it_was() {
    for before in [None, Some(18)] {
        let (place, dataset) = aged().await;
        if let Some(version) = before {
            set(&dataset, &PointerName::Pin, version).await.unwrap();
        }
        let collector = place.dataset();
        let raise = move || -> futures::future::BoxFuture<'static, ()> {
            Box::pin(async move { collector.raise_collected(6).await.unwrap() })
        };
        place.store.before_write(0, Box::new(raise));
        let error = set(&dataset, &PointerName::Pin, 6).await.unwrap_err();
        assert!(
            error.message().contains("version 6 was collected"),
            "{error}"
        );
        let left = dataset.pointer(&PointerName::Pin).await.unwrap();
        assert_eq!(left.map(|pin| pin.version), before);
    }
}

/// Which of them name old versions nobody knows then.
#[tokio::test]
async fn where_there_are_more_channels_than_are_listed_nothing_is_collected() {
    let (place, dataset) = aged().await;
    for number in 0..=1_000 {
        let name = format!("control/channels/c{number}.json");
        place.put(&name, b"{}".to_vec()).await;
    }
    for error in [
        dataset.pointers().await.map(drop),
        dataset.collect(&retention(2)).await.map(drop),
    ] {
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().contains("at most 1000 channels"), "{error}");
    }
    assert_eq!(dataset.collected().await.unwrap(), 0);
}
