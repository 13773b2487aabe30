//! Inputs of a cycle.
//!
//! Owns: one input or several, in either format, and naming file and line in what is refused. Never: opens the store.

use crate::failure::{Failure, Outcome};
use crate::input::{self, Format, Text};
use crate::progress::Bar;
use grotto::Schema;
use grotto::producer::{
    CsvText, Error, FullCycle, IncrementalCycle, Mode, NdjsonInput, Producer, Published, Result,
};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

/// Longest line of one of several inputs.
const MAX_LINE: u64 = 64 << 20;

/// An input that is open.
pub(super) struct Input {
    type_name: Option<String>,
    source: String,
    format: Format,
    text: Text,
}

/// Splits `TYPE=FILE`. A file that exists under the whole name is that file.
pub(super) fn named(input: &str) -> (Option<&str>, &str) {
    match input.split_once('=') {
        Some((name, file)) if is_name(name) && !Path::new(input).exists() => (Some(name), file),
        _ => (None, input),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Opens all inputs; those of `format`, or of what their names say.
pub(super) fn open(inputs: &[String], format: Option<Format>, bar: &Bar) -> Outcome<Vec<Input>> {
    let open = |input: &String| {
        let (type_name, file) = named(input);
        let text = input::open(file, bar)?;
        let source = if file == "-" { "standard input" } else { file };
        Ok(Input {
            type_name: type_name.map(str::to_owned),
            source: source.to_owned(),
            format: format.unwrap_or_else(|| Format::of(file)),
            text,
        })
    };
    inputs.iter().map(open).collect()
}

impl Input {
    /// The same as NDJSON of a type of the schema; `default` where the input names none.
    fn typed(mut self, schema: &Schema, default: Option<&str>) -> Outcome<Self> {
        self.type_name = self.type_name.or_else(|| default.map(str::to_owned));
        let named = self.type_name.as_deref().and_then(|name| schema.find(name));
        if let (Format::Csv, Some(type_id)) = (self.format, named) {
            let text = CsvText::new(self.text, schema, type_id);
            let source = &self.source;
            let text = text.map_err(|e| Failure::invalid(format!("{source} {e}")))?;
            self.text = Box::new(text);
        }
        Ok(self)
    }
}

/// Publishes all inputs in one cycle under a schema; `default` is the type of those that name none.
pub(super) async fn publish(
    producer: &Producer,
    schema: &Schema,
    inputs: Vec<Input>,
    default: Option<&str>,
    mode: Mode,
) -> Outcome<Option<Published>> {
    let inputs = inputs.into_iter().map(|input| input.typed(schema, default));
    let mut inputs = inputs.collect::<Outcome<Vec<_>>>()?;
    let published = match (inputs.pop(), inputs.is_empty(), mode) {
        (None, _, _) => return Err(Failure::invalid("expected an input, found none")),
        (Some(only), true, mode) => {
            let input = NdjsonInput {
                type_name: only.type_name.unwrap_or_default(),
                source_name: only.source,
                reader: only.text,
                mode,
                // What is read from the file counts, not the text that it unpacks to.
                progress: None,
            };
            producer.publish_ndjson(input).await?
        }
        (Some(last), false, Mode::Full) => {
            inputs.push(last);
            producer
                .run_cycle(move |cycle| {
                    Ok(inputs.into_iter().try_for_each(|input| add(cycle, input))?)
                })
                .await?
        }
        (Some(last), false, Mode::Incremental) => {
            inputs.push(last);
            producer
                .run_incremental(move |cycle| {
                    inputs
                        .into_iter()
                        .try_for_each(|input| upsert(cycle, input))?;
                    Ok(())
                })
                .await?
        }
    };
    Ok(published)
}

fn add(cycle: &mut FullCycle, input: Input) -> Result<()> {
    cycle.set_source(&input.source);
    each_line(input, |type_name, line, number| {
        cycle.add_json(type_name, line, number)
    })
}

fn upsert(cycle: &mut IncrementalCycle, input: Input) -> Result<()> {
    cycle.set_source(&input.source);
    each_line(input, |type_name, line, number| {
        cycle.upsert_json(type_name, line, number)
    })
}

/// Hands over the lines with their numbers; complaints name file and line.
fn each_line(input: Input, mut take: impl FnMut(&str, &str, u64) -> Result<()>) -> Result<()> {
    let Input {
        type_name,
        source,
        text,
        format: _,
    } = input;
    let type_name = type_name.unwrap_or_default();
    let mut text = BufReader::new(text);
    let mut line = Vec::new();
    for number in 1.. {
        let refused = |what: String| Error::invalid(format!("{source} line {number}: {what}"));
        line.clear();
        let read = text.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        match read {
            Ok(0) => break,
            Ok(_) if line.len() as u64 == MAX_LINE => {
                return Err(refused(format!(
                    "expected at most {MAX_LINE} bytes in a line"
                )));
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                return Err(Error::invalid(format!("{source} {error}")));
            }
            Err(error) => return Err(refused(format!("cannot be read: {error}"))),
        }
        let line = std::str::from_utf8(&line)
            .map_err(|_| refused("expected utf-8 text".to_owned()))?
            .trim();
        if !line.is_empty() {
            // What is wrong with a record says where it is, which may be far before this line.
            take(&type_name, line, number)?;
        }
    }
    Ok(())
}
