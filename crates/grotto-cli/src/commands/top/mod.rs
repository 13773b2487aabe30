//! `grotto top`: a producer daemon as it is now.
//!
//! Owns: how often it is looked at, and what happens when it does not answer. Never: changes the daemon.

mod look;
mod show;

use crate::daemon;
use crate::failure::{Failure, Outcome};
use crate::output::{Out, note, note_as_json};
use crate::terminal::Screen;
use grotto::engine::env::Env;
use grotto_service::config::parse_duration;
use look::{Look, look};
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

/// Shows what a producer daemon does, refreshing in place
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grotto top
  grotto top --producer http://127.0.0.1:8081 --once
  grotto top --json --interval 10s >> figures.ndjson

For each dataset: its condition and what is wrong, its version, records a second between two looks, records that
wait and how long the first of them has been waiting (lag), the write-ahead log, the circuit breaker of the store,
and dead letters.

At a terminal each look replaces the last one; elsewhere looks follow each other, with an empty line between
them. A daemon that stops answering later is told of and asked again. Ends on Ctrl-C.")]
pub(crate) struct Args {
    /// The daemon
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8081")]
    producer: String,
    /// File with the token that the daemon asks for
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Look once and end; there are no rates then
    #[arg(long)]
    once: bool,
    /// Time between two looks
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration, conflicts_with = "once")]
    interval: Duration,
}

pub(crate) async fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    let client = daemon::client(&args.producer, args.token_file.as_deref())?;
    let (env, mut screen) = (Env::system(), Screen::new(!args.once));
    // One that does not answer at the beginning is most likely not there, or somewhere else.
    let mut last = look(&client, &*env.clock)?;
    show(&mut screen, &args.producer, (&last, None), out)?;
    if args.once {
        return Ok(());
    }
    loop {
        env.sleep(args.interval).await;
        match look(&client, &*env.clock) {
            Ok(now) => {
                show(&mut screen, &args.producer, (&now, Some(&last)), out)?;
                last = now;
            }
            Err(failure) => tell(&failure, out.is_json()),
        }
    }
}

/// A daemon that is started again answers soon.
fn tell(failure: &Failure, as_json: bool) {
    let message = failure.message();
    match as_json {
        true => note_as_json(&json!({ "message": message })),
        false => note(format_args!("{message}; asking again")),
    }
}

/// Prints a look, with what happened since the last one.
fn show(
    screen: &mut Screen,
    producer: &str,
    (now, last): (&Look, Option<&Look>),
    out: &mut Out,
) -> Outcome<()> {
    let figures = look::between(now, last);
    if out.is_json() {
        out.json(&show::json(producer, now, &figures))?;
        return out.flush();
    }
    screen.show(&show::lines(producer, now, &figures), out)
}
