//! Walks through a segment that an earlier process wrote.
//!
//! Owns: what a bad place in it means. Never: changes it.
//!
//! A group is written after the one before it was synced. So a bad place behind which a group follows is damage;
//! one behind which none follows is the group that was written when the process or the host ended.

use std::path::Path;
use std::sync::Arc;

use grotto_env::AppendFiles;
use grotto_format::Schema;

use super::begin::Copied;
use super::codec;
use super::frame::{GroupKind, Identity, MAX_HEADER, SegmentHeader};
use super::index::{Segment, add_mark};
use super::open::Damage;
use super::scan::{MAX_NUMBER, Mark, Scan, Step, corrupt};
use crate::{Error, Result};

pub(super) struct Walk<'w> {
    pub(super) files: &'w dyn AppendFiles,
    pub(super) path: &'w Path,
    /// Number in its name.
    pub(super) first: u64,
    /// Number of the next segment, if there is one.
    pub(super) until: Option<u64>,
    /// The schema in use.
    pub(super) schema: &'w Arc<Schema>,
}

/// What is in a segment.
pub(super) struct Walked {
    pub(super) identity: Identity,
    pub(super) synced: bool,
    pub(super) segment: Segment,
    /// Keys of the newest segment, oldest first; none of others, as the newest one repeats them.
    pub(super) keys: Vec<(String, u64)>,
    /// The last group, if it may not have been synced; it is not in the segment then.
    pub(super) copied: Option<Copied>,
    pub(super) cut: Option<Damage>,
    pub(super) lost: Option<Damage>,
}

/// The groups of a segment, as far as they are whole.
#[derive(Default)]
struct Groups {
    marks: Vec<Mark>,
    keys: Vec<(String, u64)>,
    last: Option<Last>,
    /// Where the last whole group ends, and the number of the entry after it.
    end: u64,
    number: u64,
    bad: Option<(u64, String)>,
}

/// The last group: where it begins, and how many marks and keys there were before it.
#[derive(Clone, Copy)]
struct Last {
    start: Mark,
    marks: usize,
    keys: usize,
}

impl Groups {
    /// Forgets a group that is not whole.
    fn undo(&mut self, unfinished: Option<Last>) {
        if let Some(unfinished) = unfinished {
            self.marks.truncate(unfinished.marks);
            self.keys.truncate(unfinished.keys);
        }
    }
}

