//! `grotto publish`: records from files become the next version.
//!
//! Owns: reading schema and inputs before anything is written, and telling what was published.
//! Never: decides what changed; that is the producer.

mod inputs;
mod report;

use crate::failure::{Failure, Outcome};
use crate::input::Format;
use crate::output::{Out, note};
use crate::place::host_and_process;
use crate::progress::Bar;
use crate::target::{Target, TargetArgs};
use grotto::producer::{
    AnyError, Candidate, ErrorKind, Mode, Producer, ProducerBuilder, Published, Validator,
};
use grotto::schema::Schema;
use grotto::store::{MAX_INLINE_BYTES, SnapshotEntry, Store, StoreUrl};
use grotto_service::config::{Performance, Role, Settings, read_schema};
use std::path::PathBuf;

/// How often a publish is tried that others overtake.
const MOST_TRIES: u32 = 10;

/// Publishes records as the next version of a dataset
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grotto publish --store ./store --dataset cities --schema cities.schema --input cities.ndjson.zst
  grotto publish --store ./store --dataset cities --schema cities.schema --input changes.ndjson --incremental
  grotto publish --config cities.yaml --input cities.ndjson

A full input holds all records: what it leaves out is removed. A line of an incremental input is a
record, which replaces the one with its key, or an operation:
  {\"op\":\"delete\",\"key\":2950159}
  {\"op\":\"upsert\",\"type\":\"City\",\"record\":{…}}

An input that changes nothing publishes nothing. When two publish at the same time, exactly one commits
first; the other reads its files again and publishes on top, but for an input from a pipe or the standard
input, which ends with exit code 7.

A schema says what records look like; `grotto schema infer FILE` writes one:
  City @PrimaryKey(id) { long id; string name; Country country; }
  Country { string code; string name; }")]
pub(crate) struct Args {
    #[command(flatten)]
    target: TargetArgs,
    /// Schema of the records; not needed once the dataset has one
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// NDJSON, or CSV with a header, plain, gzip or zstd; - for the standard input; TYPE=FILE, repeated, for
    /// several types
    #[arg(long, value_name = "FILE", required = true)]
    input: Vec<String>,
    /// Format of the input [default: csv for names that end in .csv or .tsv, otherwise ndjson]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Type of the records; not needed where only one type stands by itself
    #[arg(long = "type", value_name = "TYPE")]
    type_name: Option<String>,
    /// The input holds all records (the default)
    #[arg(long, conflicts_with = "incremental")]
    full: bool,
    /// The input holds changes; everything else stays
    #[arg(long)]
    incremental: bool,
    /// Write a snapshot of this version, even if none is due
    #[arg(long)]
    snapshot: bool,
    /// Commits between snapshots; 0 for none [default: 25]
    #[arg(long, value_name = "N")]
    snapshot_every: Option<u64>,
    /// zstd level of the blobs, or none [default: 3]
    #[arg(long, value_name = "LEVEL", value_parser = level, allow_hyphen_values = true)]
    level: Option<Level>,
    /// Most bytes of a delta and its reverse that the log entry itself keeps, instead of two objects; 0 for none,
    /// at most 262144 [default: 8192]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(..=MAX_INLINE_BYTES as u64))]
    inline_blobs: Option<u64>,
    /// Threads that decode and encode [default: one per processor]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// End with exit code 7 when another writer is first, instead of publishing on top of its version
    #[arg(long)]
    no_retry: bool,
    /// Accept a full input without records, which removes all records
    #[arg(long)]
    allow_empty: bool,
    /// When blobs of the newest version are damaged or gone: begin anew with this full input
    #[arg(long, conflicts_with = "incremental")]
    start_over: bool,
    /// Who publishes, for those who read the log [default: host and process]
    #[arg(long, value_name = "NAME")]
    writer: Option<String>,
    /// Publish even to a store that cannot keep two writers apart; safe only with a single writer
    #[arg(long)]
    allow_unfenced: bool,
}

/// Compression of blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Level(Option<i32>);

fn level(text: &str) -> Result<Level, String> {
    match text.parse::<i32>() {
        _ if text == "none" => Ok(Level(None)),
        Ok(level @ (-7..=22)) => Ok(Level(Some(level))),
        _ => Err("expected -7 to 22, or none".to_owned()),
    }
}

pub(crate) async fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    let target = args.target.resolve(Role::Writer)?;
    let name = dataset_name(&target)?;
    let schema_file = args.schema.clone().or_else(|| target.settings.schema());
    let schema = schema_file.as_deref().map(read_schema);
    let schema = schema.transpose()?;
    let bar = Bar::new("reading", out.is_json());
    let mut tries = if args.no_retry { 1 } else { MOST_TRIES };
    let (producer, published) = loop {
        match try_to(args, &target, &name, schema.as_ref(), &bar).await {
            // What was in a pipe is gone by now: another try would publish without it.
            Err(failure)
                if failure.is_fenced() && tries > 1 && !inputs::any_is_read_once(&args.input) =>
            {
                tries -= 1;
                if !out.is_json() {
                    note("another writer was first: trying again on top of its version");
                }
            }
            done => break done?,
        }
    };
    drop(bar);
    match published {
        Some(published) => {
            let snapshot = write_snapshot(args, &producer, &published).await;
            report::published(
                &name,
                &published,
                snapshot.as_ref().ok().and_then(Option::as_ref),
                out,
            )?;
            snapshot.map(|_| ()).map_err(|failure| {
                failure.within(format_args!(
                    "version {} is published, but not its snapshot",
                    published.version
                ))
            })
        }
        None if args.snapshot => {
            let snapshot = producer.snapshot().await?;
            report::unchanged(&name, producer.version(), Some(&snapshot), out)
        }
        None => report::unchanged(&name, producer.version(), None, out),
    }
}

/// Reads all inputs and publishes them, on top of what is the newest version now.
async fn try_to(
    args: &Args,
    target: &Target,
    name: &str,
    schema: Option<&Schema>,
    bar: &Bar,
) -> Outcome<(Producer, Option<Published>)> {
    // Opened before the store, so that a missing file leaves no trace there.
    let inputs = inputs::open(&args.input, args.format, bar)?;
    let builder = Producer::builder(name, open_store(&target.url)?);
    let mut builder = settings(args, &target.settings, builder).lazy_fence(true);
    if let Some(schema) = schema {
        builder = builder.schema(schema.clone());
    }
    let opened = builder.open().await;
    let producer = opened.map_err(|e| with_hint(e, args, name, schema.is_none()))?;
    let state = producer.state();
    let schema = schema.unwrap_or(state.schema());
    let type_name = type_name(args, schema)?;
    let mode = match args.incremental {
        true => Mode::Incremental,
        false => Mode::Full,
    };
    let published = inputs::publish(&producer, schema, inputs, type_name.as_deref(), mode).await?;
    Ok((producer, published))
}

/// The snapshot that was due or asked for.
async fn write_snapshot(
    args: &Args,
    producer: &Producer,
    published: &Published,
) -> Outcome<Option<SnapshotEntry>> {
    let written = producer.finish().await?.pop();
    match written {
        Some(entry) if entry.version == published.version => Ok(Some(entry)),
        _ if args.snapshot => Ok(Some(producer.snapshot().await?)),
        other => Ok(other),
    }
}

fn dataset_name(target: &Target) -> Outcome<String> {
    target.dataset.clone().ok_or_else(|| {
        Failure::invalid("no dataset given: expected --dataset NAME")
            .hint("any name of letters, digits, '-', '_' and '.' will do")
    })
}

fn open_store(url: &StoreUrl) -> Outcome<Store> {
    Ok(Store::open_writable(url)?)
}

fn with_hint(error: grotto::producer::Error, args: &Args, name: &str, missing: bool) -> Failure {
    let lost = matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Missing);
    let no_schema = error.kind() == ErrorKind::NoSchema;
    let failure = Failure::from(error);
    if lost && !args.start_over {
        return failure.hint("with a full input, --start-over begins anew without what is damaged");
    }
    if missing && no_schema {
        let input = args
            .input
            .first()
            .map_or("FILE", |input| inputs::named(input).1);
        return failure.hint(format!(
            "`grotto schema infer {input} > {name}.schema` writes one; read it, then give it with --schema {name}.schema"
        ));
    }
    failure
}

