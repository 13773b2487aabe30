//! `grotto pin`, `unpin` and `channel`, with consumers that obey; and the page about them, executed as written.

use crate::daemon::kit::PATIENCE;
use crate::daemon::walk::{Started, free_port};
use crate::kit::{Bench, repository};
use crate::readme::{blocks, check_console, shell};
use crate::sidecar::kit::{RECORDS, configure, serving, start};
use grotto::engine::env::Env;
use serde_json::{Value, json};

/// A bench whose versions have so many records each.
fn published(sizes: &[u64]) -> Bench {
    let bench = Bench::with_schema();
    for size in sizes {
        let records = crate::daemon::kit::records(0..*size);
        bench.publish(&records, "").ok();
    }
    bench
}

/// Looks until the only dataset is as it should be.
#[track_caller]
fn look_until(bench: &Bench, right: impl Fn(&Value) -> bool) -> Value {
    let clock = Env::system().clock;
    loop {
        let looks = bench.run("status --store store --json").values();
        let dataset = &looks[0]["datasets"][0];
        if right(dataset) {
            return dataset.clone();
        }
        assert!(clock.monotonic() < PATIENCE, "{dataset:#}");
    }
}

fn serves(dataset: &Value, version: u64) -> bool {
    dataset["consumers"][0]["version"] == version
}

#[test]
fn a_sidecar_goes_back_with_a_pin_and_forward_again_without() {
    let bench = published(&[3, 4, 5]);
    configure(&bench, "  lease_interval: 1s\n");
    let mut sidecar = serving(&bench);
    look_until(&bench, |one| serves(one, 3));
    let told = bench
        .run("pin --store store 1 --by ada --reason bad --json")
        .values();
    let time_ms = told[0]["time_ms"].as_u64().unwrap();
    let expected = json!({
        "dataset": "items", "version": 1, "before": null, "by": "ada", "reason": "bad", "time_ms": time_ms,
        "rollout": null,
    });
    assert_eq!(told, [expected]);
    let looked = look_until(&bench, |one| serves(one, 1));
    assert_eq!(looked["pin"]["version"], 1);
    let one = &looked["consumers"][0];
    assert_eq!(one["told"], json!({ "by": "pin", "version": 1 }));
    assert_eq!(
        (&one["health"], &one["versions_behind"]),
        (&"ready".into(), &0.into())
    );
    let page = sidecar.get(&format!("{RECORDS}?limit=100")).ok();
    assert_eq!(page["records"].as_array().unwrap().len(), 3);
    let logged = sidecar.logged("told which version to serve");
    assert_eq!(
        (&logged["by"], &logged["version"]),
        (&"the pin".into(), &1.into())
    );
    let shown = sidecar.get("/v1/datasets/items").ok();
    let expected = json!({ "by": "pin", "version": 1, "set_by": "ada", "reason": "bad" });
    assert_eq!(shown["told"], expected);
    // Nothing that is published meanwhile is served, and a restart changes nothing.
    bench.publish(&crate::daemon::kit::records(0..6), "").ok();
    sidecar.kill();
    let sidecar = serving(&bench);
    let versions = sidecar.get("/v1/datasets/items/versions").ok();
    assert_eq!(versions["version"], 1);
    let told = bench.run("unpin --store store --json").values();
    let expected = json!({ "dataset": "items", "removed": true, "version": 1 });
    assert_eq!(told, [expected]);
    look_until(&bench, |one| serves(one, 4));
    let told = bench.run("unpin --store store").ok();
    assert_eq!(told, "items: there is no pin\n");
}

