//! Text that becomes a batch.
//!
//! Owns: taking lines in one by one, and what is told of those that are refused. Never: reads them from anywhere.

use crate::http::encoding::Form;
use grotto::producer::pipeline::Batch;
use grotto::producer::{CsvText, FullCycle};
use grotto::{Error, Result, Schema};
use serde_json::{Value, json};
use std::io::Read as _;

/// Most lines of one text that are refused one by one: it is another kind of text, if there are more.
const MOST_REFUSED: usize = 10_000;
/// Refused lines that are told of.
const MOST_TOLD: usize = 100;

/// What became of the lines of a text.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pub(crate) accepted: usize,
    pub(crate) refused: Vec<RefusedLine>,
}

/// A line that was not taken in.
#[derive(Debug)]
pub(crate) struct RefusedLine {
    pub(crate) line: u64,
    pub(crate) error: Error,
    pub(crate) text: String,
}

impl Lines {
    /// What is told of refused lines: the first ones, and how many there are.
    pub(crate) fn told(&self) -> Value {
        let told = self.refused.iter().take(MOST_TOLD);
        told.map(|refused| json!({ "line": refused.line, "message": refused.error.message() }))
            .collect()
    }
}

/// Takes lines into a batch; the first one has number `first`.
///
/// # Errors
/// `Invalid` when too many lines are refused, or the header of CSV does not fit.
pub(crate) fn take(
    batch: &mut Batch,
    text: &[u8],
    form: Form,
    type_name: Option<&str>,
    first: u64,
) -> Result<Lines> {
    let mut lines = Lines::default();
    match form {
        Form::Ndjson => take_all(batch, text, type_name, first, &mut lines)?,
        Form::Csv => {
            let (converted, broken) = converted(text, batch.schema(), type_name)?;
            take_all(batch, &converted, type_name, first, &mut lines)?;
            if let Some(error) = broken {
                let line = 1 + converted.iter().filter(|byte| **byte == b'\n').count() as u64;
                refuse(&mut lines, line, String::new(), error)?;
            }
        }
    }
    Ok(lines)
}

fn take_all(
    batch: &mut Batch,
    text: &[u8],
    type_name: Option<&str>,
    first: u64,
    lines: &mut Lines,
) -> Result<()> {
    for (line, bytes) in (first..).zip(text.split(|byte| *byte == b'\n')) {
        let before = batch.len();
        match batch.add_line(bytes, type_name, line) {
            Ok(()) => lines.accepted += batch.len() - before,
            Err(error) => {
                let text = String::from_utf8_lossy(bytes.trim_ascii()).into_owned();
                refuse(lines, line, text, error)?;
            }
        }
    }
    Ok(())
}

fn refuse(lines: &mut Lines, line: u64, text: String, error: Error) -> Result<()> {
    if lines.refused.len() >= MOST_REFUSED {
        return Err(Error::invalid(format!(
            "expected at most {MOST_REFUSED} lines that are refused, found more, up to line {line}: {}",
            error.message()
        )));
    }
    lines.refused.push(RefusedLine { line, error, text });
    Ok(())
}

/// The NDJSON of CSV, up to where it can be read.
fn converted(
    text: &[u8],
    schema: &Schema,
    type_name: Option<&str>,
) -> Result<(Vec<u8>, Option<Error>)> {
    let named = type_name.and_then(|name| schema.find(name));
    let type_id = named.ok_or_else(|| {
        Error::invalid("csv: expected the name of a type of the schema, such as ?type=City")
    })?;
    let mut reader = CsvText::new(text, schema, type_id)?;
    let mut converted = Vec::new();
    let read = reader.read_to_end(&mut converted);
    Ok((converted, read.err().map(|e| Error::invalid(e.to_string()))))
}

/// The type that lines without one are of, where only one type of the schema stands by itself.
pub(crate) fn only_type(schema: &Schema) -> Option<String> {
    let mut ids = schema.ids().filter(|id| schema.is_top_level(*id));
    let only = ids.next()?;
    let name = &schema.get(only).name;
    ids.next().is_none().then(|| name.clone())
}

/// Adds every line to a full-state cycle.
///
/// # Errors
/// `Invalid` with the line that is refused.
pub(crate) fn cycle_lines(
    cycle: &mut FullCycle,
    schema: &Schema,
    text: &[u8],
    form: Form,
    type_name: Option<&str>,
) -> Result<()> {
    let type_name = type_name
        .ok_or_else(|| Error::invalid("expected the type of the records, such as ?type=City"))?;
    let (converted, broken) = match form {
        Form::Ndjson => (None, None),
        Form::Csv => {
            let (text, broken) = converted(text, schema, Some(type_name))?;
            (Some(text), broken)
        }
    };
    let lines = converted
        .as_deref()
        .unwrap_or(text)
        .split(|byte| *byte == b'\n');
    for (line, bytes) in (1..).zip(lines) {
        let text = std::str::from_utf8(bytes.trim_ascii());
        let text = text.map_err(|_| Error::invalid(format!("line {line}: expected utf-8 text")))?;
        if !text.is_empty() {
            cycle.add_json(type_name, text, line)?;
        }
    }
    broken.map_or(Ok(()), Err)
}
