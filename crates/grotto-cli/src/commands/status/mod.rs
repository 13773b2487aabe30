//! `grotto status`: who follows a dataset, and how far each is.
//!
//! Owns: how often it is looked at, and what happens when the store does not answer. Never: asks a consumer;
//! what they keep in the store says it all.

mod look;
#[cfg(test)]
pub(super) mod sample;
mod show;

use crate::failure::{Failure, Outcome};
use crate::output::{Out, note, note_as_json};
use crate::target::{Target, TargetArgs};
use crate::terminal::{Screen, fitted};
use grotto::store::Store;
use grotto_service::config::{Role, parse_duration};
use look::{Look, Looks};
use serde_json::json;
use std::time::Duration;

/// Shows which consumers follow a dataset, which version each serves, and how each is
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grotto status --store ./store
  grotto status --store ./store --dataset cities --watch
  grotto status --store ./store --json | jq '.datasets[].consumers[] | select(.versions_behind > 0)'

For each dataset: the newest version, the pin and the channels if there are any, and its consumers, those in trouble
first. A consumer is listed if it keeps a lease in the store: a sidecar does, a program that embeds one if it says so.
`follows` is what it goes by: the pin, its channel, or the newest version; `behind` how many versions it is from there,
and since when; `since` how long its health has been so; `held` a version that its guards refuse.

One that was not heard of for three renewals, half a minute unless it is set otherwise, counts as gone; one that
ended is gone at once. --all lists those that are gone as well, until they are collected.

The exit code is 0 whatever consumers say, 3 where there is no such dataset and 4 where the store does not answer.
At a terminal, --watch shows each look in the place of the last one; a store that stops answering later is told
of and asked again. Ends on Ctrl-C.")]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// Look again and again
    #[arg(long)]
    watch: bool,
    /// Time between two looks
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration, requires = "watch")]
    interval: Duration,
    /// List consumers that are gone, too
    #[arg(long)]
    all: bool,
}

pub(crate) async fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    let target = args.target.resolve(Role::Reader)?;
    let store = Store::open(&target.url)?;
    let (env, mut screen) = (store.env().clone(), Screen::new(args.watch));
    let mut looks = Looks::new(store, target.dataset.clone());
    let look = looks.look().await?;
    if look.datasets.is_empty() {
        return Err(nothing(&target));
    }
    show(&mut screen, args, &look, out)?;
    if !args.watch {
        return Ok(());
    }
    loop {
        env.sleep(args.interval).await;
        match looks.look().await {
            Ok(look) => show(&mut screen, args, &look, out)?,
            Err(failure) => tell(&failure, out.is_json()),
        }
    }
}

fn show(screen: &mut Screen, args: &Args, look: &Look, out: &mut Out) -> Outcome<()> {
    if out.is_json() {
        out.json(&show::json(look, args.all))?;
        return out.flush();
    }
    let lines = show::lines(look, args.all);
    screen.show(&fitted(lines, screen.size()), out)
}

fn nothing(target: &Target) -> Failure {
    let url = &target.url;
    match &target.dataset {
        Some(name) => Failure::not_found(format!("store {url} has no dataset {name}"))
            .hint("`grotto datasets` lists those that there are"),
        None => Failure::not_found(format!("store {url} has no dataset"))
            .hint("`grotto publish` makes one"),
    }
}

/// A store that is away comes back.
fn tell(failure: &Failure, as_json: bool) {
    let message = failure.message();
    match as_json {
        true => note_as_json(&json!({ "message": message })),
        false => note(format_args!("{message}; asking again")),
    }
}
