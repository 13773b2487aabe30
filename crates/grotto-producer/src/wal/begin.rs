//! Begins segments.
//!
//! Owns: how a segment appears whole, and the group that is copied from an older one. Never: appends to it.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use grotto_env::AppendFile;
use grotto_format::Schema;

use super::append::{Current, Writer};
use super::frame::{GROUP_HEADER, GroupHeader, GroupKind, SegmentHeader, push_frame};
use super::index::{Segment, add_mark, same};
use super::scan::Mark;
use super::{Wal, codec, remove, sync_folder};
use crate::{Error, Result};

/// Ending of a segment that has no name yet.
pub(super) const TEMP: &str = ".tmp";

/// The last group of the newest segment when a log is opened: written, but perhaps not synced.
#[derive(Debug)]
pub(super) struct Copied {
    /// Header and frames.
    pub(super) bytes: Vec<u8>,
    pub(super) first: u64,
    pub(super) last: u64,
    /// Under which its entries were appended.
    pub(super) schema: Arc<Schema>,
    pub(super) keys: Vec<(String, u64)>,
    /// Marks from the start of the group.
    pub(super) marks: Vec<Mark>,
}

/// Path of the segment that begins with an entry.
pub(super) fn path_of(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("wal-{first:020}.log"))
}

/// The number in the name of a segment.
pub(super) fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("wal-")?.strip_suffix(".log")?;
    let plain = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// Whether a file is what a process left behind that died while it began a segment.
pub(super) fn is_temp(name: &str) -> bool {
    name.strip_suffix(TEMP).and_then(number_of).is_some()
}

impl Wal {
    /// Begins the first segment of this process, with the group that it copies.
    pub(super) fn settle(&self, writer: &mut Writer) -> Result<()> {
        let Some(copied) = writer.copied.as_ref() else {
            return Ok(());
        };
        let current = self.begin(&copied.schema, Some(copied))?;
        // What has another schema gets a segment of its own.
        writer.current = same(&copied.schema, &writer.schema).then_some(current);
        writer.copied = None;
        Ok(())
    }

    /// Bytes of the beginning of a segment with a schema of so many bytes.
    pub(super) fn beginning(&self, schema: usize) -> u64 {
        SegmentHeader::length(schema) as u64 + self.index.lock().keys.bytes()
    }

    /// Begins a segment after the newest entry, or with a copy of the last group.
    pub(super) fn begin(&self, schema: &Arc<Schema>, copied: Option<&Copied>) -> Result<Current> {
        let first = copied.map_or_else(|| self.last() + 1, |copied| copied.first);
        let mut beginning = self.compose(schema, first, copied.map(|c| c.bytes.len()))?;
        let start = beginning.len() as u64;
        beginning.extend_from_slice(copied.map_or(&[], |copied| &copied.bytes));
        let path = path_of(&self.folder, first);
        let file = self.appear(&path, &beginning)?;
        let end = beginning.len() as u64;
        let mut segment = Segment {
            path,
            schema: Arc::clone(schema),
            first,
            end: copied.map_or(first, |copied| copied.last + 1),
            marks: Vec::new(),
            durable: end,
            bytes: end,
        };
        let mut index = self.index.lock();
        if let Some(copied) = copied {
            for mark in &copied.marks {
                let offset = mark.offset + start;
                add_mark(&mut segment.marks, Mark { offset, ..*mark });
            }
            for (key, number) in &copied.keys {
                index.keys.add(key, *number);
            }
        }
        if copied.is_some() {
            (index.is_unsettled, index.failed) = (false, None);
        }
        index.push(segment);
        Ok(Current {
            file,
            end,
            has_entries: copied.is_some(),
        })
    }

    /// Header and remembered keys.
    fn compose(&self, schema: &Schema, first: u64, copied: Option<usize>) -> Result<Vec<u8>> {
        let keys = self.encode_keys(first)?;
        let mut header = SegmentHeader {
            identity: self.identity.clone(),
            synced: self.options.sync,
            first,
            beginning: 0,
            schema: schema.to_string(),
        };
        let length = SegmentHeader::length(header.schema.len()) + keys.len();
        header.beginning = (length + copied.unwrap_or_default()) as u64;
        let mut bytes = header.encode();
        bytes.extend(keys);
        Ok(bytes)
    }

    /// A group of remembered keys, if there are any.
    fn encode_keys(&self, first: u64) -> Result<Vec<u8>> {
        let index = self.index.lock();
        let mut bytes = vec![0; GROUP_HEADER];
        let payload = push_frame(&mut bytes, |out| {
            let mut keys = index.keys.iter();
            keys.try_for_each(|(key, number)| codec::encode_key(key, number, out))
        });
        let payload = payload
            .map_err(|error| Error::internal(format!("cannot encode remembered keys: {error}")))?;
        if payload == 0 {
            return Ok(Vec::new());
        }
        let header = GroupHeader {
            kind: GroupKind::Keys,
            count: 1,
            first,
            // So many keys are not remembered.
            length: u32::try_from(bytes.len() - GROUP_HEADER).unwrap_or(u32::MAX),
        };
        bytes[..GROUP_HEADER].copy_from_slice(&header.encode(self.identity.marker));
        Ok(bytes)
    }

    /// Creates a file that has its name once its bytes are on the disk. Nothing is left behind when that fails.
    fn appear(&self, path: &Path, bytes: &[u8]) -> Result<Box<dyn AppendFile>> {
        let temp = {
            let mut temp = path.as_os_str().to_owned();
            temp.push(TEMP);
            PathBuf::from(temp)
        };
        let written = self.write_temp(&temp, bytes).and_then(|file| {
            let named = self.files.rename(&temp, path);
            named.map_err(|error| Error::io("rename", &temp, error))?;
            Ok(file)
        });
        if written.is_err() {
            // The first error is the one to tell; a leftover is removed when the log is opened.
            let _ = self.files.remove(&temp);
        }
        let file = written?;
        sync_folder(&*self.files, &self.folder)?;
        Ok(file)
    }

    fn write_temp(&self, temp: &Path, bytes: &[u8]) -> Result<Box<dyn AppendFile>> {
        let created = match self.files.create(temp) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                remove(&*self.files, temp)?;
                self.files.create(temp)
            }
            created => created,
        };
        let mut file = created.map_err(|error| Error::io("create", temp, error))?;
        let written = file.append(bytes).and_then(|()| file.sync());
        written.map_err(|error| Error::io("write", temp, error))?;
        Ok(file)
    }
}
