//! A whole dataset as one file: `grotto export --whole` and `grotto import`.
//!
//! Owns: the file, which has its name only once it is complete. Never: says what is in it; the store library does.

use super::{CopyArgs, Target, confirm};
use crate::failure::{Failure, Outcome};
use crate::output::Out;
use crate::progress::Bar;
use crate::reader::ReadArgs;
use crate::target::{TargetArgs, nothing_published};
use grotto::store::{CopyOptions, CopyStep, Dataset, Store};
use grotto_service::config::Role;
use std::fs::File;
use std::io::{BufWriter, Error as IoError};
use std::path::{Path, PathBuf};

use super::report::Report;

/// Bytes gathered before they are written.
const BUFFER: usize = 256 << 10;

/// Reads a dataset from an archive into a store
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grotto import cities.tar --store ./store
  grotto import cities.tar --store s3://bucket/prefix --new-identity

The archive is one that `grotto export --whole` wrote. All of it is verified before any version of it is visible in the store; a
damaged one is refused. The target should be empty: one that holds older versions of the same dataset is gone on from
with --yes, and one that holds anything else is refused.
An archive is a plain tar file of the folder that a store in a folder has, so that any `tar` can show and unpack it.")]
pub(crate) struct ImportArgs {
    /// The archive
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    target: TargetArgs,
    /// Go on from what the target holds
    #[arg(long)]
    yes: bool,
    /// Make it another dataset, with an identity of its own
    #[arg(long)]
    new_identity: bool,
    /// Do not rebuild the newest version from the target at the end, which takes the memory of its records
    #[arg(long)]
    no_check: bool,
}

pub(crate) async fn import(args: &ImportArgs, out: &mut Out) -> Outcome<()> {
    let resolved = args.target.resolve(Role::Writer)?;
    let archive = Store::open_archive(&args.file)?;
    let name = name_in(&archive, resolved.dataset.as_deref(), &args.file).await?;
    let copy = CopyArgs {
        new_identity: args.new_identity,
        no_check: args.no_check,
        no_lease: true,
        strict: true,
        ..CopyArgs::default()
    };
    let source = Dataset::open(archive, &name)?;
    let target = Target::open(resolved.url, &name, &copy)?;
    confirm(&target, args.yes).await?;
    copy.run("import", &source, &target, out).await
}

/// The dataset of an archive, or the one that was asked for.
async fn name_in(archive: &Store, asked: Option<&str>, file: &Path) -> Outcome<String> {
    let mut names = archive.datasets().await?;
    let shown = file.display();
    match asked {
        Some(asked) if names.iter().any(|name| name == asked) => Ok(asked.to_owned()),
        Some(asked) => Err(Failure::not_found(format!(
            "archive {shown} does not hold dataset {asked}, but {}",
            names.join(", ")
        ))),
        None if names.len() == 1 => Ok(names.remove(0)),
        None => Err(Failure::invalid(format!(
            "archive {shown} holds several datasets: {}",
            names.join(", ")
        ))
        .hint("choose one with --dataset")),
    }
}

/// Writes an archive.
pub(crate) async fn write(args: &ReadArgs, path: &Path, out: &mut Out) -> Outcome<()> {
    let target = args.target.resolve(Role::Reader)?;
    let dataset = target.open().await?;
    if dataset.list_versions(1..=u64::MAX).await?.is_empty() {
        return Err(nothing_published(dataset.name(), &target).await);
    }
    let folder = std::env::temp_dir();
    let store = dataset.store().clone().with_spool(folder);
    let dataset = Dataset::open(store, dataset.name())?;
    let options = CopyOptions {
        up_to: args.version,
        hold: Some(super::hold("export")?),
        ..CopyOptions::default()
    };
    let unfinished = Unfinished::create(path)?;
    let file = BufWriter::with_capacity(
        BUFFER,
        unfinished.file.try_clone().map_err(|e| refused(path, &e))?,
    );
    let bar = Bar::new("exporting", out.is_json());
    let watch = |step| match step {
        CopyStep::Versions(versions) => bar.of_items(versions),
        CopyStep::Version(_) => bar.add(1),
        CopyStep::Bytes(_) => {}
    };
    let written = dataset.write_archive(file, &options, &watch).await;
    drop(bar);
    let (copied, _) = written.map_err(super::advise)?;
    unfinished.finish()?;
    let report = Report {
        what: "export",
        dataset: dataset.name(),
        target: &path.display(),
        copied: &copied,
        records: None,
    };
    report.print(out)
}

/// A file under its temporary name; removed unless it is finished.
struct Unfinished<'a> {
    path: &'a Path,
    temporary: PathBuf,
    file: File,
    done: bool,
}

impl<'a> Unfinished<'a> {
    fn create(path: &'a Path) -> Outcome<Self> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = path.with_file_name(name);
        let file = File::create(&temporary).map_err(|e| refused(path, &e))?;
        Ok(Self {
            path,
            temporary,
            file,
            done: false,
        })
    }

    /// Gives it its name once it is on the disk.
    fn finish(mut self) -> Outcome<()> {
        let synced = self.file.sync_all();
        synced.map_err(|e| refused(self.path, &e))?;
        std::fs::rename(&self.temporary, self.path).map_err(|e| refused(self.path, &e))?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.done {
            // What cannot be removed is only clutter under a name that says so.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

fn refused(path: &Path, error: &IoError) -> Failure {
    Failure::io(&format!("write {}", path.display()), error)
}
