//! What the sidecar answers about records and about itself.

use super::kit::*;
use crate::daemon::kit::told;
use crate::kit::Bench;
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn a_record_is_told_by_key_as_get_prints_it() {
    let bench = published(1..4);
    configure(&bench, "");
    let sidecar = serving(&bench);
    let printed = bench.run("get --store store --dataset items Item 2").ok();
    let told = sidecar.get(&format!("{RECORDS}/2"));
    assert_eq!((told.status, told.body.as_str()), (200, printed.as_str()));
    assert_eq!(header(&told, "grotto-version"), Some("1"));
    assert_eq!(header(&told, "content-type"), Some("application/json"));

    let absent = sidecar.get(&format!("{RECORDS}/9"));
    assert_eq!(absent.refused(404).0, "no_record");
    assert_eq!(header(&absent, "grotto-version"), Some("1"));
    let wrong = sidecar.get(&format!("{RECORDS}/nine"));
    let (code, message) = wrong.refused(400);
    assert_eq!(code, "invalid");
    assert_eq!(message, "key Item.id: expected long, found \"nine\"");
    let no_type = sidecar.get("/v1/datasets/items/types/Town/records/1");
    assert_eq!(no_type.refused(404).0, "no_type");
    let no_dataset = sidecar.get("/v1/datasets/towns/types/Item/records/1");
    assert_eq!(no_dataset.refused(404).0, "no_dataset");
    assert_eq!(sidecar.get("/v1/nothing").refused(404).0, "not_found");
    let post = sidecar.post(&format!("{RECORDS}/2"), b"");
    assert_eq!(post.refused(405).0, "method_not_allowed");
    let broken = sidecar.get(&format!("{RECORDS}/%ff"));
    assert_eq!(broken.refused(400).0, "invalid");
}

#[test]
fn keys_of_several_parts_and_of_text_are_found() {
    let bench = Bench::new();
    let schema = "Price @PrimaryKey(currency, id) { string currency; long id; double amount; }\n\
                  Word @PrimaryKey(text) { string text; int count; }\n";
    bench.write("p.schema", schema);
    let prices = "{\"currency\":\"EUR\",\"id\":17,\"amount\":1.5}\n{\"currency\":\"a/b\",\"id\":1,\"amount\":2}\n";
    bench.write("p.ndjson", prices);
    bench
        .run(
            "publish --store store --dataset items --schema p.schema --type Price --input p.ndjson",
        )
        .ok();
    configure(&bench, "");
    let sidecar = serving(&bench);
    let prices = "/v1/datasets/items/types/Price/records";
    let one = sidecar.get(&format!("{prices}/%5B%22EUR%22,17%5D")).ok();
    assert_eq!(one["amount"], 1.5);
    let one = sidecar.get(&format!("{prices}/%5B%22a%2Fb%22,1%5D")).ok();
    assert_eq!(one["amount"], 2.0);
    let many = sidecar
        .post(&format!("{prices}:batch"), b"[[\"EUR\",17],[\"EUR\",18]]")
        .ok();
    assert_eq!(many["records"][0]["id"], 17);
    assert_eq!(many["records"][1], json!(null));
    for wrong in [
        "[\"EUR\",17]",
        "[[\"EUR\"]]",
        "[[17,\"EUR\"]]",
        "[[\"EUR\",17,1]]",
    ] {
        let refused = sidecar.post(&format!("{prices}:batch"), wrong.as_bytes());
        let (code, message) = refused.refused(400);
        assert_eq!(code, "invalid", "{wrong}");
        assert!(message.contains("key at position 0"), "{message}");
    }
}

#[test]
fn a_batch_is_answered_in_the_order_of_its_keys() {
    let bench = published(0..2000);
    configure(&bench, "  limits: {max_batch: 1500}\n");
    let sidecar = serving(&bench);
    let batch = format!("{RECORDS}:batch");
    let told = sidecar.post(&batch, b" [3, 9999, 1, 3]\n");
    assert_eq!(header(&told, "grotto-version"), Some("1"));
    let told = told.ok();
    assert_eq!(told["version"], 1);
    let record = |id: u64| json!({ "id": id, "name": format!("n{id}") });
    assert_eq!(
        told["records"],
        json!([record(3), null, record(1), record(3)])
    );
    assert_eq!(sidecar.post(&batch, b"[]").ok()["records"], json!([]));
    // More than a thread that answers does by itself.
    let keys: Vec<u64> = (0..1500).rev().collect();
    let told = sidecar
        .post(&batch, json!(keys).to_string().as_bytes())
        .ok();
    let expected: Vec<_> = keys.iter().map(|id| record(*id)).collect();
    assert_eq!(told["records"], json!(expected));
    let keys: Vec<u64> = (0..1501).collect();
    let refused = sidecar.post(&batch, json!(keys).to_string().as_bytes());
    assert!(refused.refused(400).1.contains("at most 1500 keys"));
    for wrong in [
        "", "7", "{}", "[1", "[1]x", "[\"1\"]", "[1.5]", "[null]", "[[1]]",
    ] {
        assert_eq!(
            sidecar.post(&batch, wrong.as_bytes()).refused(400).0,
            "invalid",
            "{wrong}"
        );
    }
}

