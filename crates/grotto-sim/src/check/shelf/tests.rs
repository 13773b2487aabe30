//! Tests of the model of a dataset that is collected: what it must find.

use super::*;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A consumer that serves version 5, with a lease of 10 seconds from second 0 on; the newest version is 9.
fn shelf() -> Shelf {
    let mut shelf = Shelf::default();
    let told = Told {
        version: 5,
        pinned: None,
        renewed: at(0),
        expires_after: at(10),
        since: at(0),
    };
    shelf.leases.insert("one".to_owned(), told);
    shelf
}

fn pointer(version: u64) -> Pointer {
    Pointer {
        format: 1,
        dataset: SHELF.to_owned(),
        dataset_id: "c0ffee00".to_owned(),
        channel: None,
        version,
        by: String::new(),
        reason: String::new(),
        time_ms: 0,
        rollout: None,
    }
}

#[test]
fn versions_that_a_living_lease_needs_are_not_collected() {
    let mut shelf = shelf();
    shelf.begins("sc", at(1));
    assert_eq!(shelf.needing("sc", 4, at(2)), None);
    assert!(shelf.needing("sc", 5, at(2)).is_some());
    assert_eq!(shelf.needing("sc", 5, at(11)), None, "it expired");
    assert_eq!(shelf.needing("other", 5, at(2)), None);
}

#[test]
fn a_lease_that_moved_on_or_came_later_holds_no_more_than_it_needs() {
    let mut shelf = shelf();
    shelf.begins("sc", at(1));
    let moved = |told: &mut Told| (told.version, told.renewed) = (8, at(2));
    shelf.leases.get_mut("one").map(moved);
    assert_eq!(shelf.needing("sc", 7, at(3)), None);
    assert!(shelf.needing("sc", 8, at(3)).is_some());
    let anew = |told: &mut Told| (told.version, told.since) = (2, at(2));
    shelf.leases.get_mut("one").map(anew);
    assert_eq!(
        shelf.needing("sc", 8, at(3)),
        None,
        "it was gone for a while"
    );
}

#[test]
fn whoever_sees_less_than_is_there_is_not_to_blame() {
    let mut shelf = shelf();
    shelf.begins("sc", at(1));
    shelf.blurs("sc");
    assert_eq!(shelf.needing("sc", 5, at(2)), None);
}

#[test]
fn versions_that_pointers_name_are_not_collected() {
    let mut shelf = Shelf::default();
    shelf.points("pin", Some(pointer(3)), at(0));
    shelf.was_set("pin", pointer(4));
    shelf.begins("sc", at(1));
    assert_eq!(shelf.needing("sc", 3, at(1)), None, "nobody was told so");
    shelf.was_set("pin", pointer(3));
    shelf.begins("sc", at(1));
    assert!(shelf.needing("sc", 3, at(1)).is_some());
    assert_eq!(shelf.needing("sc", 2, at(1)), None);
    assert_eq!(shelf.ends("sc"), BTreeSet::from([3]));
    shelf.begins("sc", at(1));
    shelf.points("pin", None, at(2));
    assert_eq!(shelf.needing("sc", 3, at(3)), None);
    assert_eq!(shelf.ends("sc"), BTreeSet::new());
}

#[test]
fn a_consumer_may_be_where_it_was_told_to_be_at_some_time_since_it_looked() {
    let mut shelf = Shelf::default();
    let told = |shelf: &Shelf, version, since| shelf.was_told(None, Some("a"), version, since);
    assert!(!told(&shelf, 1, at(0)));
    shelf.points("channel a", Some(pointer(1)), at(1));
    shelf.points("channel a", Some(pointer(2)), at(5));
    assert!(told(&shelf, 1, at(4)) && told(&shelf, 2, at(4)));
    assert!(!told(&shelf, 1, at(6)) && told(&shelf, 2, at(6)));
    assert!(
        shelf.was_told(None, None, 7, at(6)),
        "it follows the newest"
    );
    shelf.points("pin", Some(pointer(3)), at(8));
    assert!(told(&shelf, 2, at(7)) && told(&shelf, 3, at(7)));
    assert!(!told(&shelf, 2, at(9)) && told(&shelf, 3, at(9)));
    assert!(!shelf.was_told(None, None, 7, at(9)));
    assert_eq!(shelf.target(None, Some("a")), Some(3));
    shelf.collected = 3;
    assert_eq!(shelf.target(None, None), None, "it came too late");
    shelf.was_set("pin", pointer(3));
    assert_eq!(shelf.target(None, None), Some(3));
}

#[test]
fn what_is_past_the_boundary_and_named_stays() {
    let mut shelf = Shelf {
        collected: 4,
        ..Shelf::default()
    };
    let path =
        |folder: &str, version: u64| Path::from(format!("{SHELF}/{folder}/{version:020}.json"));
    shelf.announced.insert(5, "snapshot/x.snapshot".to_owned());
    assert!(shelf.removed(&path("log", 5), at(0)).is_err());
    assert!(shelf.removed(&path("snapshots", 5), at(0)).is_err());
    assert!(shelf.removed(&path("collected", 4), at(0)).is_err());
    assert_eq!(shelf.removed(&path("log", 4), at(0)), Ok(()));
    assert_eq!(shelf.removed(&path("collected", 3), at(0)), Ok(()));
    let all = [path("log", 4), path("log", 5), path("control", 0)];
    assert_eq!(shelf.surplus(&all, 4).len(), 1);
    assert_eq!(shelf.surplus(&[], 5).len(), 1);
}
