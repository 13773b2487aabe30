//! A server that runs beside this program.
//!
//! Owns: its process, its addresses, connections to it, and how much of a processor it took. Never: a protocol.

use anyhow::{Context, Result, bail};
use std::fmt;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Engine {
    /// `grotto sidecar`, by HTTP.
    Sidecar,
    /// `redis-server`, by its own protocol.
    Redis,
}

/// By which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Transport {
    /// The loopback address.
    Tcp,
    /// A socket in the file system.
    Unix,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Unix => "Unix socket",
        })
    }
}

/// A connection.
pub(crate) trait Stream: Read + Write + Send {}

impl<S: Read + Write + Send> Stream for S {}

/// Ends with this.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) engine: Engine,
    child: Child,
    port: u16,
    socket: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Server {
    /// Starts a command that will listen at both places, and waits until it does.
    pub(crate) fn start(
        engine: Engine,
        command: &mut Command,
        port: u16,
        socket: PathBuf,
    ) -> Result<Self> {
        let child = command.spawn();
        let child = child.with_context(|| format!("{command:?}"))?;
        let server = Self {
            engine,
            child,
            port,
            socket,
        };
        for _ in 0..1_000 {
            let tries = [Transport::Tcp, Transport::Unix].map(|over| server.connect(over));
            if tries.iter().all(Result::is_ok) {
                return Ok(server);
            }
            a_moment();
        }
        bail!("{command:?} does not listen")
    }

    /// A connection that sends at once.
    pub(crate) fn connect(&self, over: Transport) -> Result<Box<dyn Stream>> {
        Ok(match over {
            Transport::Unix => Box::new(UnixStream::connect(&self.socket)?),
            Transport::Tcp => {
                let stream = TcpStream::connect(("127.0.0.1", self.port))?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
        })
    }

    /// Seconds of processors that it took up to now.
    pub(crate) fn processor_seconds(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name before may hold anything.
        let (_, rest) = stat.rsplit_once(')').context("stat without a name")?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let (user, system): (u64, u64) = (fields[11].parse()?, fields[12].parse()?);
        // The kernel counts hundredths for everybody.
        Ok((user + system) as f64 / 100.0)
    }
}

/// A port that nobody has.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Waits for what a server that starts does not tell.
#[expect(
    clippy::disallowed_methods,
    reason = "there is nothing to wait on, and nothing is measured yet"
)]
pub(crate) fn a_moment() {
    std::thread::sleep(Duration::from_millis(10));
}
