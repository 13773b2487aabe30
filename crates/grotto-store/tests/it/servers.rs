//! Servers of buckets for tests: found by a variable, or started for as long as the test process lives.
//!
//! Owns: starting them, and what is said where there are none. Never: lets a test pass quietly that ran nothing in CI.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The bucket of the S3 server.
pub(crate) const BUCKET: &str = "grotto";
/// Where servers are installed, and run from.
const SERVERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.ci/servers");

/// A server that runs.
pub(crate) struct Server {
    /// Such as `http://127.0.0.1:4566`.
    pub(crate) endpoint: String,
    /// Ends with its standard input: with this process, however that ends.
    _process: Option<Child>,
}

/// The S3 server, with a bucket; `None` where there is none and none can be had.
pub(crate) fn s3() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let start = || {
        let server = find("GROTTO_TEST_S3", "s3", "Running on")?;
        let status = ask(&server.endpoint, &format!("PUT /{BUCKET} HTTP/1.1"), "");
        assert!(matches!(status, 200 | 409), "creating the bucket: {status}");
        Some(server)
    };
    SERVER.get_or_init(start).as_ref()
}

/// One named by a variable, or one that is started.
pub(crate) fn find(variable: &str, kind: &str, ready: &str) -> Option<Server> {
    if let Ok(endpoint) = std::env::var(variable) {
        return Some(Server {
            endpoint,
            _process: None,
        });
    }
    let started = start(kind, ready);
    if let Err(why) = &started {
        let how = format!("set {variable} or run .ci/servers install");
        assert!(
            std::env::var_os("CI").is_none(),
            "no {kind} server ({why}): {how}"
        );
        eprintln!("WARNING: SKIPPED: no {kind} server ({why}): {how}");
    }
    started.ok()
}

fn start(kind: &str, ready: &str) -> Result<Server, String> {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let process = run(&mut command(kind, port)?, ready)?;
    Ok(Server {
        endpoint: format!("http://127.0.0.1:{port}"),
        _process: Some(process),
    })
}

/// What runs a server.
pub(crate) fn command(kind: &str, port: u16) -> Result<Command, String> {
    if !Path::new(SERVERS).exists() {
        return Err(format!("{SERVERS} is not there"));
    }
    let mut command = Command::new(SERVERS);
    command.args(["run", kind, &port.to_string()]);
    Ok(command)
}

/// Starts a server and waits until it says that it is ready.
pub(crate) fn run(command: &mut Command, ready: &str) -> Result<Child, String> {
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| e.to_string())?;
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    loop {
        match lines.next() {
            Some(Ok(line)) if line.contains(ready) => break,
            Some(Ok(line)) => said.push(line),
            _ => return Err(format!("it ended: {}", said.join(" / "))),
        }
    }
    // Whoever writes to a pipe that nobody reads stops.
    std::thread::spawn(move || lines.for_each(drop));
    Ok(process)
}

/// Sends a request without a body; the status of the answer.
pub(crate) fn ask(endpoint: &str, request: &str, headers: &str) -> u16 {
    let host = endpoint.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let rest = "Content-Length: 0\r\nConnection: close";
    write!(
        stream,
        "{request}\r\nHost: {host}\r\n{headers}{rest}\r\n\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer);
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}
