//! `grotto sidecar`: the daemon that serves datasets to everybody on a host.
//!
//! Owns: what a person at a terminal sees of it. Never: what it does; that is `grotto-service`.

use crate::failure::Outcome;
use crate::lines::Lines;
use crate::output::Out;
use crate::place::host_and_process;
use crate::target::environment;
use crate::text::{bytes, count, duration};
use grotto::consumer::Refresh;
use grotto_service::LogControl;
use grotto_service::sidecar::{OnListen, OnVersion, Start, run as run_sidecar};
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;

/// Serves datasets to everybody on this host, until it is told to end
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grotto config check sidecar.yaml
  grotto sidecar --config sidecar.yaml
  curl http://127.0.0.1:8080/v1/datasets/cities/types/City/records/2950159
  curl -d '[2950159, 2867714]' http://127.0.0.1:8080/v1/datasets/cities/types/City/records:batch
  curl 'http://127.0.0.1:8080/v1/datasets/cities/types/City/records?countrycode=DE&limit=10'
  curl 'http://127.0.0.1:8080/v1/datasets/cities/versions?after=7&wait=30s'
  curl -N http://127.0.0.1:8080/v1/datasets/cities/events
  curl --unix-socket /run/grotto/sidecar.sock http://host/v1/datasets

The sidecar follows the datasets of section `consumer`, keeps each in its state directory, where other processes
attach, and answers requests for records. A dataset that cannot be opened is tried again and leaves the others alone. At
a terminal there is a line for every version, otherwise the log is JSON on the standard error stream. http://127.0.0.1:8080/
is a status page, /openapi.json describes what is answered, /ready says whether all is well. The sidecar listens on the
loopback address only, unless the configuration names another one and a token.

SIGHUP reads the configuration again: intervals, limits and the log level may change, and a file that changes anything
else is refused whole. SIGTERM lets requests and refreshes under way end, and ends.")]
pub(crate) struct Args {
    /// Configuration file with a section `consumer`
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(crate) async fn run(args: &Args, log: LogControl, out: &Out) -> Outcome<()> {
    let json = out.is_json();
    let looked_at = std::io::stdout().is_terminal();
    let lines = Arc::new(Lines::to_stdout(json));
    let (of_versions, of_address) = (Arc::clone(&lines), Arc::clone(&lines));
    let on_version = move |dataset: &str, refresh: &Refresh| {
        of_versions.say(match json {
            true => line_of_json(dataset, refresh),
            false => line_of(dataset, refresh),
        });
    };
    let on_listen = move |address| of_address.say(format!("answering at http://{address}/"));
    let start = Start {
        path: args.config.clone(),
        environment: environment(),
        log,
        id: host_and_process(),
        on_listen: (looked_at && !json).then(|| -> OnListen { Box::new(on_listen) }),
        on_version: (looked_at || json).then(|| -> OnVersion { Arc::new(on_version) }),
    };
    let ended = run_sidecar(start).await;
    lines.end();
    Ok(ended?)
}

/// `cities version 7: 1,200 records, 40.3 kB fetched, 12 ms`
fn line_of(dataset: &str, refresh: &Refresh) -> String {
    let fetched: u64 = refresh.steps.iter().map(|step| step.bytes).sum();
    format!(
        "{dataset} version {}: {} records, {} fetched, {}",
        refresh.to,
        count(refresh.after().total()),
        bytes(fetched),
        duration(refresh.duration)
    )
}

fn line_of_json(dataset: &str, refresh: &Refresh) -> String {
    serde_json::json!({
        "dataset": dataset,
        "version": refresh.to,
        "from": refresh.from,
        "records": refresh.after().total(),
    })
    .to_string()
}
