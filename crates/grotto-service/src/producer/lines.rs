//! Text that becomes a batch.
//!
//! Owns: taking lines in one by one, and what is told of those that are refused. Never: reads them from anywhere.

use crate::http::encoding::Form;
use grotto::producer::pipeline::Batch;
use grotto::producer::{CsvRow, CsvText, FullCycle};
use grotto::schema::TypeId;
use grotto::{Error, Result, Schema};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Most lines of one text that are refused one by one: it is another kind of text, if there are more.
const MOST_REFUSED: usize = 10_000;
/// Refused lines that are told of.
const MOST_TOLD: usize = 100;

/// What became of the lines of a text.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    pub(crate) accepted: usize,
    /// Number of lines that were not taken in.
    pub(crate) refused: usize,
    /// The first of these.
    pub(crate) first: Vec<RefusedLine>,
}

/// A line that was not taken in.
#[derive(Debug)]
pub(crate) struct RefusedLine {
    pub(crate) line: u64,
    pub(crate) message: String,
}

impl Lines {
    /// What is told of refused lines: the first ones.
    pub(crate) fn told(&self) -> Value {
        let told = self.first.iter();
        told.map(|refused| json!({ "line": refused.line, "message": refused.message }))
            .collect()
    }
}

/// What a text is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind<'a> {
    pub(crate) form: Form,
    /// Type of lines that name none.
    pub(crate) type_name: Option<&'a str>,
}

/// Takes lines into a batch; the first one has number `first`. With `keep`, those that are refused go into the batch
/// as well, to become dead letters.
///
/// # Errors
/// `Invalid` when too many lines are refused, or the header of CSV does not fit.
pub(crate) fn take(
    batch: &mut Batch,
    text: &[u8],
    kind: Kind<'_>,
    first: u64,
    keep: bool,
) -> Result<Lines> {
    let schema = Arc::clone(batch.schema());
    let mut lines = Lines::default();
    each(text, kind, &schema, first, &mut |line, read| {
        let before = batch.len();
        let (bytes, error) = match read {
            Ok(bytes) => match batch.add_line(bytes, kind.type_name, line) {
                Ok(()) => {
                    lines.accepted += batch.len() - before;
                    return Ok(());
                }
                Err(error) => (bytes, error),
            },
            Err(refused) => refused,
        };
        note(&mut lines, line, &error)?;
        if keep {
            batch.refuse_line(line, kind.type_name, bytes.trim_ascii(), error);
        }
        Ok(())
    })?;
    Ok(lines)
}

fn note(lines: &mut Lines, line: u64, error: &Error) -> Result<()> {
    let message = error.message();
    if lines.refused >= MOST_REFUSED {
        return Err(Error::invalid(format!(
            "expected at most {MOST_REFUSED} lines that are refused, found more, up to line {line}: {message}"
        )));
    }
    lines.refused += 1;
    if lines.first.len() < MOST_TOLD {
        let message = message.to_owned();
        lines.first.push(RefusedLine { line, message });
    }
    Ok(())
}

/// A line, or what cannot be read as one and why.
type Read<'a> = std::result::Result<&'a [u8], (&'a [u8], Error)>;

/// Calls for each line with its number.
fn each(
    text: &[u8],
    kind: Kind<'_>,
    schema: &Schema,
    first: u64,
    take: &mut dyn FnMut(u64, Read<'_>) -> Result<()>,
) -> Result<()> {
    if kind.form == Form::Ndjson {
        let lines = text.split(|byte| *byte == b'\n');
        return (first..)
            .zip(lines)
            .try_for_each(|(line, bytes)| take(line, Ok(bytes)));
    }
    let named = kind.type_name.and_then(|name| schema.find(name));
    let type_id = named.ok_or_else(|| {
        Error::invalid("csv: expected the name of a type of the schema, such as ?type=City")
    })?;
    let mut rows = CsvText::new(text, schema, type_id)?;
    while let Some(row) = rows.next_record()? {
        match row {
            CsvRow::Record { line, json } => take(line, Ok(json))?,
            CsvRow::Refused { line, error, text } => take(line, Err((&text, error)))?,
        }
    }
    Ok(())
}

/// The type that lines without one are of, where only one type of the schema stands by itself.
pub(crate) fn only_type(schema: &Schema) -> Option<String> {
    let mut ids = schema.ids().filter(|id| schema.is_top_level(*id));
    let only = ids.next()?;
    let name = &schema.get(only).name;
    ids.next().is_none().then(|| name.clone())
}

/// Adds every line to a full-state cycle. Without `allow_empty` there must be records of every type that stands by
/// itself, as those of a type that has none would all be removed.
///
/// # Errors
/// `Invalid` with the line that is refused, or the type that has no records.
pub(crate) fn cycle_lines(
    cycle: &mut FullCycle,
    text: &[u8],
    kind: Kind<'_>,
    allow_empty: bool,
) -> Result<()> {
    let schema = Arc::clone(cycle.schema());
    let mut added: BTreeSet<TypeId> = BTreeSet::new();
    cycle.set_source("http");
    each(text, kind, &schema, 1, &mut |line, read| {
        let bytes = read.map_err(|(_, error)| error.at(format_args!("http line {line}")))?;
        added.extend(cycle.add_line(bytes, kind.type_name, line)?);
        Ok(())
    })?;
    let mut all = schema.ids().filter(|id| schema.is_top_level(*id));
    match all.find(|id| !added.contains(id)) {
        Some(none) if !allow_empty => Err(Error::invalid(format!(
            "expected records of {}, found none; ?allow_empty=true removes all there are of types without any",
            schema.get(none).name
        ))),
        _ => Ok(()),
    }
}
