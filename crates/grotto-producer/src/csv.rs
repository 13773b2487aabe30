//! Comma-separated values, read as the NDJSON that they stand for.
//!
//! Owns: which column is which field, and how a cell becomes a value of the field's type. Never: decides whether a
//! record is right; the JSON decoder says so, with its field.
//!
//! A record comes out on the line on which it begins in the file, so that messages about lines are about those of
//! the file.

mod header;
mod lines;

use crate::{Error, Result};
use csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder, WriterBuilder};
use grotto_format::json::MAX_TEXT;
use grotto_format::schema::{FieldType, Schema, TypeId};
use header::Beginning;
use lines::Lined;
use std::io::{self, BufReader, Chain, Cursor, Read};

/// Longest row in bytes: a quote that is never closed takes in all that follows.
const LONGEST_ROW: u64 = MAX_TEXT as u64;
/// The NDJSON of a text of comma-separated values: give it to [`NdjsonInput`](crate::NdjsonInput) as the reader.
///
/// The first line names fields of the type, in any order; fields without a column are null, and so is what an empty
/// cell stands for. Cells are separated by commas, semicolons or tabs, whichever the header has most of outside of
/// quotes; cells with a separator, a quote or a line break are quoted. Empty lines count for nothing. Booleans are `true` and `false`, or `1` and `0`. A cell of a field
/// that refers to a record of a single value is that value; records, lists and maps have no place in a cell.
///
/// ```
/// # use std::io::Read as _;
/// use grotto_format::Schema;
/// use grotto_producer::CsvText;
///
/// let schema = Schema::parse("City @PrimaryKey(id) { long id; string name; }")?;
/// let city = schema.find("City").expect("it is there");
/// let mut text = String::new();
/// CsvText::new("name,id\nBern,1\n,2\n".as_bytes(), &schema, city)?.read_to_string(&mut text)?;
/// assert_eq!(text, "\n{\"name\":\"Bern\",\"id\":1}\n{\"id\":2}\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct CsvText<R> {
    rows: Reader<Lined<Whole<R>>>,
    columns: Vec<Column>,
    delimiter: u8,
    row: ByteRecord,
    /// The line that is written next, from 1.
    line: u64,
    /// What was made and not read yet.
    text: Vec<u8>,
    read: usize,
}

/// The header, which was looked at before, and what follows it.
type Whole<R> = Chain<Cursor<Vec<u8>>, BufReader<R>>;

#[derive(Debug)]
struct Column {
    /// Name of the field, as JSON.
    name: Vec<u8>,
    form: Form,
}

/// How a cell is written as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Text,
    Number,
    Boolean,
    /// What it looks like.
    Any,
}

/// A row of comma-separated values.
#[derive(Debug)]
pub enum CsvRow<'a> {
    /// One that stands for a record.
    Record {
        /// The line on which it begins, from 1.
        line: u64,
        /// The record in JSON.
        json: &'a [u8],
    },
    /// One that does not; those behind it can be read.
    Refused {
        /// The line on which it begins, from 1.
        line: u64,
        /// What is wrong with it.
        error: Error,
        /// What it says.
        text: Vec<u8>,
    },
}

impl<R: Read> CsvText<R> {
    /// Reads the header; cells become values of the fields of this type.
    ///
    /// # Errors
    /// `Invalid` when there is no header, it cannot be read, or it names a column that is no field of the type or
    /// one whose value has no place in a cell. The message says which fields there are.
    pub fn new(input: R, schema: &Schema, type_id: TypeId) -> Result<Self> {
        Self::with_columns(input, |name| form_of(schema, type_id, name))
    }

    /// Reads the header; cells become what they look like: numbers, booleans, text, or null when they are empty. For a
    /// look at what the columns hold, before there is a schema.
    ///
    /// # Errors
    /// `Invalid` when there is no header, or it cannot be read.
    pub fn untyped(input: R) -> Result<Self> {
        Self::with_columns(input, |_| Ok(Form::Any))
    }

