//! Running the sidecar.

use crate::daemon::kit::{Daemon, Told, told};
use crate::kit::Bench;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

/// Where the records of the small dataset are.
pub(crate) const RECORDS: &str = "/v1/datasets/items/types/Item/records";

/// A configuration of dataset `items` in the folder of a bench, with more keys below `consumer`.
pub(crate) fn configure(bench: &Bench, more: &str) {
    let text = format!(
        "consumer:\n  dataset: items\n  store: store\n  state_dir: state\n  poll_interval: 10ms\n  \
         max_backoff: 20ms\n  monitoring: {{health_check_port: 0}}\n{more}"
    );
    bench.write("s.yaml", &text);
}

/// Starts the sidecar of `s.yaml`.
pub(crate) fn start(bench: &Bench) -> Daemon {
    start_with(bench, &[])
}

/// The same with these variables of the environment.
pub(crate) fn start_with(bench: &Bench, variables: &[(&str, &str)]) -> Daemon {
    let mut command = bench.command(&["sidecar", "--config", "s.yaml"]);
    Daemon::spawn(command.envs(variables.iter().copied()))
}

/// Starts the sidecar and waits until it serves the dataset.
pub(crate) fn serving(bench: &Bench) -> Daemon {
    let sidecar = start(bench);
    served(&sidecar, 0);
    sidecar
}

/// Waits until another version than this is served; tells which.
#[track_caller]
pub(crate) fn served(sidecar: &Daemon, after: u64) -> u64 {
    let path = format!("/v1/datasets/items/versions?after={after}&wait=60s");
    let told = sidecar.get(&path).ok();
    assert_eq!(told["changed"], true, "{told}");
    told["version"].as_u64().unwrap()
}

/// A bench with a store of records with these numbers.
pub(super) fn published(ids: std::ops::Range<u64>) -> Bench {
    let bench = Bench::with_schema();
    publish(&bench, ids);
    bench
}

/// Publishes exactly these records.
#[track_caller]
pub(super) fn publish(bench: &Bench, ids: std::ops::Range<u64>) {
    bench.publish(&crate::daemon::kit::records(ids), "").ok();
}

/// A header of an answer.
pub(super) fn header<'a>(told: &'a Told, name: &str) -> Option<&'a str> {
    told.head.lines().find_map(|line| {
        let (key, value) = line.split_once(": ")?;
        key.eq_ignore_ascii_case(name).then_some(value)
    })
}

/// Begins a request whose answer is read later.
pub(super) fn begin(sidecar: &Daemon, path: &str) -> TcpStream {
    let mut stream = sidecar.connect();
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// Asks on a Unix socket.
pub(crate) fn ask_socket(bench: &Bench, path: &str) -> Told {
    let mut stream = UnixStream::connect(bench.path("s.sock")).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    told(stream)
}
