//! NDJSON in: lines decoded on worker threads, taken in by the cycle in order.
//!
//! Owns: cutting the input into chunks of lines, the bounded channels between reading, decoding and
//! the cycle, and messages that name the line. Never undoes compression: callers hand over text.

mod line;
mod places;
#[cfg(test)]
mod tests;

use crate::csv::RowError;
use crate::cycle::{FullCycle, IncrementalCycle};
use crate::producer::Producer;
use crate::publish::Published;
use crate::{Error, Result};
use crossbeam_channel::{Receiver, Sender, bounded};
use grotto_format::flat::FlatBuilder;
use grotto_format::json::{self, JsonError};
use grotto_format::schema::{Schema, TypeId};
use grotto_state::{KeyValue, Mode};
use line::record;
pub(crate) use line::{change, entry};
use places::{Place, Places};
use std::collections::BTreeMap;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Bytes of text per chunk: large enough to make hand-over cheap, small enough to keep all busy.
const CHUNK: usize = 256 << 10;
/// Longest line.
const MAX_LINE: usize = json::MAX_TEXT;

/// Called with the number of bytes read so far.
pub type Progress = Arc<dyn Fn(u64) + Send + Sync>;

/// NDJSON to publish.
pub struct NdjsonInput {
    /// Type of the records; empty where every line of changes names its own.
    pub type_name: String,
    /// Where they come from, for messages.
    pub source_name: String,
    /// The text.
    pub reader: Box<dyn Read + Send>,
    /// Whether the text was made of another format, as [`CsvText`](crate::CsvText) makes it: messages then name
    /// its lines, which are those of the source, and not its columns.
    pub converted: bool,
    /// Told how far reading is.
    pub progress: Option<Progress>,
}

impl std::fmt::Debug for NdjsonInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NdjsonInput({} of {})", self.type_name, self.source_name)
    }
}

/// Lines that were read: their number in order, the number of the first line, the text.
struct Text {
    number: u64,
    first_line: u64,
    bytes: Vec<u8>,
    place: Place,
}

/// Lines that were decoded.
struct Decoded {
    number: u64,
    lines: Result<Vec<Line>>,
    flat: Vec<u8>,
    /// Given back once the lines are taken.
    _place: Place,
}

struct Line {
    position: u64,
    change: Change,
}

pub(crate) enum Change {
    /// Span of the flat record.
    Record(TypeId, std::ops::Range<usize>),
    Delete(TypeId, Vec<json::KeyPart>),
}

impl Producer {
    /// Publishes NDJSON in one cycle: all records, or changes, which are records to upsert and operations,
    /// `{"op":"upsert|delete","type":…,"record":…,"key":…}`.
    ///
    /// # Errors
    /// As [`run_cycle`](Self::run_cycle); `Invalid` names source, line, field, what was expected and
    /// what was found.
    pub async fn publish_ndjson(
        &self,
        mode: Mode,
        inputs: impl IntoIterator<Item = NdjsonInput>,
    ) -> Result<Option<Published>> {
        let threads = self.shared.settings.threads;
        let inputs: Vec<NdjsonInput> = inputs.into_iter().collect();
        match mode {
            Mode::Full => {
                let fill = move |cycle: &mut FullCycle| {
                    for input in inputs {
                        add_lines(cycle, input, threads)?;
                    }
                    Ok(())
                };
                self.run_cycle(fill).await
            }
            Mode::Incremental => {
                let fill = move |cycle: &mut IncrementalCycle| {
                    for input in inputs {
                        apply_lines(cycle, input, threads)?;
                    }
                    Ok(())
                };
                self.run_incremental(fill).await
            }
        }
    }
}

fn add_lines(cycle: &mut FullCycle, input: NdjsonInput, threads: usize) -> Result<()> {
    cycle.set_source(&input.source_name);
    let schema = Arc::clone(cycle.schema());
    let mut add = |line: Line, flat: &[u8]| match line.change {
        Change::Record(id, span) => cycle.add_flat(id, &flat[span], line.position),
        Change::Delete(..) => Err(Error::internal("a full-state cycle met a delete")),
    };
    decode(input, Mode::Full, &schema, threads, &mut add)
}

fn apply_lines(cycle: &mut IncrementalCycle, input: NdjsonInput, threads: usize) -> Result<()> {
    cycle.set_source(&input.source_name);
    let schema = Arc::clone(cycle.schema());
    let mut apply = |line: Line, flat: &[u8]| match line.change {
        Change::Record(id, span) => cycle.upsert_flat(id, &flat[span], line.position),
        Change::Delete(id, key) => {
            let key: Vec<KeyValue<'_>> = key.iter().map(KeyValue::from).collect();
            let name = &schema.get(id).name;
            cycle.delete_from(name, key.as_slice()).map(|_| ())
        }
    };
    decode(input, Mode::Incremental, &schema, threads, &mut apply)
}

/// Runs reader, decoders and `take`; `take` sees the lines in order.
fn decode(
    input: NdjsonInput,
    mode: Mode,
    schema: &Arc<Schema>,
    threads: usize,
    take: &mut dyn FnMut(Line, &[u8]) -> Result<()>,
) -> Result<()> {
    let NdjsonInput {
        type_name,
        source_name,
        reader,
        converted,
        progress,
    } = input;
    let id = match type_name.as_str() {
        "" => None,
        name => Some(schema.require(name)?),
    };
    let source = Source {
        name: &source_name,
        reader,
        progress,
    };
    let decode = |text: &Text, builder: &mut FlatBuilder| {
        let lines = Lines {
            schema,
            id,
            mode,
            source: &source_name,
            converted,
        };
        lines.decode(text, builder)
    };
    run_stages(source, threads, &decode, take)
}

