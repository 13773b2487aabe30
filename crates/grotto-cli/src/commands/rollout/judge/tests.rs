//! Who is watched, and what is wrong with one. Owns nothing.

use super::*;
use crate::commands::status::sample;
use grotto::store::{ConsumerId, LeaseContent};

fn rollout(share: u16) -> Rollout {
    Rollout {
        to: 43,
        nonce: "00000000c0ffee00".to_owned(),
        stages: vec![100, 10_000],
        stage: 0,
        share,
        wait_ms: 1_000,
        halted: None,
    }
}

fn lease(name: &str, change: impl FnOnce(&mut Lease)) -> Lease {
    let mut lease = sample::lease(name);
    lease.channel = Some("stable".to_owned());
    change(&mut lease);
    lease
}

fn found(lease: Lease, age_s: u64) -> FoundLease {
    FoundLease {
        consumer: ConsumerId::parse(&lease.consumer).unwrap(),
        expires_after: Duration::from_secs(lease.expires_after_s),
        content: LeaseContent::Lease(Box::new(lease)),
        age: Duration::from_secs(age_s),
        renewed_ms: 0,
    }
}

#[test]
fn only_those_who_live_and_follow_the_channel_count() {
    let leases = [
        found(lease("a", |_| {}), 3),
        found(lease("gone", |_| {}), 31),
        found(lease("other", |one| one.channel = Some("canary".into())), 3),
        found(lease("newest", |one| one.channel = None), 3),
    ];
    let stable = ChannelId::parse("stable").unwrap();
    let names: Vec<&str> = followers(&leases, &stable)
        .map(|(_, lease)| lease.consumer.as_str())
        .collect();
    assert_eq!(names, ["a"]);
}

#[test]
fn a_stage_has_somebody_to_watch_however_small_it_is() {
    let leases: Vec<Lease> = ["a", "b", "c"].map(|name| lease(name, |_| {})).into();
    let all: Vec<&Lease> = leases.iter().collect();
    let rollout = rollout(100);
    let places = || all.iter().map(|lease| rollout.place(&lease.consumer));
    let first = places().min().unwrap();
    assert!(first >= 100, "none of them is within a hundredth: {first}");
    assert_eq!(share(&rollout, 0, &all), Some(first + 1));
    assert_eq!(share(&rollout, 1, &all), Some(10_000));
    assert_eq!(share(&rollout, 2, &all), None);
    // One that is not well shows nothing.
    let at = places().position(|place| place == first).unwrap();
    let mut sick = leases.clone();
    sick[at].health = "degraded".to_owned();
    let all: Vec<&Lease> = sick.iter().collect();
    let second = share(&rollout, 0, &all).unwrap();
    assert!(second > first + 1);
    sick.iter_mut().for_each(|lease| lease.pinned = Some(3));
    let all: Vec<&Lease> = sick.iter().collect();
    assert_eq!(share(&rollout, 0, &all), None);
}

#[test]
fn whoever_was_not_well_before_is_left_out() {
    let leases = [
        lease("a", |_| {}),
        lease("b", |one| one.health = "degraded".into()),
        lease("c", |one| one.pinned = Some(40)),
    ];
    let all: Vec<&Lease> = leases.iter().collect();
    let (watched, left_out) = Watched::of(&rollout(10_000), &all);
    assert_eq!(watched.names(), ["a"]);
    let expected = ["b was degraded before", "c is pinned by its own program"];
    assert_eq!(left_out, expected);
    let (none, _) = Watched::of(&rollout(0), &all);
    assert!(none.names().is_empty());
}

#[test]
fn everything_but_being_there_and_well_is_on_the_way_or_wrong() {
    let before = lease("a", |one| one.running_ms = 60_000);
    let (watched, _) = Watched::of(&rollout(10_000), &[&before]);
    let look = |leases: &[FoundLease]| {
        let mut watched = Watched {
            running_ms: watched.running_ms.clone(),
        };
        watched.look(leases, 43)
    };
    let one = |change: fn(&mut Lease), age_s| {
        let now = lease("a", |one| {
            (one.version, one.running_ms) = (43, 61_000);
            change(one);
        });
        look(&[found(now, age_s)])
    };
    assert_eq!(one(|_| {}, 1).there, 1);
    assert_eq!(one(|one| one.version = 42, 1).on_the_way, ["a"]);
    for (seen, why) in [
        (look(&[]), "a has ended"),
        (one(|_| {}, 40), "a is gone: not heard of for 40 s"),
        (one(|one| one.running_ms = 3_000, 1), "a was started anew"),
        (
            one(
                |one| {
                    one.health = "degraded".into();
                    one.reasons = vec!["no room\nleft".into()];
                },
                1,
            ),
            "a is degraded at version 43: no room left",
        ),
        (one(|one| one.held = Some(43), 1), "a holds version 43 back"),
    ] {
        assert_eq!(seen.wrong, [why]);
        assert_eq!(seen.there, 0);
    }
    let damaged = FoundLease {
        content: LeaseContent::Damaged("torn".into()),
        ..found(lease("a", |_| {}), 1)
    };
    assert_eq!(
        look(&[damaged]).wrong,
        ["a has a lease that cannot be read"]
    );
}

#[test]
fn one_that_was_started_anew_while_it_was_watched_is_noticed() {
    let before = lease("a", |one| one.running_ms = 1_000);
    let (mut watched, _) = Watched::of(&rollout(10_000), &[&before]);
    let at = |running_ms| [found(lease("a", |one| one.running_ms = running_ms), 1)];
    assert!(watched.look(&at(30_000), 43).wrong.is_empty());
    assert_eq!(watched.look(&at(20_000), 43).wrong.len(), 1);
}
