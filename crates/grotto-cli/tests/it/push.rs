//! Versions that are announced: from the producer's daemon through a server of announcements to the sidecar; and the page
//! about it, executed as written.

use crate::daemon::kit::{Daemon, PATIENCE, configure as configure_producer, records};
use crate::kit::{Bench, repository};
use crate::push_servers::{Kind, PushServer};
use crate::readme::{blocks, check_console, shell};
use crate::runs::pause;
use crate::sidecar::kit::{RECORDS, served, start, start_with};
use grotto::engine::env::Env;
use grotto::push::{Channel, Push, PushOptions, PushUrl};
use grotto::store::{Announcement, Announcer as _};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Between two looks at what has to come.
const PAUSE: Duration = Duration::from_millis(20);

const STATUS: &str = "/v1/datasets/items/status";
const FOLLOWED: &str = "/v1/datasets/items";

/// A sidecar that would not look again within a test, but for announcements.
const NEVER: &str = "poll_interval: 1h\n  max_backoff: 1h";

fn configure(bench: &Bench, url: &str, pace: &str) {
    let push = format!("  push: {{url: '{url}'}}\n");
    configure_producer(bench, &push);
    let consumer = format!(
        "consumer:\n  dataset: items\n  store: store\n  {pace}\n  monitoring: {{health_check_port: 0}}\n{push}"
    );
    bench.write("s.yaml", &consumer);
}

/// What is told at a path, once it is as it should be.
#[track_caller]
fn until(daemon: &Daemon, path: &str, right: impl Fn(&Value) -> bool) -> Value {
    let clock = Env::system().clock;
    let begun = clock.monotonic();
    loop {
        let told = daemon.get(path).ok();
        if right(&told) {
            return told;
        }
        assert!(
            clock.monotonic() - begun < PATIENCE,
            "it does not come: {told}"
        );
        pause(PAUSE);
    }
}

/// The status of the dataset, once its link is like this.
#[track_caller]
fn linked(daemon: &Daemon, path: &str, link: &str) -> Value {
    until(daemon, path, |told| told["push"]["link"] == link)
}

/// Publishes one record, and waits until the sidecar serves its version.
#[track_caller]
fn publish(producer: &Daemon, sidecar: &Daemon, id: u64, before: u64) -> u64 {
    let taken = producer.accepted("?wait=published", &records(id..id + 1));
    let version = served(sidecar, before);
    assert_eq!(taken["version"], version, "{taken}");
    version
}

#[track_caller]
fn serves_all(sidecar: &Daemon, records: u64) {
    let page = sidecar.get(&format!("{RECORDS}?limit=100")).ok();
    let found = page["records"].as_array().unwrap().len() as u64;
    assert_eq!(found, records, "{page}");
}

/// Servers of each kind that there are.
fn servers() -> impl Iterator<Item = PushServer> {
    let start = |kind| PushServer::start(kind, &[]);
    Kind::ALL.into_iter().filter_map(start)
}

#[test]
fn a_version_is_served_because_it_was_announced() {
    for server in servers() {
        let bench = Bench::with_schema();
        configure(&bench, &server.url(), NEVER);
        let producer = Daemon::start(&bench);
        producer.accepted("?wait=published", &records(0..5));
        let sidecar = start(&bench);
        let mut version = served(&sidecar, 0);
        linked(&sidecar, FOLLOWED, "up");
        for id in 5..9 {
            version = publish(&producer, &sidecar, id, version);
        }
        let told = sidecar.get(FOLLOWED).ok();
        assert_eq!(told["condition"], "serving", "{told}");
        assert_eq!(told["notes"], json!([]), "{told}");
        let told = linked(&producer, STATUS, "up");
        assert_eq!(told["version"], version, "{told}");
    }
}

#[test]
fn while_the_server_is_away_versions_are_found_by_polling_and_nothing_is_missed() {
    for mut server in servers() {
        let bench = Bench::with_schema();
        configure(&bench, &server.url(), "poll_interval: 100ms");
        let producer = Daemon::start(&bench);
        producer.accepted("?wait=published", &records(0..1));
        let sidecar = start(&bench);
        let mut version = served(&sidecar, 0);
        let mut id = 1;
        for round in 1..=2 {
            linked(&sidecar, FOLLOWED, "up");
            linked(&producer, STATUS, "up");
            for _ in 0..3 {
                version = publish(&producer, &sidecar, id, version);
                id += 1;
            }
            server.kill();
            let told = linked(&sidecar, FOLLOWED, "down");
            assert_eq!(told["condition"], "serving", "{told}");
            assert!(told["notes"][0].as_str().unwrap().contains("polling"));
            linked(&producer, STATUS, "down");
            assert_eq!(sidecar.get("/ready").ok()["status"], "ready");
            assert_eq!(producer.get("/ready").ok()["status"], "ready");
            for _ in 0..3 {
                version = publish(&producer, &sidecar, id, version);
                id += 1;
            }
            let metrics = sidecar.get("/metrics").body;
            let breaks =
                format!("grotto_consumer_push_breaks_total{{dataset=\"items\"}} {round}\n");
            assert!(metrics.contains(&breaks), "{metrics}");
            server.restart();
        }
        linked(&sidecar, FOLLOWED, "up");
        linked(&producer, STATUS, "up");
        version = publish(&producer, &sidecar, id, version);
        until(&sidecar, FOLLOWED, |told| {
            told["version"] == version && told["push"]["relied_on"] == true
        });
        serves_all(&sidecar, id + 1);
    }
}

