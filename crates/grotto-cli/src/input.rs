//! Inputs of `publish`: files, the standard input, compressed or not.
//!
//! Owns: opening them and undoing zstd. Never: looks at a record.

use crate::failure::{Failure, Outcome};
use crate::progress::Bar;
use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

/// The first bytes of every zstd frame.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Text that may be read on another thread.
pub(crate) type Text = Box<dyn Read + Send>;

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
    if found.is_file() && found.len() == 0 && name.ends_with(".zst") {
        return Err(Failure::invalid(format!(
            "cannot {action}: expected zstd, found an empty file"
        )));
    }
    bar.of_bytes(found.len());
    plain_text(Box::new(bar.watch(file))).map_err(refused)
}

/// The text behind possible compression.
fn plain_text(mut raw: Text) -> std::io::Result<Text> {
    let mut first = Vec::with_capacity(ZSTD_MAGIC.len());
    raw.by_ref()
        .take(ZSTD_MAGIC.len() as u64)
        .read_to_end(&mut first)?;
    let compressed = first == ZSTD_MAGIC;
    let whole = Cursor::new(first).chain(raw);
    if compressed {
        // Its window is limited to 128 MiB by default; how much text follows does not matter, as
        // it is read piece by piece.
        Ok(Box::new(zstd::stream::read::Decoder::new(whole)?))
    } else {
        Ok(Box::new(BufReader::new(whole)))
    }
}
