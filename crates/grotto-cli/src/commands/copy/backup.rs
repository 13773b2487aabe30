//! `grotto backup`: a copy of a dataset in another store, made and brought up to date.
//!
//! Owns: its options. Never: copies; what it shares with `restore` does.

use super::{CopyArgs, Target, check_apart};
use crate::failure::Outcome;
use crate::output::Out;
use crate::target::{TargetArgs, environment, nothing_published};
use grotto::store::{Access, StoreUrl};
use grotto_service::config::Role;

/// Copies a dataset to another store, or brings the copy there up to date
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grotto backup --store ./store --dataset cities --to s3://backups/grotto
  grotto backup --store ./store --dataset cities --to ./copy --recheck

The first run copies every version that can still be reached, the next ones what is new. Writers, consumers and collectors of
both stores may be at work meanwhile, and the command may be stopped at any time: the copy is whole at every moment, and
the next run goes on. Everything is verified on its way, and the newest version is rebuilt from the copy at the end.
Not copied: leases, pins and channels, and the hint where the leader is.
A copy keeps the identity of its source. Consumers read it as well; nobody should write to it while its source lives.")]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// Folder or URL of the store to copy to
    #[arg(long, value_name = "URL")]
    to: String,
    #[command(flatten)]
    copy: CopyArgs,
}

pub(crate) async fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    let source = args.target.resolve(Role::Reader)?;
    let to = StoreUrl::parse(&args.to)?.with_access(&Access::from_vars(environment()));
    check_apart(&source.url, &to)?;
    let dataset = source.open().await?;
    if dataset.list_versions(1..=u64::MAX).await?.is_empty() {
        return Err(nothing_published(dataset.name(), &source).await);
    }
    let target = Target::open(to, dataset.name(), &args.copy)?;
    args.copy.run("backup", &dataset, &target, out).await
}