impl Walk<'_> {
    pub(super) fn walk(self) -> Result<Walked> {
        let length = self.files.length(self.path);
        let length = length.map_err(|error| Error::io("read", self.path, error))?;
        let (header, start, schema) = self.header()?;
        let start = Mark {
            number: self.first,
            offset: start,
            left: 0,
        };
        let mut scan = Scan::new(self.files, self.path, header.identity.marker, length, start);
        let groups = self.groups(&mut scan, start)?;
        let damage = self.judge(&scan, &header, &groups, length)?;
        let walked = self.sort_out(&scan, header, schema, groups, length)?;
        let (cut, lost) = match self.until {
            None => (damage, None),
            Some(_) => (None, damage),
        };
        Ok(Walked {
            cut,
            lost,
            ..walked
        })
    }

    fn corrupt(&self, offset: u64, what: &str) -> Error {
        corrupt(self.path, offset, what)
    }

    fn header(&self) -> Result<(SegmentHeader, u64, Arc<Schema>)> {
        let bytes = self.files.read(self.path, 0, MAX_HEADER);
        let bytes = bytes.map_err(|error| Error::io("read", self.path, error))?;
        let decoded = SegmentHeader::decode(&bytes);
        let (header, taken) = decoded.map_err(|what| self.corrupt(0, &what))?;
        if header.first != self.first || !(1..MAX_NUMBER).contains(&header.first) {
            let what = format!("expected the segment of entry {}", self.first);
            return Err(self.corrupt(0, &what));
        }
        let schema = if header.schema == self.schema.to_string() {
            Arc::clone(self.schema)
        } else {
            let parsed = Schema::parse(&header.schema);
            Arc::new(parsed.map_err(|error| self.corrupt(0, &format!("its schema: {error}")))?)
        };
        Ok((header, taken as u64, schema))
    }

    /// Reads groups until the next segment takes over, the file ends or a place is bad.
    fn groups(&self, scan: &mut Scan<'_>, start: Mark) -> Result<Groups> {
        let mut groups = Groups::default();
        let mut open = None;
        loop {
            let at = scan.at();
            if at.left == 0 {
                groups.last = open.take().or(groups.last);
                (groups.end, groups.number) = (at.offset, at.number);
                if self.until.is_some_and(|until| at.number >= until) {
                    return Ok(groups);
                }
            }
            let bad = match scan.step()? {
                Step::End => return Ok(groups),
                Step::Bad(what) => what,
                Step::Group(header) if header.kind == GroupKind::Entries => {
                    open = Some(Last {
                        start: at,
                        marks: groups.marks.len(),
                        keys: groups.keys.len(),
                    });
                    add_mark(&mut groups.marks, at);
                    continue;
                }
                // Only at the start of a segment.
                Step::Group(_) if at == start => continue,
                Step::Group(_) => "expected a group of entries".to_owned(),
                Step::Keys { payload } => {
                    self.take_keys(&mut groups, at, payload)?;
                    continue;
                }
                Step::Entry { number, payload } => {
                    self.take_key(&mut groups, at, number, payload)?;
                    continue;
                }
            };
            groups.bad = Some((at.offset, bad));
            groups.undo(open);
            return Ok(groups);
        }
    }

    fn take_keys(&self, groups: &mut Groups, at: Mark, payload: &[u8]) -> Result<()> {
        if self.until.is_none() {
            let keys = codec::decode_keys(payload);
            groups.keys = keys.map_err(|bad| self.corrupt(at.offset, &bad.to_string()))?;
        }
        Ok(())
    }

    fn take_key(&self, groups: &mut Groups, at: Mark, number: u64, payload: &[u8]) -> Result<()> {
        add_mark(&mut groups.marks, at);
        if self.until.is_none() {
            let key = codec::decode_key(payload);
            let key = key.map_err(|bad| self.corrupt(at.offset, &bad.to_string()))?;
            groups.keys.extend(key.map(|key| (key, number)));
        }
        Ok(())
    }

    /// What does not count of the segment; refuses what is damage.
    fn judge(
        &self,
        scan: &Scan<'_>,
        header: &SegmentHeader,
        groups: &Groups,
        length: u64,
    ) -> Result<Option<Damage>> {
        let (offset, what) = match (&groups.bad, self.until) {
            (Some((offset, what)), _) => (*offset, what.clone()),
            (None, Some(until)) if groups.number < until => {
                let what = format!("expected entry {}, found the end", groups.number);
                (groups.end, what)
            }
            (None, Some(until)) if groups.number > until => {
                let what = format!("expected a group that begins with entry {until}");
                return Err(self.corrupt(groups.end, &what));
            }
            (None, _) if groups.end < header.beginning => (groups.end, "expected more".to_owned()),
            (None, _) => return Ok(None),
        };
        let is_end = || Ok::<_, Error>(self.until.is_none() && !scan.has_group_after(groups.end)?);
        let was_synced = groups.end < header.beginning || (header.synced && !is_end()?);
        if was_synced {
            return Err(self.corrupt(offset, &what));
        }
        Ok(Some(Damage {
            file: self.path.to_owned(),
            offset: groups.end,
            bytes: length - groups.end,
            what,
        }))
    }

    fn sort_out(
        &self,
        scan: &Scan<'_>,
        header: SegmentHeader,
        schema: Arc<Schema>,
        mut groups: Groups,
        length: u64,
    ) -> Result<Walked> {
        let is_uncertain = |last: &Last| {
            self.until.is_none() && header.synced && last.start.offset >= header.beginning
        };
        let copied = match groups.last.filter(is_uncertain) {
            Some(last) => Some(copy(scan, &schema, &mut groups, last)?),
            None => None,
        };
        Ok(Walked {
            identity: header.identity,
            synced: header.synced,
            segment: Segment {
                path: self.path.to_owned(),
                schema,
                first: self.first,
                end: groups.number,
                marks: groups.marks,
                durable: groups.end,
                bytes: length,
            },
            keys: groups.keys,
            copied,
            cut: None,
            lost: None,
        })
    }
}

/// Takes the last group out.
fn copy(scan: &Scan<'_>, schema: &Arc<Schema>, groups: &mut Groups, last: Last) -> Result<Copied> {
    let Last { start, marks, keys } = last;
    let mut copied = Copied {
        bytes: scan.range(start.offset, groups.end)?,
        first: start.number,
        last: groups.number - 1,
        schema: Arc::clone(schema),
        keys: groups.keys.split_off(keys),
        marks: groups.marks.split_off(marks),
    };
    if copied.marks.first() != Some(&start) {
        copied.marks.insert(0, start);
    }
    for mark in &mut copied.marks {
        mark.offset -= start.offset;
    }
    (groups.end, groups.number) = (start.offset, start.number);
    Ok(copied)
}
