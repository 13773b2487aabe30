//! Clients that ask as fast as they get answers.
//!
//! Owns: requests made beforehand, threads, times. Every client has a thread and a connection of its own, sends a request
//! and waits for the answer. Never: reads the JSON of an answer; its length is checked always, its bytes now and then.

use super::records::Records;
use super::server::{Engine, Server, Stream, Transport};
use super::{redis, sidecar};
use anyhow::{Result, bail, ensure};
use grotto::engine::env::{Clock, SystemClock};
use std::fmt;
use std::sync::Barrier;
use std::time::Duration;

/// One of so many answers is compared byte for byte while times are taken.
const COMPARED: usize = 1_024;
/// Keys of all requests that are made beforehand.
const KEYS: usize = 400_000;

/// What is asked, by how many, in which way.
#[derive(Debug)]
pub(crate) struct Load {
    connections: usize,
    over: Transport,
    batch: usize,
    asked: Vec<Vec<usize>>,
}

/// A request, and how long its answer is.
struct Request {
    bytes: Vec<u8>,
    answer: usize,
}

/// Gets a second, times of one request in microseconds, processor time of the server for one get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) rate: f64,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) processor: f64,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rate,
            p50,
            p99,
            processor,
        } = self;
        write!(
            f,
            "{rate:.0} gets/s, p50 {p50:.2} us, p99 {p99:.2} us, server {processor:.2} us/get"
        )
    }
}

impl Load {
    pub(crate) fn new(
        connections: usize,
        over: Transport,
        batch: usize,
        records: &Records,
    ) -> Self {
        let batch = batch.max(1);
        let positions = records.draw(0x5349_4445, KEYS / batch * batch);
        Self {
            connections: connections.max(1),
            over,
            batch,
            asked: positions.chunks(batch).map(<[usize]>::to_vec).collect(),
        }
    }

    /// What tells it from others: connections, way, keys of a request.
    pub(crate) fn named(&self) -> (usize, Transport, usize) {
        (self.connections, self.over, self.batch)
    }

    fn requests(&self, engine: Engine, records: &Records) -> Vec<Request> {
        let request = |asked: &Vec<usize>| Request {
            bytes: request(engine, records, asked),
            answer: answer(engine, records, asked).len(),
        };
        self.asked.iter().map(request).collect()
    }
}

fn request(engine: Engine, records: &Records, asked: &[usize]) -> Vec<u8> {
    match engine {
        Engine::Sidecar => sidecar::request(records, asked),
        Engine::Redis => redis::request(records, asked),
    }
}

fn answer(engine: Engine, records: &Records, asked: &[usize]) -> Vec<u8> {
    match engine {
        Engine::Sidecar => sidecar::answer(records, asked),
        Engine::Redis => redis::answer(records, asked),
    }
}

/// Sends bytes and reads exactly these.
pub(crate) fn pipelined(stream: &mut dyn Stream, sent: &[u8], expected: &[u8]) -> Result<()> {
    stream.write_all(sent)?;
    let mut found = vec![0; expected.len()];
    stream.read_exact(&mut found)?;
    ensure!(found == expected, "another answer than expected");
    Ok(())
}

/// Asks, and gives the body of the answer, which has the expected length.
fn ask<'b>(
    engine: Engine,
    stream: &mut dyn Stream,
    request: &Request,
    buffer: &'b mut Vec<u8>,
) -> Result<&'b [u8]> {
    stream.write_all(&request.bytes)?;
    let body = match engine {
        Engine::Sidecar => {
            let (status, body) = sidecar::receive(stream, buffer)?;
            ensure!(status == b"200", "status {}", status.escape_ascii());
            body
        }
        Engine::Redis => {
            let mut filled = 0;
            while filled < request.answer {
                filled += sidecar::more(stream, buffer, filled)?;
            }
            &buffer[..filled]
        }
    };
    let (expected, found) = (request.answer, body.len());
    ensure!(
        found == expected,
        "expected {expected} bytes, found {found}"
    );
    Ok(body)
}

fn compare(engine: Engine, records: &Records, asked: &[usize], body: &[u8]) -> Result<()> {
    if body != answer(engine, records, asked) {
        bail!("{engine:?}: a wrong answer: {}", body.escape_ascii());
    }
    Ok(())
}

/// Compares the first answers with what they should be.
pub(crate) fn verify(server: &Server, load: &Load, records: &Records) -> Result<()> {
    let mut stream = server.connect(load.over)?;
    let mut buffer = Vec::new();
    for asked in load.asked.iter().take(2_000) {
        let request = Request {
            bytes: request(server.engine, records, asked),
            answer: answer(server.engine, records, asked).len(),
        };
        let body = ask(server.engine, &mut *stream, &request, &mut buffer)?;
        compare(server.engine, records, asked, body)?;
    }
    Ok(())
}

/// Asks for some time.
pub(crate) fn measure(
    server: &Server,
    load: &Load,
    records: &Records,
    time: Duration,
) -> Result<Measured> {
    let clock = SystemClock::new();
    let requests = load.requests(server.engine, records);
    let start = Barrier::new(load.connections + 1);
    let (requests, start, clock) = (&requests, &start, &clock);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..load.connections)
            .map(|number| {
                let client = move || {
                    let stream = server.connect(load.over);
                    start.wait();
                    let first = number * requests.len() / load.connections;
                    client(
                        clock,
                        server,
                        stream?,
                        (load, records),
                        (requests, first),
                        time,
                    )
                };
                scope.spawn(client)
            })
            .collect();
        let before = server.processor_seconds()?;
        start.wait();
        let begin = clock.monotonic();
        let mut times = Vec::new();
        for client in clients {
            match client.join() {
                Ok(some) => times.append(&mut some?),
                Err(_) => bail!("a client panicked"),
            }
        }
        let seconds = (clock.monotonic() - begin).as_secs_f64();
        let processor = server.processor_seconds()? - before;
        let gets = (times.len() * load.batch) as f64;
        times.sort_unstable();
        Ok(Measured {
            rate: gets / seconds,
            p50: percentile(&times, 0.5),
            p99: percentile(&times, 0.99),
            processor: processor * 1e6 / gets,
        })
    })
}

/// One client: nanoseconds of each request.
fn client(
    clock: &SystemClock,
    server: &Server,
    mut stream: Box<dyn Stream>,
    (load, records): (&Load, &Records),
    (requests, first): (&[Request], usize),
    time: Duration,
) -> Result<Vec<u64>> {
    let (mut buffer, mut times) = (Vec::new(), Vec::new());
    let begin = clock.monotonic();
    let mut before = begin;
    for at in (0..requests.len()).cycle().skip(first) {
        let body = ask(server.engine, &mut *stream, &requests[at], &mut buffer)?;
        let now = clock.monotonic();
        times.push((now - before).as_nanos() as u64);
        before = now;
        if times.len() % COMPARED == 0 {
            compare(server.engine, records, &load.asked[at], body)?;
            before = clock.monotonic();
        }
        if now - begin >= time {
            break;
        }
    }
    Ok(times)
}

/// Microseconds, of sorted nanoseconds.
pub(crate) fn percentile(sorted: &[u64], part: f64) -> f64 {
    let at = (sorted.len() as f64 * part) as usize;
    let at = at.min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(f64::NAN, |ns| *ns as f64 / 1e3)
}
