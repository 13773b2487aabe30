//! One page of the index, while it is changed.
//!
//! Owns: slots, lines and `reach` within a page. Never knows other pages.

use super::build::fresh_lines;
use super::patch::Change;
use super::{
    LAID, LINE, ORDINALS, REACH, SLOTS, entries_in, fingerprint, hits, home, number, ordinal_at,
    reach,
};
use std::ops::DerefMut;

/// A key may be this many lines past its own before its page is laid out anew, or half more than when
/// that was last done: more equal hashes than this page cannot be brought closer.
pub(super) const MAX_REACH: usize = 3;
/// From this reach on, entries are not added one by one: each would probe as many lines.
const CROWDED: usize = 64;

/// A page being changed, where it is going to stay or in bytes of its own.
pub(super) struct Page<B = Vec<u8>> {
    pub(super) bytes: B,
    used: usize,
}

impl Page {
    /// A page that was laid out with `used` entries.
    pub(super) fn of(bytes: Vec<u8>, used: usize) -> Self {
        Self { bytes, used }
    }

    pub(super) fn copy_of(bytes: &[u8]) -> Self {
        Self::within(bytes.to_vec())
    }
}

impl<B: DerefMut<Target = [u8]>> Page<B> {
    /// The page that lies in these bytes.
    pub(super) fn within(bytes: B) -> Self {
        let used = entries_in(&bytes) as usize;
        Self { bytes, used }
    }

    /// The same page in bytes of its own.
    pub(super) fn to_owned(&self) -> Page {
        Page::of(self.bytes.to_vec(), self.used)
    }

    pub(super) fn used(&self) -> usize {
        self.used
    }

    pub(super) fn lines(&self) -> usize {
        self.bytes.len() / LINE
    }

    /// Whether an entry cannot just be added: the page is laid out anew then.
    pub(super) fn is_full(&self, hash: u64) -> bool {
        let lines = self.lines();
        (self.used + 1) * 10 > lines * SLOTS * 9 || reach(&self.bytes, home(hash, lines)) >= CROWDED
    }

    /// Adds an entry to a page that is not full.
    pub(super) fn add(&mut self, hash: u64, ordinal: u32) -> bool {
        let lines = self.lines();
        if lines == 0 {
            return false;
        }
        let first = home(hash, lines);
        for step in 0..lines {
            let line = (first + step) % lines;
            let at = line * LINE;
            if let Some(slot) = self.bytes[at..at + SLOTS]
                .iter()
                .position(|print| *print == 0)
            {
                self.bytes[at + slot] = fingerprint(hash);
                let place = at + ORDINALS + 4 * slot;
                self.bytes[place..place + 4].copy_from_slice(&ordinal.to_le_bytes());
                raise(&mut self.bytes, first * LINE + REACH, step);
                self.used += 1;
                return true;
            }
        }
        false
    }

    /// Removes entries with one hash, all in one walk over the lines of the hash; `false` when one of
    /// them is not there. Their ordinals rise.
    pub(super) fn remove(&mut self, hash: u64, entries: &[Change]) -> bool {
        let (lines, mut left) = (self.lines(), entries.len());
        let first = home(hash, lines);
        let steps = match lines {
            0 => 0,
            _ => (reach(&self.bytes, first) + 1).min(lines),
        };
        for line in (0..steps).map(|step| (first + step) % lines) {
            let mut bits = hits(&self.bytes, line, fingerprint(hash));
            // A damaged page may hold an ordinal twice.
            while bits != 0 && left > 0 {
                let slot = bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let ordinal = ordinal_at(&self.bytes, line, slot);
                if entries
                    .binary_search_by_key(&ordinal, |e| e.ordinal)
                    .is_ok()
                {
                    self.bytes[line * LINE + slot] = 0;
                    self.used -= 1;
                    left -= 1;
                }
            }
            if left == 0 {
                return true;
            }
        }
        false
    }

    /// Whether lookups have come to probe too far: `reach` only ever grows, until a page is laid out
    /// anew.
    pub(super) fn is_worn(&self) -> bool {
        let laid = number(&self.bytes, LAID);
        let most = MAX_REACH.max(laid + laid / 2);
        (0..self.lines()).any(|line| reach(&self.bytes, line) > most)
    }

    /// Whether a sixth of its lines would go if it were laid out anew: pages that only ever grew
    /// would each keep the room of their fullest day. The margin keeps pages that gain and lose a few
    /// entries from being laid out again and again, for which every entry is hashed anew.
    pub(super) fn is_sparse(&self) -> bool {
        fresh_lines(self.used) * 6 < self.lines() * 5
    }

    pub(super) fn ordinals(&self) -> Vec<u32> {
        let mut all = Vec::with_capacity(self.used);
        for line in 0..self.lines() {
            for slot in (0..SLOTS).filter(|slot| self.bytes[line * LINE + slot] != 0) {
                all.push(ordinal_at(&self.bytes, line, slot));
            }
        }
        all
    }
}

/// Notes a reach, if it is the largest so far.
fn raise(page: &mut [u8], at: usize, reach: usize) {
    if reach > number(page, at) {
        // A page has at most `u16::MAX` lines.
        page[at..at + 2].copy_from_slice(&(reach as u16).to_le_bytes());
    }
}

/// Lays entries out in lines without any, which have room for them; gives how far the worst one is from
/// its own line.
pub(super) fn fill(page: &mut [u8], entries: &[(u64, u32)]) -> usize {
    let lines = page.len() / LINE;
    let mut worst = 0;
    for (hash, ordinal) in entries {
        let first = home(*hash, lines);
        // Where an entry of the same line went, all before is full: so equal hashes cost no more than
        // others.
        let mut step = reach(page, first);
        let mut line = (first + step) % lines;
        let mut slot = used_slots(page, line);
        while slot == SLOTS {
            step += 1;
            line = if line + 1 == lines { 0 } else { line + 1 };
            slot = used_slots(page, line);
        }
        let at = line * LINE;
        page[at + slot] = fingerprint(*hash);
        let place = at + ORDINALS + 4 * slot;
        page[place..place + 4].copy_from_slice(&ordinal.to_le_bytes());
        raise(page, first * LINE + REACH, step);
        worst = worst.max(step);
    }
    raise(page, LAID, worst);
    worst
}

/// Taken slots of a line that was filled from the first slot on: fingerprints are never zero.
fn used_slots(page: &[u8], line: usize) -> usize {
    let Some(head) = page.get(line * LINE..line * LINE + 16) else {
        return SLOTS;
    };
    let head = head.try_into().map_or(0, u128::from_le_bytes) & ((1 << (8 * SLOTS)) - 1);
    (u128::BITS - head.leading_zeros()).div_ceil(8) as usize
}
