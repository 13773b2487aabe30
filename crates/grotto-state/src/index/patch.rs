//! Changing an index: touched pages are copied, all others shared.
//!
//! Owns: the changes of one refresh, page by page, on several threads where they are many. What a page that
//! no longer suits its entries becomes is [`super::settle`]'s.

use super::page::Page;
use super::settle::{Pending, Settling, must_wait};
use super::{Candidates, Index, IndexFault, LINE, MAX_LINES, page_at};
use crate::segment::{Buffer, Loc, Segment};
use crate::threads::side_by_side;
use std::mem;
use std::ops::Range;

/// How many pages ahead are asked for: each is copied whole, and they are all over memory.
const AHEAD: usize = 6;

/// One change to the index.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) hash: u64,
    pub(crate) ordinal: u32,
    pub(crate) add: bool,
}

/// Over how many threads changes are spread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Split {
    /// At most.
    pub(crate) threads: usize,
    /// Bytes of pages for each of them, at least.
    pub(crate) least: usize,
}

impl Split {
    /// A thread that copies less takes longer to start than to work.
    const LEAST: usize = 4 << 20;

    /// Over as many threads as are worth it, this one included.
    pub(crate) fn over(threads: usize) -> Self {
        let least = Self::LEAST;
        Self { threads, least }
    }
}

/// The keys of records.
pub(crate) trait Keys: Sync {
    /// The hash of any ordinal that is in the index or among the changes.
    fn hash(&self, ordinal: u32) -> Option<u64>;

    /// Asks for the memory that this needs.
    fn prefetch(&self, ordinal: u32);
}

/// An index that changes are applied to.
#[derive(Clone, Copy)]
pub(crate) struct Patch<'a> {
    pub(crate) index: &'a Index,
    pub(crate) segments: &'a [Segment],
    /// Entries afterwards.
    pub(crate) count: u64,
    pub(crate) keys: &'a dyn Keys,
    /// The segment of new pages, which no page has yet.
    pub(crate) slot: u16,
    pub(crate) split: Split,
}

/// A changed index.
#[derive(Debug)]
pub(crate) struct Patched {
    pub(crate) index: Index,
    /// Entries of each new page.
    pub(crate) written: Vec<Range<u32>>,
    /// Pages that are no longer used.
    pub(crate) freed: Vec<Loc>,
    /// Entries that were added and may have the key of another one: of one that was there and stays, or of one
    /// of them. By their hashes alone, or where a page has forgotten the hash, by their fingerprints.
    pub(crate) twins: Vec<(u32, u32)>,
}

impl Patch<'_> {
    /// Applies changes to copies of the touched pages, which go to the end of `out`.
    pub(crate) fn apply(
        &self,
        mut changes: Vec<Change>,
        out: &mut Buffer,
    ) -> Result<Patched, IndexFault> {
        // By hash; of one hash what goes, then what comes.
        changes.sort_unstable_by_key(|change| (change.hash, change.add, change.ordinal));
        let touched = touched(self.index, &changes);
        let start = out.begin();
        let bytes = bytes_of(&touched);
        // Pages of a damaged directory may overlap, and claim any room together.
        let held: usize = self.segments.iter().map(|s| s.bytes.len()).sum();
        if let Some(first) = changes.first().filter(|_| bytes > held) {
            return Err(IndexFault::Damage(first.ordinal));
        }
        out.bytes.resize(start + bytes);
        let parts = (bytes / self.split.least.max(1)).clamp(1, self.split.threads.max(1));
        let parts: Vec<&[Touched]> = touched
            .chunks(touched.len().div_ceil(parts).max(1))
            .collect();
        let mut settling = Settling::new(self, touched.len());
        let (mut rest, mut shares) = (&mut out.bytes[start..], Vec::new());
        for part in &parts {
            let (share, others) = mem::take(&mut rest).split_at_mut(bytes_of(part));
            shares.push((*part, share));
            rest = others;
        }
        let wanted = settling.wanted();
        let copied = side_by_side(shares, |_, (part, share)| {
            self.copy(part, &changes, wanted, share)
        });
        let (mut at, mut end, mut twins) = (start, start, Vec::new());
        for (part, copied) in parts.into_iter().zip(copied) {
            let mut copied = copied?;
            twins.append(&mut copied.twins);
            end = at;
            let mut waiting = copied.waiting.into_iter().peekable();
            for (number, page) in part.iter().enumerate() {
                match waiting.next_if(|(waits, _)| *waits == number) {
                    Some((_, pending)) => settling.wait(page.span.clone(), pending),
                    None => {
                        settling.keep(&page.span, end, page.lines());
                        end += page.lines() * LINE;
                    }
                }
            }
            at += bytes_of(part);
        }
        // The room of pages that wait, at the end; those between the parts stay as gaps.
        out.bytes.resize(end);
        settling.finish(out, twins)
    }

    /// Copies touched pages to the front of `bytes`, one after the other, with their changes.
    fn copy(
        &self,
        touched: &[Touched],
        changes: &[Change],
        wanted: u8,
        bytes: &mut [u8],
    ) -> Result<Copied, IndexFault> {
        let (mut copied, mut at) = (Copied::default(), 0);
        for (number, page) in touched.iter().enumerate() {
            if let Some(ahead) = touched.get(number + AHEAD) {
                prefetch(page_at(self.segments, ahead.loc));
            }
            let old = page_at(self.segments, page.loc);
            let new = &mut bytes[at..at + page.lines() * LINE];
            // A page of a damaged directory may lie outside of its segment.
            if old.len() != new.len() {
                return Err(IndexFault::Damage(changes[page.changes.start].ordinal));
            }
            new.copy_from_slice(old);
            let mut new = Page::within(new);
            let changes = &changes[page.changes.clone()];
            let grown = change(&mut new, changes, &mut copied.twins)?;
            let depth = self.index.depth_of(&page.span);
            if must_wait(&new, &grown, depth, wanted) {
                let page = new.to_owned();
                copied.waiting.push((number, Pending { page, grown }));
            } else {
                at += page.lines() * LINE;
            }
        }
        Ok(copied)
    }
}

