//! Figures of all engines: gathered from the programs that print them, and kept in a file.
//!
//! Owns: reading their lines. Never: prints a table.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// One figure.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Figure {
    pub(crate) engine: String,
    pub(crate) workload: String,
    pub(crate) n: u64,
    pub(crate) metric: String,
    pub(crate) unit: String,
    pub(crate) median: f64,
}

/// The digest of what an engine holds, before and after three change steps.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Digest {
    pub(crate) engine: String,
    pub(crate) workload: String,
    pub(crate) n: u64,
    pub(crate) initial: String,
    pub(crate) changed: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Figure(Figure),
    Digest(Digest),
}

/// All figures so far.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    file: Option<File>,
    pub(crate) all: Vec<Figure>,
    digests: Vec<Digest>,
}

impl Figures {
    /// No figures; those to come are appended to a file.
    pub(crate) fn into_file(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.with_context(|| format!("{}", path.display()))?;
        Ok(Self {
            file: Some(file),
            ..Self::default()
        })
    }

    /// The figures of a file.
    pub(crate) fn from_file(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("{}", path.display()))?;
        let mut figures = Self::default();
        for line in BufReader::new(file).lines() {
            figures.take(&line?)?;
        }
        Ok(figures)
    }

    fn take(&mut self, line: &str) -> Result<()> {
        match serde_json::from_str(line).with_context(|| format!("not a figure: {line}"))? {
            Line::Figure(figure) => self.all.push(figure),
            Line::Digest(digest) => {
                self.compare(&digest)?;
                self.digests.push(digest);
            }
        }
        Ok(())
    }

    /// Engines that hold different records cannot be compared.
    fn compare(&self, digest: &Digest) -> Result<()> {
        let same = |other: &&Digest| other.workload == digest.workload && other.n == digest.n;
        for other in self.digests.iter().filter(same) {
            if (&other.initial, &other.changed) != (&digest.initial, &digest.changed) {
                bail!(
                    "{} and {} hold different records: {other:?}, {digest:?}",
                    other.engine,
                    digest.engine
                );
            }
        }
        Ok(())
    }

    /// Keeps a line that this program made.
    pub(crate) fn add(&mut self, line: &str) -> Result<()> {
        if let Some(file) = &mut self.file {
            writeln!(file, "{line}")?;
        }
        self.take(line)
    }

    /// Runs a program that prints figures.
    pub(crate) fn run(&mut self, command: &mut Command) -> Result<()> {
        eprintln!("running {command:?}");
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{command:?}"))?;
        let output = child.stdout.take().context("a child without output")?;
        for line in BufReader::new(output).lines() {
            let line = line?;
            eprintln!("{line}");
            self.add(&line)?;
        }
        let status = child.wait()?;
        if !status.success() {
            bail!("{command:?} ended with {status}");
        }
        Ok(())
    }

    /// The newest median of a metric.
    pub(crate) fn median(&self, engine: &str, workload: &str, n: u64, metric: &str) -> Option<f64> {
        let same = |f: &&Figure| {
            f.engine == engine && f.workload == workload && f.n == n && f.metric == metric
        };
        self.all.iter().rev().find(same).map(|figure| figure.median)
    }
}
