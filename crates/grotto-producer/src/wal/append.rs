//! Appends groups of entries.
//!
//! Owns: the segment that is written, what a failed write or sync leads to, the disk budget. Never: reads.

use std::ops::RangeInclusive;
use std::sync::Arc;

use grotto_env::AppendFile;
use grotto_format::Schema;

use super::begin::Copied;
use super::frame::{GROUP_HEADER, GroupHeader, GroupKind, MAX_FRAME, MAX_GROUP, push_frame};
use super::index::add_mark;
use super::scan::{MAX_NUMBER, Mark};
use super::{Wal, WalEntry, WalOptions, codec};
use crate::{Error, ErrorKind, Result};

/// What is written next, and where.
#[derive(Debug)]
pub(super) struct Writer {
    /// The newest segment; `None` until the next append begins one.
    pub(super) current: Option<Current>,
    /// The last group that an earlier process wrote, which nobody sees before it was copied.
    pub(super) copied: Option<Copied>,
    /// The schema in use.
    pub(super) schema: Arc<Schema>,
    /// Bytes of it in printed form.
    pub(super) schema_bytes: usize,
    /// A group as it is written; kept for its memory.
    pub(super) group: Vec<u8>,
}

/// The segment that is written.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) file: Box<dyn AppendFile>,
    /// Bytes of it that are written and, if the log is synced, synced.
    pub(super) end: u64,
    pub(super) has_entries: bool,
}

/// A group that is encoded.
struct Group<'e> {
    entries: &'e [Arc<WalEntry>],
    /// Where each frame begins, from the start of the group.
    frames: Vec<u32>,
}

impl Wal {
    /// Appends entries as one group: one write, one sync. Their numbers follow those of all before.
    ///
    /// # Errors
    /// Nothing is acknowledged then, and no number given away. `Invalid` for an entry that is larger than the
    /// limits; `Overloaded` past the disk budget; `Unavailable` when the disk is full or does not take it, where
    /// the entries may be there all the same when the log is opened again.
    pub fn append(&self, entries: &[Arc<WalEntry>]) -> Result<RangeInclusive<u64>> {
        let mut writer = self.writer.lock();
        let frames = writer.encode(entries, &self.options)?;
        let needed = self.needed(&writer)?;
        let group = Group { entries, frames };
        let appended = self.append_group(&mut writer, &group, needed);
        writer.group.clear();
        writer.group.shrink_to(16 << 20);
        let refused = |error: &Error| error.kind() == ErrorKind::Overloaded;
        let mut index = self.index.lock();
        match &appended {
            Ok(_) => index.failed = None,
            Err(error) if refused(error) => {}
            Err(error) => index.failed = Some(error.message().to_owned()),
        }
        appended
    }

    fn append_group(
        &self,
        writer: &mut Writer,
        group: &Group<'_>,
        needed: u64,
    ) -> Result<RangeInclusive<u64>> {
        self.settle(writer)?;
        self.make_room(writer, needed)?;
        let length = writer.group.len() as u64;
        let is_full = |current: &Current| {
            current.has_entries && current.end + length > self.options.segment()
        };
        if writer.current.as_ref().is_some_and(is_full) {
            writer.leave_segment(&self.options)?;
        }
        let mut current = match writer.current.take() {
            Some(current) => current,
            None => self.begin(&writer.schema, None)?,
        };
        let first = self.last() + 1;
        if first + group.entries.len() as u64 > MAX_NUMBER {
            return Err(Error::internal("a write-ahead log has no more numbers"));
        }
        let header = GroupHeader {
            kind: GroupKind::Entries,
            // Both are limited by the limit of a group.
            count: group.entries.len() as u32,
            first,
            length: (writer.group.len() - GROUP_HEADER) as u32,
        };
        writer.group[..GROUP_HEADER].copy_from_slice(&header.encode(self.identity.marker));
        self.write(&mut current, &writer.group)?;
        let start = current.end;
        current.end += length;
        current.has_entries = true;
        let end = current.end;
        writer.current = Some(current);
        Ok(self.acknowledge(group, first, start, end))
    }

