//! Errors of reading JSON: which field, what was expected, what was found, where.
//!
//! Owns: the messages, and finding the place of a refused value in the text. Runs only after
//! decoding has failed, so it may take its time.

use std::fmt::{Display, Formatter};

use super::decode::{Anchor, Problem, Step};
use crate::schema::TypeSchema;

/// Most characters of a refused value in a message.
const SHOWN: usize = 40;

/// Why a text is not a record of a type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct JsonError {
    /// Line within the text, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The place within the record, such as `City.alternatenames[3]`.
    pub path: String,
    /// What the schema asks for.
    pub expected: String,
    /// What the text holds, shortened.
    pub found: String,
}

/// A [`JsonError`] in a text of several records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {error}")]
pub struct LineError {
    /// Line of the record, from 1.
    pub line: u64,
    /// What is wrong there.
    pub error: JsonError,
}

impl Display for JsonError {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { line, column, .. } = self;
        write!(f, "{} (", self.what())?;
        if *line > 1 {
            write!(f, "line {line}, ")?;
        }
        write!(f, "column {column})")
    }
}

impl JsonError {
    /// What is wrong, without the place in the text: for text that was made of another format.
    #[must_use]
    pub fn what(&self) -> String {
        let inner = self.path.contains(['.', '[']);
        let what = if inner { "field" } else { "record" };
        let Self {
            path,
            expected,
            found,
            ..
        } = self;
        format!("{what} {path}: expected {expected}, found {found}")
    }

    /// Adds the line at which the caller found the record.
    #[must_use]
    pub fn at_line(self, line: u64) -> LineError {
        LineError { line, error: self }
    }

    /// An error about the text as a whole, at a byte of it.
    pub(super) fn of_text(ty: &TypeSchema, text: &[u8], at: usize, found: &str) -> Self {
        let (line, column) = place(text, at);
        let (path, expected) = (ty.name.clone(), "valid json".to_owned());
        Self {
            line,
            column,
            path,
            expected,
            found: found.to_owned(),
        }
    }

    /// Completes what decoding knows about its failure with what the text shows.
    pub(super) fn locate(
        ty: &TypeSchema,
        text: &str,
        error: &serde_json::Error,
        problem: Option<Problem>,
        steps: &[Step],
    ) -> Self {
        let end = offset(text.as_bytes(), error.line(), error.column());
        let problem = problem.unwrap_or_else(|| syntax_problem(error));
        let at = match problem.anchor {
            Anchor::Token => token_start(text.as_bytes(), end),
            Anchor::Whole => whole_start(text.as_bytes(), end),
            // The column counts the bytes up to and including the offending one.
            Anchor::Here => end.saturating_sub(1),
        };
        let (line, column) = place(text.as_bytes(), at);
        let rest = text.get(at..).unwrap_or("");
        let found = problem.found.unwrap_or_else(|| match problem.anchor {
            Anchor::Here => rest
                .chars()
                .next()
                .map_or_else(String::new, |c| format!("{c:?}")),
            Anchor::Token | Anchor::Whole => describe(rest),
        });
        Self {
            line,
            column,
            path: path(&ty.name, steps),
            expected: problem.expected,
            found,
        }
    }
}

/// Puts a complaint of the JSON reader into the words of the other messages.
fn syntax_problem(error: &serde_json::Error) -> Problem {
    let message = error.to_string();
    let message = message
        .rsplit_once(" at line ")
        .map_or(message.as_str(), |(before, _)| before);
    let (expected, found, anchor) = if message == "number out of range" {
        ("a number in range", None, Anchor::Token)
    } else if let Some(expected) = message.strip_prefix("expected ") {
        (expected, None, Anchor::Here)
    } else {
        (
            "valid json",
            Some(message.replace("EOF", "end of text")),
            Anchor::Here,
        )
    };
    Problem {
        expected: expected.to_owned(),
        found,
        anchor,
    }
}

