//! Three hosts: two with a producer daemon and a sidecar each, one with the S3 server. Every pair of them is cut off from
//! each other in turn, under load, and joined again.

use super::failover::ask;
use super::kit::{pause, until};
use super::net::Net;
use super::tell;
use crate::daemon::kit::{Daemon, Told};
use crate::kit::{Bench, Run};
use crate::servers::{self, BUCKET};
use grotto::engine::env::Env;
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::{Child, Command};
use std::time::Duration;

const PRODUCERS: [&str; 2] = ["one", "two"];
const STORE: &str = "three";
const PORT: u16 = 4566;

struct Hosts {
    bench: Bench,
    producers: Vec<Daemon>,
    sidecars: Vec<Daemon>,
    /// Ids of records that were acknowledged.
    acknowledged: BTreeSet<u64>,
    next: u64,
    /// Ends with its standard input.
    _server: Child,
    net: Net,
}

impl Hosts {
    /// `None` where there is no S3 server, or no namespaces: said aloud.
    fn new() -> Option<Self> {
        servers::s3()?;
        let net = Net::new(&[PRODUCERS[0], PRODUCERS[1], STORE])?;
        let mut server = net.on(STORE, &servers::command("s3", PORT).unwrap());
        server.env("GROTTO_TEST_BIND", "0.0.0.0");
        let server = servers::run(&mut server, "Running on").unwrap();
        let made = net.within(STORE, || {
            let endpoint = format!("http://127.0.0.1:{PORT}");
            servers::ask(&endpoint, &format!("PUT /{BUCKET} HTTP/1.1"), "")
        });
        assert_eq!(made, 200);
        let mut hosts = Self {
            bench: Bench::with_schema(),
            producers: Vec::new(),
            sidecars: Vec::new(),
            acknowledged: BTreeSet::new(),
            next: 1,
            _server: server,
            net,
        };
        hosts.start();
        Some(hosts)
    }

    fn start(&mut self) {
        for host in PRODUCERS {
            let producer = format!(
                "producer:\n  dataset: items\n  schema: item.schema\n  store: s3://{BUCKET}/hosts\n  \
                 wal: {{durability: store}}\n  dead_letter: {{dir: dead-{host}}}\n  \
                 monitoring: {{health_check_port: 0}}\n  batching: {{batch_timeout: 50ms}}\n  \
                 performance: {{write_timeout: 500ms}}\n  reliability: {{retry_backoff: 50ms, max_retry_attempts: 1}}\n  \
                 leadership: {{role: standby, lease: 1500ms, heartbeat: 300ms}}\n"
            );
            self.bench.write(&format!("{host}.yaml"), &producer);
            let sidecar = format!(
                "consumer:\n  dataset: items\n  store: s3://{BUCKET}/hosts\n  state_dir: state-{host}\n  \
                 poll_interval: 50ms\n  max_backoff: 200ms\n  monitoring: {{health_check_port: 0}}\n"
            );
            self.bench.write(&format!("{host}-sidecar.yaml"), &sidecar);
            let config = format!("{host}.yaml");
            let producer = self.daemon(host, &["producer", "--writer", host, "--config", &config]);
            self.producers.push(producer);
            let config = format!("{host}-sidecar.yaml");
            let sidecar = self.daemon(host, &["sidecar", "--config", &config]);
            self.sidecars.push(sidecar);
        }
    }

    fn daemon(&self, host: &str, args: &[&str]) -> Daemon {
        Daemon::spawn(&mut self.command(host, args))
    }

