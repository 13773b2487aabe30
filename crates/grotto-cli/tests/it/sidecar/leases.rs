//! A sidecar as those see it who look at a fleet.

use super::kit::{configure, publish, published, serving, start_with};
use crate::daemon::kit::PATIENCE;
use crate::kit::Bench;
use grotto::engine::env::Env;
use serde_json::{Value, json};

/// What is told of consumers until it is as it should be.
fn seen(bench: &Bench, right: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let clock = Env::system().clock;
    loop {
        let looks = bench.run("status --store store --json").values();
        let consumers = looks[0]["datasets"][0]["consumers"].as_array().unwrap();
        if right(consumers) {
            return consumers.clone();
        }
        assert!(clock.monotonic() < PATIENCE, "{consumers:#?}");
    }
}

#[test]
fn a_sidecar_is_seen_with_what_it_serves_until_it_ends() {
    let bench = published(0..5);
    configure(&bench, "");
    let sidecar = start_with(&bench, &[("CONSUMER_ID", "host-17")]);
    let first = seen(&bench, |all| all.len() == 1);
    let one = &first[0];
    assert_eq!(
        (&one["consumer"], &one["version"]),
        (&"host-17".into(), &1.into()),
        "{one}"
    );
    assert_eq!(one["process"], sidecar.id().to_string());
    assert_eq!(one["health"], "ready", "{one}");
    publish(&bench, 0..6);
    let next = seen(&bench, |all| all[0]["version"] == 2);
    assert_eq!(next[0]["versions_behind"], 0);
    sidecar.signal("TERM");
    assert_eq!(sidecar.ended(), 0);
    assert_eq!(bench.files("store/items/consumers"), Vec::<String>::new());
}

#[test]
fn one_that_was_killed_is_the_same_one_after_its_restart() {
    let bench = published(0..5);
    configure(&bench, "");
    let name = |consumers: &[Value]| consumers[0]["consumer"].as_str().unwrap().to_owned();
    let sidecar = serving(&bench);
    let port = sidecar.address.port();
    let first = name(&seen(&bench, |all| all.len() == 1));
    assert!(first.ends_with(&format!("-{port}")), "{first}");
    // It tells the same of itself.
    assert_eq!(sidecar.get("/v1/datasets").ok()["id"], first.as_str());
    sidecar.kill();
    assert_eq!(
        bench.files("store/items/consumers"),
        [format!("{first}.json")]
    );
    let sidecar = start_with(&bench, &[("HEALTH_CHECK_PORT", &port.to_string())]);
    let pid = sidecar.id().to_string();
    let next = seen(&bench, |all| all.iter().any(|one| one["process"] == *pid));
    assert_eq!((next.len(), name(&next)), (1, first));
}

#[test]
fn none_is_kept_where_none_is_wanted() {
    let bench = published(0..5);
    configure(&bench, "  lease: false\n");
    let sidecar = serving(&bench);
    // The first one is written within a second.
    while sidecar.get("/health").ok()["uptime_seconds"].as_u64() < Some(3) {}
    let consumers = bench.run("status --store store --json").values();
    assert_eq!(consumers[0]["datasets"][0]["consumers"], json!([]));
    assert_eq!(bench.files("store/items/consumers"), Vec::<String>::new());
}
