//! Scans, page by page.

use super::kit::*;
use crate::daemon::kit::Daemon;
use serde_json::Value;

fn ids(page: &Value) -> Vec<u64> {
    let records = page["records"].as_array().unwrap();
    records
        .iter()
        .map(|one| one["id"].as_u64().unwrap())
        .collect()
}

/// All records, however many pages that takes; the version of all of them.
fn all(sidecar: &Daemon, query: &str, mut between: impl FnMut(usize)) -> (Vec<u64>, u64, usize) {
    let mut page = sidecar.get(&format!("{RECORDS}?{query}")).ok();
    let (mut found, version, mut pages) = (ids(&page), page["version"].as_u64().unwrap(), 1);
    while let Some(after) = page["after"].as_str() {
        between(pages);
        page = sidecar
            .get(&format!("{RECORDS}?{query}&after={after}"))
            .ok();
        assert_eq!(page["version"], version);
        found.extend(ids(&page));
        pages += 1;
    }
    found.sort_unstable();
    (found, version, pages)
}

#[test]
fn all_pages_of_a_scan_are_of_one_version_whatever_is_published_meanwhile() {
    let bench = published(0..250);
    configure(&bench, "");
    let sidecar = serving(&bench);
    let mut version = 1;
    let publish_more = |pages: usize| {
        publish(&bench, 0..(250 + pages as u64));
        version = served(&sidecar, version);
    };
    let (found, of, pages) = all(&sidecar, "limit=60", publish_more);
    assert_eq!((found, of, pages), ((0..250).collect(), 1, 5));
    let (found, of, _) = all(&sidecar, "limit=1000", |_| ());
    assert_eq!((found, of), ((0..254).collect(), 5));
    assert_eq!(ids(&sidecar.get(RECORDS).ok()).len(), 100, "unless said");
}

#[test]
fn a_scan_whose_version_is_not_held_is_told_to_begin_again() {
    let bench = published(0..10);
    configure(&bench, "  limits: {held_versions: 0}\n");
    let sidecar = serving(&bench);
    let page = sidecar.get(&format!("{RECORDS}?limit=4")).ok();
    let next = format!(
        "{RECORDS}?limit=4&after={}",
        page["after"].as_str().unwrap()
    );
    assert_eq!(ids(&sidecar.get(&next).ok()).len(), 4, "while it is served");
    publish(&bench, 0..11);
    served(&sidecar, 1);
    assert_eq!(sidecar.get(&next).refused(410).0, "version_gone");
}

#[test]
fn a_version_that_nobody_goes_on_with_is_let_go_after_its_time() {
    let bench = published(0..10);
    for limits in ["held_for: 1s", "held_for: 24h, held_at_most: 1s"] {
        configure(&bench, &format!("  limits: {{{limits}}}\n"));
        let sidecar = serving(&bench);
        let page = sidecar.get(&format!("{RECORDS}?limit=4")).ok();
        let after = page["after"].as_str().unwrap();
        let told = || sidecar.get("/v1/datasets/items").ok();
        publish(&bench, 0..11);
        served(&sidecar, page["version"].as_u64().unwrap());
        super::life::until(|| (told()["held_versions"] == 0).then_some(()));
        let next = sidecar.get(&format!("{RECORDS}?limit=4&after={after}"));
        assert_eq!(next.refused(410).0, "version_gone");
        publish(&bench, 0..10);
    }
}

