//! Versions, told as they come.

use super::kit::*;
use crate::daemon::kit::Daemon;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;

/// A stream of events.
struct Events(BufReader<TcpStream>);

impl Events {
    fn of(sidecar: &Daemon, last: &str) -> Self {
        let mut stream = sidecar.connect();
        let head =
            format!("GET /v1/datasets/items/events HTTP/1.1\r\nhost: localhost\r\n{last}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        Self(BufReader::new(stream))
    }

    /// The data of the next event, and its id.
    fn next(&mut self) -> (String, Value) {
        let mut id = String::new();
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream ended");
            if let Some(of) = line.trim().strip_prefix("id: ") {
                id = of.to_owned();
            }
            if let Some(data) = line.trim().strip_prefix("data: ") {
                return (id, serde_json::from_str(data).unwrap());
            }
        }
    }

    /// Whether the stream ended in good order.
    fn ended(mut self) -> bool {
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.0, &mut rest)
            .is_ok_and(|_| rest.ends_with("0\r\n\r\n"))
    }
}

#[test]
fn a_request_waits_for_the_next_version() {
    let bench = published(1..4);
    // So long that nothing comes of it but by being told.
    configure(&bench, "  limits: {max_wait: 24h}\n");
    let sidecar = serving(&bench);
    let path =
        |after: u64, wait: &str| format!("/v1/datasets/items/versions?after={after}&wait={wait}");
    let told = sidecar.get(&path(1, "1ms")).ok();
    assert_eq!(
        told,
        json!({ "dataset": "items", "version": 1, "changed": false })
    );
    let told = sidecar.get("/v1/datasets/items/versions").ok();
    assert_eq!(told["version"], 1);
    let waits = begin(&sidecar, &path(1, "24h"));
    let early = begin(&sidecar, &format!("{RECORDS}/1?version=2&wait=24h"));
    publish(&bench, 1..5);
    assert_eq!(crate::daemon::kit::told(early).status, 200);
    let told = crate::daemon::kit::told(waits).ok();
    assert_eq!(
        told,
        json!({ "dataset": "items", "version": 2, "changed": true })
    );
    // A version that was never served is another one.
    assert_eq!(sidecar.get(&path(7, "60s")).ok()["version"], 2);
}

#[test]
fn a_stream_tells_versions_and_goes_on_where_it_ended() {
    let bench = published(1..4);
    configure(&bench, "");
    let mut sidecar = serving(&bench);
    let mut first = Events::of(&sidecar, "");
    let event = |version: u64| {
        let data = json!({ "dataset": "items", "version": version });
        (version.to_string(), data)
    };
    assert_eq!(first.next(), event(1));
    // Who has the version already is told the next one first.
    let mut second = Events::of(&sidecar, "last-event-id: 1\r\n");
    publish(&bench, 1..5);
    assert_eq!(first.next(), event(2));
    assert_eq!(second.next(), event(2));
    drop(second);
    publish(&bench, 1..6);
    assert_eq!(first.next(), event(3));
    assert_eq!(
        Events::of(&sidecar, "last-event-id: 2\r\n").next(),
        event(3)
    );
    let wrong = sidecar.ask(
        "GET",
        "/v1/datasets/items/events",
        &["last-event-id: x"],
        b"",
    );
    assert_eq!(wrong.refused(400).0, "invalid");
    sidecar.signal("TERM");
    sidecar.logged("ended");
    assert!(first.ended());
}

#[test]
fn only_so_many_wait_at_once() {
    let bench = published(1..4);
    configure(&bench, "  limits: {max_waiting: 2}\n");
    let sidecar = serving(&bench);
    let mut events = Events::of(&sidecar, "");
    events.next();
    let mut changes = begin(&sidecar, "/v1/datasets/items/changes");
    let mut head = [0; 12];
    std::io::Read::read_exact(&mut changes, &mut head).unwrap();
    assert_eq!(&head[9..], b"200");
    for path in [
        "/v1/datasets/items/versions?after=1&wait=60s".to_owned(),
        "/v1/datasets/items/events".to_owned(),
        "/v1/datasets/items/changes".to_owned(),
        format!("{RECORDS}/1?version=2&wait=60s"),
    ] {
        let (code, message) = sidecar.get(&path).refused(429);
        assert_eq!(code, "overloaded", "{path}");
        assert!(message.contains("consumer.limits.max_waiting"), "{message}");
    }
    // Records are told all the same.
    assert_eq!(sidecar.get(&format!("{RECORDS}/1")).status, 200);
}