#[test]
fn a_record_that_is_longer_than_an_answer_may_be_is_refused_alone() {
    let bench = Bench::with_schema();
    let line = |id: u64, length: usize| {
        let name = "n".repeat(length);
        format!("{{\"id\":{id},\"name\":\"{name}\"}}\n")
    };
    bench.publish(&(line(1, 10) + &line(2, 5_000)), "").ok();
    configure(&bench, "  limits: {max_answer_size: 4KiB}\n");
    let sidecar = serving(&bench);
    let batch = |keys: &[u8]| sidecar.post(&format!("{RECORDS}:batch"), keys);
    assert_eq!(sidecar.get(&format!("{RECORDS}/1")).status, 200);
    assert_eq!(batch(b"[1,3]").status, 200);
    for told in [
        sidecar.get(&format!("{RECORDS}/2")),
        sidecar.get(&format!("{RECORDS}?id=2")),
        batch(b"[2]"),
        batch(b"[1,2]"),
    ] {
        let (code, message) = told.refused(422);
        assert_eq!(code, "answer_too_large");
        let setting = "consumer.limits.max_answer_size";
        assert!(message.contains(setting), "{message}");
        assert_eq!(told.json()["error"]["limit"], 4096);
    }
}

#[test]
fn a_batch_is_of_the_version_that_is_served_when_its_keys_are_there() {
    let bench = published(1..4);
    configure(&bench, "");
    let sidecar = serving(&bench);
    let begin = |query: &str| {
        let mut stream = sidecar.connect();
        let head = format!(
            "POST {RECORDS}:batch{query} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
             content-length: 3\r\nexpect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        // Said once the keys are asked for.
        let mut going_on = [0; 25];
        stream.read_exact(&mut going_on).unwrap();
        assert_eq!(&going_on, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream
    };
    let (any, first) = (begin(""), begin("?version=1"));
    publish(&bench, 1..5);
    served(&sidecar, 1);
    for (mut stream, version) in [(any, 2), (first, 1)] {
        stream.write_all(b"[4]").unwrap();
        let told = told(stream).ok();
        assert_eq!(told["version"], version);
        assert_eq!(told["records"][0].is_null(), version == 1, "{told}");
    }
}

#[test]
fn who_has_the_version_is_not_told_it_again() {
    let bench = published(1..4);
    configure(&bench, "");
    let sidecar = serving(&bench);
    let path = format!("{RECORDS}/2");
    let first = sidecar.get(&path);
    let tag = header(&first, "etag").unwrap().to_owned();
    let known = format!("if-none-match: {tag}");
    for path in [path.as_str(), RECORDS] {
        let again = sidecar.ask("GET", path, &[&known], b"");
        assert_eq!((again.status, again.body.as_str()), (304, ""));
        assert_eq!(header(&again, "etag"), Some(tag.as_str()));
        assert_eq!(header(&again, "grotto-version"), Some("1"));
    }
    publish(&bench, 1..5);
    assert_eq!(served(&sidecar, 1), 2);
    let news = sidecar.ask("GET", &path, &[&known], b"");
    assert_eq!(news.status, 200);
    assert_ne!(header(&news, "etag"), Some(tag.as_str()));
}

#[test]
fn a_version_that_is_asked_for_is_told_or_refused() {
    let bench = published(1..4);
    configure(&bench, "");
    let sidecar = serving(&bench);
    let at = |query: &str| sidecar.get(&format!("{RECORDS}/2{query}"));
    assert_eq!(at("?version=1").status, 200);
    let early = at("?version=2");
    assert_eq!(early.refused(409).0, "version_not_yet");
    assert_eq!(header(&early, "grotto-version"), Some("1"));
    assert!(header(&early, "retry-after").is_some());
    let early = at("?version=2&wait=1ms");
    assert_eq!(early.refused(409).0, "version_not_yet");
    publish(&bench, 1..5);
    let waited = at("?version=2&wait=60s");
    assert_eq!(
        (waited.status, header(&waited, "grotto-version")),
        (200, Some("2"))
    );
    assert_eq!(at("?version=1").refused(410).0, "version_gone");
    let by_header = sidecar.ask("GET", &format!("{RECORDS}/2"), &["grotto-version: 1"], b"");
    assert_eq!(by_header.refused(410).0, "version_gone");
    for wrong in ["?version=x", "?version=-1", "?wait=soon", "?versoin=1"] {
        assert_eq!(at(wrong).refused(400).0, "invalid", "{wrong}");
    }
}

#[test]
fn requests_that_come_together_are_answered_together_and_in_order() {
    let bench = published(1..4);
    configure(&bench, "");
    let sidecar = serving(&bench);
    let mut stream = sidecar.connect();
    let mut requests = String::new();
    for id in [3, 1, 9, 2] {
        requests += &format!("GET {RECORDS}/{id} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    }
    requests += "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(requests.as_bytes()).unwrap();
    let all = told(stream).body;
    let places: Vec<usize> = ["\"id\":3", "\"id\":1", "no_record", "\"id\":2", "uptime"]
        .iter()
        .map(|part| all.find(part).unwrap_or_else(|| panic!("{part} in {all}")))
        .collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn pages_of_other_sites_are_not_answered() {
    let bench = published(1..4);
    configure(&bench, "");
    let sidecar = serving(&bench);
    for header in ["origin: http://evil.example", "sec-fetch-site: cross-site"] {
        let refused = sidecar.ask("GET", "/v1/datasets", &[header], b"");
        assert_eq!(refused.refused(403).0, "forbidden", "{header}");
    }
    let link = ["sec-fetch-site: cross-site", "sec-fetch-dest: document"];
    assert_eq!(sidecar.ask("GET", "/", &link, b"").status, 200);
    // The name of a page that was made to lead to this host.
    let mut stream = sidecar.connect();
    let head = "GET /v1/datasets HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(told(stream).refused(403).0, "forbidden");
    let own = sidecar.ask("GET", "/v1/datasets", &["sec-fetch-site: same-origin"], b"");
    assert_eq!(own.status, 200);
    assert_eq!(header(&own, "x-content-type-options"), Some("nosniff"));
    assert_eq!(
        header(&own, "cross-origin-resource-policy"),
        Some("same-origin")
    );
}

#[test]
fn a_token_is_asked_for_by_the_port_and_the_mode_of_the_socket_is_what_lets_in() {
    let bench = published(1..4);
    bench.write("token", "0123456789abcdef\n");
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(bench.path("token"), private).unwrap();
    configure(
        &bench,
        "  security: {token_file: token}\n  listeners: {socket: s.sock, socket_mode: 660}\n",
    );
    let sidecar = start(&bench);
    let path = "/v1/datasets/items/versions?wait=60s";
    assert_eq!(sidecar.get(path).refused(401).0, "unauthorized");
    let token = "authorization: Bearer 0123456789abcdef";
    assert_eq!(sidecar.ask("GET", path, &[token], b"").ok()["version"], 1);
    assert_eq!(ask_socket(&bench, path).ok()["version"], 1);
    for open in ["/health", "/ready", "/", "/status.js", "/status.css"] {
        assert_eq!(sidecar.get(open).status, 200, "{open}");
    }
    // Reasons name folders: they are for those with the token.
    let told = |headers: &[&str]| sidecar.ask("GET", "/ready", headers, b"").ok();
    assert!(told(&[])["datasets"].is_null());
    assert!(told(&[token])["datasets"].is_array());
    // Whoever may write to the socket has them.
    assert!(ask_socket(&bench, "/ready").ok()["datasets"].is_array());
    let mode = std::fs::metadata(bench.path("s.sock"))
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o660);
}

#[test]
fn how_datasets_are_is_told_with_their_types() {
    let bench = published(1..4);
    configure(&bench, "  id: shop-7\n");
    let sidecar = serving(&bench);
    let all = sidecar.get("/v1/datasets").ok();
    assert_eq!(all["id"], "shop-7");
    let told = sidecar.get("/v1/datasets/items");
    assert_eq!(header(&told, "grotto-version"), Some("1"));
    // It tells times and memory, which change while the version does not.
    assert_eq!(header(&told, "etag"), None);
    let told = told.ok();
    assert_eq!(
        (&told["dataset"], &told["condition"], &told["version"]),
        (&json!("items"), &json!("serving"), &json!(1))
    );
    assert_eq!(
        told["types"],
        json!([{ "type": "Item", "records": 3, "key": ["id"] }])
    );
    assert_eq!(told["records"], 3);
    assert!(told["state_bytes"].as_u64().unwrap() > 0);
    assert_eq!(told["reasons"], json!([]));
    let ready = sidecar.get("/ready").ok();
    assert_eq!(ready["status"], "ready");
    let metrics = sidecar.get("/metrics").body;
    for line in [
        "grotto_consumer_current_version{dataset=\"items\"} 1",
        "grotto_sidecar_open_datasets 1",
        "grotto_sidecar_http_requests_total{status=\"2xx\"} ",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}
