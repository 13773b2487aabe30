//! Text in pieces.
//!
//! Owns: opening a file in whatever form it is, and cutting text at ends of lines. Never: decodes a line.

use flate2::read::MultiGzDecoder;
use grotto::producer::CsvText;
use grotto::{Error, Result, Schema};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

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
}

/// A file of whatever form.
pub(super) type File = Pieces<Box<dyn BufRead + Send>>;

impl File {
    /// Opens a file: CSV or NDJSON, packed or not, by its name.
    ///
    /// # Errors
    /// When it cannot be opened, or is CSV with a header that does not fit the type.
    pub(super) fn open(path: &Path, schema: &Schema, type_name: Option<&str>) -> Result<Self> {
        let file = std::fs::File::open(path).map_err(|e| Error::io("open", path, e))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (name, reader): (_, Box<dyn Read + Send>) = match name.rsplit_once('.') {
            Some((name, "gz")) => (name, Box::new(MultiGzDecoder::new(file))),
            Some((name, "zst")) => {
                let mut decoder =
                    zstd::Decoder::new(file).map_err(|e| Error::io("unpack", path, e))?;
                let limited = decoder.window_log_max(ZSTD_WINDOW_LOG);
                limited.map_err(|e| Error::io("unpack", path, e))?;
                (name, Box::new(decoder))
            }
            _ => (&*name, Box::new(file)),
        };
        if !(name.ends_with(".csv") || name.ends_with(".tsv")) {
            return Ok(Self::new(Box::new(BufReader::new(reader))));
        }
        let named = type_name.and_then(|name| schema.find(name));
        let type_id = named.ok_or_else(|| {
            Error::invalid("csv: expected producer.sources.default_type, found none")
        })?;
        let converted = CsvText::new(reader, schema, type_id)?;
        Ok(Self::new(Box::new(BufReader::new(converted))))
    }
}

impl<R: BufRead> Pieces<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, line: 0 }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// When the text cannot be read or a line is too long.
    pub(super) fn next(&mut self) -> Result<Option<Piece>> {
        self.read(|_| true)
    }

    /// Reads lines while there are more of them.
    fn read(&mut self, more: impl Fn(&R) -> bool) -> Result<Option<Piece>> {
        let (first_line, mut bytes) = (self.line + 1, Vec::new());
        loop {
            let before = bytes.len();
            let mut limited = self.reader.by_ref().take(LONGEST_LINE + 1);
            let read = limited.read_until(b'\n', &mut bytes);
            let number = self.line + 1;
            read.map_err(|e| Error::invalid(format!("line {number}: cannot be read: {e}")))?;
            let length = (bytes.len() - before) as u64;
            if length > LONGEST_LINE {
                return Err(Error::invalid(format!(
                    "line {number}: expected at most {LONGEST_LINE} bytes, found more"
                )));
            }
            if length > 0 {
                self.line += 1;
            }
            let lines = self.line + 1 - first_line;
            let full = lines >= MOST_LINES || bytes.len() >= MOST_BYTES;
            if length == 0 || full || !more(&self.reader) {
                let piece = Piece {
                    bytes,
                    first_line,
                    lines,
                };
                return Ok((lines > 0).then_some(piece));
            }
        }
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
