//! Two producer daemons for one dataset: whoever publishes is killed, stopped or asked to hand over under load, again and
//! again.

use super::kit::pause;
use super::{number, tell};
use crate::daemon::kit::{Daemon, Told, told};
use crate::kit::{Bench, Run};
use crate::servers::{self, BUCKET};
use grotto::engine::env::Env;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Silence after which a standby takes over.
const LEASE: Duration = Duration::from_millis(1500);
/// How long a sender waits for an answer: a daemon that was stopped gives none.
const ANSWER: Duration = Duration::from_millis(500);

/// How a leader ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Killed,
    Stopped,
    HandsOver,
}

/// What was told to senders, by the number of the record.
#[derive(Default)]
struct Acknowledged {
    /// In a version, it was said.
    published: BTreeSet<u64>,
    /// On the disk of the daemon, or in the store, it was said.
    durable: BTreeSet<u64>,
    /// Nothing was said.
    unknown: BTreeSet<u64>,
}

/// Two hosts and their store.
struct Pair {
    bench: Bench,
    store: String,
    endpoint: Option<String>,
    daemons: BTreeMap<&'static str, Daemon>,
    addresses: Arc<Mutex<BTreeMap<&'static str, SocketAddr>>>,
}

const HOSTS: [&str; 2] = ["one", "two"];

impl Pair {
    fn new(endpoint: Option<String>, durability: &str) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let bench = Bench::with_schema();
        let store = match &endpoint {
            None => "store".to_owned(),
            Some(_) => {
                let count = COUNT.fetch_add(1, Ordering::Relaxed);
                format!("s3://{BUCKET}/failover-{}-{count}", std::process::id())
            }
        };
        for host in HOSTS {
            let text = format!(
                "producer:\n  dataset: items\n  schema: item.schema\n  store: {store}\n  \
                 wal: {{dir: wal-{host}, durability: {durability}}}\n  dead_letter: {{dir: dead-{host}}}\n  \
                 monitoring: {{health_check_port: 0}}\n  batching: {{batch_timeout: 50ms}}\n  \
                 reliability: {{retry_backoff: 50ms}}\n  \
                 leadership: {{role: standby, lease: {}ms, heartbeat: 300ms}}\n",
                LEASE.as_millis()
            );
            bench.write(&format!("{host}.yaml"), &text);
        }
        let mut pair = Self {
            bench,
            store,
            endpoint,
            daemons: BTreeMap::new(),
            addresses: Arc::default(),
        };
        for host in HOSTS {
            pair.start(host);
        }
        pair
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bench.command(args);
        if let Some(endpoint) = &self.endpoint {
            command
                .env("AWS_ENDPOINT_URL", endpoint)
                .env("AWS_REGION", "us-east-1")
                .env("AWS_ACCESS_KEY_ID", "test")
                .env("AWS_SECRET_ACCESS_KEY", "test");
        }
        command
    }

    fn start(&mut self, host: &'static str) {
        let config = format!("{host}.yaml");
        let mut command = self.command(&["producer", "--writer", host, "--config", &config]);
        let daemon = Daemon::spawn(command.stdin(Stdio::null()));
        self.addresses.lock().unwrap().insert(host, daemon.address);
        self.daemons.insert(host, daemon);
    }

    fn run(&self, line: &str) -> Run {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut args = words.clone();
        args.extend(["--store", &self.store, "--dataset", "items"]);
        Run::of(self.command(&args).output().unwrap())
    }

    /// Who publishes now, and its newest version, as soon as somebody other than `but` does.
    fn leader(&self, but: Option<&str>) -> &'static str {
        loop {
            for host in HOSTS.into_iter().filter(|host| Some(*host) != but) {
                let address = self.addresses.lock().unwrap()[host];
                let status = ask(address, "GET", "/v1/datasets/items/status", "", b"");
                let value = status
                    .filter(|told| told.status == 200)
                    .map(|told| told.json());
                if value.is_some_and(|value| value["condition"] == "running") {
                    return host;
                }
            }
            pause(Duration::from_millis(10));
        }
    }

    fn end(&mut self, leader: &'static str, end: End) {
        match end {
            End::Killed => self.daemons.remove(leader).unwrap().kill(),
            End::Stopped => self.daemons[leader].signal("STOP"),
            End::HandsOver => {
                let done = self.daemons[leader].post("/v1/datasets/items/hand-over", b"");
                assert_eq!(done.status, 200, "{done:?}");
            }
        }
    }

    /// The one that ended comes back, and stands by.
    fn come_back(&mut self, host: &'static str, end: End) {
        match end {
            End::Killed => self.start(host),
            End::Stopped => self.daemons[host].signal("CONT"),
            End::HandsOver => {}
        }
        super::kit::until(|| {
            let address = self.addresses.lock().unwrap()[host];
            let status = ask(address, "GET", "/v1/datasets/items/status", "", b"");
            let status = status.filter(|told| told.status == 200)?;
            (status.json()["condition"] == "standby").then_some(())
        });
    }

    fn set_aside(&self) -> BTreeSet<u64> {
        let mut found = BTreeSet::new();
        for host in HOSTS {
            let folder = self.bench.path(&format!("wal-{host}/items.set-aside"));
            let shown = self.command(&["set-aside", "show", "--dir", folder.to_str().unwrap()]);
            let shown = { shown }.output().unwrap();
            for line in crate::kit::values(&Run::of(shown).ok()) {
                found.insert(line["record"]["id"].as_u64().unwrap());
            }
        }
        found
    }

    fn published(&self) -> BTreeSet<u64> {
        let records = self.run("export --type Item").values();
        let ids = records.iter().map(|record| record["id"].as_u64().unwrap());
        ids.collect()
    }
}

