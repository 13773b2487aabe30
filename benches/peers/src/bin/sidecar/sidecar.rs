//! The sidecar as a user starts it, and HTTP as lean as a client may speak it.
//!
//! Owns: its configuration, the text of requests and answers. Never: measures.

use super::records::Records;
use super::server::{Engine, Server, a_moment, free_port};
use anyhow::{Context, Result, bail, ensure};
use grotto_bench::deploy::{DATASET, state_dir_of};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Starts the sidecar of a deployment, and waits until it serves.
pub(crate) fn start(place: &Path, grotto: Option<&Path>) -> Result<Server> {
    let beside = std::env::current_exe()?.with_file_name("grotto");
    let (port, socket) = (free_port()?, place.join("sidecar.sock"));
    let config = place.join("sidecar.yaml");
    let text = format!(
        "consumer:\n  dataset: {DATASET}\n  store: file://{}\n  state_dir: {}\n  listeners:\n    socket: {}\n  \
         monitoring:\n    health_check_port: {port}\n",
        place.join("store").display(),
        state_dir_of(place).display(),
        socket.display(),
    );
    std::fs::write(&config, text)?;
    let mut command = Command::new(grotto.unwrap_or(&beside));
    command.arg("sidecar").arg("--config").arg(config);
    command.stdout(Stdio::null());
    command.stderr(File::create(place.join("sidecar.log"))?);
    let server = Server::start(Engine::Sidecar, &mut command, port, socket);
    let server = server.context("build it first: cargo build --release -p grotto-cli")?;
    let mut stream = server.connect(super::server::Transport::Tcp)?;
    let of_dataset = format!("GET /v1/datasets/{DATASET} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    for _ in 0..1_000 {
        stream.write_all(of_dataset.as_bytes())?;
        let mut answer = Vec::new();
        let (status, _) = receive(&mut *stream, &mut answer)?;
        if status == b"200" && answer.windows(11).any(|part| part == b"\"version\":1") {
            return Ok(server);
        }
        a_moment();
    }
    bail!(
        "the sidecar does not serve: {}",
        std::fs::read_to_string(place.join("sidecar.log"))?
    )
}

/// A request for the records at some positions.
pub(crate) fn request(records: &Records, positions: &[usize]) -> Vec<u8> {
    let place = format!("/v1/datasets/{DATASET}/types/Product/records");
    if let [only] = positions {
        let key = records.key(*only);
        return format!("GET {place}/{key} HTTP/1.1\r\nhost: localhost\r\n\r\n").into_bytes();
    }
    let mut body = String::from("[");
    for (at, position) in positions.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        // Writing to a string does not fail.
        _ = write!(body, "{comma}{}", records.key(*position));
    }
    body.push(']');
    let length = body.len();
    format!(
        "POST {place}:batch HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The body of the answer.
pub(crate) fn answer(records: &Records, positions: &[usize]) -> Vec<u8> {
    if let [only] = positions {
        return format!("{}\n", records.text(*only)).into_bytes();
    }
    let texts: Vec<&str> = positions.iter().map(|at| records.text(*at)).collect();
    let (version, texts) = (records.version, texts.join(","));
    format!("{{\"version\":{version},\"records\":[{texts}]}}\n").into_bytes()
}

/// Receives one answer: its status, and its body within `buffer`.
pub(crate) fn receive<'b>(
    stream: &mut (impl Read + ?Sized),
    buffer: &'b mut Vec<u8>,
) -> Result<(&'b [u8], &'b [u8])> {
    let mut filled = 0;
    let head = loop {
        filled += more(stream, buffer, filled)?;
        if let Some(end) = find(&buffer[..filled], b"\r\n\r\n") {
            break end;
        }
    };
    let length = length_of(&buffer[..head])?;
    let end = head + 4 + length;
    while filled < end {
        filled += more(stream, buffer, filled)?;
    }
    ensure!(filled == end, "expected one answer, found more");
    Ok((&buffer[9..12], &buffer[head + 4..end]))
}

/// Reads what is there behind the filled part of a buffer, which grows and never shrinks.
pub(crate) fn more(
    stream: &mut (impl Read + ?Sized),
    buffer: &mut Vec<u8>,
    filled: usize,
) -> Result<usize> {
    if buffer.len() - filled < 32 << 10 {
        buffer.resize(filled + (64 << 10), 0);
    }
    let read = stream.read(&mut buffer[filled..])?;
    ensure!(read > 0, "the server closed the connection");
    Ok(read)
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|part| part == what)
}

fn length_of(head: &[u8]) -> Result<usize> {
    let name = b"content-length: ";
    let at = find(head, name).context("an answer without its length")?;
    let digits = head[at + name.len()..].iter();
    let digits = digits.take_while(|byte| byte.is_ascii_digit());
    Ok(digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0')))
}
