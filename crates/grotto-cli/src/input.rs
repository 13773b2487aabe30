//! Inputs: files, the standard input, compressed or not.
//!
//! Owns: opening them, undoing compression, and which format a name stands for. Never: looks at a record.

use crate::failure::{Failure, Outcome};
use crate::progress::Bar;
use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

/// The first bytes of every zstd frame.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The first bytes of every gzip member.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// What some programs put before text to say that it is UTF-8.
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// Text that may be read on another thread.
pub(crate) type Text = Box<dyn Read + Send>;

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// One JSON object a line
    Ndjson,
    /// Comma-separated values with a header
    Csv,
}

impl Format {
    /// What the name of a file says.
    pub(crate) fn of(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let packed = [".gz", ".zst"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        let name = packed.unwrap_or(&name);
        match name.ends_with(".csv") || name.ends_with(".tsv") {
            true => Self::Csv,
            false => Self::Ndjson,
        }
    }
}

/// Opens a file, or the standard input for `-`. Compression is told by content, not by name.
pub(crate) fn open(name: &str, bar: &Bar) -> Outcome<Text> {
    if name == "-" {
        return plain_text(Box::new(std::io::stdin()))
            .map_err(|e| Failure::io("read the standard input", &e));
    }
    let action = format!("read input {name}");
    let refused = |e: std::io::Error| Failure::io(&action, &e);
    let file = File::open(Path::new(name)).map_err(refused)?;
    let found = file.metadata().map_err(refused)?;
    if found.is_dir() {
        return Err(Failure::invalid(format!(
            "cannot {action}: expected a file, found a folder"
        )));
    }
    for (end, what) in [(".zst", "zstd"), (".gz", "gzip")] {
        if found.is_file() && found.len() == 0 && name.ends_with(end) {
            return Err(Failure::invalid(format!(
                "cannot {action}: expected {what}, found an empty file"
            )));
        }
    }
    bar.of_bytes(found.len());
    plain_text(Box::new(bar.watch(file))).map_err(refused)
}

/// The text behind possible compression, without a byte-order mark.
fn plain_text(raw: Text) -> std::io::Result<Text> {
    let (first, whole) = peek(raw, ZSTD_MAGIC.len())?;
    let text: Text = if first == ZSTD_MAGIC {
        // Its window is limited to 128 MiB by default; how much text follows does not matter, as
        // it is read piece by piece.
        Box::new(zstd::stream::read::Decoder::new(whole)?)
    } else if first.starts_with(&GZIP_MAGIC) {
        // Of several members: concatenated gzip files are one.
        Box::new(flate2::read::MultiGzDecoder::new(whole))
    } else {
        Box::new(BufReader::new(whole))
    };
    let (first, mut whole) = peek(text, BYTE_ORDER_MARK.len())?;
    if first == BYTE_ORDER_MARK {
        let mut mark = [0; BYTE_ORDER_MARK.len()];
        whole.read_exact(&mut mark)?;
    }
    Ok(whole)
}

/// The first bytes, and all of them.
fn peek(mut text: Text, length: usize) -> std::io::Result<(Vec<u8>, Text)> {
    let mut first = Vec::with_capacity(length);
    text.by_ref().take(length as u64).read_to_end(&mut first)?;
    let whole = Box::new(Cursor::new(first.clone()).chain(text));
    Ok((first, whole))
}
