//! Starts, ends, reloads, and stores that come and go.

use super::kit::*;
use crate::daemon::kit::{PATIENCE, told};
use crate::kit::{Bench, Run, copy};
use grotto::engine::env::Env;
use serde_json::json;

/// Asks until an answer is as it should be.
#[track_caller]
pub(super) fn until<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let clock = Env::system().clock;
    let begun = clock.monotonic();
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(clock.monotonic() - begun < PATIENCE);
        std::thread::yield_now();
    }
}

#[test]
fn a_dataset_that_is_published_after_the_start_is_served_then() {
    let bench = Bench::with_schema();
    configure(&bench, "");
    let sidecar = start(&bench);
    let early = sidecar.get(&format!("{RECORDS}/1"));
    assert_eq!(early.refused(503).0, "not_loaded");
    let ready = sidecar.get("/ready");
    assert_eq!(
        (ready.status, &ready.json()["status"]),
        (503, &json!("not ready"))
    );
    assert_eq!(sidecar.get("/health").status, 200);
    let told = sidecar.get("/v1/datasets/items").ok();
    assert_eq!(told["condition"], "opening");
    publish(&bench, 1..4);
    assert_eq!(served(&sidecar, 0), 1);
    assert_eq!(sidecar.get(&format!("{RECORDS}/1")).status, 200);
    assert_eq!(sidecar.get("/ready").ok()["status"], "ready");
}

#[test]
fn a_state_directory_that_is_not_there_yet_is_not_worth_a_line_for_each_try() {
    let bench = Bench::with_schema();
    configure(&bench, "");
    let mut sidecar = start(&bench);
    // The first two tries.
    sidecar.logged("the dataset does not open yet");
    sidecar.logged("the dataset does not open yet");
    let about = sidecar
        .seen()
        .iter()
        .map(|line| line["message"].to_string());
    let about: Vec<String> = about.filter(|line| line.contains("inotify")).collect();
    assert_eq!(about, Vec::<String>::new());
}

