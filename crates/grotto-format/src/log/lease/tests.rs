//! Leases that are taken and that are refused. Owns nothing.

use super::*;
use crate::log::FORMAT;

fn lease() -> Lease {
    Lease {
        format: FORMAT,
        dataset: "films".to_owned(),
        dataset_id: "c0ffee00".to_owned(),
        consumer: "web-1".to_owned(),
        host: "host-1".to_owned(),
        process: "812".to_owned(),
        version: 7,
        newest: 9,
        pinned: None,
        channel: None,
        told: None,
        held: Some(8),
        health: "degraded".to_owned(),
        reasons: vec!["version 8 is held".to_owned()],
        staleness_ms: 4_000,
        running_ms: 90_000,
        health_ms: 5_000,
        expires_after_s: 30,
        time_ms: 1_700_000_000_000,
    }
}

fn refusal(change: impl FnOnce(&mut Lease)) -> String {
    let mut lease = lease();
    change(&mut lease);
    lease.encode().unwrap_err().to_string()
}

#[test]
fn a_lease_says_the_same_after_a_way_through_a_store() {
    for lease in [
        lease(),
        Lease {
            pinned: Some(7),
            held: None,
            dataset_id: String::new(),
            reasons: Vec::new(),
            ..lease()
        },
        Lease {
            channel: Some("stable".to_owned()),
            told: Some(LeaseTold {
                by: ToldBy::Channel,
                version: 7,
            }),
            ..lease()
        },
    ] {
        assert_eq!(Lease::decode(&lease.encode().unwrap()).unwrap(), lease);
    }
}

#[test]
fn every_altered_byte_is_refused() {
    let bytes = lease().encode().unwrap();
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        assert!(Lease::decode(&altered).is_err(), "byte {at}");
        assert!(Lease::decode(&bytes[..at]).is_err(), "{at} bytes");
    }
}

#[test]
fn names_that_could_leave_the_folder_are_refused() {
    for name in [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a b",
        "a\n",
        "ä",
        &"x".repeat(101),
    ] {
        let refused = refusal(|lease| lease.consumer = name.to_owned());
        assert!(refused.starts_with("lease: field consumer: "), "{refused}");
        let refused = refusal(|lease| lease.dataset = name.to_owned());
        assert!(refused.starts_with("lease: field dataset: "), "{refused}");
    }
    assert!(is_plain_name(&"x".repeat(100)));
}

#[test]
fn texts_that_are_long_or_move_a_cursor_are_refused_with_their_field() {
    let long = "x".repeat(MAX_WORD + 1);
    for (field, refused) in [
        ("host", refusal(|lease| lease.host = long.clone())),
        ("process", refusal(|lease| lease.process = "\x1b[2J".into())),
        (
            "dataset_id",
            refusal(|lease| lease.dataset_id = "\u{9b}".into()),
        ),
        ("health", refusal(|lease| lease.health = "Ready".into())),
        ("health", refusal(|lease| lease.health = String::new())),
        ("health", refusal(|lease| lease.health = long.clone())),
        ("reasons", refusal(|lease| lease.reasons[0] = "a\nb".into())),
        (
            "reasons",
            refusal(|lease| lease.reasons[0] = "x".repeat(513)),
        ),
        (
            "reasons",
            refusal(|lease| lease.reasons = vec![String::new(); 9]),
        ),
        ("version", refusal(|lease| lease.version = MAX_VERSION + 1)),
        ("newest", refusal(|lease| lease.newest = u64::MAX)),
        ("held", refusal(|lease| lease.held = Some(u64::MAX))),
        (
            "channel",
            refusal(|lease| lease.channel = Some("../pin".into())),
        ),
        (
            "told",
            refusal(|lease| {
                lease.told = Some(LeaseTold {
                    by: ToldBy::Pin,
                    version: u64::MAX,
                });
            }),
        ),
        (
            "expires_after_s",
            refusal(|lease| lease.expires_after_s = 0),
        ),
        (
            "expires_after_s",
            refusal(|lease| lease.expires_after_s = 86_401),
        ),
    ] {
        let start = format!("lease: field {field}: ");
        assert!(refused.starts_with(&start), "{refused}");
    }
}

#[test]
fn the_longest_lease_fits_and_texts_are_cut_to_it() {
    // Two bytes in JSON, each.
    let quotes = |count| "\"".repeat(count);
    let mut lease = lease();
    lease.consumer = "x".repeat(MAX_PLAIN_NAME);
    lease.dataset.clone_from(&lease.consumer);
    (lease.host, lease.process) = (quotes(4000), quotes(4000));
    lease.dataset_id = quotes(MAX_WORD);
    lease.health = "x".repeat(MAX_WORD);
    lease.reasons = vec![quotes(4000); 50];
    lease.channel = Some("x".repeat(MAX_PLAIN_NAME));
    lease.told = Some(LeaseTold {
        by: ToldBy::Channel,
        version: MAX_VERSION,
    });
    (lease.pinned, lease.held) = (Some(MAX_VERSION), Some(MAX_VERSION));
    (lease.version, lease.newest) = (MAX_VERSION, MAX_VERSION);
    (lease.staleness_ms, lease.running_ms) = (u64::MAX, u64::MAX);
    (lease.health_ms, lease.time_ms) = (u64::MAX, u64::MAX);
    let lease = lease.shortened();
    assert_eq!(lease.reasons, vec![quotes(MAX_REASON); MAX_REASONS]);
    assert_eq!(Lease::decode(&lease.encode().unwrap()).unwrap(), lease);
}

#[test]
fn texts_are_cut_between_letters_and_lose_what_moves_a_cursor() {
    let mut lease = lease();
    lease.host = "日".repeat(60);
    lease.process = "a\x1b[2J\nb".to_owned();
    let lease = lease.shortened();
    assert_eq!(lease.host, "日".repeat(42));
    assert_eq!(lease.process, "a [2J b");
    assert!(lease.encode().is_ok());
}