/// An answer, if there is one in time.
pub(super) fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    header: &str,
    body: &[u8],
) -> Option<Told> {
    ask_on(connect(address)?, method, path, header, body)
}

/// Where nobody listens, nothing was asked.
fn connect(address: SocketAddr) -> Option<TcpStream> {
    TcpStream::connect_timeout(&address, ANSWER).ok()
}

fn ask_on(
    mut stream: TcpStream,
    method: &str,
    path: &str,
    header: &str,
    body: &[u8],
) -> Option<Told> {
    stream.set_read_timeout(Some(ANSWER)).ok()?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{header}content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()?;
    Some(told(stream)).filter(|told| told.status > 0)
}

/// Sends records until it is told to end; each goes to whoever takes it.
fn send(
    addresses: Arc<Mutex<BTreeMap<&'static str, SocketAddr>>>,
    stop: Arc<AtomicBool>,
) -> Acknowledged {
    let (mut told, mut id) = (Acknowledged::default(), 0);
    while !stop.load(Ordering::Relaxed) {
        let hosts = addresses.lock().unwrap().clone();
        for address in hosts.into_values() {
            let wait = if id % 4 == 0 { "published" } else { "durable" };
            let path = format!("/v1/datasets/items/records?wait={wait}");
            let body = format!("{{\"id\":{id},\"name\":\"n{id}\"}}\n");
            let Some(stream) = connect(address) else {
                continue;
            };
            match ask_on(stream, "POST", &path, "", body.as_bytes()) {
                Some(answer) if answer.status == 200 && wait == "published" => {
                    told.published.insert(id);
                }
                Some(answer) if matches!(answer.status, 200 | 202) => {
                    told.durable.insert(id);
                }
                Some(answer) if answer.refused(answer.status).0 == "standby" => continue,
                _ => {
                    told.unknown.insert(id);
                }
            }
            id += 1;
        }
        pause(Duration::from_millis(2));
    }
    told
}

