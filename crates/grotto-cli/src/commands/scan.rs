//! `grotto scan`: records in the order of their ordinals.
//!
//! Owns: selection and paging. Never: sorts; that is `export`.

use super::filter::Filter;
use crate::failure::{Failure, Outcome};
use crate::output::{Out, note};
use crate::reader::ReadArgs;
use crate::records::{self, Printer};
use grotto::State;
use grotto::schema::TypeId;
use serde_json::{Value, json};

/// Prints records in the order in which they are stored, one JSON object per line
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  grotto scan --store ./store --dataset cities City --limit 10
  grotto scan --store ./store --dataset cities City --where countrycode=NZ --where 'population>100000'
  grotto scan --store ./store --dataset cities City --where 'name~^San ' --fields name,population
  grotto scan --store ./store --dataset cities City --limit 10 --after 9

`--where field=null` finds records without a value there: the field is null, or on the way to it a record
is, as in `address.street=null`. A field of records that stand as their single value is null where that value is.

With --json each line is {\"ordinal\":…,\"record\":…}.")]
pub(crate) struct Args {
    #[command(flatten)]
    read: ReadArgs,
    /// Type of the records; not needed where only one type stands by itself
    #[arg(value_name = "TYPE")]
    type_name: Option<String>,
    /// Most records to print
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Start after this ordinal, the position of a record that --json shows
    #[arg(long, value_name = "ORDINAL")]
    after: Option<u32>,
    /// Only records whose field compares so: = != < <= > >= with a value, or ~ with a regular expression; may be
    /// repeated
    #[arg(long = "where", value_name = "FIELD=VALUE")]
    filters: Vec<String>,
    /// Only these fields of each record
    #[arg(long, value_name = "FIELD,…", value_delimiter = ',')]
    fields: Vec<String>,
}

pub(crate) async fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    let state = args.read.read(out.is_json()).await?.state;
    let type_id = records::choose_type(state.schema(), args.type_name.as_deref())?;
    let filter = |text: &String| Filter::parse(state.schema(), type_id, text);
    let filters: Vec<Filter> = args.filters.iter().map(filter).collect::<Outcome<_>>()?;
    let fields: Vec<&str> = args.fields.iter().map(|name| name.trim()).collect();
    check_fields(&fields, &state, type_id)?;
    let wanted = state
        .scan(type_id)
        .filter(|record| args.after.is_none_or(|after| record.ordinal() > after))
        .filter(|record| filters.iter().all(|filter| filter.matches(record)));
    let (mut printer, mut last) = (Printer::default(), None);
    for (at, record) in wanted.enumerate() {
        if args.limit.is_some_and(|limit| at >= limit) {
            if let (Some(last), false) = (last, out.is_json()) {
                note(format_args!("there are more; go on with --after {last}"));
            }
            break;
        }
        last = Some(record.ordinal());
        if fields.is_empty() && !out.is_json() {
            out.line(printer.json(&record)?)?;
            continue;
        }
        let mut value = printer.value(&record)?;
        if let (Value::Object(all), false) = (&mut value, fields.is_empty()) {
            all.retain(|name, _| fields.contains(&name.as_str()));
        }
        match out.is_json() {
            true => out.json(&json!({ "ordinal": record.ordinal(), "record": value }))?,
            false => out.line(value)?,
        }
    }
    Ok(())
}

fn check_fields(names: &[&str], state: &State, type_id: TypeId) -> Outcome<()> {
    let ty = state.schema().get(type_id);
    let known: Vec<&str> = ty
        .fields()
        .iter()
        .map(|field| field.name.as_str())
        .collect();
    match names.iter().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) => Err(Failure::invalid(format!(
            "--fields {name}: expected fields of {}: {}",
            ty.name,
            known.join(", ")
        ))),
    }
}
