//! `grotto backup`, `grotto restore`, `grotto import`: a dataset from one store to another, or from and to an archive.
//!
//! Owns: what both share, and what is told. Never: decides what is copied, or in which order; the store library does.

pub(crate) mod archive;
pub(crate) mod backup;
mod report;
pub(crate) mod restore;

use crate::failure::{Failure, Outcome};
use crate::output::Out;
use crate::place::host_and_process;
use crate::progress::Bar;
use crate::reader;
use grotto::engine::format::log::is_plain_name;
use grotto::store::{
    ConsumerId, Copied, CopyHold, CopyOptions, CopyStep, Dataset, Store, StoreUrl,
};
use report::Report;
use std::path::PathBuf;

/// How to copy.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct CopyArgs {
    /// Copy up to this version instead of the newest
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    /// Leave out what is older than the newest snapshot at or below this version, where nothing is there yet
    #[arg(long, value_name = "N")]
    since: Option<u64>,
    /// Read all that the target holds too, and write again what is damaged or lost there
    #[arg(long)]
    recheck: bool,
    /// Make it another dataset, with an identity of its own
    #[arg(long)]
    new_identity: bool,
    /// Do not rebuild the newest version from the target at the end, which takes the memory of its records
    #[arg(long)]
    no_check: bool,
    /// Do not hold off the collector of the source by a lease
    #[arg(long)]
    no_lease: bool,
    /// Folder for large blobs on their way, by default the target's, or that of the system for temporary files
    #[arg(long, value_name = "FOLDER")]
    spool: Option<PathBuf>,
    /// Whether any damage ends it before a version is visible.
    #[arg(skip)]
    strict: bool,
}

impl CopyArgs {
    fn options(&self, what: &str) -> Outcome<CopyOptions> {
        let hold = match self.no_lease {
            true => None,
            false => Some(hold(what)?),
        };
        Ok(CopyOptions {
            up_to: self.version,
            from: self.since,
            recheck: self.recheck,
            strict: self.strict,
            new_identity: self.new_identity,
            hold,
            ..CopyOptions::default()
        })
    }

    /// Where large blobs are kept on their way.
    fn spool(&self, target: &StoreUrl) -> PathBuf {
        match (&self.spool, target) {
            (Some(folder), _) => folder.clone(),
            (None, StoreUrl::Local(folder)) => folder.clone(),
            (None, _) => std::env::temp_dir(),
        }
    }

    /// Copies, proves, and tells of it.
    async fn run(
        &self,
        what: &str,
        source: &Dataset,
        target: &Target,
        out: &mut Out,
    ) -> Outcome<()> {
        let options = self.options(what)?;
        let spool = self.spool(&target.url);
        let source = Dataset::open(source.store().clone().with_spool(&spool), source.name())?;
        let bar = Bar::new("copying", out.is_json());
        let watch = |step| match step {
            CopyStep::Versions(versions) => bar.of_items(versions),
            CopyStep::Version(_) => bar.add(1),
            CopyStep::Bytes(_) => {}
        };
        let copied = source.copy_to(&target.dataset, &options, &watch).await;
        drop(bar);
        let copied = copied.map_err(advise)?;
        let records = self.prove(&copied, target).await?;
        let report = Report {
            what,
            dataset: source.name(),
            target: &target.url,
            copied: &copied,
            records,
        };
        report.print(out)
    }

    /// Rebuilds the newest version of the copy as a consumer does, which compares its checksum. How many records it has.
    async fn prove(&self, copied: &Copied, target: &Target) -> Outcome<Option<u64>> {
        if self.no_check {
            return Ok(None);
        }
        let newest = copied.newest;
        let proven = reader::consumer(&target.dataset, Some(newest)).await;
        proven.map_err(|failure| {
            failure.within("the newest version cannot be rebuilt from the copy")
        })?;
        let entry = target.dataset.read_entry(newest).await?;
        Ok(entry.map(|entry| entry.top_level_records()))
    }
}

/// The dataset that is written.
struct Target {
    url: StoreUrl,
    dataset: Dataset,
}

impl Target {
    fn open(url: StoreUrl, name: &str, args: &CopyArgs) -> Outcome<Self> {
        let store = Store::open_writable(&url)?.with_spool(args.spool(&url));
        let dataset = Dataset::open(store, name)?;
        Ok(Self { url, dataset })
    }
}

/// A target that is not empty needs a word.
async fn confirm(target: &Target, yes: bool) -> Outcome<()> {
    let versions = target.dataset.list_versions(1..=u64::MAX).await?;
    let (Some(first), Some(last), false) = (versions.first(), versions.last(), yes) else {
        return Ok(());
    };
    let (name, url) = (target.dataset.name(), &target.url);
    Err(Failure::invalid(format!(
        "store {url} is not empty: it holds versions {first} to {last} of {name}"
    ))
    .hint("--yes goes on from there, if these are versions of what is copied; otherwise name an empty folder or prefix"))
}

fn check_apart(source: &StoreUrl, target: &StoreUrl) -> Outcome<()> {
    let is_one = match (source, target) {
        (StoreUrl::Local(one), StoreUrl::Local(other)) => {
            match (one.canonicalize(), other.canonicalize()) {
                (Ok(one), Ok(other)) => one == other,
                _ => false,
            }
        }
        (one, other) => one == other,
    };
    match is_one {
        true => Err(Failure::invalid(format!(
            "{source} and {target} are one store: expected another one"
        ))),
        false => Ok(()),
    }
}

/// Whoever copies, by host and process, in a name that is one.
fn hold(what: &str) -> Outcome<CopyHold> {
    let who = host_and_process();
    let (host, process) = who.split_once(':').unwrap_or((who.as_str(), ""));
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let shown: String = host.chars().take(60).map(plain).collect();
    let name = format!("{what}-{shown}-{process}");
    let name = if is_plain_name(&name) {
        name
    } else {
        what.to_owned()
    };
    Ok(CopyHold {
        id: ConsumerId::parse(&name)?,
        host: host.to_owned(),
        process: process.to_owned(),
    })
}

/// What to do about a target that is no older state of the source.
fn advise(error: grotto::Error) -> Failure {
    let message = error.message().to_owned();
    let failure = Failure::from(error);
    let hint = if message.contains("is ahead") {
        "what was published there is not in the source: copy the other way, or to an empty folder or prefix"
    } else if message.contains("of its own") || message.contains("another dataset") {
        "copy to an empty folder or prefix; what is there stays as it is"
    } else if message.contains("a recheck") {
        "--recheck reads all that the target holds and mends it"
    } else {
        return failure;
    };
    failure.hint(hint)
}
