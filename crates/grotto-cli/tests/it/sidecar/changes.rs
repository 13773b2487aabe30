//! Changes of records, told as they come.

use super::kit::*;
use crate::daemon::kit::Daemon;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;

/// A stream of changes.
struct Changes(BufReader<TcpStream>);

/// An update: its events without the last, the data of that, and its id.
type Update = (Vec<(String, Value)>, Value, String);

impl Changes {
    fn of(sidecar: &Daemon, query: &str, last: Option<&str>) -> Self {
        let mut reader = BufReader::new(asked(sidecar, query, last));
        let mut status = String::new();
        reader.read_line(&mut status).unwrap();
        assert!(status.contains("200"), "{status}");
        Self(reader)
    }

    /// The next update, whole.
    fn next(&mut self) -> Update {
        let (mut events, mut id, mut name) = (Vec::new(), String::new(), String::new());
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream ended");
            let line = line.trim();
            if let Some(of) = line.strip_prefix("id: ") {
                id = of.to_owned();
            } else if let Some(of) = line.strip_prefix("event: ") {
                name = of.to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                let data = serde_json::from_str(data).unwrap();
                if name == "version" {
                    return (events, data, id);
                }
                events.push((name.clone(), data));
            }
        }
    }
}

fn asked(sidecar: &Daemon, query: &str, last: Option<&str>) -> TcpStream {
    let mut stream = sidecar.connect();
    let last = last.map_or(String::new(), |id| format!("last-event-id: {id}\r\n"));
    let head =
        format!("GET /v1/datasets/items/changes{query} HTTP/1.1\r\nhost: localhost\r\n{last}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

fn item(id: u64, size: u64) -> Value {
    json!({ "id": id, "name": "n", "size": size })
}

fn publish_items(bench: &crate::kit::Bench, items: &[(u64, u64)]) {
    let lines: String = items
        .iter()
        .map(|(id, size)| format!("{}\n", item(*id, *size)))
        .collect();
    bench.publish(&lines, "").ok();
}

#[test]
fn changes_are_told_and_go_on_where_the_reader_ended() {
    let bench = crate::kit::Bench::with_schema();
    publish_items(&bench, &[(1, 1), (2, 1), (3, 1)]);
    configure(&bench, "");
    let sidecar = serving(&bench);
    let mut all = Changes::of(&sidecar, "?from=beginning", None);
    let (events, version, first) = all.next();
    let added: Vec<_> = events
        .iter()
        .map(|(name, data)| (name.as_str(), data["after"]["id"].as_u64()))
        .collect();
    assert_eq!(
        added,
        [("added", Some(1)), ("added", Some(2)), ("added", Some(3))]
    );
    assert_eq!(
        version,
        json!({ "from": 0, "version": 1, "replaced": false })
    );
    publish_items(&bench, &[(1, 1), (2, 2), (4, 1)]);
    let (mut events, version, second) = all.next();
    events.sort_by_key(|(name, _)| name.clone());
    let expected = [
        ("added", json!({ "type": "Item", "after": item(4, 1) })),
        (
            "modified",
            json!({ "type": "Item", "before": item(2, 1), "after": item(2, 2) }),
        ),
        ("removed", json!({ "type": "Item", "before": item(3, 1) })),
    ];
    assert_eq!(events, expected.map(|(name, data)| (name.to_owned(), data)));
    assert_eq!(version["version"], 2);
    drop(all);
    publish_items(&bench, &[(1, 1), (2, 2), (4, 1), (5, 1)]);
    served(&sidecar, 2);
    // Both updates that the first position lacks, however they come.
    let mut resumed = Changes::of(&sidecar, "?type=Item", Some(&first));
    let mut told = Vec::new();
    let mut version = 1;
    while version < 3 {
        let (events, data, _) = resumed.next();
        assert_eq!(data["from"], version);
        version = data["version"].as_u64().unwrap();
        told.extend(events.into_iter().map(|(name, _)| name));
    }
    told.sort();
    assert_eq!(told, ["added", "added", "modified", "removed"]);
    let mut resumed = Changes::of(&sidecar, "", Some(&second));
    let (events, _, _) = resumed.next();
    assert_eq!(
        events,
        [(
            "added".to_owned(),
            json!({ "type": "Item", "after": item(5, 1) })
        )]
    );
}

#[test]
fn only_what_is_asked_for_is_told() {
    let bench = crate::kit::Bench::with_schema();
    publish_items(&bench, &[(1, 1), (2, 1), (3, 1)]);
    configure(&bench, "");
    let sidecar = serving(&bench);
    let mut of_two = Changes::of(&sidecar, "?type=Item&key=2&field=size", None);
    publish_items(&bench, &[(1, 7), (2, 1), (3, 1)]);
    served(&sidecar, 1);
    publish_items(&bench, &[(1, 7), (2, 8), (3, 8)]);
    let (events, data, _) = of_two.next();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0].1["after"], item(2, 8));
    assert_eq!(data["version"], 3);
    for (query, code) in [
        ("?type=Town", "no_type"),
        ("?type=Item&key=x", "invalid"),
        ("?type=Item&field=color", "invalid"),
        ("?key=1", "invalid"),
        ("?from=now", "invalid"),
    ] {
        let told = sidecar.get(&format!("/v1/datasets/items/changes{query}"));
        let status = if code == "no_type" { 404 } else { 400 };
        assert_eq!(told.refused(status).0, code, "{query}");
    }
    let path = "/v1/datasets/items/changes";
    let wrong = sidecar.ask("GET", path, &["last-event-id: 7"], b"");
    assert_eq!(wrong.refused(400).0, "invalid");
    let other = sidecar.ask("GET", path, &["last-event-id: 1.00000000000000ff@abc"], b"");
    assert_eq!(other.refused(410).0, "version_gone");
}

