//! Versions that are announced: from the producer's daemon through a server of announcements to the sidecar.

use crate::daemon::kit::{Daemon, PATIENCE, configure as configure_producer, records};
use crate::kit::Bench;
use crate::push_servers::{Kind, PushServer};
use crate::sidecar::kit::{served, start};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Between two looks at what has to come.
const PAUSE: Duration = Duration::from_millis(20);

/// A sidecar that would not look again within a test, but for announcements.
const CONSUMER: &str = "consumer:\n  dataset: items\n  store: store\n  poll_interval: 1h\n  max_backoff: 1h\n  \
                        monitoring: {health_check_port: 0}\n";

fn configure(bench: &Bench, server: &PushServer) {
    let push = format!("  push: {{url: '{}'}}\n", server.url());
    configure_producer(bench, &push);
    bench.write("s.yaml", &format!("{CONSUMER}{push}"));
}

/// The status of the dataset, once its link is like this.
#[track_caller]
fn linked(daemon: &Daemon, path: &str, link: &str) -> Value {
    let begun = Instant::now();
    loop {
        let told = daemon.get(path).ok();
        if told["push"]["link"] == link {
            return told;
        }
        assert!(begun.elapsed() < PATIENCE, "expected {link}: {told}");
        std::thread::sleep(PAUSE);
    }
}

#[test]
fn a_version_is_served_because_it_was_announced() {
    for kind in Kind::ALL {
        let Some(server) = PushServer::start(kind, &[]) else {
            continue;
        };
        let bench = Bench::with_schema();
        configure(&bench, &server);
        let producer = Daemon::start(&bench);
        producer.accepted("?wait=published", &records(0..5));
        let sidecar = start(&bench);
        let mut version = served(&sidecar, 0);
        linked(&sidecar, "/v1/datasets/items", "up");
        for end in 6..10 {
            producer.accepted("?wait=published", &records(end - 1..end));
            version = served(&sidecar, version);
        }
        let told = sidecar.get("/v1/datasets/items").ok();
        assert_eq!(told["condition"], "serving", "{told}");
        assert_eq!(told["notes"], serde_json::json!([]), "{told}");
        let told = linked(&producer, "/v1/datasets/items/status", "up");
        assert_eq!(told["version"], version, "{told}");
    }
}
