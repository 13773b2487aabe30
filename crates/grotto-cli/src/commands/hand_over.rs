//! `grotto hand-over`: lets the daemon that stands by take over, as planned.
//!
//! Owns: its options and what is printed. Never: stops or starts a daemon.

use crate::daemon::{self, DaemonArgs};
use crate::failure::Outcome;
use crate::output::Out;

/// Has a producer daemon publish what is acknowledged and hand a dataset over to one that stands by
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  grotto hand-over --dataset cities --producer http://127.0.0.1:8081

The daemon takes nothing more in, publishes what is acknowledged, and stands by from then on. A daemon with
`leadership: standby` for the dataset takes over within a second or two. Where there is none, the same daemon takes
over again after producer.leadership.lease. Whoever sends records meanwhile is told to come again.")]
pub(crate) struct Args {
    #[command(flatten)]
    at: DaemonArgs,
}

pub(crate) fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    let path = args.at.path("hand-over")?;
    let told = args.at.client()?.post(&path).map_err(daemon::failed)?;
    if out.is_json() {
        return out.json(&told);
    }
    let version = told["version"].as_u64().unwrap_or(0);
    out.line(format_args!(
        "handed over after version {version}: the daemon stands by"
    ))
}
