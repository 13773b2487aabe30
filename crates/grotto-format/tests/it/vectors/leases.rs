//! Leases, by the second reader and by the crate: both find the same in them and refuse the same. Owns
//! nothing.

use super::log::{altered, text_of};
use crate::reader::log::Lease as Second;
use grotto_format::log::{Lease, ToldBy};
use std::panic::catch_unwind;

/// What the crate finds in a lease, as the second reader says it.
fn by_crate(lease: Lease) -> Second {
    Second {
        texts: [
            lease.dataset,
            lease.dataset_id,
            lease.consumer,
            lease.host,
            lease.process,
            lease.health,
        ],
        numbers: [
            lease.version,
            lease.newest,
            lease.staleness_ms,
            lease.running_ms,
            lease.health_ms,
            lease.time_ms,
        ],
        pinned: lease.pinned,
        held: lease.held,
        channel: lease.channel,
        told: lease.told.map(|told| {
            let by = match told.by {
                ToldBy::Pin => "pin",
                ToldBy::Channel => "channel",
            };
            (by.to_owned(), told.version)
        }),
        reasons: lease.reasons,
        expires_after_s: lease.expires_after_s,
    }
}

#[test]
fn both_readers_find_the_same_in_leases() {
    for name in [
        "lease.json",
        "lease-pinned.json",
        "lease-fresh.json",
        "lease-told.json",
    ] {
        let bytes = text_of(name).into_bytes();
        let lease = Lease::decode(&bytes).unwrap();
        assert_eq!(Second::open(&bytes), by_crate(lease), "{name}");
    }
}

#[test]
fn both_readers_refuse_what_no_consumer_is_told() {
    let text = text_of("lease-told.json");
    for (from, to) in [
        ("\"channel\":\"stable\"", "\"channel\":\"../pin\""),
        ("\"channel\":\"stable\"", "\"channel\":1"),
        ("\"by\":\"channel\"", "\"by\":\"somebody\""),
        (
            "\"by\":\"channel\",\"version\":4",
            "\"by\":\"channel\",\"version\":9007199254740992",
        ),
        ("\"by\":\"channel\",\"version\":4", "\"by\":\"channel\""),
    ] {
        let bytes = altered(&text, from, to);
        assert!(Lease::decode(&bytes).is_err(), "{to}");
        assert!(catch_unwind(|| Second::open(&bytes)).is_err(), "{to}");
    }
    let bytes = altered(&text, "\"by\":\"channel\"", "\"by\":\"pin\"");
    let lease = Lease::decode(&bytes).unwrap();
    assert_eq!(Second::open(&bytes), by_crate(lease));
}

#[test]
fn both_readers_refuse_what_no_lease_says() {
    let text = text_of("lease.json");
    let long_word = format!("\"host\":\"{}\"", "x".repeat(129));
    let long_reason = format!("[\"{}\"]", "x".repeat(513));
    let many = format!("[{}]", ["\"a\""; 9].join(","));
    let reasons = text.split("\"reasons\":").nth(1).unwrap();
    let reasons = &reasons[..=reasons.find(']').unwrap()];
    for (from, to) in [
        ("web-1.eu", ""),
        ("web-1.eu", "../web"),
        ("web-1.eu", ".web"),
        ("\"films\"", "\"fil ms\""),
        ("\"host\":\"host-1\"", long_word.as_str()),
        ("\"host\":\"host-1\"", "\"host\":\"a\\u001bb\""),
        ("\"health\":\"degraded\"", "\"health\":\"Degraded\""),
        ("\"health\":\"degraded\"", "\"health\":\"\""),
        (reasons, many.as_str()),
        (reasons, long_reason.as_str()),
        (reasons, "[\"\\n\"]"),
        (reasons, "null"),
        ("\"held\":6", "\"held\":9007199254740992"),
        ("\"newest\":6", "\"newest\":9007199254740992"),
        ("\"expires_after_s\":30", "\"expires_after_s\":0"),
        ("\"expires_after_s\":30", "\"expires_after_s\":86401"),
    ] {
        let bytes = altered(&text, from, to);
        assert!(Lease::decode(&bytes).is_err(), "{to}");
        assert!(catch_unwind(|| Second::open(&bytes)).is_err(), "{to}");
    }
    for (from, to) in [
        ("\"held\":6,", ""),
        ("\"held\":6", "\"held\":null"),
        ("\"expires_after_s\":30", "\"expires_after_s\":86400"),
        (reasons, "[]"),
    ] {
        let bytes = altered(&text, from, to);
        let lease = Lease::decode(&bytes).unwrap();
        assert_eq!(Second::open(&bytes), by_crate(lease), "{to}");
    }
}
