//! The commands and both daemons on a bucket of an S3 server.

use crate::daemon::kit::{Daemon, records};
use crate::kit::{Bench, Run};
use crate::servers::{self, BUCKET};
use std::ffi::OsStr;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

/// A bench whose commands are let into the bucket, and the address of a store in it.
struct Bucket {
    bench: Bench,
    store: String,
    endpoint: String,
}

impl Bucket {
    fn new() -> Option<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let endpoint = servers::s3()?.endpoint.clone();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Some(Self {
            bench: Bench::with_schema(),
            // Without an endpoint: that comes from the environment.
            store: format!("s3://{BUCKET}/cli-{}-{count}", std::process::id()),
            endpoint,
        })
    }

    fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = self.bench.command(args);
        command
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "not-to-be-shown");
        command
    }

    /// Runs the binary; `STORE` stands for the store.
    fn run(&self, line: &str) -> Run {
        let words = line.split_whitespace();
        let args: Vec<&str> = words
            .map(|word| if word == "STORE" { &self.store } else { word })
            .collect();
        let run = Run::of(self.command(&args).output().unwrap());
        let said = format!("{}{}", run.out, run.err);
        assert!(!said.contains("not-to-be-shown"), "{said}");
        run
    }

    fn publish(&self, ids: std::ops::Range<u64>) {
        self.bench.write("input.ndjson", &records(ids));
        let line =
            "publish --store STORE --dataset items --schema item.schema --input input.ndjson";
        self.run(line).ok();
    }
}

#[test]
fn commands_work_on_a_bucket_as_on_a_folder() {
    let Some(bucket) = Bucket::new() else { return };
    bucket.publish(0..100);
    bucket.publish(50..200);
    let listed = bucket.run("datasets --store STORE").ok();
    assert!(listed.contains("items"), "{listed}");
    let got = bucket.run("get --store STORE Item 150").ok();
    assert_eq!(got, "{\"id\":150,\"name\":\"n150\"}\n");
    bucket.run("get --store STORE Item 1").refused(3);
    let log = bucket.run("log --store STORE --json").values();
    assert_eq!(log.len(), 2, "{log:?}");
    bucket.run("verify --store STORE").ok();
    bucket
        .run("get --store STORE --state-dir state Item 150")
        .ok();
    let offline = bucket
        .run("get --dataset items --state-dir state --offline Item 150")
        .ok();
    assert_eq!(offline, got);
}

#[test]
fn a_refusal_of_the_bucket_names_the_store_and_the_mend() {
    let Some(mut bucket) = Bucket::new() else {
        return;
    };
    bucket.store = "s3://no-such-bucket/x".to_owned();
    let complaint = bucket
        .run("get --store STORE --dataset items Item 1")
        .refused(2);
    for part in [
        "s3://no-such-bucket/x",
        "there is no such bucket: create it",
    ] {
        assert!(complaint.contains(part), "{complaint}");
    }
    let complaint = bucket
        .run("publish --store s3://key:not-to-be-shown@x/y --dataset items --schema item.schema --input c")
        .refused(2);
    assert!(complaint.contains("never from an address"), "{complaint}");
}

#[test]
fn a_daemon_publishes_to_a_bucket_and_a_sidecar_serves_it_to_whoever_attaches() {
    let Some(bucket) = Bucket::new() else { return };
    let common = "monitoring: {health_check_port: 0}";
    let store = &bucket.store;
    bucket.bench.write(
        "c.yaml",
        &format!(
            "producer:\n  dataset: items\n  schema: item.schema\n  store: {store}\n  wal: {{dir: wal}}\n  \
             dead_letter: {{dir: dead}}\n  {common}\nconsumer:\n  dataset: items\n  state_dir: state\n  \
             poll_interval: 10ms\n  max_backoff: 20ms\n  {common}\n"
        ),
    );
    let checked = bucket.run("config check c.yaml").ok();
    assert!(checked.contains(store.as_str()), "{checked}");
    let daemon = Daemon::spawn(&mut bucket.command(&["producer", "--config", "c.yaml"]));
    daemon.accepted("?wait=published", &records(0..50));
    let sidecar = Daemon::spawn(&mut bucket.command(&["sidecar", "--config", "c.yaml"]));
    let record = "/v1/datasets/items/types/Item/records/7";
    crate::sidecar::served(&sidecar, 0);
    assert_eq!(sidecar.get(record).ok()["name"], "n7");
    let version = crate::sidecar::served(&sidecar, 0);
    daemon.accepted("?wait=published", "{\"id\":7,\"name\":\"new\"}\n");
    crate::sidecar::served(&sidecar, version);
    assert_eq!(sidecar.get(record).ok()["name"], "new");
    let attached = bucket
        .run("get --dataset items --state-dir state --offline Item 7")
        .ok();
    assert_eq!(attached, "{\"id\":7,\"name\":\"new\"}\n");
    daemon.signal("TERM");
    sidecar.signal("TERM");
    assert_eq!((daemon.ended(), sidecar.ended()), (0, 0));
    bucket.run("verify --store STORE").ok();
}

#[test]
fn a_sidecar_serves_from_the_copy_of_a_store_that_does_not_answer() {
    let Some(bucket) = Bucket::new() else { return };
    bucket.publish(0..20);
    let store = &bucket.store;
    let config = format!(
        "consumer:\n  dataset: items\n  store: s3://x/y?endpoint=http://127.0.0.1:1\n  fallback_store: {store}\n  \
         poll_interval: 10ms\n  max_backoff: 20ms\n  monitoring: {{health_check_port: 0}}\n"
    );
    bucket.bench.write("s.yaml", &config);
    let checked = bucket.run("config check s.yaml").ok();
    assert!(checked.contains("consumer.fallback_store"), "{checked}");
    let sidecar = Daemon::spawn(&mut bucket.command(&["sidecar", "--config", "s.yaml"]));
    let version = crate::sidecar::served(&sidecar, 0);
    let record = "/v1/datasets/items/types/Item/records/7";
    assert_eq!(sidecar.get(record).ok()["name"], "n7");
    bucket.publish(0..30);
    crate::sidecar::served(&sidecar, version);
    sidecar.signal("TERM");
    assert_eq!(sidecar.ended(), 0);
}
