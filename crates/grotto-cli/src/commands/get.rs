//! `grotto get`: one record by primary key.
//!
//! Owns: what is printed. Never: more than one lookup.

use crate::failure::{Failure, Outcome};
use crate::output::Out;
use crate::reader::ReadArgs;
use crate::records::{self, Printer};
use serde_json::json;

/// Prints the record with a primary key as one line of JSON
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grotto get --store ./store --dataset cities City 2950159
  grotto get --store ./store --dataset cities --version 2 City 2950159
  grotto get --store ./store --state-dir ./state City 2950159

A key of several parts is a JSON array: grotto get --store ./store Price '[\"EUR\", 17]'

Exit code 3 means that there is no such record.")]
pub(crate) struct Args {
    #[command(flatten)]
    read: ReadArgs,
    /// Type of the record
    #[arg(value_name = "TYPE")]
    type_name: String,
    /// Primary key: a plain value, or a JSON array where the key has several parts
    #[arg(allow_hyphen_values = true)]
    key: String,
}

pub(crate) async fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    let reading = args.read.read(out.is_json()).await?;
    let state = &reading.state;
    let type_id = records::choose_type(state.schema(), Some(&args.type_name))?;
    let Some(record) = records::find(state, type_id, &args.key)? else {
        let (name, version) = (&args.type_name, state.version());
        return Err(Failure::not_found(format!(
            "no record {name} {} at version {version}",
            args.key
        )));
    };
    let mut printer = Printer::default();
    if out.is_json() {
        let (version, record) = (state.version(), printer.value(&record)?);
        let mut answer = json!({ "version": version, "type": args.type_name, "record": record });
        if let Some(newer) = reading.newer {
            answer["newest"] = newer.into();
        }
        return out.json(&answer);
    }
    out.line(printer.json(&record)?)
}
