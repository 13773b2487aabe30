//! Five real editions, published and read back at every version, on every way that leads there.

use crate::kit::{Bench, EDITIONS, copy, edition, values};
use serde_json::Value;
use std::path::Path;

/// The version of each edition, oldest first.
fn published(more: &str) -> (Bench, Vec<u64>) {
    let bench = Bench::new();
    let publish = |name: &&str| {
        let line = bench
            .publish_edition(name, &format!("{more} --json"))
            .values()
            .remove(0);
        line["version"].as_u64().unwrap()
    };
    let versions = EDITIONS.iter().map(publish).collect();
    (bench, versions)
}

/// Records as values, without nulls: absent and null mean the same.
fn records(text: &str) -> Vec<Value> {
    let mut records = values(text);
    for record in &mut records {
        record
            .as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
    }
    records
}

fn inputs() -> Vec<Vec<Value>> {
    EDITIONS
        .iter()
        .map(|name| records(&edition(name)))
        .collect()
}

#[track_caller]
fn check_exports(bench: &Bench, store: &str, versions: &[u64], inputs: &[Vec<Value>]) {
    for (version, expected) in versions.iter().zip(inputs) {
        let text = bench
            .run(&format!(
                "export --store {store} --dataset cities --version {version}"
            ))
            .ok();
        let found = records(&text);
        assert_eq!(found.len(), expected.len(), "version {version}");
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found, expected, "version {version}");
        }
    }
}

fn remove(store: &Path, folders: &[&str]) {
    for folder in folders {
        std::fs::remove_dir_all(store.join("cities").join(folder)).unwrap();
    }
}

#[test]
fn every_version_is_exported_record_for_record_on_every_way() {
    let (bench, versions) = published("--snapshot-every 1");
    bench.damages();
    let inputs = inputs();
    check_exports(&bench, "store", &versions, &inputs);

    // Forward: nothing but deltas.
    copy(&bench.path("store"), &bench.path("forward"));
    remove(
        &bench.path("forward"),
        &["snapshot", "snapshots", "reverse"],
    );
    check_exports(&bench, "forward", &versions, &inputs);

    // Back: the newest snapshot and reverse deltas.
    copy(&bench.path("store"), &bench.path("back"));
    remove(&bench.path("back"), &["delta"]);
    let newest = format!("{:020}", versions.last().unwrap());
    for folder in ["snapshot", "snapshots"] {
        for file in bench.files(&format!("back/cities/{folder}")) {
            if !file.starts_with(&newest) {
                std::fs::remove_file(bench.path(&format!("back/cities/{folder}/{file}"))).unwrap();
            }
        }
    }
    check_exports(&bench, "back", &versions, &inputs);

    // By the snapshot of each version alone.
    copy(&bench.path("store"), &bench.path("snapshots"));
    remove(&bench.path("snapshots"), &["delta", "reverse"]);
    check_exports(&bench, "snapshots", &versions, &inputs);

    let verified = bench.run("verify --store store --json").values().remove(0);
    assert_eq!(verified["ok"], true);
    assert_eq!(verified["blobs"], 5 + 4 + 5);
    assert_eq!(verified["states_compared"], 5 + 4 + 5);
}

#[test]
fn a_diff_tells_what_happened_and_the_way_back_is_its_opposite() {
    let (bench, versions) = published("--snapshot-every 0");
    let expected = [
        (853, 41, 2140),
        (612, 17, 1155),
        (601, 25, 2539),
        (8, 2, 340),
    ];
    for (pair, (added, removed, modified)) in versions.windows(2).zip(expected) {
        let (a, b) = (pair[0], pair[1]);
        let forth = bench
            .run(&format!("diff --store store --json {a} {b}"))
            .values();
        let back = bench
            .run(&format!("diff --store store --json {b} {a}"))
            .values();
        let count = |lines: &[Value], change: &str| {
            lines.iter().filter(|line| line["change"] == change).count()
        };
        let figures = |lines: &[Value]| {
            [
                count(lines, "added"),
                count(lines, "removed"),
                count(lines, "modified"),
            ]
        };
        assert_eq!(figures(&forth), [added, removed, modified]);
        assert_eq!(figures(&back), [removed, added, modified]);
        for (forth, back) in forth
            .iter()
            .zip(&back)
            .filter(|(forth, _)| forth["change"] == "modified")
        {
            assert_eq!(forth["key"], back["key"]);
            for (name, field) in forth["fields"].as_object().unwrap() {
                assert_eq!(field["before"], back["fields"][name]["after"]);
                assert_eq!(field["after"], back["fields"][name]["before"]);
            }
        }
    }
}

#[test]
fn publishing_the_same_edition_again_writes_nothing() {
    let bench = Bench::new();
    bench.publish_edition(EDITIONS[0], "").ok();
    let before = bench.files("store");
    let text = bench.publish_edition(EDITIONS[0], "").ok();
    assert_eq!(text, "no change: cities stays at version 1\n");
    assert_eq!(bench.files("store"), before);
}

#[test]
fn cities_are_found_by_key_and_by_field() {
    let bench = Bench::new();
    bench.publish_edition(EDITIONS[4], "").ok();
    let berlin = bench.run("get --store file_url City 2950159");
    assert_eq!(berlin.code, 2, "a store that does not exist");
    let url = format!("file://{}", bench.path("store").display());
    let berlin = bench
        .run(&format!("get --store {url} City 2950159"))
        .values()
        .remove(0);
    assert_eq!(
        (&berlin["name"], &berlin["population"]),
        (&"Berlin".into(), &3_426_354.into())
    );
    let vatican = bench
        .run("scan --store store City --where countrycode=MC")
        .values();
    assert!(!vatican.is_empty() && vatican.iter().all(|city| city["countrycode"] == "MC"));
    let nowhere = bench.run("get --store store City 1").refused(3);
    assert_eq!(nowhere, "error: no record City 1 at version 1\n");
}

#[test]
fn pages_of_a_scan_add_up_to_the_whole() {
    let bench = Bench::with_schema();
    let text: String = (0..50).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    bench.publish(&text, "").ok();
    let whole = bench.run("scan --store store --json").values();
    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let page = bench
            .run(&format!("scan --store store --json --limit 7 {after}"))
            .values();
        let Some(last) = page.last() else { break };
        after = format!("--after {}", last["ordinal"]);
        paged.extend(page);
    }
    assert_eq!(whole.len(), 50);
    assert_eq!(paged, whole);
}