/// Announces as anybody can who is let in.
async fn forge(url: &str, told: Announcement) {
    let url = PushUrl::parse(url).unwrap();
    let push = Push::new(url, PushOptions::default(), Env::system()).unwrap();
    let announcer = push.announcer(&Channel::of("items").unwrap(), "items");
    announcer.announce(&told);
    let sent = "announcements_sent_total{dataset=\"items\"} 1\n";
    while !announcer.metrics_text().contains(sent) {
        Env::system().sleep(PAUSE).await;
    }
}

#[tokio::test]
async fn forged_announcements_are_looked_at_and_believed_by_nobody() {
    for server in servers() {
        let bench = Bench::with_schema();
        configure(&bench, &server.url(), "poll_interval: 100ms");
        let producer = Daemon::start(&bench);
        producer.accepted("?wait=published", &records(0..1));
        let sidecar = start(&bench);
        let version = served(&sidecar, 0);
        linked(&sidecar, FOLLOWED, "up");
        let forged = [("items", "x", 7_000_000), ("towns", "x", 1)];
        for (dataset, id, version) in forged {
            forge(&server.url(), Announcement::new(dataset, id, version)).await;
        }
        let heard = |outcome: &str| {
            let name = "grotto_consumer_announcements_total";
            let line = format!("{name}{{outcome=\"{outcome}\",dataset=\"items\"}} 1\n");
            let other = format!("{name}{{dataset=\"items\",outcome=\"{outcome}\"}} 1\n");
            let metrics = sidecar.get("/metrics").body;
            metrics.contains(&line) || metrics.contains(&other)
        };
        until(&sidecar, FOLLOWED, |_| heard("other"));
        let told = sidecar.get(FOLLOWED).ok();
        let found = (&told["version"], &told["condition"]);
        assert_eq!(found, (&version.into(), &"serving".into()), "{told}");
        publish(&producer, &sidecar, 1, version);
        serves_all(&sidecar, 2);
    }
}

#[test]
fn a_server_that_never_answers_keeps_no_version_from_being_published_and_found() {
    // One takes connections and says nothing, the other is not there.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let ports = [port(&silent), port(&gone)];
    drop(gone);
    for (scheme, port) in [("redis", ports[0]), ("nats", ports[0]), ("redis", ports[1])] {
        let bench = Bench::with_schema();
        let url = format!("{scheme}://127.0.0.1:{port}");
        configure(&bench, &url, "poll_interval: 100ms");
        let producer = Daemon::start(&bench);
        producer.accepted("?wait=published", &records(0..1));
        let sidecar = start(&bench);
        let mut version = served(&sidecar, 0);
        for id in 1..4 {
            version = publish(&producer, &sidecar, id, version);
        }
        serves_all(&sidecar, 4);
        for (daemon, path) in [(&producer, STATUS), (&sidecar, FOLLOWED)] {
            assert_ne!(daemon.get(path).ok()["push"]["link"], "up", "{url}");
            assert_eq!(daemon.get("/ready").ok()["status"], "ready", "{url}");
        }
    }
}

/// A self-made authority, and a server's certificate from it; false where nobody can make them.
fn certify(bench: &Bench) -> bool {
    let new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    let authority = format!("req -x509 {new} -keyout ca.key -out ca.pem -subj /CN=test");
    let server = format!(
        "req -x509 -CA ca.pem -CAkey ca.key {new} -keyout server.key -out server.pem -subj /CN=localhost \
         -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE"
    );
    for line in [authority, server] {
        let mut openssl = Command::new("openssl");
        openssl.args(line.split(' ')).current_dir(bench.path(""));
        match openssl.stderr(Stdio::null()).status() {
            Ok(done) => assert!(done.success(), "openssl {line}"),
            Err(why) => {
                assert!(std::env::var_os("CI").is_none(), "no openssl: {why}");
                eprintln!("WARNING: SKIPPED: no openssl ({why}): install it");
                return false;
            }
        }
    }
    true
}

