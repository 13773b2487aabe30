//! `grotto producer`: the daemon that takes records in and publishes them.
//!
//! Owns: what a person at a terminal sees of it. Never: what it does; that is `grotto-service`.

use crate::failure::Outcome;
use crate::lines::Lines;
use crate::output::Out;
use crate::place::host_and_process;
use crate::target::environment;
use crate::text::{bytes, count, duration};
use grotto::producer::Published;
use grotto_service::LogControl;
use grotto_service::producer::{OnListen, OnPublish, Start, run as run_daemon};
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;

/// Takes records in and publishes them, until it is told to end
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grotto config check cities.yaml
  grotto producer --config cities.yaml
  curl -H 'content-type: application/x-ndjson' --data-binary @cities.ndjson \\
      http://127.0.0.1:8081/v1/datasets/cities/records

A record is acknowledged once it is in the write-ahead log on the disk, and published with others soon after. At
a terminal there is a line for every version, otherwise the log is JSON on the standard error stream. The daemon
listens on the loopback address only, unless the configuration names another one and a token; /openapi.json describes
what it answers, /ready says whether it is well, /metrics what it did.

SIGHUP reads the configuration again: what `GET /v1/settings` lists under `may_change` may change, and a file that
changes anything else is refused whole. SIGTERM publishes what is acknowledged and ends.")]
pub(crate) struct Args {
    /// Configuration file with a section `producer`
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Who publishes, for those who read the log of the store [default: host and process]
    #[arg(long, value_name = "NAME")]
    writer: Option<String>,
}

pub(crate) async fn run(args: &Args, log: LogControl, out: &Out) -> Outcome<()> {
    let json = out.is_json();
    let looked_at = std::io::stdout().is_terminal();
    let lines = Arc::new(Lines::to_stdout(json));
    let (of_versions, of_address) = (Arc::clone(&lines), Arc::clone(&lines));
    let on_publish = move |dataset: &str, published: &Published| {
        of_versions.say(match json {
            true => line_of_json(dataset, published),
            false => line_of(dataset, published),
        });
    };
    let on_listen = move |address| of_address.say(format!("taking records in at http://{address}"));
    let start = Start {
        path: args.config.clone(),
        environment: environment(),
        log,
        writer: args.writer.clone().unwrap_or_else(host_and_process),
        on_listen: (looked_at && !json).then(|| -> OnListen { Box::new(on_listen) }),
        on_publish: (looked_at || json).then(|| -> OnPublish { Arc::new(on_publish) }),
    };
    let ended = run_daemon(start).await;
    lines.end();
    Ok(ended?)
}

/// `cities version 7: 1,200 records, delta 40.3 kB, 12 ms`
fn line_of(dataset: &str, published: &Published) -> String {
    let times = &published.times;
    let total = times.populate + times.encode + times.upload + times.commit;
    let (version, records) = (published.version, published.records);
    format!(
        "{dataset} version {version}: {} records, delta {}, {}",
        count(records),
        bytes(published.delta_bytes),
        duration(total)
    )
}

fn line_of_json(dataset: &str, published: &Published) -> String {
    serde_json::json!({
        "dataset": dataset,
        "version": published.version,
        "records": published.records,
        "delta_bytes": published.delta_bytes,
    })
    .to_string()
}
