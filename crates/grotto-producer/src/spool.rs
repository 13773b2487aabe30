//! Snapshots that are encoded into a file: those of large states have no room in memory beside them.
//!
//! Owns: putting the parts of a snapshot into one file. Never: leaves it behind.

use crate::{Error, Result};
use bytes::Bytes;
use grotto_format::blob::{MAX_HEADER, footer};
use grotto_format::checksum::Pieces;
use grotto_mmap::Spool;
use grotto_state::{EncodeOptions, State, encode_snapshot_to};
use grotto_store::ErrorKind;
use std::io;
use std::path::Path;

/// Left out before the sections, as what comes there is known last: the longest head that a reader takes.
const ROOM: u64 = MAX_HEADER + 64;

/// The snapshot of a state, in a file of this folder that is gone with the last of the bytes.
pub(crate) fn encode(state: &State, options: &EncodeOptions, folder: &Path) -> Result<Bytes> {
    let failed = |source: io::Error| {
        let kind = ErrorKind::of_io(&source);
        let folder = folder.display();
        Error::new(kind, format!("cannot keep a snapshot in {folder}")).with_source(source)
    };
    let mut spool = Spool::begin(folder).map_err(failed)?;
    spool.skip(ROOM);
    let mut kept = Ok(());
    let head = encode_snapshot_to(state, options, |section| {
        if kept.is_ok() {
            kept = spool.write(&section);
        }
    })?;
    kept.map_err(failed)?;
    let start = ROOM - head.len() as u64;
    spool.write_at(&head, start).map_err(failed)?;
    let mut whole = Pieces::default();
    spool
        .read_from(start, |piece| whole.add(piece))
        .map_err(failed)?;
    let footer = footer(spool.length() - start, whole);
    spool.write(&footer).map_err(failed)?;
    let file = spool.seal().map_err(failed)?;
    Ok(file.slice(start as usize..))
}
