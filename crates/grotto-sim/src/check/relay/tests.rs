//! Tests of the model of relays: what it must find.

use grotto_format::log::Links;

use super::*;

fn state(records: &[(i64, i64)], tokens: &[i64]) -> Records {
    let own = tokens.iter().map(|token| (own_record(*token), *token));
    records.iter().copied().chain(own).collect()
}

/// Host 1 was given 1, 2 and 4, host 2 was given 3; 1 and 3 write record 1, 4 deletes it. All are acknowledged.
fn relay() -> Relay {
    let mut relay = Relay::default();
    let all = [
        (1, 1, Some(0)),
        (1, 2, Some(0)),
        (2, 1, Some(0)),
        (1, 1, None),
    ];
    for (host, key, value) in all {
        let token = relay.give(host, &mut Changes::from([(key, value)]));
        relay.acknowledged(token);
    }
    relay
}

#[test]
fn versions_hold_what_hosts_were_given_in_the_order_in_which_it_came() {
    let mut relay = relay();
    relay.walk(2, state(&[(1, 3)], &[3])).unwrap();
    relay.walk(4, state(&[(1, 1), (2, 2)], &[3, 1, 2])).unwrap();
    relay.walk(5, state(&[(2, 2)], &[3, 1, 2, 4])).unwrap();
    assert_eq!(relay.lost(), [""; 0]);
}

#[test]
fn what_came_twice_or_in_another_order_is_found() {
    let mut twice = relay();
    twice.walk(2, state(&[(1, 1)], &[1])).unwrap();
    twice.walk(3, state(&[(1, 3)], &[1, 3])).unwrap();
    assert!(twice.walk(4, state(&[(1, 1), (2, 2)], &[1, 3, 2])).is_err());
    let mut back = relay();
    back.walk(2, state(&[(2, 2)], &[2])).unwrap();
    assert!(back.walk(3, state(&[(1, 1), (2, 2)], &[1, 2])).is_err());
    assert!(relay().walk(2, state(&[(1, 3), (2, 2)], &[2, 3])).is_err());
}

#[test]
fn what_is_lost_is_found() {
    let mut relay = relay();
    relay.walk(2, state(&[(1, 1)], &[1])).unwrap();
    assert_eq!(relay.lost().len(), 3);
    relay.set_aside(1, 2, "a").unwrap();
    relay.set_aside(1, 4, "a").unwrap();
    assert_eq!(relay.lost().len(), 1);
    assert!(relay.walk(3, state(&[], &[])).is_err());
}

#[test]
fn what_a_person_has_is_in_no_version_and_in_no_other_file() {
    let mut relay = relay();
    assert_eq!(relay.set_aside(1, 1, "a"), Ok(true));
    assert_eq!(relay.set_aside(1, 1, "a"), Ok(false));
    assert!(relay.set_aside(1, 1, "b").is_err());
    assert!(relay.set_aside(1, 3, "a").is_err(), "of another host");
    assert!(relay.published(1, 2).is_err());
    assert!(relay.walk(2, state(&[(1, 1)], &[1])).is_err());
    relay.published(2, 2).unwrap();
    assert!(relay.set_aside(1, 2, "a").is_err());
}

#[test]
fn what_was_said_to_be_published_is_there_by_then() {
    let mut relay = relay();
    relay.published(1, 2).unwrap();
    assert!(relay.walk(3, state(&[(1, 1)], &[1])).is_err());
    assert!(relay.crashed(&BTreeSet::from([2])).is_err());
}

/// Entries of epochs with their hosts land, in order; each is a version.
fn lead(relay: &mut Relay, reigns: &[(u64, u64)]) {
    for (epoch, host) in reigns {
        let version = relay.log.len() as u64 + 1;
        relay.log.insert(version, entry(version, *epoch));
        let pipeline = relay.pipelines.get(host).copied().unwrap_or(0);
        relay.reigns.entry(*epoch).or_insert((*host, pipeline));
    }
}

fn entry(version: u64, epoch: u64) -> LogEntry {
    LogEntry {
        format: 1,
        dataset: RELAY.to_owned(),
        dataset_id: String::new(),
        version,
        kind: EntryKind::Fence,
        epoch,
        nonce: String::new(),
        writer: String::new(),
        time_ms: 0,
        parent: version - 1,
        state_version: 0,
        commits: 0,
        blobs: None,
        snapshot: None,
        links: Links::default(),
        state_checksum: 0,
        types: BTreeMap::new(),
        schema_hash: 0,
        sources: BTreeMap::new(),
        tags: BTreeMap::new(),
        signature: None,
    }
}

#[test]
fn what_another_host_overtook_is_in_no_version() {
    let mut relay = relay();
    lead(&mut relay, &[(1, 1), (2, 2)]);
    relay.begins(1);
    lead(&mut relay, &[(3, 1)]);
    assert!(relay.walk(3, state(&[(1, 1)], &[1])).is_err());
}

#[test]
fn what_nobody_overtook_is_published_by_a_later_pipeline() {
    let mut relay = relay();
    lead(&mut relay, &[(1, 2), (2, 1)]);
    relay.begins(1);
    lead(&mut relay, &[(3, 1)]);
    relay.walk(3, state(&[(1, 1)], &[1])).unwrap();
}
