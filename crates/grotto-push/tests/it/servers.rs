//! Redis and NATS for tests: servers that a test may kill and start again at the same port.
//!
//! Owns: starting them, and what is said where there are none. Never: lets a test pass quietly that ran nothing in CI.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Where servers are installed, and run from.
const SERVERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.ci/servers");

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Redis,
    Nats,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Redis, Self::Nats];

    fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis",
            Self::Nats => "nats",
        }
    }

    /// What it says once it takes connections.
    fn ready(self) -> &'static str {
        match self {
            Self::Redis => "Ready to accept connections",
            Self::Nats => "Server is ready",
        }
    }
}

/// A server that runs, or did.
pub(crate) struct PushServer {
    kind: Kind,
    port: u16,
    options: Vec<String>,
    /// Ends with its standard input: with this process, however that ends.
    process: Option<Child>,
}

impl PushServer {
    /// Starts one with options, in which `PORT` is its port; `None` where there is none to start.
    pub(crate) fn start(kind: Kind, options: &[&str]) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut server = Self {
            kind,
            port,
            options: options.iter().map(ToString::to_string).collect(),
            process: None,
        };
        if let Err(why) = server.launch() {
            let (name, how) = (kind.name(), "run .ci/servers install");
            assert!(
                std::env::var_os("CI").is_none(),
                "no {name} server ({why}): {how}"
            );
            eprintln!("WARNING: SKIPPED: no {name} server ({why}): {how}");
            return None;
        }
        Some(server)
    }

    /// Such as `redis://127.0.0.1:6379`.
    pub(crate) fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", self.kind.name(), self.port)
    }

    /// Ends it, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.stdin.take());
            process.wait().unwrap();
        }
    }

    /// Starts it again, at the same port.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.launch().unwrap();
    }

    fn launch(&mut self) -> Result<(), String> {
        if !Path::new(SERVERS).exists() {
            return Err(format!("{SERVERS} is not there"));
        }
        let port = self.port.to_string();
        let mut process = Command::new(SERVERS)
            .args(["run", self.kind.name(), &port])
            .args(
                { &self.options }
                    .iter()
                    .map(|one| one.replace("PORT", &port)),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|e| e.to_string())?;
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut said = Vec::new();
        loop {
            match lines.next() {
                Some(Ok(line)) if line.contains(self.kind.ready()) => break,
                Some(Ok(line)) => said.push(line),
                _ => return Err(format!("it ended: {}", said.join(" / "))),
            }
        }
        // Whoever writes to a pipe that nobody reads stops.
        std::thread::spawn(move || lines.for_each(drop));
        self.process = Some(process);
        Ok(())
    }
}

impl Drop for PushServer {
    fn drop(&mut self) {
        self.kill();
    }
}