/// One epoch for each version, rising; the same version never twice.
fn check_log(pair: &Pair) {
    let log = pair.run("log --json --limit 100000").values();
    let mut entries: Vec<(u64, u64)> = log
        .iter()
        .map(|entry| {
            let number = |name: &str| entry[name].as_u64().unwrap();
            (number("version"), number("epoch"))
        })
        .collect();
    entries.sort_unstable();
    for (at, pair) in entries.windows(2).enumerate() {
        assert!(pair[0].0 < pair[1].0, "{at}: {pair:?}");
        assert!(pair[0].1 <= pair[1].1, "{at}: {pair:?}");
    }
}

fn check_rounds(endpoint: Option<String>, durability: &str) {
    let place = endpoint.as_ref().map_or("folder", |_| "s3 server");
    let mut pair = Pair::new(endpoint, durability);
    let stop = Arc::new(AtomicBool::new(false));
    let sender = {
        let (addresses, stop) = (Arc::clone(&pair.addresses), Arc::clone(&stop));
        std::thread::spawn(move || send(addresses, stop))
    };
    let mut took: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    let rounds = number("ROUNDS", 3);
    for round in 0..rounds {
        let leader = pair.leader(None);
        pause(Duration::from_millis(300 + 37 * (round % 7)));
        let end = [End::Killed, End::Stopped, End::HandsOver][(round % 3) as usize];
        let clock = Env::system().clock;
        let begun = clock.monotonic();
        pair.end(leader, end);
        let next = pair.leader(Some(leader));
        let name = match end {
            End::HandsOver => "hands over",
            _ => "killed or stopped",
        };
        took.entry(name)
            .or_default()
            .push(clock.monotonic() - begun);
        assert_ne!(next, leader);
        pause(Duration::from_millis(200));
        pair.come_back(leader, end);
    }
    stop.store(true, Ordering::Relaxed);
    let said = sender.join().unwrap();
    let leader = pair.leader(None);
    pair.daemons[leader]
        .post("/v1/datasets/items/flush", b"")
        .ok();
    let (published, aside) = (pair.published(), pair.set_aside());
    let lost: Vec<_> = said.published.difference(&published).collect();
    assert!(lost.is_empty(), "said to be published: {lost:?}");
    let lost = said.durable.difference(&published);
    let lost: Vec<_> = lost.filter(|id| !aside.contains(*id)).collect();
    assert!(lost.is_empty(), "said to be durable: {lost:?}");
    if durability != "host" {
        assert!(aside.is_empty(), "{aside:?}");
    }
    let known = |id: &&u64| said.unknown.contains(*id) || said.durable.contains(*id);
    let invented: Vec<_> = aside.iter().filter(|id| !known(id)).collect();
    assert!(invented.is_empty(), "{invented:?}");
    check_log(&pair);
    let sent = said.published.len() + said.durable.len();
    tell(format_args!(
        "{rounds} rounds on {place}, wal.durability {durability}: {sent} records acknowledged, {} without an answer, {} set \
         aside",
        said.unknown.len(),
        aside.len()
    ));
    for (what, mut times) in took {
        times.sort_unstable();
        let ms: Vec<u128> = times.iter().map(Duration::as_millis).collect();
        tell(format_args!(
            "  {what}: publishing again after {} to {} ms, half of them within {} ms (lease {} ms)",
            ms[0],
            ms[ms.len() - 1],
            ms[ms.len() / 2],
            LEASE.as_millis()
        ));
    }
}

#[test]
fn on_a_folder() {
    check_rounds(None, "host");
}

#[test]
fn on_a_folder_when_published() {
    check_rounds(None, "published");
}

#[test]
fn on_a_folder_when_in_the_store() {
    check_rounds(None, "store");
}

#[test]
fn on_an_s3_server() {
    let Some(server) = servers::s3() else { return };
    check_rounds(Some(server.endpoint.clone()), "host");
}

#[test]
fn on_an_s3_server_when_in_the_store() {
    let Some(server) = servers::s3() else { return };
    check_rounds(Some(server.endpoint.clone()), "store");
}