#[test]
fn one_dataset_that_fails_leaves_the_others_alone() {
    let bench = published(1..4);
    bench.write("no-folder", "");
    let text = "consumer:\n  store: store\n  poll_interval: 10ms\n  max_backoff: 20ms\n  monitoring: {health_check_port: 0}\n  \
                datasets:\n    - {dataset: items, state_dir: state/items}\n    \
                - {dataset: others, store: no-folder, state_dir: state/others}\n    - {dataset: none}\n";
    bench.write("s.yaml", text);
    let sidecar = serving(&bench);
    let ready = sidecar.get("/ready").ok();
    assert_eq!(ready["status"], "degraded");
    let conditions: Vec<_> = ready["datasets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            (
                one["dataset"].as_str().unwrap(),
                one["condition"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        conditions,
        [
            ("items", "serving"),
            ("none", "opening"),
            ("others", "opening")
        ]
    );
    let others = sidecar.get("/v1/datasets/others/types/Item/records/1");
    assert_eq!(others.refused(503).0, "not_loaded");
    let reasons = until(|| {
        let told = sidecar.get("/v1/datasets/others").ok();
        let reason = told["reasons"][0].as_str().unwrap().to_owned();
        reason.contains("no-folder").then_some(reason)
    });
    assert!(!reasons.is_empty());
    publish(&bench, 1..6);
    served(&sidecar, 1);
}

#[test]
fn a_store_that_goes_away_leaves_the_last_version_served_and_is_followed_again() {
    let bench = published(1..4);
    configure(&bench, "");
    let sidecar = serving(&bench);
    std::fs::rename(bench.path("store"), bench.path("away")).unwrap();
    until(|| (sidecar.get("/ready").json()["status"] == "degraded").then_some(()));
    assert_eq!(sidecar.get(&format!("{RECORDS}/2")).status, 200);
    let told = sidecar.get("/v1/datasets/items").ok();
    assert!(!told["reasons"].as_array().unwrap().is_empty(), "{told}");
    std::fs::rename(bench.path("away"), bench.path("store")).unwrap();
    publish(&bench, 1..5);
    assert_eq!(served(&sidecar, 1), 2);
    until(|| {
        (sidecar.get("/v1/datasets/items").ok()["staleness_ms"].as_u64() < Some(5000)).then_some(())
    });
}

#[test]
fn a_restart_serves_what_is_on_the_host_while_the_store_is_away() {
    let bench = published(1..4);
    configure(&bench, "");
    serving(&bench).kill();
    std::fs::rename(bench.path("store"), bench.path("away")).unwrap();
    let sidecar = serving(&bench);
    assert_eq!(sidecar.get(&format!("{RECORDS}/2")).status, 200);
    std::fs::rename(bench.path("away"), bench.path("store")).unwrap();
    publish(&bench, 1..5);
    assert_eq!(served(&sidecar, 1), 2);
}

#[test]
fn a_reload_changes_limits_and_nothing_that_needs_a_restart() {
    let bench = published(0..20);
    configure(&bench, "  limits: {max_batch: 5}\n");
    let mut sidecar = serving(&bench);
    let keys = b"[1,2,3,4,5,6]";
    let batch = format!("{RECORDS}:batch");
    assert_eq!(sidecar.post(&batch, keys).status, 400);
    configure(&bench, "  limits: {max_batch: 6}\n");
    sidecar.signal("HUP");
    sidecar.logged("configuration read again");
    assert_eq!(sidecar.post(&batch, keys).status, 200);
    configure(
        &bench,
        "  limits: {max_batch: 7}\n  listeners: {max_connections: 5}\n",
    );
    sidecar.signal("HUP");
    let told = sidecar.logged("configuration not taken over");
    let error = told["error"].as_str().unwrap();
    assert!(
        error.contains("consumer.listeners.max_connections"),
        "{error}"
    );
    let settings = sidecar.get("/v1/settings").ok();
    assert_eq!(settings["settings"]["consumer.limits.max_batch"], 6);
    configure(&bench, "  limits: {max_batch: 8}\n");
    let told = sidecar.post("/v1/reload", b"").ok();
    let expected = json!([{ "key": "consumer.limits.max_batch", "from": 6, "to": 8 }]);
    assert_eq!(told["changed"], expected);
}

#[test]
fn a_reload_sets_what_is_logged() {
    let bench = published(1..4);
    let mut sidecar = {
        configure(&bench, "");
        serving(&bench)
    };
    let log = |sidecar: &crate::daemon::kit::Daemon, level: &str| {
        let text = format!("health_check_port: 0, log_level: {level}");
        configure(&bench, "");
        let file = std::fs::read_to_string(bench.path("s.yaml")).unwrap();
        bench.write("s.yaml", &file.replace("health_check_port: 0", &text));
        let told = sidecar.post("/v1/reload", b"").ok();
        assert_eq!(told["changed"][0]["key"], "consumer.monitoring.log_level");
    };
    log(&sidecar, "warn");
    publish(&bench, 1..5);
    served(&sidecar, 1);
    // A version is served before its line is written: once the one after it
    // is served, the line of the second is written or left out for good.
    publish(&bench, 1..6);
    served(&sidecar, 2);
    log(&sidecar, "info");
    publish(&bench, 1..7);
    served(&sidecar, 3);
    let mut told = Vec::new();
    while told.last() != Some(&json!(4)) {
        told.push(sidecar.logged("serving")["version"].clone());
    }
    assert_eq!(told.first(), Some(&json!(1)));
    assert!(!told.contains(&json!(2)), "{told:?}");
}

#[test]
fn a_reload_that_shortens_the_waits_is_obeyed_at_once() {
    let bench = published(1..4);
    let configure = |interval: &str| {
        let text = format!(
            "consumer:\n  dataset: items\n  store: store\n  poll_interval: {interval}\n  max_backoff: {interval}\n  \
             monitoring: {{health_check_port: 0}}\n"
        );
        bench.write("s.yaml", &text);
    };
    configure("24h");
    let sidecar = serving(&bench);
    let told = || sidecar.get("/v1/datasets/items").ok();
    until(|| (told()["poll_wait_ms"] == 86_400_000).then_some(()));
    publish(&bench, 1..5);
    configure("10ms");
    sidecar.signal("HUP");
    assert_eq!(served(&sidecar, 1), 2);
}

#[test]
fn a_version_past_the_guards_is_held_until_it_is_accepted() {
    let bench = published(0..200);
    configure(&bench, "  guards: {min_records: 100, max_shrink: 0.5}\n");
    let sidecar = serving(&bench);
    publish(&bench, 0..20);
    let told = || sidecar.get("/v1/datasets/items").ok();
    let held = until(|| Some(told()["held"].clone()).filter(|held| held["version"] == 2));
    assert!(
        held["reason"]
            .as_str()
            .unwrap()
            .contains("20 records of Item"),
        "{held}"
    );
    let now = told();
    assert_eq!(
        (&now["version"], &now["condition"]),
        (&json!(1), &json!("degraded"))
    );
    assert_eq!(sidecar.get(&format!("{RECORDS}/150")).status, 200);
    bench.run("accept --store store --dataset items 2").ok();
    assert_eq!(served(&sidecar, 1), 2);
    assert_eq!(told()["held"], json!(null));
    publish(&bench, 0..2);
    until(|| (told()["version"] == 3).then_some(()));
}

#[test]
fn a_state_that_does_not_fit_is_not_served() {
    let bench = published(0..2000);
    configure(&bench, "  memory_limit: 4KiB\n");
    let sidecar = start(&bench);
    let reason = until(|| {
        let told = sidecar.get("/v1/datasets/items").ok();
        let reason = told["reasons"][0].as_str()?.to_owned();
        (told["condition"] == "opening" && reason.contains("limit 4096 bytes")).then_some(reason)
    });
    assert!(reason.contains("needs about"), "{reason}");
}

#[test]
fn only_types_that_are_asked_for_are_kept_and_others_are_no_answer() {
    let bench = Bench::new();
    let schema = "A @PrimaryKey(id) { long id; }\nB @PrimaryKey(id) { long id; }\n";
    bench.write("ab.schema", schema);
    bench.write("ab.ndjson", "{\"id\":1}\n");
    bench
        .run("publish --store store --dataset items --schema ab.schema --input A=ab.ndjson --input B=ab.ndjson")
        .ok();
    configure(&bench, "  types: [A]\n");
    let sidecar = serving(&bench);
    let types = "/v1/datasets/items/types";
    assert_eq!(sidecar.get(&format!("{types}/A/records/1")).status, 200);
    for left_out in ["B/records/1", "B/records"] {
        let told = sidecar.get(&format!("{types}/{left_out}"));
        let (code, message) = told.refused(404);
        assert_eq!(code, "no_type");
        assert!(message.contains("left out"), "{message}");
    }
    let batch = sidecar.post(&format!("{types}/B/records:batch"), b"[1]");
    assert_eq!(batch.refused(404).0, "no_type");
    let told = sidecar.get("/v1/datasets/items").ok();
    assert_eq!(
        told["types"],
        json!([{ "type": "A", "records": 1, "key": ["id"] }])
    );
}

/// Who kept an answer, a page of a scan or a position of one would otherwise never get what the other keeps.
#[test]
fn a_sidecar_that_keeps_other_fields_is_another_one_to_who_asks() {
    let bench = published(1..4);
    configure(&bench, "  types: [Item.name]\n");
    let sidecar = serving(&bench);
    let told = sidecar.get(&format!("{RECORDS}/2"));
    let known = format!("if-none-match: {}", header(&told, "etag").unwrap());
    let page = sidecar.get(&format!("{RECORDS}?limit=1")).ok();
    let after = page["after"].as_str().unwrap();
    let again = |sidecar: &crate::daemon::kit::Daemon| {
        let one = sidecar.ask("GET", &format!("{RECORDS}/2"), &[&known], b"");
        let page = sidecar.get(&format!("{RECORDS}?limit=1&after={after}"));
        (one.status, page.status)
    };
    assert_eq!(again(&sidecar), (304, 200));
    sidecar.kill();
    configure(&bench, "");
    let sidecar = serving(&bench);
    assert_eq!(again(&sidecar), (200, 410));
    sidecar.kill();
    configure(&bench, "  types: [Item.name]\n");
    assert_eq!(again(&serving(&bench)), (304, 200));
}

#[test]
fn an_end_that_is_asked_for_leaves_nothing_behind() {
    let bench = published(1..4);
    configure(&bench, "  listeners: {socket: s.sock}\n");
    let mut sidecar = serving(&bench);
    assert_eq!(ask_socket(&bench, "/health").status, 200);
    let waits = begin(&sidecar, "/v1/datasets/items/versions?after=1&wait=60s");
    sidecar.signal("TERM");
    // It may not have been looked at yet.
    let told = told(waits);
    assert!([0, 200].contains(&told.status), "{told:?}");
    sidecar.logged("ended");
    assert_eq!(sidecar.ended(), 0);
    assert!(!bench.path("s.sock").exists());
    // The state is left whole for the next start, and for those who are attached.
    let got = bench.run("get --offline --state-dir state Item 2").ok();
    assert!(got.contains("\"id\":2"), "{got}");
}

#[test]
fn a_second_sidecar_of_one_configuration_is_refused() {
    let bench = published(1..4);
    configure(&bench, "  listeners: {socket: s.sock}\n");
    let _sidecar = serving(&bench);
    let mut second = bench.command(&["sidecar", "--config", "s.yaml"]);
    let run = Run::of(second.output().unwrap());
    assert!(
        run.code != 0 && run.err.contains("s.sock"),
        "{}: {}",
        run.code,
        run.err
    );
    bench.write("bad.yaml", "producer: {dataset: items}\n");
    let refused = bench.run("sidecar --config bad.yaml").refused(2);
    assert!(
        refused.contains("expected a section `consumer`"),
        "{refused}"
    );
}

#[test]
fn variables_stand_for_keys_by_their_long_and_their_short_names() {
    let bench = published(1..4);
    configure(&bench, "");
    let variables = [
        ("CONSUMER_ID", "host-17"),
        ("POLL_INTERVAL", "11ms"),
        ("MAX_BACKOFF", "3s"),
        ("GROTTO_CONSUMER_MAX_BACKOFF", "4s"),
    ];
    let sidecar = start_with(&bench, &variables);
    assert_eq!(sidecar.get("/v1/datasets").ok()["id"], "host-17");
    let settings = &sidecar.get("/v1/settings").ok()["settings"];
    assert_eq!(settings["consumer.poll_interval"], "11ms");
    assert_eq!(settings["consumer.max_backoff"], "4s");
    let mut taken = bench.command(&["sidecar", "--config", "s.yaml"]);
    let port = sidecar.address.port().to_string();
    let run = Run::of(taken.env("HEALTH_CHECK_PORT", &port).output().unwrap());
    assert!(run.err.contains(&format!("port {port}")), "{}", run.err);
}

#[test]
fn a_copy_of_a_store_is_the_same_to_who_asks() {
    let bench = published(1..4);
    copy(&bench.path("store"), &bench.path("copy"));
    configure(&bench, "");
    let tag = |sidecar: &crate::daemon::kit::Daemon| {
        let told = sidecar.get(&format!("{RECORDS}/1"));
        header(&told, "etag").unwrap().to_owned()
    };
    let first = serving(&bench);
    let text = std::fs::read_to_string(bench.path("s.yaml")).unwrap();
    let text = text
        .replace("store: store", "store: copy")
        .replace("state_dir: state", "state_dir: other");
    bench.write("s.yaml", &text);
    let second = serving(&bench);
    assert_eq!(tag(&first), tag(&second));
    publish(&bench, 1..5);
    served(&first, 1);
    assert_ne!(tag(&first), tag(&second));
}
