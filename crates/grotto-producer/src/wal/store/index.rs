//! What a log in the store knows of its slots.
//!
//! Owns: which entries are in which slot, remembered keys, what was released. Never: input or output.

use std::collections::VecDeque;

use super::object::{Kind, Object};
use crate::wal::WalOptions;
use crate::wal::keys::Keys;

/// Most bytes that the remembered keys may take in memory: as those of a log on a disk.
const MOST_KEY_BYTES: u64 = 64 << 20;
/// Most bytes of slots that stay only for the keys in them.
pub(super) const MOST_KEPT_BYTES: u64 = 64 << 20;

#[derive(Debug)]
pub(super) struct Index {
    /// The epoch under which is appended; `None` while the log is not taken over, or not any more.
    pub(super) epoch: Option<u64>,
    /// Oldest first; without those that are removed, or are fences of long ago.
    pub(super) slots: VecDeque<Slot>,
    pub(super) next_slot: u64,
    /// Newest entry; 0 if there is none.
    pub(super) last: u64,
    pub(super) released: u64,
    pub(super) keys: Keys,
    pub(super) failed: Option<String>,
    /// Who took the log over; nothing is appended any more.
    pub(super) fenced: Option<String>,
    /// Slots that nobody needs and that are to be removed, oldest first.
    pub(super) doomed: VecDeque<u64>,
}

/// One slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) slot: u64,
    pub(super) kind: Kind,
    /// Number of the first entry, and the number after the last one.
    pub(super) first: u64,
    pub(super) end: u64,
    pub(super) bytes: u64,
}

impl Slot {
    pub(super) fn of(slot: u64, object: &Object, bytes: usize) -> Self {
        let header = &object.header;
        Self {
            slot,
            kind: header.kind,
            first: header.first,
            end: header.end(),
            bytes: bytes as u64,
        }
    }
}

impl Index {
    pub(super) fn new(options: &WalOptions) -> Self {
        Self {
            epoch: None,
            slots: VecDeque::new(),
            next_slot: 1,
            last: 0,
            released: 0,
            keys: Keys::new(options.remembered_keys, MOST_KEY_BYTES),
            failed: None,
            fenced: None,
            doomed: VecDeque::new(),
        }
    }

    /// Notes the newest slot.
    pub(super) fn push(&mut self, slot: Slot, keys: &[(String, u64)]) {
        self.next_slot = slot.slot + 1;
        self.last = slot.end - 1;
        for (key, number) in keys {
            self.keys.add(key, *number);
        }
        self.slots.push_back(slot);
    }

    /// Bytes of the slots with entries that are not released.
    pub(super) fn bytes(&self) -> u64 {
        let waiting = self.slots.iter().rev();
        let waiting = waiting.take_while(|slot| slot.end > self.released + 1);
        waiting.map(|slot| slot.bytes).sum()
    }

    /// The slot of the first entry that is there from a number on.
    pub(super) fn slot_of(&self, number: u64) -> Option<Slot> {
        let at = self.slots.partition_point(|slot| slot.end <= number);
        let mut rest = self.slots.range(at..);
        rest.find(|slot| slot.kind == Kind::Entries).copied()
    }

    /// Gives up slots whose entries are released, but for so many of the newest, and the very newest in any case: it says
    /// which number comes next.
    pub(super) fn doom_released(&mut self, kept: usize) {
        let mut bytes: u64 = self.slots.iter().map(|slot| slot.bytes).sum();
        while self.slots.len() > 1 && (self.slots.len() > kept || bytes > MOST_KEPT_BYTES) {
            let released = |slot: &mut Slot| slot.end <= self.released + 1;
            let Some(slot) = self.slots.pop_front_if(released) else {
                return;
            };
            bytes -= slot.bytes;
            if slot.kind == Kind::Entries {
                self.doomed.push_back(slot.slot);
            }
        }
    }
}
