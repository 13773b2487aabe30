//! Running the daemon, and speaking HTTP with it by hand.

use crate::kit::Bench;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// How long a test waits for what has to come: far longer than it takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A configuration of dataset `items` in the folder of a bench, with more keys below `producer`.
pub(crate) fn configure(bench: &Bench, more: &str) {
    let text = format!(
        "producer:\n  dataset: items\n  schema: item.schema\n  store: store\n  wal: {{dir: wal}}\n  \
         dead_letter: {{dir: dead}}\n  monitoring: {{health_check_port: 0}}\n{more}"
    );
    bench.write("c.yaml", &text);
}

/// A daemon that runs; killed when the test ends.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) address: SocketAddr,
    log: Receiver<String>,
    seen: Vec<Value>,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Daemon {
    /// Starts the daemon of `c.yaml` and waits until it listens.
    pub(crate) fn start(bench: &Bench) -> Self {
        Self::start_with(bench, Stdio::null())
    }

    pub(crate) fn start_with(bench: &Bench, stdin: Stdio) -> Self {
        Self::start_in(bench, stdin, &[])
    }

    /// The same with these variables of the environment.
    pub(crate) fn start_in(bench: &Bench, stdin: Stdio, variables: &[(&str, &str)]) -> Self {
        let mut command = bench.command(&["producer", "--config", "c.yaml"]);
        command.envs(variables.iter().copied());
        command.stdin(stdin);
        Self::spawn(&mut command)
    }

    /// Starts any daemon and waits until it listens.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let (daemon, stdout) = Self::spawn_shown(command);
        // Nobody reads it here: the pipe must not fill.
        std::thread::spawn(move || std::io::copy(&mut { stdout }, &mut std::io::sink()));
        daemon
    }

    /// The same, with what it prints.
    pub(crate) fn spawn_shown(command: &mut Command) -> (Self, ChildStdout) {
        let mut child = command.spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (sender, log) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut daemon = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            log,
            seen: Vec::new(),
        };
        let listening = daemon.logged("listening");
        daemon.address = listening["address"].as_str().unwrap().parse().unwrap();
        (daemon, stdout)
    }

    pub(crate) fn stdin(&mut self) -> ChildStdin {
        self.child.stdin.take().unwrap()
    }

    /// The next line of the log with this message.
    #[track_caller]
    pub(crate) fn logged(&mut self, message: &str) -> Value {
        loop {
            let Ok(line) = self.log.recv_timeout(PATIENCE) else {
                panic!("the log has no {message:?}: {:#?}", self.seen);
            };
            let value: Value = serde_json::from_str(&line).unwrap_or_else(|_| line.into());
            self.seen.push(value.clone());
            if value["message"] == message {
                return value;
            }
        }
    }

    /// Lines of the log that were looked at.
    pub(crate) fn seen(&self) -> &[Value] {
        &self.seen
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let mut kill = std::process::Command::new("kill");
        let sent = kill.arg(format!("-{name}")).arg(self.id().to_string());
        assert!(sent.status().unwrap().success());
    }

    /// Kills it without a word.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end; the exit code.
    pub(crate) fn ended(mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    /// Opens a connection.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub(crate) fn get(&self, path: &str) -> Told {
        self.ask("GET", path, &[], b"")
    }

    pub(crate) fn post(&self, path: &str, body: &[u8]) -> Told {
        self.ask("POST", path, &[], body)
    }

    /// Sends a request and reads the answer.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Told {
        let mut stream = self.connect();
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        // The answer may come before all is sent.
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(body);
        told(stream)
    }

    /// Posts records of dataset `items` that have to be taken in, all of them.
    #[track_caller]
    pub(crate) fn accepted(&self, query: &str, body: &str) -> Value {
        let path = format!("/v1/datasets/items/records{query}");
        let told = self.post(&path, body.as_bytes());
        assert_eq!(told.status, 200, "{}", told.body);
        let value = told.json();
        assert_eq!(value["refused_lines"], 0, "{value}");
        value
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Told {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()
    }

    /// The code and the message of a refusal.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16) -> (String, String) {
        assert_eq!(self.status, status, "{self:?}");
        let error = &self.json()["error"];
        let text = |name: &str| error[name].as_str().unwrap().to_owned();
        assert!(!text("request_id").is_empty());
        (text("code"), text("message"))
    }
}

/// Reads an answer until the connection ends.
pub(crate) fn told(mut stream: impl std::io::Read) -> Told {
    let mut bytes = Vec::new();
    // A reset after the answer is an end as well.
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Told {
        status: status.unwrap_or(0),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// Lines of records with these numbers.
pub(crate) fn records(ids: std::ops::Range<u64>) -> String {
    ids.map(|id| format!("{{\"id\":{id},\"name\":\"n{id}\"}}\n"))
        .collect()
}

/// All records that the store has, by their numbers.
pub(crate) fn published(bench: &Bench) -> Vec<u64> {
    let run = bench.run("export --store store --dataset items --type Item");
    let ids = run.values();
    ids.iter()
        .map(|record| record["id"].as_u64().unwrap())
        .collect()
}
