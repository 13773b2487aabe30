//! `grotto health`: whether a daemon is ready, for whatever restarts it.
//!
//! Owns: one question and the exit code. Never: judges; the daemon does.

use crate::failure::{Failure, Outcome};
use crate::output::Out;
use grotto_service::client::Client;

/// Asks a sidecar or a producer daemon whether it is ready
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grotto health
  grotto health --url http://127.0.0.1:8081

Prints what /ready says. The exit code is 0 where the daemon is ready, or degraded and serves all the same; and 4
where it is not ready or does not answer. For health checks of containers, which need no shell then.")]
pub(crate) struct Args {
    /// The daemon; a producer listens on port 8081 unless it is told otherwise
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    url: String,
}

pub(crate) fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    let hint =
        |e| Failure::from(e).hint("`--url` names the daemon; its log says why it is not ready");
    let told = Client::new(&args.url, None)?.get("/ready").map_err(hint)?;
    match told["status"].as_str() {
        _ if out.is_json() => out.json(&told),
        Some(status) => out.line(status),
        None => out.line("ready"),
    }
}
