//! Changes of records, told as they come.

use super::kit::*;
use crate::daemon::kit::Daemon;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

/// A stream of changes.
struct Changes(BufReader<TcpStream>);

/// An update: its events without the last, the data of that, and its id.
type Update = (Vec<(String, Value)>, Value, String);

impl Changes {
    fn of(sidecar: &Daemon, query: &str, last: Option<&str>) -> Self {
        let mut stream = sidecar.connect();
        let last = last.map_or(String::new(), |id| format!("last-event-id: {id}\r\n"));
        let head = format!(
            "GET /v1/datasets/items/changes{query} HTTP/1.1\r\nhost: localhost\r\n{last}\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
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
