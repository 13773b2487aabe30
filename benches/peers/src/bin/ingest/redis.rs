//! Redis with `appendfsync always`, as its users run it when nothing may be lost.
//!
//! Owns: starting a server of its own, and speaking its protocol. Never: waits longer than the load takes.

use anyhow::{Context, Result, bail};
use grotto::engine::env::{Clock, SystemClock};
use grotto_bench::ingest::Load;
use grotto_bench::workload::Workload;
use grotto_bench::workload::flat::Flat;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Kills the server when it is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

/// Records a second of a load: each a `SET` of its JSON, as many in a pipeline as a batch has.
pub(crate) fn rate(clock: &SystemClock, folder: &Path, load: Load) -> Result<f64> {
    let place = tempfile::Builder::new()
        .prefix("redis-")
        .tempdir_in(folder)?;
    let socket = place.path().join("s");
    let mut command = Command::new("redis-server");
    command.args([
        "--port",
        "0",
        "--save",
        "",
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
    ]);
    command
        .arg("--unixsocket")
        .arg(&socket)
        .arg("--dir")
        .arg(place.path());
    command.args(["--maxclients", "10000", "--daemonize", "no"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let _server = Server(child.context("redis-server: install the Debian package")?);
    connect(&socket)?;
    let begin = clock.monotonic();
    super::in_parallel(load, |sender| send(&socket, load, sender))?;
    Ok(load.records as f64 / (clock.monotonic() - begin).as_secs_f64())
}

fn connect(socket: &Path) -> Result<UnixStream> {
    for _ in 0..500 {
        if let Ok(stream) = UnixStream::connect(socket) {
            return Ok(stream);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    bail!("redis-server does not listen at {}", socket.display())
}

fn send(socket: &Path, load: Load, sender: u64) -> Result<()> {
    let mut stream = connect(socket)?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let flat = Flat::new(load.records);
    let (mut request, mut line) = (Vec::new(), String::new());
    for batch in (sender..load.records / load.per_batch).step_by(load.senders as usize) {
        request.clear();
        for index in batch * load.per_batch..(batch + 1) * load.per_batch {
            let record = flat.record(index, 0);
            let key = format!("product:{}", record.id);
            let value = super::postgres::json(&record);
            write!(
                request,
                "*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n{value}\r\n",
                key.len(),
                value.len()
            )?;
        }
        stream.write_all(&request)?;
        for _ in 0..load.per_batch {
            line.clear();
            answers.read_line(&mut line)?;
            if line != "+OK\r\n" {
                bail!("redis: expected +OK, found {line:?}");
            }
        }
    }
    Ok(())
}
