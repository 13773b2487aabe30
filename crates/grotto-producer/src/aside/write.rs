//! Writes entries of a write-ahead log to a file of records that are set aside.
//!
//! Owns: what a line says. Never: changes the log.

use super::{name_of, remove, sync_parent};
use crate::wal::{ReadEntry, Wal, line_of, line_of_rejected};
use crate::{Error, ErrorKind, Result};
use grotto_env::{AppendFile, AppendFiles};
use grotto_format::Schema;
use std::ops::RangeInclusive;
use std::path::Path;

/// Bytes of entries that are in memory at once.
const PIECE: usize = 1 << 20;

/// Writes the entries of these numbers, which are on the disk when this returns.
///
/// # Errors
/// `Corrupt` when the log cannot be read, `Unavailable` when the disk does not take it. There is no file then.
pub(crate) fn write(
    files: &dyn AppendFiles,
    folder: &Path,
    wal: &Wal,
    schema: &Schema,
    numbers: RangeInclusive<u64>,
) -> Result<()> {
    let created = files.create_folder(folder);
    created.map_err(|error| Error::io("create", folder, error))?;
    let (first, last) = (*numbers.start(), *numbers.end());
    let path = folder.join(name_of(wal.id(), first, last));
    let temp = path.with_extension("tmp");
    // Left by a process that ended while it wrote.
    remove(files, &temp)?;
    let file = files.create(&temp);
    let mut file = file.map_err(|error| Error::io("create", &temp, error))?;
    let written = copy(&mut *file, &temp, wal, schema, first..=last);
    if let Err(error) = written {
        drop(file);
        if let Err(left) = remove(files, &temp) {
            tracing::warn!(%left, "a file of records that could not be set aside is left");
        }
        return Err(error);
    }
    drop(file);
    let renamed = files.rename(&temp, &path);
    renamed.map_err(|error| Error::io("rename", &temp, error))?;
    sync_parent(files, &path)
}

fn copy(
    file: &mut dyn AppendFile,
    path: &Path,
    wal: &Wal,
    schema: &Schema,
    numbers: RangeInclusive<u64>,
) -> Result<()> {
    let (mut next, last) = (*numbers.start(), *numbers.end());
    while next <= last {
        let read = wal.read(next, PIECE)?;
        let (before, mut lines) = (next, String::new());
        for entry in read.iter().take_while(|entry| entry.number <= last) {
            if entry.number != next {
                break;
            }
            push_lines(entry, schema, &mut lines)?;
            next += 1;
        }
        if next == before {
            let message = format!("the write-ahead log lacks entry {next}, which nobody published");
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        let appended = file.append(lines.as_bytes());
        appended.map_err(|error| Error::io("append to", path, error))?;
    }
    file.sync().map_err(|error| Error::io("sync", path, error))
}

fn push_lines(entry: &ReadEntry, schema: &Schema, lines: &mut String) -> Result<()> {
    for change in &entry.entry.changes {
        let line = line_of(change, schema).map_err(|reason| {
            let message = format!("entry {} of the write-ahead log: {reason}", entry.number);
            Error::new(ErrorKind::Corrupt, message)
        })?;
        lines.push_str(&line);
        lines.push('\n');
    }
    for rejected in &entry.rejected {
        lines.push_str(&line_of_rejected(rejected));
        lines.push('\n');
    }
    Ok(())
}
