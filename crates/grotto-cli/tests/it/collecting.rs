//! `grotto gc`: what it says, what it removes, and that everything can be read and written afterwards.

use crate::kit::Bench;
use serde_json::Value;

/// Versions 1 to 12, with snapshots of 1, 4, 7 and 10.
fn grown() -> Bench {
    let bench = Bench::with_schema();
    for version in 1..=12 {
        let line = format!("{{\"id\":1,\"name\":\"version {version}\",\"size\":{version}}}\n");
        bench.publish(&line, "--snapshot-every 3").ok();
    }
    bench
}

fn first_version(bench: &Bench) -> u64 {
    let log = bench.run("log --store store --json").values();
    let versions = log.iter().filter_map(|entry| entry["version"].as_u64());
    versions.min().unwrap()
}

#[test]
fn a_dry_run_says_what_would_go_and_removes_nothing() {
    let bench = grown();
    let before = bench.files("store/items/log");
    let said = bench
        .run("gc --store store --dry-run --keep-snapshots 2 --grace 1ms")
        .ok();
    let first = said.lines().next().unwrap();
    assert_eq!(first, "items: versions 7 to 12 stay");
    assert!(
        said.contains("from 7: the newest 2 snapshots and what follows them"),
        "{said}"
    );
    assert!(said.contains("would go: "), "{said}");
    assert!(said.contains(": its version is collected"), "{said}");
    assert!(!said.contains("delta/"), "{said}");
    let named = bench
        .run("gc --store store --dry-run --keep-snapshots 2 --grace 1ms --verbose")
        .ok();
    assert!(
        named.contains("  log/00000000000000000006.json: its version is collected"),
        "{named}"
    );
    assert_eq!(bench.files("store/items/log"), before);
    // All of it is younger than an hour.
    let said = bench.run("gc --store store").ok();
    assert!(said.ends_with("nothing to remove\n"), "{said}");
    assert_eq!(bench.files("store/items/log"), before);
}

#[test]
fn what_is_left_is_whole_and_goes_on() {
    let bench = grown();
    let done = bench
        .run("gc --store store --keep-snapshots 2 --grace 1ms --json")
        .values();
    let [done] = done.as_slice() else {
        panic!("{done:?}")
    };
    assert_eq!(
        (&done["collected_before"], &done["collected"]),
        (&0.into(), &6.into())
    );
    assert_eq!(done["dry_run"], false);
    assert!(done["bytes"].as_u64().unwrap() > 1000, "{done}");
    assert_eq!(first_version(&bench), 7);
    bench.run("verify --store store").ok();
    let found = bench.run("get --store store Item 1 --json").values();
    assert_eq!(found[0]["record"]["size"], 12, "{found:?}");
    bench
        .publish("{\"id\":2,\"name\":\"more\",\"size\":1}\n", "")
        .ok();
    let again = bench
        .run("gc --store store --keep-snapshots 2 --grace 1ms --json")
        .values();
    assert_eq!(again[0]["objects"], Value::Array(Vec::new()), "{again:?}");
    bench.run("verify --store store").ok();
}

#[test]
fn a_consumer_that_sleeps_finds_its_way_after_everything_it_knew_is_gone() {
    let bench = grown();
    let get = "get --store store --state-dir state Item 1 --json";
    bench.run(get).ok();
    for version in 13..=30 {
        let line = format!("{{\"id\":1,\"name\":\"version {version}\",\"size\":{version}}}\n");
        bench.publish(&line, "--snapshot-every 3").ok();
    }
    bench
        .run("gc --store store --keep-snapshots 1 --grace 1ms")
        .ok();
    assert!(first_version(&bench) > 13);
    let found = bench.run(get).values();
    assert_eq!(found[0]["record"]["size"], 30, "{found:?}");
}

#[test]
fn a_dataset_that_is_not_there_is_not_collected() {
    let bench = grown();
    bench.run("gc --store store --dataset none").refused(3);
    let refused = bench.run("gc --store store --keep-snapshots 0").refused(2);
    assert!(refused.contains("--keep-snapshots"), "{refused}");
}

#[cfg(unix)]
#[test]
fn a_daemon_collects_what_it_published_and_may_be_told_not_to() {
    use crate::daemon::kit::{Daemon, configure, records};
    let bench = Bench::with_schema();
    let retention = |enabled: bool| {
        format!(
            "  performance: {{snapshot_frequency: 2}}\n  \
             retention: {{enabled: {enabled}, interval: 20ms, snapshots: 1, grace: 1ms}}\n"
        )
    };
    configure(&bench, &retention(false));
    let mut daemon = Daemon::start(&bench);
    for id in 0..8 {
        daemon.accepted("?wait=published", &records(id..id + 1));
    }
    assert_eq!(first_version(&bench), 1);
    configure(&bench, &retention(true));
    daemon.signal("HUP");
    let done = daemon.logged("collected");
    assert!(done["files"].as_u64().unwrap() > 0, "{done}");
    assert_eq!(done["dataset"], "items");
    daemon.accepted("?wait=published", &records(8..9));
    assert!(first_version(&bench) > 1);
    // What is removed while it is looked at would be missing.
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), 0);
    bench.run("verify --store store --dataset items").ok();
}
