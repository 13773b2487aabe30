//! When a lease is renewed, and what is said of a failure. Owns nothing.

use super::*;
use grotto_env::SeededRandom;

const SECOND: Duration = Duration::from_secs(1);

/// The same moment of a thousand consumers.
fn of_a_fleet(moment: impl Fn(&dyn Random) -> Duration) -> Vec<Duration> {
    let mut times: Vec<Duration> = (0..1000)
        .map(|seed| moment(&SeededRandom::new(seed)))
        .collect();
    times.sort_unstable();
    times
}

/// Most times within a tenth of a second.
fn crowd(times: &[Duration]) -> usize {
    let within = |at: Duration| {
        let end = at + SECOND / 10;
        times
            .iter()
            .filter(|time| **time >= at && **time < end)
            .count()
    };
    times.iter().map(|at| within(*at)).max().unwrap()
}

#[test]
fn a_fleet_does_not_write_at_the_same_instant() {
    let (pace, now) = (Pace(10 * SECOND), 100 * SECOND);
    let started = of_a_fleet(|random| pace.first(now, random));
    let renewed = of_a_fleet(|random| pace.next(now, random));
    let informed = of_a_fleet(|random| pace.after_version(now, 50 * SECOND, random));
    for (times, from, to) in [
        (&started, now, now + SECOND),
        (&renewed, now + 8 * SECOND, now + 10 * SECOND),
        (&informed, now, now + SECOND),
    ] {
        assert!(
            times[0] >= from && times[999] <= to,
            "{:?} to {:?}",
            times[0],
            times[999]
        );
        // One in ten, or in twenty, if they were spread evenly.
        assert!(crowd(times) < 150, "{}", crowd(times));
    }
}

#[test]
fn a_third_try_ends_before_the_lease_does_however_slow_the_others_fail() {
    for interval in [SECOND, 10 * SECOND, 300 * SECOND] {
        let pace = Pace(interval);
        let expiry = Duration::from_secs(pace.expires_after_s());
        for seed in 0..1000 {
            let random = SeededRandom::new(seed);
            let mut start = pace.next(Duration::ZERO, &random);
            for _ in 0..2 {
                let failed = start + pace.deadline();
                start = pace.again(start, &random).max(failed);
            }
            assert!(start < expiry * 9 / 10, "{start:?} of {expiry:?}");
        }
    }
}

#[test]
fn versions_are_told_a_second_after_the_last_renewal_at_the_earliest() {
    let (pace, now) = (Pace(10 * SECOND), 100 * SECOND);
    let due = pace.after_version(now, now - SECOND / 4, &SeededRandom::new(1));
    assert!(due >= now + SECOND * 3 / 4, "{due:?}");
}

#[test]
fn a_lease_outlives_two_renewals_that_fail() {
    let expiry = |interval| Pace(interval).expires_after_s();
    assert_eq!(expiry(10 * SECOND), 30);
    assert_eq!(expiry(Duration::from_millis(1_100)), 4);
    assert_eq!(expiry(Duration::from_secs(28_800)), MAX_EXPIRY_S);
}

#[test]
fn a_failure_is_logged_when_it_is_another_one_than_before() {
    let store = Store::open(&grotto_store::StoreUrl::Memory).unwrap();
    let settings = LeaseSettings {
        name: Some("web-1".to_owned()),
        ..LeaseSettings::default()
    };
    let mut keeper = settings.keeper(&store, "cities").unwrap().unwrap();
    let away = |text: &str| Err(crate::Error::unavailable(text.to_owned()));
    let refused = || Err(crate::Error::invalid("permission denied".to_owned()));
    let told = [
        away("a"),
        away("b"),
        refused(),
        refused(),
        away("a"),
        Ok(()),
        away("a"),
    ]
    .map(|written| keeper.tell(written));
    assert_eq!(told, [true, false, true, false, true, false, true]);
}