    fn with_columns(input: R, form_of: impl Fn(&str) -> Result<Form, String>) -> Result<Self> {
        let mut input = BufReader::new(input);
        let beginning = Beginning::read(&mut input).map_err(unreadable)?;
        let delimiter = beginning.delimiter();
        let whole = Cursor::new(beginning.bytes).chain(input);
        let mut rows = ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(true)
            .from_reader(Lined::new(whole, LONGEST_ROW));
        let header = rows.headers().map_err(|e| unreadable(plain(e, 1)))?.clone();
        let byte = header.position().map_or(0, csv::Position::byte);
        let line = rows.get_mut().line_from(byte);
        let mut columns: Vec<Column> = Vec::with_capacity(header.len());
        for name in header.iter().map(str::trim) {
            let refused = |what: String| Error::invalid(format!("line {line}{what}"));
            if name.is_empty() {
                let number = columns.len() + 1;
                return Err(refused(format!(
                    ": expected a name for each column, found none for number {number}"
                )));
            }
            let json = serde_json::to_vec(name).map_err(|e| Error::internal(e.to_string()))?;
            if columns.iter().any(|before| before.name == json) {
                return Err(refused(format!(
                    ": expected each column once, found {name:?} twice"
                )));
            }
            let form =
                form_of(name).map_err(|what| refused(format!(", column {name:?}: {what}")))?;
            columns.push(Column { name: json, form });
        }
        if columns.is_empty() {
            return Err(Error::invalid(
                "expected a line with the names of the columns, found none",
            ));
        }
        Ok(Self {
            rows,
            columns,
            delimiter,
            row: ByteRecord::new(),
            line: 1,
            text: Vec::new(),
            read: 0,
        })
    }

    /// The next row by itself; `None` at the end. Not to be mixed with reading.
    ///
    /// # Errors
    /// `Invalid` when the text cannot be read any further, such as for a quote that is never closed.
    pub fn next_record(&mut self) -> Result<Option<CsvRow<'_>>> {
        match self.next_row() {
            Ok(false) => Ok(None),
            Ok(true) => Ok(Some(CsvRow::Record {
                line: self.line - 1,
                json: self.text.trim_ascii(),
            })),
            Err(error) => {
                let (line, what) = RowError::row(&error)
                    .ok_or_else(|| Error::invalid(format!("csv: cannot be read: {error}")))?;
                let error = Error::invalid(what);
                let text = self.row_text()?;
                Ok(Some(CsvRow::Refused { line, error, text }))
            }
        }
    }

    /// The cells of the last row, as they would be written.
    fn row_text(&self) -> Result<Vec<u8>> {
        let failed = |e: &dyn std::fmt::Display| Error::internal(format!("cannot show a row: {e}"));
        let mut writer = WriterBuilder::new()
            .delimiter(self.delimiter)
            .flexible(true)
            .from_writer(Vec::new());
        writer
            .write_byte_record(&self.row)
            .map_err(|e| failed(&e))?;
        writer.into_inner().map_err(|e| failed(&e))
    }

    /// Makes the text of the next row; `false` at the end.
    fn next_row(&mut self) -> io::Result<bool> {
        self.text.clear();
        self.read = 0;
        match self.rows.read_byte_record(&mut self.row) {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(error) => {
                let byte = error.position().map_or(0, csv::Position::byte);
                return Err(plain(error, self.rows.get_mut().line_from(byte)));
            }
        }
        let byte = self.row.position().map_or(0, csv::Position::byte);
        let begins = self.rows.get_mut().line_from(byte);
        while self.line < begins {
            self.text.push(b'\n');
            self.line += 1;
        }
        self.text.push(b'{');
        let before = self.text.len();
        for (column, cell) in self.columns.iter().zip(&self.row) {
            // Without a schema, the names of empty columns are all that is known of them.
            if cell.is_empty() && column.form != Form::Any {
                continue;
            }
            if self.text.len() > before {
                self.text.push(b',');
            }
            self.text.extend_from_slice(&column.name);
            self.text.push(b':');
            column.form.write(cell, begins, &mut self.text)?;
        }
        self.text.extend_from_slice(b"}\n");
        self.line += 1;
        Ok(true)
    }
}

impl<R: Read> Read for CsvText<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.read == self.text.len() && !self.next_row()? {
            return Ok(0);
        }
        let rest = &self.text[self.read..];
        let length = rest.len().min(into.len());
        into[..length].copy_from_slice(&rest[..length]);
        self.read += length;
        Ok(length)
    }
}

