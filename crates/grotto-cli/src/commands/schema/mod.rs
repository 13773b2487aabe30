//! `grotto schema`: making, checking and comparing schemas.
//!
//! Owns: its subcommands. Never: writes to a store.

mod changes;
mod infer;

use crate::failure::{Failure, Outcome};
use crate::output::Out;
use crate::reader::ReadArgs;
use crate::text::things;
use grotto::Schema;
use grotto_service::config::read_schema;
use serde_json::json;
use std::path::PathBuf;

/// Makes, checks and compares schemas
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Infer(infer::Args),
    /// Print the schema of a dataset
    #[command(after_help = "\
Example:
  grotto schema print --store ./store --dataset cities --version 3")]
    Print {
        #[command(flatten)]
        read: Box<ReadArgs>,
    },
    /// Read a schema file as other commands would, and say what it declares
    #[command(after_help = "\
Example:
  grotto schema check cities.schema

What is wrong with it is said with line and column, and exit code 2.")]
    Check {
        /// The file
        file: PathBuf,
    },
    /// Say what changes from one schema to another, and whether a dataset can follow
    #[command(after_help = "\
Example:
  grotto schema diff cities.schema cities-new.schema

A change that no dataset can follow is said with its reason, and exit code 2.")]
    Diff {
        /// The schema that a dataset has
        old: PathBuf,
        /// The schema that it is to have
        new: PathBuf,
    },
}

pub(crate) async fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    match &args.action {
        Action::Infer(args) => infer::run(args, out),
        Action::Print { read } => {
            let state = read.read(out.is_json()).await?.state;
            print(state.version(), state.schema(), out)
        }
        Action::Check { file } => check(&read_schema(file)?, out),
        Action::Diff { old, new } => changes::run(&read_schema(old)?, &read_schema(new)?, out),
    }
}

fn print(version: u64, schema: &Schema, out: &mut Out) -> Outcome<()> {
    if out.is_json() {
        return out.json(&json!({ "version": version, "schema": schema.to_string() }));
    }
    out.line(schema.to_string().trim_end())
}

/// The types, those whose records stand by themselves first.
fn check(schema: &Schema, out: &mut Out) -> Outcome<()> {
    let top_level = crate::records::top_level(schema);
    if out.is_json() {
        let types = schema.ids().map(|id| {
            let ty = schema.get(id);
            json!({
                "type": ty.name, "kind": ty.kind_name(), "top_level": top_level.contains(&id),
                "key": key_of(ty), "fields": ty.fields().len(),
            })
        });
        return out.json(&json!({ "valid": true, "types": types.collect::<Vec<_>>() }));
    }
    let Some(first) = top_level.first() else {
        // Types that only refer to each other.
        return Err(Failure::invalid(
            "expected a type whose records stand by themselves, found none",
        ));
    };
    for id in &top_level {
        let ty = schema.get(*id);
        let key = match key_of(ty).as_slice() {
            [] => "without a primary key".to_owned(),
            paths => format!("with the primary key {}", paths.join(", ")),
        };
        let fields = things(ty.fields().len() as u64, "field");
        out.line(format_args!("{}: {fields} {key}", ty.name))?;
    }
    let others = schema.types().len() - top_level.len();
    let first = &schema.get(*first).name;
    match others {
        0 => Ok(()),
        1 => out.line(format_args!("and 1 type that {first} refers to")),
        _ if top_level.len() == 1 => {
            out.line(format_args!("and {others} types that {first} refers to"))
        }
        _ => out.line(format_args!("and {others} types that these refer to")),
    }
}

fn key_of(ty: &grotto::schema::TypeSchema) -> Vec<String> {
    let paths = ty.key().map_or(&[][..], |key| &key.paths);
    paths.iter().map(|path| path.text.clone()).collect()
}
