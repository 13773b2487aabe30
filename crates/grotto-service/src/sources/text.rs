//! Text in pieces.
//!
//! Owns: opening a file in whatever form it is, and cutting text at ends of lines. Never: decodes a line.

use flate2::read::MultiGzDecoder;
use grotto::producer::CsvText;
use grotto::{Error, Result, Schema};
use parking_lot::Mutex;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

/// Lines of a piece: enough that an acknowledgement for each costs little.
const MOST_LINES: u64 = 1_000;
/// Bytes from which on a piece is complete.
const MOST_BYTES: usize = 1 << 20;
/// Longest line.
const LONGEST_LINE: u64 = 16 << 20;
/// Windows of up to 8 MiB: what all levels but the last few need.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Some whole lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) bytes: Vec<u8>,
    /// Number of the first line, from 1.
    pub(super) first_line: u64,
    pub(super) lines: u64,
}

/// Text that is read piece by piece.
pub(super) struct Pieces<R> {
    reader: R,
    /// Lines that were read.
    line: u64,
    /// What is wrong behind them: they are given first.
    broken: Option<Error>,
}

/// A file of whatever form.
pub(super) struct File {
    pieces: Pieces<Box<dyn BufRead + Send>>,
    failed: Failed,
}

/// What the disk last failed with.
type Failed = Arc<Mutex<Option<String>>>;

/// Notes failures of the disk: whatever reads through it tells them like text that is wrong.
struct Noting<R> {
    reader: R,
    failed: Failed,
}

impl<R: Read> Read for Noting<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.reader.read(into);
        if let Err(error) = &read {
            *self.failed.lock() = Some(error.to_string());
        }
        read
    }
}

impl File {
    /// Opens a file: CSV or NDJSON, packed or not, by its name.
    ///
    /// # Errors
    /// `Invalid` when it may not be read, or is CSV with a header that does not fit the type; `Unavailable` when the
    /// disk fails.
    pub(super) fn open(path: &Path, schema: &Schema, type_name: Option<&str>) -> Result<Self> {
        let file = std::fs::File::open(path).map_err(|e| Error::io("open", path, e))?;
        Self::of(file, path, schema, type_name)
    }

    pub(super) fn of(
        reader: impl Read + Send + 'static,
        path: &Path,
        schema: &Schema,
        type_name: Option<&str>,
    ) -> Result<Self> {
        let failed = Failed::default();
        let noting = Noting {
            reader,
            failed: Arc::clone(&failed),
        };
        let pieces = unpacked(noting, path, schema, type_name);
        let pieces = pieces.map_err(|error| blame(error, &failed))?;
        Ok(Self { pieces, failed })
    }

    /// As [`Pieces::next`].
    ///
    /// # Errors
    /// Of those `Unavailable` when the disk failed.
    pub(super) fn next(&mut self) -> Result<Option<Piece>> {
        self.pieces
            .next()
            .map_err(|error| blame(error, &self.failed))
    }

    /// As [`Pieces::pass`].
    ///
    /// # Errors
    /// Of those `Unavailable` when the disk failed.
    pub(super) fn pass(&mut self, lines: u64) -> Result<()> {
        self.pieces
            .pass(lines)
            .map_err(|error| blame(error, &self.failed))
    }
}

/// The failure of the disk behind an error, if there was one.
fn blame(error: Error, failed: &Failed) -> Error {
    match &*failed.lock() {
        Some(reason) => Error::unavailable(format!("the file cannot be read now: {reason}")),
        None => error,
    }
}

fn unpacked(
    file: impl Read + Send + 'static,
    path: &Path,
    schema: &Schema,
    type_name: Option<&str>,
) -> Result<Pieces<Box<dyn BufRead + Send>>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let broken = |e: std::io::Error| Error::invalid(format!("it does not unpack: {e}"));
    let (name, reader): (_, Box<dyn Read + Send>) = match name.rsplit_once('.') {
        Some((name, "gz")) => (name, Box::new(MultiGzDecoder::new(file))),
        Some((name, "zst")) => {
            let mut decoder = zstd::Decoder::new(file).map_err(broken)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(broken)?;
            (name, Box::new(decoder))
        }
        _ => (&*name, Box::new(file)),
    };
    if !(name.ends_with(".csv") || name.ends_with(".tsv")) {
        return Ok(Pieces::new(Box::new(BufReader::new(reader))));
    }
    let named = type_name.and_then(|name| schema.find(name));
    let type_id = named
        .ok_or_else(|| Error::invalid("csv: expected producer.sources.default_type, found none"))?;
    let converted = CsvText::new(reader, schema, type_id)?;
    Ok(Pieces::new(Box::new(BufReader::new(converted))))
}

impl<R: BufRead> Pieces<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            reader,
            line: 0,
            broken: None,
        }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// When the text cannot be read or a line is too long; the whole lines before come first.
    pub(super) fn next(&mut self) -> Result<Option<Piece>> {
        self.read(|_| true)
    }

    /// Reads lines while there are more of them.
    fn read(&mut self, more: impl Fn(&R) -> bool) -> Result<Option<Piece>> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        let (first_line, mut bytes) = (self.line + 1, Vec::new());
        loop {
            let before = bytes.len();
            let read = self.read_line(&mut bytes);
            let lines = self.line + 1 - first_line;
            let ends = match read {
                Ok(length) => length == 0,
                Err(error) if lines == 0 => return Err(error),
                Err(error) => {
                    bytes.truncate(before);
                    self.broken = Some(error);
                    true
                }
            };
            let full = lines >= MOST_LINES || bytes.len() >= MOST_BYTES;
            if ends || full || !more(&self.reader) {
                let piece = Piece {
                    bytes,
                    first_line,
                    lines,
                };
                return Ok((lines > 0).then_some(piece));
            }
        }
    }

    /// Reads one line; its length, which is 0 at the end.
    fn read_line(&mut self, bytes: &mut Vec<u8>) -> Result<u64> {
        let (before, number) = (bytes.len(), self.line + 1);
        let mut limited = self.reader.by_ref().take(LONGEST_LINE + 1);
        let read = limited.read_until(b'\n', bytes);
        read.map_err(|e| Error::invalid(format!("line {number}: cannot be read: {e}")))?;
        let length = (bytes.len() - before) as u64;
        if length > LONGEST_LINE {
            return Err(Error::invalid(format!(
                "line {number}: expected at most {LONGEST_LINE} bytes, found more"
            )));
        }
        self.line += u64::from(length > 0);
        Ok(length)
    }

    /// Passes lines that were taken in before.
    ///
    /// # Errors
    /// When the text cannot be read, or has fewer lines.
    pub(super) fn pass(&mut self, lines: u64) -> Result<()> {
        let mut passed = Vec::new();
        while self.line < lines {
            passed.clear();
            let mut limited = self.reader.by_ref().take(LONGEST_LINE + 1);
            let read = limited.read_until(b'\n', &mut passed);
            read.map_err(|e| {
                Error::invalid(format!("line {}: cannot be read: {e}", self.line + 1))
            })?;
            if passed.is_empty() {
                return Err(Error::invalid(format!(
                    "expected more than {lines} lines, of which all were taken in before, found {}",
                    self.line
                )));
            }
            self.line += 1;
        }
        Ok(())
    }
}

impl<R: Read> Pieces<BufReader<R>> {
    /// The next piece of text that comes bit by bit: a line that is there does not wait for others.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub(super) fn next_available(&mut self) -> Result<Option<Piece>> {
        self.read(|reader| reader.buffer().contains(&b'\n'))
    }
}