    /// Writes and syncs. On an error the segment must be dropped: where it ends is unknown.
    fn write(&self, current: &mut Current, bytes: &[u8]) -> Result<()> {
        let write = |current: &mut Current| {
            if let Err(error) = current.file.append(bytes) {
                // Gives back the space of a torn group, which is ignored where it stays.
                let freed = current.file.truncate(current.end).is_ok();
                return Err(("append to", error, if freed { 0 } else { bytes.len() }));
            }
            if self.options.sync {
                let synced = current.file.sync();
                return synced.map_err(|error| ("sync", error, bytes.len()));
            }
            Ok(())
        };
        write(current).map_err(|(action, error, torn)| {
            let mut index = self.index.lock();
            let Some(newest) = index.segments.back_mut() else {
                return Error::internal("a write-ahead log has no segment to write to");
            };
            newest.bytes = newest.durable + torn as u64;
            Error::io(action, &newest.path, error)
        })
    }

    fn acknowledge(
        &self,
        group: &Group<'_>,
        first: u64,
        start: u64,
        end: u64,
    ) -> RangeInclusive<u64> {
        let last = first + group.entries.len() as u64 - 1;
        let mut index = self.index.lock();
        for (number, entry) in (first..).zip(group.entries) {
            if let Some(key) = &entry.key {
                index.keys.add(key, number);
            }
        }
        index.last = last;
        if let Some(newest) = index.segments.back_mut() {
            newest.end = last + 1;
            (newest.durable, newest.bytes) = (end, end);
            let count = group.entries.len() as u32;
            let header = Mark {
                number: first,
                offset: start,
                left: 0,
            };
            add_mark(&mut newest.marks, header);
            let frames = group.frames.iter().zip((0..=count).rev());
            for (number, (at, left)) in (first..).zip(frames).skip(1) {
                let offset = start + u64::from(*at);
                let mark = Mark {
                    number,
                    offset,
                    left,
                };
                add_mark(&mut newest.marks, mark);
            }
        }
        first..=last
    }

    /// Bytes that appending a group may take: a segment may begin with it.
    fn needed(&self, writer: &Writer) -> Result<u64> {
        let needed = writer.group.len() as u64 + self.beginning(writer.schema_bytes);
        let most = self.options.max_bytes;
        if needed <= most {
            return Ok(needed);
        }
        Err(Error::invalid(format!(
            "expected entries that fit a write-ahead log of {most} bytes, found {needed} bytes"
        )))
    }

    /// Refuses a group that would pass the disk budget.
    fn make_room(&self, writer: &mut Writer, needed: u64) -> Result<()> {
        if self.has_room(needed) {
            return Ok(());
        }
        let all_released = {
            let index = self.index.lock();
            index.released >= index.last && index.last > 0
        };
        if all_released {
            // The newest segment holds nothing that is needed but takes the room: another one takes its place.
            writer.leave_segment(&self.options)?;
            writer.current = Some(self.begin(&writer.schema, None)?);
            self.remove_released()?;
        }
        if self.has_room(needed) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Overloaded,
            format!(
                "the write-ahead log is full: expected at most {} bytes, found {} and {needed} more",
                self.options.max_bytes,
                self.bytes()
            ),
        ))
    }
}

impl Writer {
    /// Ends the newest segment; the next append begins another one.
    pub(super) fn leave_segment(&mut self, options: &WalOptions) -> Result<()> {
        let Some(mut current) = self.current.take() else {
            return Ok(());
        };
        if options.sync {
            return Ok(());
        }
        // Only the newest segment may lose entries.
        let synced = current.file.sync();
        synced.map_err(|error| {
            Error::unavailable("cannot sync a segment of the write-ahead log").with_source(error)
        })
    }

    /// Encodes a group but for its header; gives where its frames begin.
    fn encode(&mut self, entries: &[Arc<WalEntry>], options: &WalOptions) -> Result<Vec<u32>> {
        if entries.is_empty() {
            return Err(Error::invalid("expected at least one entry"));
        }
        let most = (MAX_FRAME as u64).min(options.max_entry_bytes);
        self.group.clear();
        self.group.resize(GROUP_HEADER, 0);
        let mut frames = Vec::with_capacity(entries.len());
        for entry in entries {
            codec::check(entry, self.schema.types().len()).map_err(Error::invalid)?;
            frames.push(self.group.len() as u32);
            let encode = |out: &mut Vec<u8>| codec::encode(entry, out);
            let payload = push_frame(&mut self.group, encode)
                .map_err(|error| Error::invalid(format!("cannot encode an entry: {error}")))?;
            if payload as u64 > most {
                return Err(Error::invalid(format!(
                    "expected an entry of at most {most} bytes, found {payload}"
                )));
            }
            if self.group.len() - GROUP_HEADER > MAX_GROUP {
                return Err(Error::invalid(format!(
                    "expected at most {MAX_GROUP} bytes of entries at once"
                )));
            }
        }
        Ok(frames)
    }
}