/// `City.alternatenames[3]`; the steps come innermost first.
fn path(root: &str, steps: &[Step]) -> String {
    let mut path = root.to_owned();
    for step in steps.iter().rev() {
        match step {
            Step::Field(name) => {
                path.push('.');
                path.push_str(name);
            }
            Step::Index(at) => path.push_str(&format!("[{at}]")),
            Step::Key(key) => path.push_str(&format!("[{:?}]", shortened(key))),
        }
    }
    path
}

/// At most 40 characters of the text.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Names the value at the start of the text.
fn describe(text: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let length = match text.as_bytes().first() {
        None => return "end of text".to_owned(),
        Some(b'{') => return "an object".to_owned(),
        Some(b'[') => return "an array".to_owned(),
        Some(b'"') => return format!("string {}", shortened(&text[..string_length(text)])),
        Some(_) => text.find(|c| !word(c)).unwrap_or(text.len()),
    };
    match &text[..length] {
        "null" => "null".to_owned(),
        value @ ("true" | "false") => format!("boolean {value}"),
        number => format!("number {}", shortened(number)),
    }
}

/// Length in bytes of the string literal at the start, quotes included.
fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            b'"' if !escaped => return at + 1,
            b'\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    text.len()
}

/// Byte offset just after the place that the JSON reader names (line from 1, column in bytes).
fn offset(text: &[u8], line: usize, column: usize) -> usize {
    let mut start = 0;
    for _ in 1..line {
        match text[start..].iter().position(|b| *b == b'\n') {
            Some(length) => start += length + 1,
            None => break,
        }
    }
    (start + column).min(text.len())
}

/// Line and column, both from 1, the column in characters.
fn place(text: &[u8], at: usize) -> (usize, usize) {
    let before = &text[..at.min(text.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let start = before
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |newline| newline + 1);
    // Bytes of the form 10xxxxxx continue a character.
    let column = before[start..]
        .iter()
        .filter(|b| **b & 0xC0 != 0x80)
        .count()
        + 1;
    (line, column)
}

/// Length of the text without the blanks at its end.
fn trimmed(text: &[u8]) -> usize {
    text.iter()
        .rposition(|b| !b.is_ascii_whitespace())
        .map_or(0, |last| last + 1)
}

/// Start of the value (or opening bracket) that ends at `end`, blanks in between ignored.
fn token_start(text: &[u8], end: usize) -> usize {
    let mut end = trimmed(&text[..end]);
    // After a refused bracket the reader may have taken one more byte.
    if let Some(b'}' | b']' | b',') = text[..end].last() {
        end = trimmed(&text[..end - 1]);
    }
    let word = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    match text[..end].last() {
        Some(b'"') => quote_before(text, end - 1),
        Some(b'{' | b'[') => end - 1,
        _ => text[..end]
            .iter()
            .rposition(|b| !word(b))
            .map_or(0, |before| before + 1),
    }
}

/// Start of the object or array that ends at `end`.
fn whole_start(text: &[u8], end: usize) -> usize {
    let (mut at, mut open) = (trimmed(&text[..end]), 0_usize);
    while at > 0 {
        at -= 1;
        match text[at] {
            b'"' => at = quote_before(text, at),
            b'}' | b']' => open += 1,
            b'{' | b'[' if open <= 1 => return at,
            b'{' | b'[' => open -= 1,
            _ => {}
        }
    }
    0
}

/// The quote that opens the string which the quote at `close` ends: the nearest one before it that
/// no odd number of backslashes escapes.
fn quote_before(text: &[u8], close: usize) -> usize {
    let mut at = close;
    while let Some(quote) = text[..at].iter().rposition(|b| *b == b'"') {
        let slashes = text[..quote]
            .iter()
            .rev()
            .take_while(|b| **b == b'\\')
            .count();
        if slashes % 2 == 0 {
            return quote;
        }
        at = quote;
    }
    0
}
