//! A bucket that is slow, fails, or says nothing, behind a sidecar.
//!
//! A proxy stands between the sidecar and an S3 server; who publishes goes past it.

use super::kit::{degraded, pause, served_after, status, until, well};
use super::tell;
use crate::daemon::kit::{Daemon, records};
use crate::kit::{Bench, Run};
use crate::servers::{self, BUCKET};
use crate::sidecar::kit::RECORDS;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// What becomes of requests.
const PASS: u8 = 0;
/// Each is passed on after a while.
const SLOW: u8 = 1;
/// Each is answered with 500.
const FAIL: u8 = 2;
/// None is answered.
const SILENT: u8 = 3;

const A_WHILE: Duration = Duration::from_millis(400);

struct Proxy {
    address: SocketAddr,
    mode: Arc<AtomicU8>,
}

impl Proxy {
    /// Before a server; it ends with the process.
    fn new(endpoint: &str) -> Self {
        let to: SocketAddr = endpoint.strip_prefix("http://").unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mode = Arc::new(AtomicU8::new(PASS));
        let now = Arc::clone(&mode);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mode = Arc::clone(&now);
                std::thread::spawn(move || converse(client, to, &mode));
            }
        });
        Self { address, mode }
    }

    fn set(&self, mode: u8) {
        self.mode.store(mode, Ordering::Relaxed);
    }
}

fn converse(mut client: TcpStream, to: SocketAddr, mode: &AtomicU8) {
    let mut server = TcpStream::connect(to).unwrap();
    let (mut answers, mut asks) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    std::thread::spawn(move || {
        // Either side may end.
        let _ = std::io::copy(&mut answers, &mut asks);
        let _ = asks.shutdown(Shutdown::Both);
    });
    let mut bytes = [0; 64 << 10];
    while let Ok(count @ 1..) = client.read(&mut bytes) {
        match mode.load(Ordering::Relaxed) {
            FAIL => {
                let answer = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";
                // As above.
                let _ = client.write_all(answer.as_bytes());
                break;
            }
            SILENT => {
                while mode.load(Ordering::Relaxed) == SILENT {
                    pause(Duration::from_millis(10));
                }
                break;
            }
            SLOW => pause(A_WHILE),
            _ => {}
        }
        if server.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
    let _ = client.shutdown(Shutdown::Both);
}

struct Bucket {
    bench: Bench,
    store: String,
    endpoint: String,
}

impl Bucket {
    fn command(&self, args: &[&str], endpoint: &str) -> Command {
        let mut command = self.bench.command(args);
        command
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test");
        command
    }

    /// Publishes so many records, past the proxy.
    fn publish(&self, count: u64) {
        self.bench.write("input.ndjson", &records(0..count));
        let words = "publish --dataset items --schema item.schema --input input.ndjson --store";
        let mut args: Vec<&str> = words.split_whitespace().collect();
        args.push(&self.store);
        let output = self.command(&args, &self.endpoint).output();
        Run::of(output.unwrap()).ok();
    }
}

/// The version is served as it was published, with so many records.
#[track_caller]
fn is_served(sidecar: &Daemon, attached: &grotto::Attached, version: u64) {
    let last = sidecar.get(&format!("{RECORDS}/{}", 10 * version - 1));
    assert_eq!(last.status, 200);
    assert_eq!(
        sidecar.get(&format!("{RECORDS}/{}", 10 * version)).status,
        404
    );
    assert_eq!(attached.state().total(), 10 * version);
}

#[test]
fn a_bucket_that_is_slow_fails_or_says_nothing_leaves_the_last_version_served() {
    let Some(server) = servers::s3() else { return };
    let proxy = Proxy::new(&server.endpoint);
    let bucket = Bucket {
        bench: Bench::with_schema(),
        store: format!("s3://{BUCKET}/runs-{}", std::process::id()),
        endpoint: server.endpoint.clone(),
    };
    bucket.publish(10);
    let text = format!(
        "consumer:\n  dataset: items\n  store: {}\n  state_dir: state\n  poll_interval: 10ms\n  max_backoff: 100ms\n  \
         lease: false\n  health_check_interval: 200ms\n  max_errors_per_minute: 100000\n  \
         guards: {{hold: false}}\n  monitoring: {{health_check_port: 0}}\n",
        bucket.store
    );
    bucket.bench.write("s.yaml", &text);
    let endpoint = format!("http://{}", proxy.address);
    let mut command = bucket.command(&["sidecar", "--config", "s.yaml"], &endpoint);
    let sidecar = Daemon::spawn(&mut command);
    assert_eq!(served_after(&sidecar, 0), 1);
    let attached = grotto::Consumer::attach(bucket.bench.path("state")).unwrap();
    let mut version = 1;
    for (mode, name) in [(SLOW, "slow"), (FAIL, "failing"), (SILENT, "silent")] {
        proxy.set(mode);
        match mode {
            FAIL => {
                let told = degraded(&sidecar, "the last refresh failed");
                tell(format_args!("{name}: {}", told["reasons"]));
            }
            _ => {
                let stale = until(|| {
                    status(&sidecar)["staleness_ms"]
                        .as_u64()
                        .filter(|ms| *ms > 300)
                });
                tell(format_args!("{name}: stale for {stale} ms"));
            }
        }
        is_served(&sidecar, &attached, version);
        version += 1;
        bucket.publish(10 * version);
        if mode == SLOW {
            // It is followed all the same, at the pace of the bucket.
            until(|| (status(&sidecar)["version"] == version).then_some(()));
        } else {
            is_served(&sidecar, &attached, version - 1);
        }
        proxy.set(PASS);
        well(&sidecar, version);
        attached
            .wait_for(version, crate::daemon::kit::PATIENCE)
            .unwrap();
        is_served(&sidecar, &attached, version);
    }
}
