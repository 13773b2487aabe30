//! Redis as installed, without anything that writes to disk.
//!
//! Owns: starting it, filling it, the text of requests and answers. Never: measures.

use super::client::pipelined;
use super::records::Records;
use super::server::{Engine, Server, Transport, free_port};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::{Command, Stdio};

/// Starts a server of its own and sets every record's text under its key.
pub(crate) fn start(place: &Path, records: &Records) -> Result<Server> {
    let (port, socket) = (free_port()?, place.join("redis.sock"));
    let mut command = Command::new("redis-server");
    command.arg("--port").arg(port.to_string());
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.args(["--daemonize", "no", "--unixsocket"]);
    command.arg(&socket).arg("--dir").arg(place);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let server = Server::start(Engine::Redis, &mut command, port, socket);
    let server = server.context("redis-server: install the Debian package")?;
    let mut stream = server.connect(Transport::Unix)?;
    let positions: Vec<usize> = (0..records.count()).collect();
    for some in positions.chunks(1_000) {
        let mut sets = Vec::new();
        for &at in some {
            command_of(&mut sets, "SET", &[&name(records, at), records.text(at)]);
        }
        let answers = b"+OK\r\n".repeat(some.len());
        pipelined(&mut *stream, &sets, &answers)?;
    }
    Ok(server)
}

fn name(records: &Records, position: usize) -> String {
    format!("product:{}", records.key(position))
}

fn command_of(out: &mut Vec<u8>, verb: &str, arguments: &[&str]) {
    out.extend_from_slice(format!("*{}\r\n", arguments.len() + 1).as_bytes());
    for part in std::iter::once(&verb).chain(arguments) {
        out.extend_from_slice(format!("${}\r\n{part}\r\n", part.len()).as_bytes());
    }
}

/// A request for the records at some positions.
pub(crate) fn request(records: &Records, positions: &[usize]) -> Vec<u8> {
    let names: Vec<String> = positions.iter().map(|at| name(records, *at)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let verb = if names.len() == 1 { "GET" } else { "MGET" };
    let mut request = Vec::new();
    command_of(&mut request, verb, &names);
    request
}

/// The answer.
pub(crate) fn answer(records: &Records, positions: &[usize]) -> Vec<u8> {
    let mut answer = match positions.len() {
        1 => String::new(),
        many => format!("*{many}\r\n"),
    };
    for at in positions {
        let text = records.text(*at);
        answer.push_str(&format!("${}\r\n{text}\r\n", text.len()));
    }
    answer.into_bytes()
}
