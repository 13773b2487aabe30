//! One page of the index, while it is changed.
//!
//! Owns: slots, lines and `reach` within a page. Never knows other pages.

use super::build::fresh_lines;
use super::{LINE, ORDINALS, REACH, SLOTS, fingerprint, hits, home, ordinal_at};

/// A key may be this many lines past its own before its page is laid out anew.
pub(super) const MAX_REACH: u8 = 3;

/// A page being changed.
pub(super) struct Page {
    pub(super) bytes: Vec<u8>,
    used: usize,
}

impl Page {
    /// A page that was laid out with `used` entries.
    pub(super) fn of(bytes: Vec<u8>, used: usize) -> Self {
        Self { bytes, used }
    }

    pub(super) fn copy_of(bytes: &[u8]) -> Self {
        let used = bytes
            .chunks(LINE)
            .flat_map(|line| &line[..SLOTS])
            .filter(|print| **print != 0)
            .count();
        Self {
            bytes: bytes.to_vec(),
            used,
        }
    }

    pub(super) fn lines(&self) -> usize {
        self.bytes.len() / LINE
    }

    pub(super) fn is_full(&self) -> bool {
        (self.used + 1) * 10 > self.lines() * SLOTS * 9
    }

    pub(super) fn add(&mut self, hash: u64, ordinal: u32) -> bool {
        let lines = self.lines();
        if lines == 0 {
            return false;
        }
        let first = home(hash, lines);
        for step in 0..lines.min(usize::from(u8::MAX)) {
            let line = (first + step) % lines;
            let at = line * LINE;
            if let Some(slot) = self.bytes[at..at + SLOTS]
                .iter()
                .position(|print| *print == 0)
            {
                self.bytes[at + slot] = fingerprint(hash);
                let place = at + ORDINALS + 4 * slot;
                self.bytes[place..place + 4].copy_from_slice(&ordinal.to_le_bytes());
                let reach = &mut self.bytes[first * LINE + REACH];
                *reach = (*reach).max(step as u8);
                self.used += 1;
                return true;
            }
        }
        false
    }

    pub(super) fn remove(&mut self, hash: u64, ordinal: u32) -> bool {
        let lines = self.lines();
        for step in 0..lines {
            let line = (home(hash, lines) + step) % lines;
            let mut bits = hits(&self.bytes, line, fingerprint(hash));
            while bits != 0 {
                let slot = bits.trailing_zeros() as usize;
                bits &= bits - 1;
                if ordinal_at(&self.bytes, line, slot) == ordinal
                    && self.bytes[line * LINE + slot] != 0
                {
                    self.bytes[line * LINE + slot] = 0;
                    self.used -= 1;
                    return true;
                }
            }
        }
        false
    }

    /// Whether lookups have come to probe too far: `reach` only ever grows, until a page is laid out
    /// anew.
    pub(super) fn is_worn(&self) -> bool {
        self.bytes.chunks(LINE).any(|line| line[REACH] > MAX_REACH)
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

/// Lays entries out in lines without any; gives how far the worst one is from its own line, or the
/// ordinal of the first that finds no place.
pub(super) fn fill(page: &mut [u8], entries: &[(u64, u32)]) -> Result<u8, u32> {
    let lines = page.len() / LINE;
    let mut worst = 0;
    for (hash, ordinal) in entries {
        let first = home(*hash, lines);
        let (mut line, mut step) = (first, 0_u8);
        let mut slot = used_slots(page, line);
        while slot == SLOTS {
            step = step.checked_add(1).ok_or(*ordinal)?;
            line = if line + 1 == lines { 0 } else { line + 1 };
            if line == first || step == u8::MAX {
                return Err(*ordinal);
            }
            slot = used_slots(page, line);
        }
        let at = line * LINE;
        page[at + slot] = fingerprint(*hash);
        let place = at + ORDINALS + 4 * slot;
        page[place..place + 4].copy_from_slice(&ordinal.to_le_bytes());
        let reach = &mut page[first * LINE + REACH];
        *reach = (*reach).max(step);
        worst = worst.max(step);
    }
    Ok(worst)
}

/// Taken slots of a line that was filled from the first slot on: fingerprints are never zero.
fn used_slots(page: &[u8], line: usize) -> usize {
    let Some(head) = page.get(line * LINE..line * LINE + 16) else {
        return SLOTS;
    };
    let head = head.try_into().map_or(0, u128::from_le_bytes) & ((1 << (8 * SLOTS)) - 1);
    (u128::BITS - head.leading_zeros()).div_ceil(8) as usize
}
