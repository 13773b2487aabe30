//! `grotto sidecar`: the daemon that serves datasets to everybody on a host.
//!
//! Owns: what a person at a terminal sees of it. Never: what it does; that is `grotto-service`.

mod look;

use crate::failure::Outcome;
use crate::lines::Lines;
use crate::output::{Out, apart};
use crate::place::host_and_process;
use crate::target::environment;
use crate::terminal::{self, Frames, fitted};
use crate::text::{bytes, count, duration};
use grotto::consumer::Refresh;
use grotto_service::LogControl;
use grotto_service::sidecar::{OnListen, OnLook, OnVersion, Start, run as run_sidecar};
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

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
attach, and answers requests for records. A dataset that cannot be opened is tried again and leaves the others alone. A
terminal shows how all is, refreshed in place, and what somebody has piped on has a line for every version; otherwise the
log is JSON on the standard error stream. http://127.0.0.1:8080/ is a status page, /openapi.json describes what is answered, /ready says whether all is well. The sidecar listens on the
loopback address only, unless the configuration names another one and a token.

SIGHUP reads the configuration again: intervals, limits and the log level may change, and a file that changes anything
else is refused whole. SIGTERM lets requests and refreshes under way end, and ends.")]
pub(crate) struct Args {
    /// Configuration file with a section `consumer`
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

pub(crate) async fn run(args: &Args, log: LogControl, out: &Out) -> Outcome<()> {
    let shown = Shown::of(out);
    let lines = Arc::new(Lines::to_stdout(shown == Shown::Json));
    let frames = (shown == Shown::InPlace).then(|| Arc::new(Frames::start(apart())));
    let address = Arc::new(OnceLock::new());
    let (of_versions, of_address) = (Arc::clone(&lines), Arc::clone(&lines));
    let on_version = move |dataset: &str, refresh: &Refresh| {
        of_versions.say(match shown {
            Shown::Json => line_of_json(dataset, refresh),
            _ => line_of(dataset, refresh),
        });
    };
    let listens = Arc::clone(&address);
    let on_listen = move |at| match shown {
        // It is asked once.
        Shown::InPlace => drop(listens.set(at)),
        _ => of_address.say(format!("answering at http://{at}/")),
    };
    let on_look = frames.clone().map(|frames| -> OnLook {
        Arc::new(move |look| {
            let lines = look::lines(&look, address.get());
            frames.show(&fitted(lines, terminal::size()));
        })
    });
    let start = Start {
        path: args.config.clone(),
        environment: environment(),
        log,
        id: host_and_process(),
        on_listen: shown
            .is_for_people()
            .then(|| -> OnListen { Box::new(on_listen) }),
        on_version: shown
            .has_lines()
            .then(|| -> OnVersion { Arc::new(on_version) }),
        on_look,
    };
    let ended = run_sidecar(start).await;
    lines.end();
    if let Some(frames) = frames {
        frames.end();
    }
    Ok(ended?)
}

/// What there is on the standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// How all is, refreshed in place: at a terminal.
    InPlace,
    /// A line for each version: somebody looks, and not at a terminal that shows anything in place.
    Lines,
    /// The same as JSON, where it is asked for.
    Json,
    /// Nothing: nobody looks, and versions are in the log.
    Nothing,
}

impl Shown {
    fn of(out: &Out) -> Self {
        let at_terminal = std::io::stdout().is_terminal();
        if out.is_json() {
            Self::Json
        } else if at_terminal && terminal::size().is_some() {
            Self::InPlace
        } else if at_terminal || std::io::stderr().is_terminal() {
            Self::Lines
        } else {
            Self::Nothing
        }
    }

    fn is_for_people(self) -> bool {
        matches!(self, Self::InPlace | Self::Lines)
    }

    fn has_lines(self) -> bool {
        matches!(self, Self::Lines | Self::Json)
    }
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
