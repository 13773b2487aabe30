//! Who is behind, and who comes first. Owns nothing.

use super::*;
use crate::commands::status::sample::{head, lease, pointer};
use grotto::store::ConsumerId;

fn found(id: &str, content: LeaseContent, age_s: u64) -> FoundLease {
    let expires_after_s = match &content {
        LeaseContent::Lease(lease) => lease.expires_after_s,
        LeaseContent::Damaged(_) | LeaseContent::Old => 86_400,
    };
    FoundLease {
        consumer: ConsumerId::parse(id).unwrap(),
        expires_after: Duration::from_secs(expires_after_s),
        content,
        age: Duration::from_secs(age_s),
        renewed_ms: 0,
    }
}

fn consumer(id: &str, change: impl FnOnce(&mut Lease), age_s: u64) -> Consumer {
    let mut lease = lease(id);
    change(&mut lease);
    let content = LeaseContent::Lease(Box::new(lease));
    of(found(id, content, age_s), Some(&head()), &[])
}

#[test]
fn one_that_lacks_versions_is_behind_since_it_was_the_newest() {
    assert_eq!(consumer("a", |_| {}, 3).behind, Behind::No);
    let late = |lease: &mut Lease| (lease.version, lease.staleness_ms) = (40, 5_500);
    let since = Duration::from_millis(8_500);
    assert_eq!(consumer("a", late, 3).behind, Behind::By(2, since));
    // It looked at the log after the look at the head.
    let ahead = |lease: &mut Lease| lease.version = 43;
    assert_eq!(consumer("a", ahead, 3).behind, Behind::No);
}

#[test]
fn one_that_is_told_a_version_is_behind_until_it_is_there() {
    let behind = |pointers: &[FoundPointer], channel: Option<&str>, version| {
        let mut lease = lease("a");
        (lease.version, lease.channel) = (version, channel.map(str::to_owned));
        let content = LeaseContent::Lease(Box::new(lease));
        match of(found("a", content, 0), Some(&head()), pointers).behind {
            Behind::No => 0,
            Behind::By(versions, _) => versions,
            Behind::Other => u64::MAX,
        }
    };
    let stable = pointer(Some("stable"), 41);
    let both = [pointer(None, 38), stable.clone()];
    // Back and forward alike.
    assert_eq!(behind(&both, None, 42), 4);
    assert_eq!(behind(&both, Some("stable"), 38), 0);
    assert_eq!(behind(&both, Some("stable"), 37), 1);
    let channel = [stable];
    assert_eq!(behind(&channel, Some("stable"), 42), 1);
    assert_eq!(behind(&channel, Some("stable"), 41), 0);
    assert_eq!(behind(&channel, None, 41), 1);
    // Nobody knows where one should be whose channel is not there.
    assert_eq!(behind(&channel, Some("canary"), 3), 0);
}

#[test]
fn one_of_a_dataset_that_was_replaced_is_told_apart() {
    let other = |lease: &mut Lease| lease.dataset_id = "other".to_owned();
    assert_eq!(consumer("a", other, 0).behind, Behind::Other);
    let none_yet = |lease: &mut Lease| (lease.dataset_id, lease.version) = (String::new(), 42);
    assert_eq!(consumer("a", none_yet, 0).behind, Behind::No);
    let unknown = found("a", LeaseContent::Lease(Box::new(lease("a"))), 0);
    assert_eq!(of(unknown, None, &[]).behind, Behind::No);
}

#[test]
fn those_in_trouble_come_first_and_those_gone_last() {
    let damaged = found("e", LeaseContent::Damaged("torn".to_owned()), 1);
    let mut all = [
        consumer("gone", |lease| lease.health = "degraded".to_owned(), 31),
        consumer("b", |_| {}, 1),
        consumer("a", |_| {}, 1),
        consumer("late", |lease| lease.version = 40, 1),
        consumer("later", |lease| lease.version = 30, 1),
        consumer("degraded", |lease| lease.health = "degraded".to_owned(), 1),
        consumer("down", |lease| lease.health = "not-ready".to_owned(), 1),
        of(damaged, None, &[]),
    ];
    all.sort_by(by_concern);
    let names: Vec<&str> = all.iter().map(|one| one.id.as_str()).collect();
    let expected = ["e", "down", "degraded", "later", "late", "a", "b", "gone"];
    assert_eq!(names, expected);
}
