//! Inputs of a cycle.
//!
//! Owns: one input or several, in either format, and naming file and line in what is refused. Never: opens the store.

use crate::failure::{Failure, Outcome};
use crate::input::{self, Format, Text};
use crate::progress::Bar;
use grotto::Schema;
use grotto::producer::{CsvText, Mode, NdjsonInput, Producer, Published};
use std::path::Path;

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

/// Whether an input can be read only once: the standard input, or a pipe by whatever name.
pub(super) fn any_is_read_once(inputs: &[String]) -> bool {
    let is_file = |file: &str| std::fs::metadata(file).is_ok_and(|found| found.is_file());
    let mut files = inputs.iter().map(|input| named(input).1);
    files.any(|file| file == "-" || !is_file(file))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Opens all inputs; those of `format`, or of what their names say.
pub(super) fn open(inputs: &[String], format: Option<Format>, bar: &Bar) -> Outcome<Vec<Input>> {
    if inputs.iter().filter(|input| named(input).1 == "-").count() > 1 {
        let message = "--input: expected the standard input once, found it more often";
        return Err(Failure::invalid(message));
    }
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
    let ndjson = |input: Input| {
        let input = input.typed(schema, default)?;
        Ok(NdjsonInput {
            type_name: input.type_name.unwrap_or_default(),
            source_name: input.source,
            reader: input.text,
            converted: input.format == Format::Csv,
            // What is read from the file counts, not the text that it unpacks to.
            progress: None,
        })
    };
    let inputs: Vec<NdjsonInput> = inputs.into_iter().map(ndjson).collect::<Outcome<_>>()?;
    Ok(producer.publish_ndjson(mode, inputs).await?)
}