    /// The program on a host.
    fn command(&self, host: &str, args: &[&str]) -> Command {
        let mut command = self.net.on(host, &self.bench.command(args));
        let endpoint = format!("http://{}:{PORT}", self.net.address(STORE));
        command
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_ALLOW_HTTP", "true")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test");
        command
    }

    /// Which of the two publishes, once one does; another one than `but`.
    fn leader(&self, but: Option<usize>) -> usize {
        until(|| (0..2).find(|host| Some(*host) != but && self.condition(*host) == "running"))
    }

    /// What a daemon on a host says; `None` while it says nothing.
    fn ask(
        &self,
        host: usize,
        daemon: &Daemon,
        method: &str,
        path: &str,
        body: &str,
    ) -> Option<Told> {
        let address = daemon.address;
        let ask = || ask(address, method, path, "", body.as_bytes());
        self.net.within(PRODUCERS[host], ask)
    }

    fn status(&self, host: usize) -> Value {
        let path = "/v1/datasets/items/status";
        let told = self.ask(host, &self.producers[host], "GET", path, "");
        told.map_or(Value::Null, |told| told.json())
    }

    fn condition(&self, host: usize) -> String {
        self.status(host)["condition"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    fn published(&self, host: usize) -> u64 {
        self.status(host)["version"].as_u64().unwrap_or(0)
    }

    /// Sends a record to a host, which acknowledges it.
    fn put(&mut self, host: usize) {
        self.send(host, "");
    }

    fn send(&mut self, host: usize, query: &str) {
        let id = self.next;
        self.next += 1;
        let line = format!("{{\"id\":{id},\"name\":\"n{id}\"}}\n");
        let path = format!("/v1/datasets/items/records{query}");
        let told = self.ask(host, &self.producers[host], "POST", &path, &line);
        if told.is_some_and(|told| told.status == 200) {
            self.acknowledged.insert(id);
        }
    }

    /// The version that a sidecar serves.
    fn served(&self, host: usize) -> u64 {
        let told = self.ask(host, &self.sidecars[host], "GET", "/v1/datasets/items", "");
        let told = told.map_or(Value::Null, |told| told.json());
        told["version"].as_u64().unwrap_or(0)
    }

    /// Waits until both sidecars serve what the leader has published last, and tells how long it took.
    fn everyone_is_there(&self, what: &str) {
        let clock = Env::system().clock;
        let begun = clock.monotonic();
        until(|| {
            let leader = (0..2).find(|host| self.condition(*host) == "running")?;
            let other = self.condition(1 - leader);
            let newest = self.published(leader);
            let all = (0..2).all(|host| self.served(host) == newest);
            (other == "standby" && all).then_some(())
        });
        let took = (clock.monotonic() - begun).as_millis();
        tell(format_args!(
            "  {what}: everyone at the newest version {took} ms after it was joined"
        ));
    }

    fn run(&self, line: &str) -> Run {
        let words: Vec<&str> = line.split_whitespace().collect();
        let store = format!("s3://{BUCKET}/hosts");
        let mut args = words.clone();
        args.extend(["--store", &store, "--dataset", "items"]);
        Run::of(self.command(STORE, &args).output().unwrap())
    }
}

#[test]
fn every_pair_of_three_hosts_is_cut_off_and_joined() {
    let Some(mut hosts) = Hosts::new() else {
        return;
    };
    let leader = hosts.leader(None);
    for _ in 0..5 {
        hosts.put(leader);
    }
    hosts.everyone_is_there("at the beginning");
    for round in 0..super::number("CUTS", 1) {
        // The leader loses the store: the other one takes over, and its own sidecar serves what it has.
        let leader = hosts.leader(None);
        hosts.net.cut(PRODUCERS[leader], STORE);
        let stale = hosts.served(leader);
        let next = hosts.leader(Some(leader));
        hosts.put(next);
        until(|| (hosts.served(next) > stale).then_some(()));
        assert!(
            hosts.served(leader) <= stale,
            "it cannot know of newer ones"
        );
        hosts.put(leader);
        hosts.net.mend(PRODUCERS[leader], STORE);
        hosts.everyone_is_there(&format!("{round}: leader and store"));
        // The other one loses it: nothing happens to who publishes.
        let (leader, other) = (next, leader);
        hosts.net.cut(PRODUCERS[other], STORE);
        let before = hosts.published(leader);
        for _ in 0..3 {
            hosts.put(leader);
            pause(Duration::from_millis(300));
        }
        until(|| (hosts.published(leader) > before).then_some(()));
        assert_eq!(hosts.condition(leader), "running");
        hosts.net.mend(PRODUCERS[other], STORE);
        hosts.everyone_is_there(&format!("{round}: standby and store"));
        // The two lose each other: they never talked.
        hosts.net.cut(PRODUCERS[0], PRODUCERS[1]);
        // With it all that was acknowledged before, which may be a moment after that.
        hosts.send(leader, "?wait=published");
        hosts.everyone_is_there(&format!("{round}: the two, while they are apart"));
        hosts.net.mend(PRODUCERS[0], PRODUCERS[1]);
    }
    let records = hosts.run("export --type Item").values();
    let ids: BTreeSet<u64> = records
        .iter()
        .map(|record| record["id"].as_u64().unwrap())
        .collect();
    let lost: Vec<&u64> = hosts.acknowledged.difference(&ids).collect();
    assert!(lost.is_empty(), "acknowledged and not published: {lost:?}");
    assert!(hosts.acknowledged.len() >= 5, "{:?}", hosts.acknowledged);
}
