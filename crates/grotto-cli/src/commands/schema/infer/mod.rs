//! `grotto schema infer`: a schema for records that have none.
//!
//! Owns: reading an input and saying what was guessed. Never: touches a store.

mod key;
mod names;
mod shape;
mod value;

use crate::failure::{Failure, Outcome};
use crate::input::{self, Format, Text};
use crate::output::{Out, note};
use crate::progress::Bar;
use crate::text::things;
use grotto::Schema;
use grotto::producer::CsvText;
use key::Candidates;
use names::{Types, is_name, singular, type_name};
use serde_json::json;
use shape::{Kind, Rules, Shape};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use value::Json;

/// Longest line.
const MAX_LINE: u64 = 64 << 20;

/// Write a schema for the records of a file
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grotto schema infer cities.ndjson > cities.schema
  grotto schema infer prices.csv --key sku,country > prices.schema
  zcat orders.gz | grotto schema infer - --type Order

The schema goes to the standard output; what was guessed is said beside it. Read it before you use it: a
guess that holds for these records may not hold for the next.")]
pub(crate) struct Args {
    /// NDJSON, or CSV with a header, plain, gzip or zstd; - for the standard input
    #[arg(value_name = "FILE")]
    file: String,
    /// Format of the file [default: csv for names that end in .csv or .tsv, otherwise ndjson]
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
    /// Name of the records' type [default: after the file]
    #[arg(long = "type", value_name = "TYPE")]
    type_name: Option<String>,
    /// Fields of the primary key [default: the likeliest of those that differ in every record]
    #[arg(long, value_name = "FIELD,…", value_delimiter = ',')]
    key: Vec<String>,
}

/// What the records of an input turned out to be.
struct Found {
    shape: Shape,
    candidates: Candidates,
}

pub(super) fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    let bar = Bar::new("reading", out.is_json());
    let format = args.format.unwrap_or_else(|| Format::of(&args.file));
    let mut text = input::open(&args.file, &bar)?;
    if format == Format::Csv {
        let rows = CsvText::untyped(text);
        let rows = rows.map_err(|e| Failure::invalid(format!("{} {e}", args.file)))?;
        text = Box::new(rows);
    }
    let found = look_at(text, &args.file, format, &args.key)?;
    drop(bar);
    let name = match &args.type_name {
        Some(name) if is_name(name) => name.clone(),
        Some(name) => {
            let message = format!("--type {name}: expected a name of letters, digits and _");
            return Err(Failure::invalid(message));
        }
        None => named_after(&args.file),
    };
    let records = found.candidates.records();
    let Kind::Object(fields) = &found.shape.kind else {
        return Err(Failure::invalid(format!(
            "{}: expected records, found none",
            args.file
        )));
    };
    let mut types = Types::default();
    let key = key(args, &found, &name)?;
    let path = (!key.is_empty()).then(|| key.join(", "));
    let name = types
        .records(&name, path.as_deref(), fields)
        .map_err(|why| Failure::invalid(format!("{}: {why}", args.file)))?;
    let text = types.text();
    let schema = Schema::parse(&text)
        .map_err(|e| Failure::internal(format!("the schema that was made is none: {e}\n{text}")))?;
    let mut notes = vec![guess(args, &name, &key, records)];
    notes.append(&mut types.notes);
    print(&schema, &name, &key, records, &notes, out)
}