#[test]
fn records_are_chosen_by_the_values_of_fields() {
    let bench = crate::kit::Bench::with_schema();
    let lines: String = (0..30)
        .map(|id| match id % 3 {
            0 => format!("{{\"id\":{id},\"name\":\"a\"}}\n"),
            _ => format!("{{\"id\":{id},\"name\":\"b\",\"size\":{}}}\n", id % 2),
        })
        .collect();
    bench.publish(&lines, "").ok();
    configure(&bench, "");
    let sidecar = serving(&bench);
    let of = |query: &str| all(&sidecar, query, |_| ()).0;
    let expected = |chosen: fn(&u64) -> bool| (0..30).filter(chosen).collect::<Vec<u64>>();
    assert_eq!(of("name=a"), expected(|id| id % 3 == 0));
    assert_eq!(of("size=null"), expected(|id| id % 3 == 0));
    assert_eq!(
        of("name=b&size=1&limit=2"),
        expected(|id| id % 3 != 0 && id % 2 == 1)
    );
    assert_eq!(of("name=c"), Vec::<u64>::new());
    assert_eq!(of("id=7"), [7]);
    for wrong in [
        "size=big",
        "color=red",
        "limit=0",
        "limit=1001",
        "limit=x",
        "after=x",
        "wait=x&version=7",
    ] {
        let refused = sidecar.get(&format!("{RECORDS}?{wrong}"));
        assert_eq!(refused.refused(400).0, "invalid", "{wrong}");
    }
    // Each condition is a comparison for each record.
    let conditions = |count: usize| "id=7&".repeat(count);
    assert_eq!(of(&conditions(16)), [7]);
    let refused = sidecar.get(&format!("{RECORDS}?{}", conditions(17)));
    assert!(refused.refused(400).1.contains("at most 16 fields"));
}

#[test]
fn the_work_for_a_page_is_bounded_and_the_scan_goes_on() {
    let bench = published(0..1000);
    configure(
        &bench,
        "  limits: {max_scanned: 100, max_answer_size: 1KiB}\n",
    );
    let sidecar = serving(&bench);
    let first = sidecar.get(&format!("{RECORDS}?name=n999")).ok();
    assert_eq!(ids(&first), Vec::<u64>::new());
    assert!(first["after"].is_string());
    let (found, _, pages) = all(&sidecar, "name=n999", |_| ());
    assert_eq!((found, pages), (vec![999], 10));
    let (found, _, pages) = all(&sidecar, "limit=1000", |_| ());
    assert_eq!(found, (0..1000).collect::<Vec<u64>>());
    assert!(pages > 10, "as many records as fit: {pages}");
    let keys: Vec<u64> = (0..100).collect();
    let keys = serde_json::json!(keys).to_string();
    let refused = sidecar.post(&format!("{RECORDS}:batch"), keys.as_bytes());
    assert_eq!(refused.refused(422).0, "answer_too_large");
}

/// In memory all states count together: a scan must not keep the next version out.
#[test]
fn a_version_that_lacks_the_memory_of_a_scan_gets_it_and_the_scan_is_told_why() {
    let bench = crate::kit::Bench::with_schema();
    let publish = |fill: &str| {
        let lines: String = (0..200)
            .map(|id| format!("{{\"id\":{id},\"name\":\"{}\"}}\n", fill.repeat(5_000)))
            .collect();
        bench.publish(&lines, "").ok();
    };
    let configure = |limit: u64| {
        let text = format!(
            "consumer:\n  dataset: items\n  store: store\n  memory_limit: {limit}B\n  poll_interval: 10ms\n  \
             max_backoff: 20ms\n  monitoring: {{health_check_port: 0}}\n  \
             limits: {{held_for: 24h, held_at_most: 24h}}\n"
        );
        bench.write("s.yaml", &text);
    };
    publish("a");
    configure(1 << 30);
    let told = serving(&bench).get("/v1/datasets/items").ok();
    let bytes = told["state_bytes"].as_u64().unwrap();
    // Two versions have room, and three have not.
    configure(bytes * 5 / 2);
    let sidecar = serving(&bench);
    let page = sidecar.get(&format!("{RECORDS}?limit=10")).ok();
    let next = format!(
        "{RECORDS}?limit=10&after={}",
        page["after"].as_str().unwrap()
    );
    publish("b");
    assert_eq!(served(&sidecar, 1), 2);
    assert_eq!(ids(&sidecar.get(&next).ok()).len(), 10);
    publish("c");
    assert_eq!(served(&sidecar, 2), 3);
    let (code, message) = sidecar.get(&next).refused(410);
    assert_eq!(code, "version_gone");
    for told in ["held_versions", "held_for", "held_at_most", "memory_limit"] {
        assert!(message.contains(told), "{message}");
    }
}