/// A page that changes touch.
struct Touched {
    /// Its entries in the directory.
    span: Range<usize>,
    changes: Range<usize>,
    loc: Loc,
}

impl Touched {
    fn lines(&self) -> usize {
        usize::from(self.loc.tag)
    }
}

/// What copying pages leaves to do.
#[derive(Default)]
struct Copied {
    /// Pages that cannot stay as they are, by their number among those touched.
    waiting: Vec<(usize, Pending)>,
    twins: Vec<(u32, u32)>,
}

fn bytes_of(touched: &[Touched]) -> usize {
    touched.iter().map(|page| page.lines() * LINE).sum()
}

/// The pages that sorted changes touch.
fn touched(index: &Index, changes: &[Change]) -> Vec<Touched> {
    let (mut touched, mut at) = (Vec::new(), 0);
    while let Some(first) = changes.get(at) {
        let entry = index.entry(first.hash);
        let span = span_of(&index.pages, entry);
        let of_page = |change: &&Change| span.contains(&index.entry(change.hash));
        let end = at + changes[at..].iter().take_while(of_page).count();
        let (changes, loc) = (at..end, index.pages[entry]);
        touched.push(Touched { span, changes, loc });
        at = end;
    }
    touched
}

fn prefetch(page: &[u8]) {
    let lines = page.len().min(MAX_LINES * LINE);
    for line in (0..lines).step_by(LINE) {
        grotto_mmap::prefetch(page, line);
    }
}

/// Changes a page; gives the entries that it has no room for.
fn change(
    page: &mut Page<&mut [u8]>,
    changes: &[Change],
    twins: &mut Vec<(u32, u32)>,
) -> Result<Vec<(u64, u32)>, IndexFault> {
    let mut grown = Vec::new();
    for run in changes.chunk_by(|a, b| (a.hash, a.add) == (b.hash, b.add)) {
        let Change { hash, ordinal, add } = run[0];
        if !add {
            if !page.remove(hash, run) {
                return Err(IndexFault::Damage(ordinal));
            }
            continue;
        }
        let there = Candidates::of(page.bytes, hash);
        let others = run[1..].iter().map(|other| other.ordinal);
        twins.extend(there.chain(others).map(|other| (ordinal, other)));
        for change in run {
            if page.is_full(hash) || !page.add(hash, change.ordinal) {
                grown.push((hash, change.ordinal));
            }
        }
    }
    Ok(grown)
}

/// Entries of the directory that share the page of `entry`.
pub(crate) fn span_of(pages: &[Loc], entry: usize) -> Range<usize> {
    let mut width = 1;
    // Pages cover aligned powers of two; pages without entries are all "none" and must not merge.
    while width * 2 <= pages.len() && !pages[entry].is_none() {
        let start = entry & !(width * 2 - 1);
        if pages[start..start + width * 2]
            .iter()
            .any(|loc| *loc != pages[entry])
        {
            break;
        }
        width *= 2;
    }
    let start = entry & !(width - 1);
    start..start + width
}