#[test]
fn a_sidecar_that_follows_a_channel_serves_nothing_before_there_is_one() {
    let bench = published(&[3, 4, 5]);
    configure(&bench, "  lease_interval: 1s\n  channel: stable\n");
    let mut sidecar = start(&bench);
    let failed = sidecar.logged("the dataset does not open yet");
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("there is no channel stable"), "{failed}");
    assert_eq!(sidecar.get("/ready").status, 503);
    bench.run("channel set --store store stable 2").ok();
    let looked = look_until(&bench, |one| serves(one, 2));
    let one = &looked["consumers"][0];
    assert_eq!(one["channel"], "stable");
    assert_eq!(one["told"], json!({ "by": "channel", "version": 2 }));
    let channels = &looked["channels"];
    assert_eq!(
        (&channels[0]["channel"], &channels[0]["version"]),
        (&"stable".into(), &2.into())
    );
    // A pin counts first.
    bench.run("pin --store store 1").ok();
    look_until(&bench, |one| serves(one, 1));
    bench.run("unpin --store store").ok();
    look_until(&bench, |one| serves(one, 2));
    bench.run("channel set --store store stable 3").ok();
    look_until(&bench, |one| serves(one, 3));
}

#[test]
fn versions_that_are_not_there_and_bad_names_are_refused() {
    let bench = published(&[3]);
    for line in ["pin --store store 2", "channel set --store store stable 2"] {
        let refused = bench.run(line).refused(3);
        let expected = "dataset items: version 2 is not in the log, whose newest is 1";
        assert!(refused.contains(expected), "{refused}");
    }
    bench.run("pin --store store 0").refused(3);
    bench.run("pin --store store --dataset none 1").refused(3);
    let refused = bench.run("channel set --store store ../pin 1").refused(2);
    assert!(refused.contains("channel name \"../pin\""), "{refused}");
    let long = format!("pin --store store 1 --reason {}", "x".repeat(1_001));
    let refused = bench.run(&long).refused(2);
    assert!(
        refused.contains("at most 1000 bytes, found 1001"),
        "{refused}"
    );
    assert!(!bench.path("store/items/control/pin.json").exists());
    let told = bench.run("channel list --store store").ok();
    assert_eq!(told, "items: there is no channel\n");
    let told = bench.run("channel remove --store store stable").ok();
    assert_eq!(told, "items: there is no channel stable\n");
}

#[test]
fn a_pin_that_cannot_be_read_is_told_and_can_be_removed() {
    let bench = published(&[3, 4]);
    bench.run("pin --store store 1").ok();
    bench.run("channel set --store store stable 2").ok();
    let path = "store/items/control/pin.json";
    bench.write(path, "{}");
    let refused = bench.run("get --store store Item 1");
    assert_eq!(refused.code, 5, "{}", refused.err);
    assert!(refused.err.contains("grotto unpin"), "{}", refused.err);
    let told = bench.run("status --store store").ok();
    assert!(told.contains("the pin cannot be read"), "{told}");
    let listed = bench.run("channel list --store store --json").values();
    assert!(listed[0]["damaged"].as_str().is_some(), "{listed:?}");
    assert_eq!(
        (&listed[0]["pin"], &listed[1]["version"]),
        (&true.into(), &2.into())
    );
    let kept = bench.run("gc --store store --dry-run --grace 1ms").ok();
    assert!(kept.contains("the pin cannot be read"), "{kept}");
    let told = bench.run("unpin --store store").ok();
    assert!(told.starts_with("items: the pin is removed"), "{told}");
    bench.run("get --store store Item 3").ok();
}

#[test]
fn what_is_pinned_is_kept_by_a_collection() {
    let bench = published(&[3, 4, 5]);
    bench.run("pin --store store 1 --by ada").ok();
    let kept = bench
        .run("gc --store store --dry-run --grace 1ms --keep-snapshots 1")
        .ok();
    assert!(kept.contains("the pin names version 1"), "{kept}");
}

#[test]
fn the_page_about_pins_says_what_happens() {
    const PORT: &str = "8082";
    let page = std::fs::read_to_string(repository("docs/operating/pins.md")).unwrap();
    let page = page.replace(PORT, &free_port());
    let bench = Bench::new();
    let started = Started(&bench);
    let blocks = blocks(&page);
    assert!(blocks.iter().all(|(kind, _)| *kind == "console"));
    assert!(blocks.len() >= 5, "{} blocks were run", blocks.len());
    for (_, lines) in &blocks {
        check_console(&|line| shell(&bench, line), lines);
    }
    drop(started);
}
