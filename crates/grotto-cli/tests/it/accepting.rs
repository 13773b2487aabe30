//! `grotto accept`: once, of a version that is there; and a consumer that held it serves it.

use crate::kit::Bench;
use serde_json::json;

fn records(count: u64) -> String {
    (1..=count)
        .map(|id| format!("{{\"id\":{id},\"name\":\"item {id}\",\"size\":1}}\n"))
        .collect()
}

#[test]
fn a_version_is_accepted_once_and_said_by_whom() {
    let bench = Bench::with_schema();
    bench.publish(&records(3), "").ok();
    let accept = "accept --store store --dataset items";
    let said = bench
        .run(&format!("{accept} 1 --by ada --reason seasonal --json"))
        .values();
    let time_ms = said[0]["time_ms"].as_u64().unwrap();
    let expected = json!({
        "dataset": "items", "version": 1, "new": true, "by": "ada", "reason": "seasonal", "time_ms": time_ms,
    });
    assert_eq!(said, [expected]);
    let said = bench.run(&format!("{accept} 1 --by bob")).ok();
    let expected = "items: version 1 was accepted already, by ada at ";
    assert!(
        said.starts_with(expected) && said.ends_with(": seasonal\n"),
        "{said}"
    );
    let object = "00000000000000000001.json";
    assert_eq!(bench.files("store/items/control/accepted"), [object]);
}

#[test]
fn a_version_that_is_not_there_is_not_accepted() {
    let bench = Bench::with_schema();
    bench.publish(&records(3), "").ok();
    let refused = bench.run("accept --store store 2").refused(3);
    assert_eq!(
        refused,
        "error: dataset items: version 2 is not in the log, whose newest is 1\n"
    );
    bench
        .run("accept --store store --dataset none 1")
        .refused(3);
    let long = format!("accept --store store 1 --reason {}", "x".repeat(1_001));
    let refused = bench.run(&long).refused(2);
    assert!(
        refused.contains("at most 1000 bytes, found 1001"),
        "{refused}"
    );
    assert!(!bench.path("store/items/control/accepted").exists());
}

#[test]
fn a_version_that_a_reader_holds_back_is_served_once_it_is_accepted() {
    let bench = Bench::with_schema();
    bench.publish(&records(21_000), "").ok();
    let get = "get --store store --state-dir state Item 42000 --json";
    bench.run(get).refused(3);
    bench.publish(&records(42_001), "").ok();
    let held = bench.run(get);
    assert_eq!(held.code, 3, "{}{}", held.out, held.err);
    assert!(
        held.err.contains("42001 records of Item instead of 21000"),
        "{}",
        held.err
    );
    let said = bench.run("accept --store store 2").ok();
    assert_eq!(
        said,
        "items: version 2 is accepted: consumers that hold it back serve it with their next look\n"
    );
    let said = bench.run(get).ok();
    assert!(said.contains("item 42000"), "{said}");
}
