//! `grotto follow`: a consumer at the terminal.
//!
//! Owns: what is waited for, and ending in good order. Never: reads records.

mod condition;
mod ending;
mod news;

use crate::failure::Outcome;
use crate::output::{Out, note, note_as_json};
use crate::place::PlaceArgs;
use crate::target::{Target, TargetArgs, nothing_published};
use condition::{Condition, Failures};
pub(super) use ending::Ending;
use grotto::consumer::{Consumer, ConsumerBuilder, ErrorKind};
use grotto::engine::env::Env;
use grotto_service::config::{Role, parse_duration};
use news::{MOST_WAITING, News, listener};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// How often to look whether refreshes succeed again: a refresh that finds nothing new tells no listener.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Follows a dataset and tells of every version as it comes
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grotto follow --store ./store --dataset cities
  grotto follow --store ./store --dataset cities --state-dir ./state
  grotto follow --store ./store --dataset cities --until 7 --json

With --state-dir it keeps the folder up to date for other processes, which read it without asking
the store: `grotto get --offline --state-dir ./state City 2950159`.

While the store does not answer it goes on, and says so on the standard error stream with the time and the
reason, and again once it refreshes. Ends on Ctrl-C or SIGTERM, with exit code 0.")]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    place: PlaceArgs,
    /// How often to look for news [default: 100ms]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    poll_interval: Option<Duration>,
    /// End once this version, or a newer one, is there
    #[arg(long, value_name = "N")]
    until: Option<u64>,
    /// Wait for a dataset that nobody has published to yet, instead of ending with an error
    #[arg(long)]
    wait: bool,
}

pub(crate) async fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    let target = args.target.resolve(Role::Reader)?;
    let dataset = target.open().await?;
    let env = Env::system();
    let (sender, told) = mpsc::channel(MOST_WAITING);
    let untold = Arc::new(AtomicU64::new(0));
    let (failures, condition) = Condition::new(&env, out.is_json());
    let listener = listener(sender, Arc::clone(&untold));
    let builder = Consumer::builder(dataset.name(), dataset.store().clone())
        .on_refresh(move |refresh| listener(News::of(refresh)));
    let builder = args.set(builder, &target, failures)?;
    // Before the start, which may take long; before that there is nothing to put in order.
    let mut ending = Ending::new()?;
    let started = tokio::select! {
        started = builder.start() => started,
        () = ending.asked() => return Ok(()),
    };
    let consumer = match started {
        Err(error) if error.kind() == ErrorKind::NoDataset => {
            return tokio::select! {
                failure = nothing_published(dataset.name(), &target) => Err(failure),
                () = ending.asked() => Ok(()),
            };
        }
        started => started?,
    };
    begin(&consumer, out)?;
    let mut follower = Follower {
        consumer,
        until: args.until,
        told,
        untold,
        condition,
    };
    follower.follow(&env, &mut ending, out).await?;
    tokio::select! {
        () = follower.consumer.shutdown() => {}
        // Who asks twice does not wait for a refresh that hangs.
        () = ending.asked() => {}
    }
    Ok(())
}

impl Args {
    fn set(
        &self,
        builder: ConsumerBuilder,
        target: &Target,
        failures: Failures,
    ) -> Outcome<ConsumerBuilder> {
        let mut builder = builder
            .on_error(move |error| failures.heard(error))
            .wait_for_dataset(self.wait);
        if let Some(place) = self.place.resolve(&target.settings)? {
            builder = place.set(builder);
        }
        let configured = || target.settings.poll_interval();
        if let Some(interval) = self.poll_interval.or_else(configured) {
            builder = builder.poll_interval(interval);
        }
        Ok(builder)
    }
}

/// Says what is followed, and that there is nothing yet where it was asked to wait.
fn begin(consumer: &Consumer, out: &mut Out) -> Outcome<()> {
    let (dataset, version) = (consumer.dataset(), consumer.version());
    if version == 0 {
        let message = format!("dataset {dataset} has no version yet: waiting for the first");
        remark(&message, out.is_json());
    } else if !out.is_json() {
        out.line(format_args!("following {dataset} from version {version}"))?;
    }
    Ok(())
}

/// A remark that has nothing but a message.
fn remark(message: &str, as_json: bool) {
    if as_json {
        note_as_json(&json!({ "message": message }));
    } else {
        note(message);
    }
}

/// What is followed, and what there is to tell.
struct Follower {
    consumer: Consumer,
    /// The version at which it ends.
    until: Option<u64>,
    told: mpsc::Receiver<News>,
    /// Refreshes for which `told` had no room.
    untold: Arc<AtomicU64>,
    condition: Condition,
}

impl Follower {
    async fn follow(&mut self, env: &Env, ending: &mut Ending, out: &mut Out) -> Outcome<()> {
        // What the start itself loaded is told before anything is waited for.
        while let Ok(news) = self.told.try_recv() {
            news.show(out)?;
        }
        let mut version = self.consumer.version();
        while self.until.is_none_or(|until| version < until) {
            self.condition.look(&self.consumer);
            out.flush()?;
            let news = tokio::select! {
                news = self.told.recv() => news,
                () = self.condition.changed() => continue,
                () = env.sleep(LOOK_AGAIN), if self.condition.is_bad() => continue,
                () = ending.asked() => None,
            };
            let Some(news) = news else { break };
            self.condition.look(&self.consumer);
            version = self.show(&news, out)?;
        }
        Ok(())
    }

    /// Shows a refresh and gives the version that was reached.
    fn show(&self, news: &News, out: &mut Out) -> Outcome<u64> {
        news.show(out)?;
        if !self.told.is_empty() {
            return Ok(news.to);
        }
        let left_out = self.untold.swap(0, Ordering::Relaxed);
        if left_out == 0 {
            return Ok(news.to);
        }
        let message =
            format!("{left_out} refreshes are not shown: they came faster than the output goes");
        remark(&message, out.is_json());
        Ok(self.consumer.version())
    }
}