/// A server with that certificate, and its address with TLS.
fn secured(kind: Kind, bench: &Bench) -> Option<(PushServer, String)> {
    let path = |name: &str| bench.path(name).to_str().unwrap().to_owned();
    let (ca, cert, key) = (path("ca.pem"), path("server.pem"), path("server.key"));
    let (options, scheme) = match kind {
        Kind::Redis => {
            let options = format!(
                "--port 0 --tls-port PORT --tls-auth-clients no --tls-ca-cert-file {ca} --tls-cert-file {cert} \
                 --tls-key-file {key}"
            );
            (options, "rediss")
        }
        Kind::Nats => (format!("--tls --tlscert {cert} --tlskey {key}"), "tls"),
    };
    let options: Vec<&str> = options.split(' ').collect();
    let server = PushServer::start(kind, &options)?;
    let (_, host) = { server.url() }
        .split_once("://")
        .map(|(s, h)| (s.to_owned(), h.to_owned()))?;
    Some((server, format!("{scheme}://{host}")))
}

#[test]
fn a_secured_server_is_gone_to_if_its_certificate_is_trusted_and_not_otherwise() {
    let bench = Bench::with_schema();
    if !certify(&bench) {
        return;
    }
    let ca = bench.path("ca.pem");
    let trusted = [("SSL_CERT_FILE", ca.to_str().unwrap())];
    for kind in Kind::ALL {
        let Some((_server, url)) = secured(kind, &bench) else {
            continue;
        };
        let _ = std::fs::remove_dir_all(bench.path("store"));
        let _ = std::fs::remove_dir_all(bench.path("wal"));
        configure(&bench, &url, NEVER);
        let producer = Daemon::start_in(&bench, Stdio::null(), &trusted);
        producer.accepted("?wait=published", &records(0..1));
        let sidecar = start_with(&bench, &trusted);
        let version = served(&sidecar, 0);
        linked(&sidecar, FOLLOWED, "up");
        linked(&producer, STATUS, "up");
        publish(&producer, &sidecar, 1, version);
        // The certificates of the host do not have this authority.
        let stranger = start_with(
            &bench,
            &[("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")],
        );
        served(&stranger, 0);
        let told = linked(&stranger, FOLLOWED, "down");
        let reason = told["push"]["reason"].as_str().unwrap();
        assert!(reason.contains("cannot secure the connection"), "{reason}");
    }
}

#[test]
fn who_wants_tls_does_not_go_on_without() {
    for server in servers() {
        let bench = Bench::with_schema();
        let url = server.url().replace("redis://", "rediss://");
        configure(
            &bench,
            &url.replace("nats://", "tls://"),
            "poll_interval: 100ms",
        );
        let producer = Daemon::start(&bench);
        let told = linked(&producer, STATUS, "down");
        let reason = told["push"]["reason"].as_str().unwrap();
        // Redis takes what begins TLS for the beginning of a command, and waits for the rest.
        let silent = reason.contains("did not answer");
        assert!(silent || reason.contains("offers no TLS"), "{reason}");
    }
}

/// Processes that the page starts; they end with the test.
struct Started<'a>(&'a Bench);

impl Drop for Started<'_> {
    fn drop(&mut self) {
        for name in ["redis.pid", "producer.pid", "sidecar.pid"] {
            if let Ok(id) = std::fs::read_to_string(self.0.path(name)) {
                // It has ended already if all went well.
                let _ = Command::new("kill").args(["-9", id.trim()]).output();
            }
        }
    }
}

#[test]
fn the_page_about_push_says_what_happens() {
    if PushServer::start(Kind::Redis, &[]).is_none() {
        return;
    }
    let page = std::fs::read_to_string(repository("docs/operating/push.md")).unwrap();
    // All three are taken before the first is let go.
    let free =
        ["6379", "8081", "8082"].map(|port| (port, TcpListener::bind("127.0.0.1:0").unwrap()));
    let page = free.iter().fold(page, |page, (port, free)| {
        let found = free.local_addr().unwrap().port();
        page.replace(port, &found.to_string())
    });
    drop(free);
    let bench = Bench::new();
    let started = Started(&bench);
    let blocks = blocks(&page);
    let consoles = blocks.iter().filter(|(kind, _)| *kind == "console");
    for (_, lines) in consoles.clone() {
        check_console(&|line| shell(&bench, line), lines);
    }
    assert_eq!(consoles.count(), 2);
    drop(started);
}