/// Reads all records.
fn look_at(text: Text, source: &str, format: Format, key: &[String]) -> Outcome<Found> {
    let mut found = Found {
        shape: Shape::default(),
        candidates: Candidates::new(key),
    };
    let mut text = BufReader::new(text);
    let mut line = Vec::new();
    for number in 1.. {
        let refused = |what: String| Failure::invalid(format!("{source} line {number}: {what}"));
        line.clear();
        match text.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) => break,
            Ok(_) if line.len() as u64 == MAX_LINE => {
                return Err(refused(format!(
                    "expected at most {MAX_LINE} bytes in a line"
                )));
            }
            Ok(_) => {}
            Err(error) => return Err(Failure::invalid(format!("{source}: {error}"))),
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let value: Json = serde_json::from_slice(&line).map_err(|e| refused(not_json(&e)))?;
        let Json::Object(fields) = &value else {
            return Err(refused("expected a record, such as {\"id\":1}".to_owned()));
        };
        found.candidates.take(fields);
        if found.candidates.is_seen(fields) {
            let key = key.join(",");
            let what =
                format!("--key {key}: expected another value in each record, found one again");
            return Err(refused(what));
        }
        let rules = Rules {
            line: number,
            untyped: format == Format::Csv,
            depth: 0,
        };
        let taken = found.shape.take(&value, rules);
        taken.map_err(|why| refused(format!("field {}", why.trim_start_matches('.'))))?;
    }
    Ok(found)
}

/// What the JSON parser says, without its line, which is always the first of the text that it was given.
fn not_json(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    format!(
        "expected a record as JSON: {what} at column {}",
        error.column()
    )
}

fn named_after(file: &str) -> String {
    let name = Path::new(file).file_name().and_then(|name| name.to_str());
    let stem = name
        .filter(|name| *name != "-")
        .and_then(|name| name.split('.').next());
    type_name(&singular(stem.unwrap_or("record")))
}

/// The key that is asked for, or the likeliest one.
fn key(args: &Args, found: &Found, name: &str) -> Outcome<Vec<String>> {
    if args.key.is_empty() {
        let chosen = found.candidates.choose(name).map(str::to_owned);
        return Ok(chosen.into_iter().collect());
    }
    let Kind::Object(fields) = &found.shape.kind else {
        return Ok(args.key.clone());
    };
    for (at, part) in args.key.iter().enumerate() {
        if args.key[..at].contains(part) {
            let message = format!("--key {part}: expected each field once, found it twice");
            return Err(Failure::invalid(message));
        }
        let scalar = |kind: &Kind| !matches!(kind, Kind::List(_) | Kind::Object(_));
        let field = fields.all.iter().find(|(name, _)| name == part);
        let Some((_, shape)) = field.filter(|(_, shape)| scalar(&shape.kind)) else {
            let names = fields.all.iter().filter(|(_, shape)| scalar(&shape.kind));
            let names: Vec<&str> = names.map(|(name, _)| name.as_str()).collect();
            let message = format!("--key {part}: expected one of {}", names.join(", "));
            return Err(Failure::invalid(message));
        };
        if shape.values < found.candidates.records() {
            let message = format!(
                "--key {part}: expected a field with a value in every record, found records without"
            );
            return Err(Failure::invalid(message));
        }
    }
    Ok(args.key.clone())
}

/// What was decided, for a person.
fn guess(args: &Args, name: &str, key: &[String], records: u64) -> String {
    let after = match args.type_name {
        Some(_) => "",
        None if args.file == "-" => " (--type names it)",
        None => ", named after the file",
    };
    let records = things(records, "record");
    let key = match (key, args.key.is_empty()) {
        ([], _) => {
            "without a primary key, as no field differs in every record; --key names one".to_owned()
        }
        (key, false) => format!("with the primary key {}", key.join(", ")),
        (key, true) => format!(
            "with the primary key {}, which differs in every record",
            key.join(", ")
        ),
    };
    format!("type {name}{after}, from {records}, {key}")
}

fn print(
    schema: &Schema,
    name: &str,
    key: &[String],
    records: u64,
    notes: &[String],
    out: &mut Out,
) -> Outcome<()> {
    if out.is_json() {
        return out.json(&json!({
            "schema": schema.to_string(), "type": name, "key": key, "records": records, "notes": notes,
        }));
    }
    out.line(schema.to_string().trim_end())?;
    notes.iter().for_each(note);
    Ok(())
}