impl Form {
    /// What is no number or boolean is written as text, which the decoder refuses by the name of its field.
    fn write(self, cell: &[u8], line: u64, out: &mut Vec<u8>) -> io::Result<()> {
        let text = std::str::from_utf8(cell).map_err(|_| {
            let what = "expected utf-8 text".to_owned();
            io::Error::from(RowError::Row { line, what })
        })?;
        let word = text.trim();
        match self {
            Self::Any if cell.is_empty() => out.extend_from_slice(b"null"),
            Self::Number if is_json_number(word) => out.extend_from_slice(word.as_bytes()),
            Self::Any if is_json_number(word) && is_in_range(word) => {
                out.extend_from_slice(word.as_bytes());
            }
            Self::Boolean if word == "1" || word.eq_ignore_ascii_case("true") => {
                out.extend_from_slice(b"true");
            }
            Self::Boolean if word == "0" || word.eq_ignore_ascii_case("false") => {
                out.extend_from_slice(b"false");
            }
            Self::Any if word == "true" || word == "false" => {
                out.extend_from_slice(word.as_bytes());
            }
            _ => serde_json::to_writer(out, text)?,
        }
        Ok(())
    }
}

fn is_json_number(word: &str) -> bool {
    serde_json::from_str::<&serde_json::value::RawValue>(word).is_ok_and(|value| {
        value
            .get()
            .starts_with(|c: char| c == '-' || c.is_ascii_digit())
    })
}

/// Whether a field of numbers can hold it: longer rows of digits name something.
fn is_in_range(word: &str) -> bool {
    match word.contains(['.', 'e', 'E']) {
        true => word.parse().is_ok_and(f64::is_finite),
        false => word.parse::<i64>().is_ok(),
    }
}

/// How the cells of a column are written; an error says what is wrong with its name.
fn form_of(schema: &Schema, type_id: TypeId, name: &str) -> Result<Form, String> {
    let ty = schema.get(type_id);
    let Some(position) = ty.object().and_then(|object| object.position(name)) else {
        let fields: Vec<&str> = ty
            .fields()
            .iter()
            .map(|field| field.name.as_str())
            .collect();
        let fields = fields.join(", ");
        return Err(format!("expected a field of {}: {fields}", ty.name));
    };
    let field = &ty.fields()[position];
    let scalar = match field.ty {
        FieldType::Reference(to) => schema.get(to).wrapped().ok_or_else(|| {
            let to = &schema.get(to).name;
            format!(
                "expected a field of one value, found a reference to {to}: such records come as NDJSON"
            )
        })?,
        scalar => scalar,
    };
    Ok(match scalar {
        FieldType::Boolean => Form::Boolean,
        FieldType::Int | FieldType::Long | FieldType::Float | FieldType::Double => Form::Number,
        FieldType::String | FieldType::Bytes | FieldType::Reference(_) => Form::Text,
    })
}

fn unreadable(error: io::Error) -> Error {
    let message = format!("the names of the columns cannot be read: {error}");
    Error::invalid(message)
}

/// The error of a row that begins on this line.
fn plain(error: csv::Error, line: u64) -> io::Error {
    let what = match error.into_kind() {
        ErrorKind::Io(error) => return error,
        ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("expected {expected_len} cells as in the first line, found {len}"),
        ErrorKind::Utf8 { .. } => "expected utf-8 text".to_owned(),
        other => format!("expected comma-separated values: {other:?}"),
    };
    RowError::Row { line, what }.into()
}

/// What is wrong with a row; the message says on which line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RowError {
    /// With a single one.
    #[error("line {line}: {what}")]
    Row { line: u64, what: String },
    /// With one whose end is not found.
    #[error("{0}")]
    Endless(String),
}

impl RowError {
    /// Whether an error of a reader is one of these, and so says where it is.
    pub(crate) fn is(error: &io::Error) -> bool {
        Self::of(error).is_some()
    }

    fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref())
    }

    /// The line of a row that is wrong by itself, and what is wrong with it.
    fn row(error: &io::Error) -> Option<(u64, &str)> {
        match Self::of(error)? {
            Self::Row { line, what } => Some((*line, what)),
            Self::Endless(_) => None,
        }
    }
}

impl From<RowError> for io::Error {
    fn from(error: RowError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

#[cfg(test)]
mod tests;
