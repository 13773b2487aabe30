//! PostgreSQL as installed, `fsync` on: each batch is a `COPY` of its own, and so a transaction.
//!
//! Owns: starting a cluster of its own, and feeding `psql`. Never: tunes it.

use anyhow::{Context, Result, ensure};
use grotto::engine::env::{Clock, SystemClock};
use grotto_bench::ingest::Load;
use grotto_bench::workload::Workload;
use grotto_bench::workload::flat::{Flat, Product};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const TABLE: &str = "CREATE TABLE product (id bigint PRIMARY KEY, title text, cents int, stock int, category int, \
    rating real, active boolean, updated_at bigint)";

/// A cluster that ends with this.
struct Cluster {
    programs: PathBuf,
    data: PathBuf,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stop = self.command("pg_ctl");
        // The folder is removed anyway.
        _ = stop.args(["-m", "immediate", "stop"]).output();
    }
}

impl Cluster {
    /// PostgreSQL refuses to run as root.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("runuser");
        command
            .args(["-u", "postgres", "--"])
            .arg(self.programs.join(program));
        command.arg("-D").arg(&self.data);
        command
    }

    fn start(folder: &Path) -> Result<Self> {
        let cluster = Self {
            programs: programs()?,
            data: folder.join("data"),
        };
        let owned = Command::new("chown").arg("postgres").arg(folder).status()?;
        ensure!(owned.success(), "cannot give the folder to user postgres");
        run(cluster.command("initdb").args(["-A", "trust"]))?;
        let options = format!(
            "-k {} -c listen_addresses= -c max_connections=400",
            folder.display()
        );
        run(cluster
            .command("pg_ctl")
            .args(["-w", "-o", &options, "start"]))?;
        Ok(cluster)
    }
}

/// The newest version that is installed.
fn programs() -> Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let versions = versions.context("postgres: install the Debian package postgresql")?;
    let newest = versions.flatten().map(|version| version.path()).max();
    Ok(newest
        .context("postgres: no version is installed")?
        .join("bin"))
}

fn run(command: &mut Command) -> Result<()> {
    let done = command.current_dir("/").stdout(Stdio::null()).output()?;
    ensure!(
        done.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    Ok(())
}

/// Records a second of a load.
pub(crate) fn rate(clock: &SystemClock, folder: &Path, load: Load) -> Result<f64> {
    let place = tempfile::Builder::new().prefix("pg-").tempdir_in(folder)?;
    let _cluster = Cluster::start(place.path())?;
    run(psql(place.path()).args(["-c", TABLE]))?;
    let begin = clock.monotonic();
    super::in_parallel(load, |sender| send(place.path(), load, sender))?;
    Ok(load.records as f64 / (clock.monotonic() - begin).as_secs_f64())
}

fn psql(folder: &Path) -> Command {
    let mut command = Command::new("psql");
    command.args([
        "-q",
        "-X",
        "-v",
        "ON_ERROR_STOP=1",
        "-U",
        "postgres",
        "-d",
        "postgres",
        "-h",
    ]);
    command.arg(folder);
    command
}

/// One session: `COPY` after `COPY`, each with its data behind it.
fn send(folder: &Path, load: Load, sender: u64) -> Result<()> {
    let mut session = psql(folder).stdin(Stdio::piped()).spawn().context("psql")?;
    let mut input = std::io::BufWriter::new(session.stdin.take().context("psql has no input")?);
    let flat = Flat::new(load.records);
    for batch in (sender..load.records / load.per_batch).step_by(load.senders as usize) {
        writeln!(input, "COPY product FROM STDIN;")?;
        for index in batch * load.per_batch..(batch + 1) * load.per_batch {
            writeln!(input, "{}", row(&flat.record(index, 0)))?;
        }
        writeln!(input, "\\.")?;
    }
    drop(input);
    ensure!(session.wait()?.success(), "psql failed");
    Ok(())
}

fn row(record: &Product) -> String {
    let Product {
        id,
        title,
        cents,
        stock,
        category,
        rating,
        active,
        updated_at,
    } = record;
    format!("{id}\t{title}\t{cents}\t{stock}\t{category}\t{rating}\t{active}\t{updated_at}")
}

/// The same record as JSON.
pub(crate) fn json(record: &Product) -> String {
    let Product {
        id,
        title,
        cents,
        stock,
        category,
        rating,
        active,
        updated_at,
    } = record;
    format!(
        r#"{{"id":{id},"title":"{title}","cents":{cents},"stock":{stock},"category":{category},"rating":{rating},"active":{active},"updated_at":{updated_at}}}"#
    )
}
