//! `grotto demo`: the quickstart.
//!
//! Owns: the story: publish, follow, look up, go back. Never: code that a user could not write with
//! the library; it only tells what it does.

mod data;
mod story;

use crate::failure::{Failure, Outcome};
use crate::output::Out;
use crate::progress::Bar;
use data::{Edition, SCHEMA};
use grotto::consumer::{Consumer, Refresh, RefreshReport};
use grotto::engine::env::Env;
use grotto::producer::{Mode, NdjsonInput, Producer, Published};
use grotto::schema::Schema;
use grotto::store::{Store, StoreUrl};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;
use story::Story;

/// How often the consumer of the demo looks for news.
const POLL: Duration = Duration::from_millis(5);
/// A version that takes longer to arrive on the same host never will.
const LONGEST: Duration = Duration::from_secs(60);
/// Name of the dataset.
pub(super) const DATASET: &str = "cities";

/// Publishes five real editions of a dataset, follows them, and travels back
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grotto demo
  grotto demo --dir ./cities    keeps everything in ./cities, to try the other commands on

The data are the cities of the world with more than 15,000 inhabitants as GeoNames
(https://www.geonames.org/, CC BY 4.0) had them at five times from 2020 to 2023.")]
pub(crate) struct Args {
    /// Keep the folder of the demo
    #[arg(long)]
    keep: bool,
    /// Work in this folder, and keep it
    #[arg(long, value_name = "FOLDER")]
    dir: Option<PathBuf>,
}

/// Where the demo works. A temporary folder goes with it.
enum Place {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Place {
    fn choose(args: &Args) -> Outcome<Self> {
        if let Some(dir) = &args.dir {
            return Ok(Self::Kept(dir.clone()));
        }
        let dir = tempfile::Builder::new().prefix("grotto-demo-").tempdir();
        let dir = dir.map_err(|e| Failure::io("make a temporary folder", &e))?;
        Ok(if args.keep {
            Self::Kept(dir.keep())
        } else {
            Self::Temporary(dir)
        })
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(dir) => dir.path(),
        }
    }
}

/// One edition, published and followed.
pub(super) struct Turn {
    edition: Edition,
    published: Published,
    /// What the consumer did to get there.
    report: RefreshReport,
    /// From the start of the cycle until the consumer served the version.
    seen_after: Duration,
}

pub(crate) async fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    let place = Place::choose(args)?;
    let store_dir = place.path().join("store");
    let store = Store::open_writable(&StoreUrl::Local(store_dir))?;
    let mut story = Story::new(out, Env::system().clock);
    story.begin(place.path())?;
    let (consumer, reports) = follow(&store, &place.path().join("state")).await?;
    let producer = publisher(&store).await?;
    if producer.version() > 0 {
        let message = format!("folder {} holds a dataset already", place.path().display());
        return Err(Failure::invalid(message).hint("choose another with --dir"));
    }
    let mut turns = Vec::new();
    for edition in data::EDITIONS {
        let turn = publish(&producer, &consumer, &reports, edition, story.is_json()).await?;
        story.turn(&turn)?;
        turns.push(turn);
    }
    producer.finish().await?;
    story.read(&consumer.state())?;
    travel(&consumer, &turns, &mut story).await?;
    consumer.shutdown().await;
    match &place {
        Place::Kept(path) => story.end(Some(path)),
        Place::Temporary(_) => story.end(None),
    }
}

async fn publisher(store: &Store) -> Outcome<Producer> {
    let schema = Schema::parse(SCHEMA).map_err(|e| Failure::internal(e.to_string()))?;
    let builder = Producer::builder(DATASET, store.clone())
        .schema(schema)
        .writer_id("demo")
        .lazy_fence(true);
    Ok(builder.open().await?)
}

/// A consumer that polls in the background, as in any other process, and what it reports.
async fn follow(
    store: &Store,
    state_dir: &Path,
) -> Outcome<(Consumer, mpsc::Receiver<RefreshReport>)> {
    let (sender, reports) = mpsc::channel();
    let listener = move |refresh: &Refresh| {
        // Nobody listens any more once the demo ends.
        let _ = sender.send(RefreshReport::clone(refresh));
    };
    let builder = Consumer::builder(DATASET, store.clone())
        .wait_for_dataset(true)
        .state_dir(state_dir)
        .poll_interval(POLL);
    let consumer = builder.on_refresh(listener).start().await?;
    Ok((consumer, reports))
}

async fn publish(
    producer: &Producer,
    consumer: &Consumer,
    reports: &mpsc::Receiver<RefreshReport>,
    edition: Edition,
    quiet: bool,
) -> Outcome<Turn> {
    let clock = Env::system().clock;
    let bar = Bar::new(edition.name, quiet);
    bar.of_bytes(edition.packed.len() as u64);
    let began = clock.monotonic();
    let text = zstd::stream::read::Decoder::new(bar.watch(edition.packed))
        .map_err(|e| Failure::internal(format!("edition {}: {e}", edition.name)))?;
    let input = NdjsonInput {
        type_name: "City".to_owned(),
        source_name: format!("edition {}", edition.name),
        reader: Box::new(text),
        converted: false,
        progress: None,
    };
    let published = producer.publish_ndjson(Mode::Full, [input]).await?;
    let published = published
        .ok_or_else(|| Failure::internal(format!("edition {} changed nothing", edition.name)))?;
    consumer.wait_for(published.version, LONGEST).await?;
    let seen_after = clock.monotonic().saturating_sub(began);
    let report = reports_up_to(published.version, reports).await?;
    Ok(Turn {
        edition,
        published,
        report,
        seen_after,
    })
}

/// The report of the refresh that led to a version; it follows within moments of the version itself.
async fn reports_up_to(
    version: u64,
    reports: &mpsc::Receiver<RefreshReport>,
) -> Outcome<RefreshReport> {
    loop {
        match reports.try_recv() {
            Ok(report) if report.to >= version => return Ok(report),
            Ok(_) => {}
            Err(mpsc::TryRecvError::Empty) => tokio::task::yield_now().await,
            Err(mpsc::TryRecvError::Disconnected) => {
                return Err(Failure::internal("the consumer of the demo ended early"));
            }
        }
    }
}

/// One version back and forth again.
async fn travel(consumer: &Consumer, turns: &[Turn], story: &mut Story<'_>) -> Outcome<()> {
    let [.., before, last] = turns else {
        return Ok(());
    };
    let newest = consumer.state();
    let back = consumer.refresh_to(before.published.version).await?;
    let older = consumer.state();
    let forth = consumer.follow().await?;
    if let (Some(back), Some(forth)) = (back, forth) {
        story.travel(before, last, (&older, &newest), (&*back, &*forth))?;
    }
    Ok(())
}
