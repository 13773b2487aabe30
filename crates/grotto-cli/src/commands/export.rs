//! `grotto export`: all records of a type as NDJSON, or a whole dataset as an archive.
//!
//! Owns: the order and the stream. Never: holds more than one printed record.

use crate::commands::copy::archive;
use crate::failure::Outcome;
use crate::output::{Out, note};
use crate::progress::Bar;
use crate::reader::ReadArgs;
use crate::records::{self, Printer};
use crate::text;
use std::path::PathBuf;

/// Prints all records of a type, one JSON object per line, ordered by primary key
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grotto export --store ./store --dataset cities > cities.ndjson
  grotto export --store ./store --dataset cities --version 2 --output cities-2.ndjson
  grotto export --store ./store --dataset cities --whole cities.tar

Fields that are null are left out. Records of a type without a primary key come as they are stored.

With --whole it writes the whole dataset instead, all its versions with all types, into one tar archive, which
`grotto import` reads: up to --version, where that is given.")]
pub(crate) struct Args {
    #[command(flatten)]
    read: ReadArgs,
    /// Type of the records; not needed where only one type stands by itself
    #[arg(long = "type", value_name = "TYPE")]
    type_name: Option<String>,
    /// File to write; it appears only once it is complete
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Archive to write the whole dataset to, with all its versions; it appears only once it is complete
    #[arg(long, value_name = "FILE", conflicts_with_all = ["type_name", "output", "offline"])]
    whole: Option<PathBuf>,
}

pub(crate) async fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    if let Some(file) = &args.whole {
        return archive::write(&args.read, file, out).await;
    }
    let state = args.read.read(out.is_json()).await?.state;
    let type_id = records::choose_type(state.schema(), args.type_name.as_deref())?;
    let mut file = args
        .output
        .as_deref()
        .map(|path| Out::file(path, out.is_json()))
        .transpose()?;
    let bar = Bar::new("exporting", out.is_json() || file.is_none());
    bar.of_items(state.count(type_id));
    let mut printer = Printer::default();
    for ordinal in records::by_key(&state, type_id) {
        if let Some(record) = state.record(type_id, ordinal) {
            file.as_mut().unwrap_or(out).line(printer.json(&record)?)?;
            bar.add(1);
        }
    }
    drop(bar);
    let Some(file) = file else { return Ok(()) };
    file.finish()?;
    let (count, version) = (text::count(state.count(type_id)), state.version());
    note(format_args!("{count} records of version {version} written"));
    Ok(())
}