/// The type that lines without one are of; nothing if each input names its own.
fn type_name(args: &Args, schema: &Schema) -> Outcome<Option<String>> {
    if args.type_name.is_none()
        && args
            .input
            .iter()
            .all(|input| inputs::named(input).0.is_some())
    {
        return Ok(None);
    }
    // Lines of changes may name theirs; those that do not are refused then.
    if args.incremental && args.type_name.is_none() && crate::records::top_level(schema).len() > 1 {
        return Ok(None);
    }
    let id = crate::records::choose_type(schema, args.type_name.as_deref())?;
    Ok(Some(schema.get(id).name.clone()))
}

fn settings(args: &Args, config: &Settings, builder: ProducerBuilder) -> ProducerBuilder {
    let config = config.performance();
    let configured = |of: fn(&Performance) -> u64| config.map(of);
    let mut builder = builder
        .allow_unfenced(args.allow_unfenced)
        .start_over(args.start_over)
        .writer_id(args.writer.clone().unwrap_or_else(host_and_process));
    // Who deletes the last record by its key means it.
    if !args.allow_empty && !args.incremental {
        builder = builder.validator(NotEmptied);
    }
    if let Some(versions) = args
        .snapshot_every
        .or(configured(|set| set.snapshot_frequency))
    {
        builder = builder.snapshot_every(versions);
    }
    let inline = args.inline_blobs.or(configured(|set| set.inline_blobs));
    if let Some(bytes) = inline.and_then(|bytes| usize::try_from(bytes).ok()) {
        builder = builder.inline_blobs(bytes);
    }
    let threads = configured(|set| set.worker_pool_size);
    let threads = threads.and_then(|threads| usize::try_from(threads).ok());
    if let Some(threads) = args.threads.or(threads) {
        builder = builder.threads(threads);
    }
    match (args.level, config.map(|set| set.enable_compression)) {
        (Some(Level(level)), _) => builder.compression(level),
        (None, Some(false)) => builder.compression(None),
        (None, _) => builder,
    }
}

/// An empty file is more often a mistake than a wish to remove everything.
struct NotEmptied;

impl Validator for NotEmptied {
    fn name(&self) -> &str {
        "not emptied"
    }

    fn validate(&self, candidate: &Candidate<'_>) -> Result<(), AnyError> {
        if candidate.after.total() > 0 || candidate.before.total() == 0 {
            return Ok(());
        }
        let before = candidate.before.total();
        Err(AnyError::from(format!(
            "expected records, found none where there were {before}; --allow-empty removes them all"
        )))
    }
}
