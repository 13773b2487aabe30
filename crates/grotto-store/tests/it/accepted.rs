//! Accepting a version: once, of what the log has, and never of anything else.

use grotto_store::{Acceptance, Dataset, ErrorKind};

use object_store::ObjectStoreExt;
use object_store::path::Path;

use crate::kit::{Fault, FaultStore, acquire, change, commit, faulty, flip};

fn by(name: &str) -> Acceptance {
    Acceptance {
        by: name.to_owned(),
        reason: "it is right".to_owned(),
    }
}

/// A log of four versions, the first of which is a fence.
async fn filled() -> (std::sync::Arc<FaultStore>, Dataset) {
    let (faults, dataset) = faulty();
    let writer = acquire(&dataset, "a").await;
    for text in ["2", "3", "4"] {
        commit(&writer, text).await.unwrap();
    }
    (faults, dataset)
}

fn object(version: u64) -> String {
    format!("cities/control/accepted/{version:020}.json")
}

#[tokio::test]
async fn the_newest_accepted_version_in_a_range_is_found_with_its_entry() {
    let (_faults, dataset) = filled().await;
    assert_eq!(dataset.accepted_within(1..=9).await.unwrap(), None);
    for version in [2, 3] {
        let (accepted, is_new) = dataset.accept(version, &by("ada")).await.unwrap();
        assert!(is_new);
        assert_eq!((accepted.version, accepted.by.as_str()), (version, "ada"));
    }
    for (range, expected) in [(1..=9, Some(3)), (1..=2, Some(2)), (4..=9, None)] {
        let found = dataset.accepted_within(range).await.unwrap();
        let found = found.inspect(|(accepted, entry)| {
            assert_eq!(accepted.state_checksum, entry.state_checksum);
            assert_eq!(accepted.version, entry.version);
        });
        assert_eq!(found.map(|(accepted, _)| accepted.version), expected);
    }
}

#[tokio::test]
async fn what_was_accepted_stays_as_it_is() {
    let (faults, dataset) = filled().await;
    let (first, _) = dataset.accept(3, &by("ada")).await.unwrap();
    let (second, is_new) = dataset.accept(3, &by("bob")).await.unwrap();
    assert_eq!((&second, is_new), (&first, false));
    // The client tried again by itself after its own first try had landed.
    faults.script(Fault::PutLandsThenExists, "accepted");
    let (fourth, is_new) = dataset.accept(4, &by("ada")).await.unwrap();
    assert!(is_new && fourth.version == 4);
}

#[tokio::test]
async fn a_version_that_is_not_in_the_log_is_not_accepted() {
    let (_faults, dataset) = filled().await;
    let error = dataset.accept(5, &by("ada")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert_eq!(
        error.message(),
        "dataset cities: version 5 is not in the log"
    );
    let long = Acceptance {
        reason: "x".repeat(1_001),
        ..by("ada")
    };
    let error = dataset.accept(3, &long).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let expected = "reason: expected at most 1000 bytes, found 1001";
    assert_eq!(error.message(), expected);
    assert_eq!(dataset.accepted_within(1..=9).await.unwrap(), None);
}

#[tokio::test]
async fn one_that_is_damaged_or_of_another_state_does_not_count() {
    let (faults, dataset) = filled().await;
    for version in [2, 3] {
        dataset.accept(version, &by("ada")).await.unwrap();
    }
    flip(&faults, &object(3)).await;
    let newest = || async {
        let found = dataset.accepted_within(1..=9).await.unwrap();
        found.map(|(accepted, _)| accepted.version)
    };
    assert_eq!(newest().await, Some(2));
    // The log has another state under the number by now.
    let (other_faults, other) = faulty();
    let writer = acquire(&other, "b").await;
    commit(&writer, "another").await.unwrap();
    other.accept(2, &by("ada")).await.unwrap();
    let path = Path::from(object(2));
    let got = other_faults.get(&path).await.unwrap();
    let theirs = got.bytes().await.unwrap();
    change(&faults, &object(2), |bytes| *bytes = theirs.to_vec()).await;
    assert_eq!(newest().await, None);
    let error = dataset.accept(2, &by("ada")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.message().contains("dataset identity"), "{error}");
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_not_nothing_accepted() {
    let (faults, dataset) = filled().await;
    dataset.accept(3, &by("ada")).await.unwrap();
    for _ in 0..3 {
        faults.script(Fault::GetFails, "accepted");
    }
    let error = dataset.accepted_within(1..=9).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}