/// More than is made at once, to a reader that does not read: a refresh does not wait for it, and it misses nothing.
#[test]
fn a_reader_that_is_slow_delays_nobody_and_misses_nothing() {
    let bench = crate::kit::Bench::with_schema();
    let name = "n".repeat(300);
    let lines = |size: u64| -> String {
        (0..12_000)
            .map(|id| format!("{{\"id\":{id},\"name\":\"{name}\",\"size\":{size}}}\n"))
            .collect()
    };
    bench.publish(&lines(1), "").ok();
    configure(&bench, "");
    let sidecar = serving(&bench);
    let mut slow = Changes::of(&sidecar, "?from=beginning&type=Item", None);
    for version in 2..5 {
        bench.publish(&lines(version), "").ok();
        assert_eq!(served(&sidecar, version - 1), version);
    }
    let (events, data, _) = slow.next();
    assert_eq!((events.len(), &data["version"]), (12_000, &json!(1)));
    let (mut last, mut modified) = (1, 0);
    while last < 4 {
        let (events, data, _) = slow.next();
        assert_eq!(data["from"], last);
        last = data["version"].as_u64().unwrap();
        modified = events.len();
        assert!(
            events
                .iter()
                .all(|(name, data)| name == "modified" && data["after"]["size"] == last)
        );
    }
    assert_eq!(modified, 12_000);
}

/// Updates of some 24 megabytes, more than the buffers of a connection hold.
#[test]
fn only_so_many_readers_go_on_at_older_versions_at_once() {
    let bench = crate::kit::Bench::with_schema();
    let lines = |fill: &str| -> String {
        let name = fill.repeat(4_000);
        (0..3_000)
            .map(|id| format!("{{\"id\":{id},\"name\":\"{name}\"}}\n"))
            .collect()
    };
    bench.publish(&lines("a"), "").ok();
    // In memory, as the states that are built for them are.
    let text = "consumer:\n  dataset: items\n  store: store\n  poll_interval: 10ms\n  max_backoff: 20ms\n  \
                monitoring: {health_check_port: 0}\n  limits: {max_resuming: 1}\n  listeners: {body_timeout: 24h}\n";
    bench.write("s.yaml", text);
    let sidecar = serving(&bench);
    let first = Changes::of(&sidecar, "?from=beginning", None).next().2;
    bench.publish(&lines("b"), "").ok();
    served(&sidecar, 1);
    let slow = Changes::of(&sidecar, "", Some(&first));
    // A stream that is not refused has no end.
    let mut begun = asked(&sidecar, "", Some(&first));
    let mut head = [0; 12];
    begun.read_exact(&mut head).unwrap();
    assert_eq!(&head[9..], b"503");
    let told = crate::daemon::kit::told(head.chain(begun));
    let (code, message) = told.refused(503);
    assert_eq!(code, "unavailable");
    assert!(
        message.contains("consumer.limits.max_resuming"),
        "{message}"
    );
    assert_eq!(header(&told, "retry-after"), Some("1"));
    // Others are told, from now on and all that there is.
    let mut others = Changes::of(&sidecar, "?from=beginning", None);
    let second = others.next().2;
    let at_served = Changes::of(&sidecar, "", Some(&second));
    // Who has read what was built for it makes room, and reads on.
    let mut slow = slow;
    assert_eq!(slow.next().1["version"], 2);
    let mut again = Changes::of(&sidecar, "", Some(&first));
    assert_eq!(again.next().1["version"], 2);
    drop((again, at_served));
    bench.publish(&lines("c"), "").ok();
    assert_eq!(slow.next().1["version"], 3);
}

/// Reads a stream to its end, which comes before that of an update; the sidecar says why, and counts it.
#[track_caller]
fn check_dropped(sidecar: &mut Daemon, stream: TcpStream, reason: &str) {
    for line in BufReader::new(stream).lines() {
        // A sign of life, or all of the update.
        let line = line.unwrap();
        assert!(line != ":" && line != "event: version", "{line}");
    }
    let told = sidecar.logged("changes are not told any more");
    assert_eq!(told["reason"], reason, "{told}");
    let line = format!("grotto_sidecar_dropped_readers_total{{reason=\"{reason}\"}} 1");
    let metrics = sidecar.get("/metrics").body;
    assert!(metrics.contains(&line), "{line} in {metrics}");
}

#[test]
fn a_reader_that_is_given_up_is_told_of_in_the_log_and_counted() {
    let bench = crate::kit::Bench::with_schema();
    let publish = |fill: &str| {
        let name = fill.repeat(90_000);
        let line = format!("{{\"id\":1,\"name\":\"{name}\"}}\n");
        bench.publish(&line, "").ok();
    };
    publish("a");
    let limit = |size: &str| {
        let limits = format!(
            "  listeners: {{max_answer_memory: {size}}}\n  limits: {{max_answer_size: {size}}}\n"
        );
        configure(&bench, &limits);
        serving(&bench)
    };
    let mut sidecar = limit("64KiB");
    let stream = asked(&sidecar, "?from=beginning", None);
    check_dropped(&mut sidecar, stream, "record");
    drop(sidecar);
    let mut sidecar = limit("96KiB");
    let added = Changes::of(&sidecar, "?from=beginning", None).next();
    assert_eq!(added.0.len(), 1);
    // The record as it was and as it is are more than there is memory for.
    let stream = asked(&sidecar, "", None);
    publish("b");
    check_dropped(&mut sidecar, stream, "memory");
}
