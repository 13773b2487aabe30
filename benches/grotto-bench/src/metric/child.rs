//! What this program does as another process: start, read, and say how long it took.
//!
//! Owns: both ends of that conversation. Never: a median.

use crate::deploy::{DATASET, state_dir_of, store_of};
use crate::workload::catalog::Catalog;
use crate::workload::flat::Flat;
use crate::workload::{Workload, rng};
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use grotto::State;
use grotto::consumer::Consumer;
use grotto::engine::env::{Clock, SystemClock};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::runtime::Builder;

/// What a child does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Task {
    /// Loads from the store onto the heap.
    Load,
    /// Loads from the store into an empty state directory.
    LoadDir,
    /// Starts on a state directory that is up to date.
    Restart,
    /// Attaches to a state directory.
    Attach,
    /// Attaches, reads everything, and stays until its input ends.
    Hold,
}

/// Does the task, prints the nanoseconds since `clock` began, and waits until its input ends.
///
/// # Errors
/// When there is nothing to read where there should be.
pub fn run(task: Task, workload: &str, place: &Path, key: i64, clock: &SystemClock) -> Result<()> {
    match workload {
        Flat::NAME => work::<Flat>(task, place, key, clock),
        Catalog::NAME => work::<Catalog>(task, place, key, clock),
        other => bail!("no workload {other}"),
    }
}

fn work<W: Workload>(task: Task, place: &Path, key: i64, clock: &SystemClock) -> Result<()> {
    if matches!(task, Task::Attach | Task::Hold) {
        let attached = Consumer::attach(state_dir_of(place))?;
        let state = attached.state();
        read::<W>(&state, key)?;
        if task == Task::Hold {
            read_all::<W>(&state)?;
        }
        return tell(clock);
    }
    // As small a runtime as a command would take.
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let builder = Consumer::builder(DATASET, store_of(place)?);
    let consumer = match task {
        Task::Load => runtime.block_on(builder.open())?,
        Task::LoadDir => {
            let dir = place.join(format!("state-{}", std::process::id()));
            runtime.block_on(builder.state_dir(dir).open())?
        }
        _ => runtime.block_on(builder.state_dir(state_dir_of(place)).start())?,
    };
    read::<W>(&consumer.state(), key)?;
    tell(clock)
}

fn read<W: Workload>(state: &State, key: i64) -> Result<()> {
    let typed = state.typed::<W::Typed>()?;
    let record = typed
        .get(key)?
        .with_context(|| format!("no record {key}"))?;
    std::hint::black_box(W::number(record));
    Ok(())
}

/// Touches every block and every index page.
fn read_all<W: Workload>(state: &State) -> Result<()> {
    let typed = state.typed::<W::Typed>()?;
    let digest = typed.iter().map(W::digest_read).fold(0, u64::wrapping_add);
    // As long as an index has fewer pages than the dataset has records, this meets all of them.
    let misses = (0..typed.len())
        .filter(|i| matches!(typed.get(rng::id(u64::MAX - i)), Ok(None)))
        .count();
    ensure!(
        digest != 0 && misses as u64 == typed.len(),
        "read something else than expected"
    );
    Ok(())
}

fn tell(clock: &SystemClock) -> Result<()> {
    let time = clock.monotonic();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", time.as_nanos())?;
    out.flush()?;
    let mut rest = Vec::new();
    std::io::stdin().lock().read_to_end(&mut rest)?;
    Ok(())
}

/// A child that has done its task and waits.
pub(super) struct Waiting {
    child: Child,
    /// From the start of its `main` to the end of its task, as it said.
    pub(super) inside: Duration,
}

/// Starts a child and waits until it has done its task.
pub(super) fn start(task: Task, workload: &str, place: &Path, key: i64) -> Result<Waiting> {
    let task = task.to_possible_value().context("a task without a name")?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args([workload, "--child", task.get_name(), "--place"])
        .arg(place);
    command.arg(format!("--key={key}"));
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("a child without output")?).read_line(&mut line)?;
    let inside = line
        .trim()
        .parse()
        .with_context(|| format!("a child said {line:?}"))?;
    Ok(Waiting {
        child,
        inside: Duration::from_nanos(inside),
    })
}

impl Waiting {
    /// Bytes of memory that belong to it: its own, and its share of what it shares.
    pub(super) fn pss(&self) -> Result<Memory> {
        let path = format!("/proc/{}/smaps_rollup", self.child.id());
        let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
        let of = |name: &str| -> Result<f64> {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kilobytes = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
            let kilobytes = kilobytes.with_context(|| format!("{path} has no {name}"))?;
            Ok(kilobytes.trim().parse::<f64>()? * 1024.0)
        };
        Ok(Memory {
            pss: of("Pss")?,
            private: of("Private_Clean")? + of("Private_Dirty")?,
        })
    }

    /// Lets it end.
    pub(super) fn end(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait()?;
        ensure!(status.success(), "a child ended with {status}");
        Ok(())
    }
}

/// Memory of a process in bytes.
pub(super) struct Memory {
    pub(super) pss: f64,
    pub(super) private: f64,
}
