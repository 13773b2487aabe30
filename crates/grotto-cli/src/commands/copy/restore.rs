//! `grotto restore`: a dataset from its copy.
//!
//! Owns: its options. Never: removes anything.

use super::{CopyArgs, Target, check_apart, confirm};
use crate::failure::Outcome;
use crate::output::Out;
use crate::target::{self, TargetArgs, environment, nothing_published};
use grotto::store::{Access, StoreUrl};
use grotto_service::config::Role;

/// Copies a dataset from a backup, to its newest version or to an older one
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grotto restore --from s3://backups/grotto --store ./store --dataset cities
  grotto restore --from ./copy --store ./yesterday --dataset cities --version 42

The target should be empty. One that holds older versions of the same dataset is gone on from with --yes; one that holds
anything else is refused. Start writers once the command has ended: the newest version is the last thing that it writes.
Consumers go on by themselves, also those that had seen versions that are not in the backup.
Where the store that was copied may still be written to, restore with --new-identity, so that nobody takes the two for
one.")]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// Folder or URL of the store to copy from
    #[arg(long, value_name = "URL")]
    from: String,
    /// Go on from what the target holds
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    copy: CopyArgs,
}

pub(crate) async fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    let resolved = args.target.resolve(Role::Writer)?;
    let from = StoreUrl::parse(&args.from)?.with_access(&Access::from_vars(environment()));
    check_apart(&from, &resolved.url)?;
    let backup = target::Target {
        url: from,
        dataset: resolved.dataset.clone(),
        settings: resolved.settings,
    };
    let source = backup.open().await?;
    if source.list_versions(1..=u64::MAX).await?.is_empty() {
        return Err(nothing_published(source.name(), &backup).await);
    }
    let target = Target::open(resolved.url, source.name(), &args.copy)?;
    confirm(&target, args.yes).await?;
    args.copy.run("restore", &source, &target, out).await
}
