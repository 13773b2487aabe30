//! Dead letters: what was sent and could not be applied, with the reason, so that it can be mended and sent again.
//!
//! Owns: the file they are in, one JSON object a line. Never: decides what is one.

use crate::{Error, Result};
use grotto_env::{AppendFile, AppendFiles};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes that are read of the file at once.
const CHUNK: usize = 1 << 20;

/// Something that could not be applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its number, from 1; given when it is written.
    pub id: u64,
    /// Wall time in milliseconds since 1970.
    pub time_ms: u64,
    /// Where it came from.
    pub source: String,
    /// Its number in its source, such as a line.
    pub position: Option<u64>,
    /// The type it was sent as, where that is known.
    pub type_name: Option<String>,
    /// Why it could not be applied.
    pub reason: String,
    /// What was sent.
    pub text: String,
}

/// How dead letters are kept.
#[derive(Clone, Debug)]
pub struct DeadLetterOptions {
    /// Bytes of all files.
    pub max_bytes: u64,
}

impl Default for DeadLetterOptions {
    fn default() -> Self {
        Self {
            max_bytes: 256 << 20,
        }
    }
}

/// The dead letters of a dataset.
#[derive(Debug)]
pub struct DeadLetters {
    files: Arc<dyn AppendFiles>,
    path: PathBuf,
    options: DeadLetterOptions,
    writer: Mutex<Writer>,
}

#[derive(Debug)]
struct Writer {
    file: Box<dyn AppendFile>,
    bytes: u64,
    last: u64,
}

impl DeadLetters {
    /// Opens the folder, which is created if it is missing.
    ///
    /// # Errors
    /// When the file system refuses, or a line is no dead letter.
    pub fn open(
        files: Arc<dyn AppendFiles>,
        folder: &Path,
        options: DeadLetterOptions,
    ) -> Result<Self> {
        let path = folder.join("dead-letters.ndjson");
        let refused = |error| Error::io("open dead letters", &path, error);
        files.create_folder(folder).map_err(refused)?;
        let names = files.list(folder).map_err(refused)?;
        let there = names.iter().any(|name| name == "dead-letters.ndjson");
        let file = match there {
            true => files.open(&path),
            false => files.create(&path),
        };
        let file = file.map_err(refused)?;
        files.sync_folder(folder).map_err(refused)?;
        let mut letters = Self {
            writer: Mutex::new(Writer {
                file,
                bytes: files.length(&path).map_err(refused)?,
                last: 0,
            }),
            files,
            path,
            options,
        };
        let last = letters
            .list(0, usize::MAX)?
            .last()
            .map_or(0, |letter| letter.id);
        letters.writer.get_mut().last = last;
        Ok(letters)
    }

    /// Writes letters and gives them their numbers.
    ///
    /// # Errors
    /// When they cannot be written and synced, or there is no room left for them.
    pub fn push(&self, letters: &[DeadLetter]) -> Result<()> {
        let mut writer = self.writer.lock();
        let mut text = Vec::new();
        for (id, letter) in (writer.last + 1..).zip(letters) {
            let letter = DeadLetter {
                id,
                ..letter.clone()
            };
            let line = serde_json::to_vec(&letter).map_err(|e| Error::internal(e.to_string()))?;
            text.extend_from_slice(&line);
            text.push(b'\n');
        }
        if writer.bytes + text.len() as u64 > self.options.max_bytes {
            let message = format!("{} is full: list them and purge them", self.path.display());
            return Err(Error::unavailable(message));
        }
        let refused = |error| Error::io("write dead letters to", &self.path, error);
        writer.file.append(&text).map_err(refused)?;
        writer.file.sync().map_err(refused)?;
        writer.bytes += text.len() as u64;
        writer.last += letters.len() as u64;
        Ok(())
    }

    /// Letters behind number `after`, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read, or a line is no dead letter.
    pub fn list(&self, after: u64, limit: usize) -> Result<Vec<DeadLetter>> {
        let refused = |error| Error::io("read dead letters of", &self.path, error);
        let mut text = Vec::new();
        loop {
            let more = self
                .files
                .read(&self.path, text.len() as u64, CHUNK)
                .map_err(refused)?;
            if more.is_empty() {
                break;
            }
            text.extend_from_slice(&more);
        }
        let lines = text.split(|byte| *byte == b'\n').enumerate();
        let lines = lines.filter(|(_, line)| !line.is_empty());
        let letters = lines.map(|(number, line)| {
            serde_json::from_slice::<DeadLetter>(line).map_err(|error| {
                let place = format!("{} line {}", self.path.display(), number + 1);
                Error::corrupt(error.to_string()).at(place)
            })
        });
        let behind = letters.filter(|l| l.as_ref().map_or(true, |letter| letter.id > after));
        behind.take(limit).collect()
    }
}