/// What is read.
struct Source<'a> {
    name: &'a str,
    reader: Box<dyn Read + Send>,
    progress: Option<Progress>,
}

/// Decodes the lines of a chunk.
type Decode<'a> = dyn Fn(&Text, &mut FlatBuilder) -> Result<Vec<Line>> + Sync + 'a;

fn run_stages(
    source: Source<'_>,
    threads: usize,
    decode: &Decode<'_>,
    take: &mut dyn FnMut(Line, &[u8]) -> Result<()>,
) -> Result<()> {
    let (texts, to_decode) = bounded::<Text>(threads * 2);
    let (results, decoded) = bounded::<Decoded>(threads * 2);
    let places = Places::new(threads * 4);
    let name = source.name;
    std::thread::scope(|scope| {
        let read =
            scope.spawn(|| read_chunks(source.reader, name, &places, texts, source.progress));
        for _ in 0..threads {
            let (to_decode, results) = (to_decode.clone(), results.clone());
            scope.spawn(move || decode_chunks(&to_decode, &results, decode, name));
        }
        // The threads hold the only other ends: when they are done, or `take` gives up, all channels
        // close and everybody stops.
        drop((to_decode, results));
        let taken = take_in_order(decoded, take);
        let read = read
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        taken.and(read)
    })
}

fn take_in_order(
    decoded: Receiver<Decoded>,
    take: &mut dyn FnMut(Line, &[u8]) -> Result<()>,
) -> Result<()> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    for chunk in decoded {
        waiting.insert(chunk.number, chunk);
        while let Some(chunk) = waiting.remove(&next) {
            next += 1;
            for line in chunk.lines? {
                take(line, &chunk.flat)?;
            }
        }
    }
    Ok(())
}

fn read_chunks(
    mut reader: Box<dyn Read + Send>,
    source: &str,
    places: &Places,
    texts: Sender<Text>,
    progress: Option<Progress>,
) -> Result<()> {
    let (mut rest, mut number, mut first_line, mut total) = (Vec::new(), 0, 1, 0_u64);
    loop {
        let mut bytes = std::mem::take(&mut rest);
        let before = bytes.len();
        let limit = CHUNK.saturating_sub(before).max(CHUNK / 4) as u64;
        let read = reader.by_ref().take(limit).read_to_end(&mut bytes);
        let read = read.map_err(|e| {
            Error::invalid(match RowError::is(&e) {
                true => format!("{source} {e}"),
                false => format!("{source}: cannot be read after line {first_line}: {e}"),
            })
        })?;
        total += read as u64;
        if let Some(progress) = &progress {
            progress(total);
        }
        if read > 0 {
            // What was left over has no end of line: a long line is searched once, not per piece.
            match bytes[before..].iter().rposition(|byte| *byte == b'\n') {
                Some(end) => rest = bytes.split_off(before + end + 1),
                None if bytes.len() > MAX_LINE => {
                    let message = format!(
                        "{source} line {first_line}: expected at most {MAX_LINE} bytes in a line"
                    );
                    return Err(Error::invalid(message));
                }
                None => {
                    rest = bytes;
                    continue;
                }
            }
        }
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        if !bytes.is_empty() {
            let text = Text {
                number,
                first_line,
                bytes,
                place: places.take(),
            };
            if texts.send(text).is_err() {
                // Nobody takes lines any more: the cycle failed and says why.
                return Ok(());
            }
        }
        number += 1;
        first_line += lines;
        if read == 0 {
            return Ok(());
        }
    }
}

fn decode_chunks(
    texts: &Receiver<Text>,
    results: &Sender<Decoded>,
    decode: &Decode<'_>,
    source: &str,
) {
    let mut builder = FlatBuilder::new();
    for text in texts {
        builder.clear();
        let lines = no_panic(source, text.first_line, || decode(&text, &mut builder));
        let decoded = Decoded {
            number: text.number,
            lines,
            flat: builder.bytes().to_vec(),
            _place: text.place,
        };
        if results.send(decoded).is_err() {
            return;
        }
    }
}

/// A chunk whose decoding panics is one that failed: without it, the chunks behind it would wait
/// forever.
fn no_panic<T>(source: &str, line: u64, decode: impl FnOnce() -> Result<T>) -> Result<T> {
    let decoded = catch_unwind(AssertUnwindSafe(decode));
    decoded.unwrap_or_else(|_| {
        Err(Error::internal(format!(
            "{source}: decoding the lines from line {line} on panicked"
        )))
    })
}

/// What lines are.
struct Lines<'a> {
    schema: &'a Schema,
    /// Type of those that name none.
    id: Option<TypeId>,
    mode: Mode,
    source: &'a str,
    converted: bool,
}

impl Lines<'_> {
    fn decode(&self, text: &Text, builder: &mut FlatBuilder) -> Result<Vec<Line>> {
        let mut lines = Vec::new();
        for (offset, line) in text.bytes.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            let position = text.first_line + offset as u64;
            let change = match self.mode {
                Mode::Full => record(line, builder, self.schema, self.id),
                Mode::Incremental => change(line, builder, self.schema, self.id),
            };
            let change = change.map_err(|error| self.placed(error, position))?;
            lines.push(Line { position, change });
        }
        Ok(lines)
    }

    /// The error of a line, with its place.
    fn placed(&self, error: Error, position: u64) -> Error {
        let refused: Option<&JsonError> = error.inner();
        let error = match refused.filter(|_| self.converted) {
            Some(refused) => Error::invalid(refused.what()),
            None => error,
        };
        error.at(format_args!("{} line {position}", self.source))
    }
}
