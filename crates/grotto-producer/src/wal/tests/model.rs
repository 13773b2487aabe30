//! Random use under random faults, compared with a list of what was acknowledged.
//!
//! What was acknowledged or read once is there from then on, under its number, until it is released. What an
//! append failed with may be there after a new start, once, or never.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use grotto_env::{FileOperation, ForgetfulFiles, Random as _, SeededRandom};

use super::kit::{open, serial};
use crate::ErrorKind;
use crate::wal::{Wal, WalEntry, WalOptions};

pub(super) struct Model {
    pub(super) files: ForgetfulFiles,
    pub(super) wal: Option<Wal>,
    options: WalOptions,
    /// Acknowledged or seen, by number.
    known: BTreeMap<u64, Arc<WalEntry>>,
    /// Appends that failed and none worked since: one of them may turn up at the next start.
    doubtful: Vec<Vec<Arc<WalEntry>>>,
    /// Of appends that failed before: they must not turn up any more.
    gone: BTreeSet<u64>,
    /// Whether the log could not copy its last group when it was opened, which it does not show until it can.
    hides: bool,
    released: u64,
    serials: u64,
}

fn serial_of(entry: &WalEntry) -> u64 {
    entry.changes[0].position()
}

impl Model {
    pub(super) fn new(files: ForgetfulFiles, options: WalOptions) -> Self {
        Self {
            files,
            wal: None,
            options,
            known: BTreeMap::new(),
            doubtful: Vec::new(),
            gone: BTreeSet::new(),
            hides: false,
            released: 0,
            serials: 0,
        }
    }

    fn last(&self) -> u64 {
        self.known.keys().last().copied().unwrap_or_default()
    }

    /// Opens it, in spite of faults if there are any; whether that worked.
    pub(super) fn open(&mut self) -> bool {
        match open(&self.files, self.options.clone()) {
            Ok((wal, recovery)) => {
                assert_eq!(recovery.lost, []);
                self.hides = wal.failed().is_some();
                self.wal = Some(wal);
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
                false
            }
        }
    }

    /// Opens it without faults, and looks at all that is there.
    pub(super) fn recover(&mut self) {
        self.files.set_capacity(None);
        assert!(self.open(), "a log cannot be opened");
        self.check(true);
    }

    pub(super) fn append(&mut self, lengths: &[usize]) {
        let Some(wal) = &self.wal else { return };
        let entries: Vec<Arc<WalEntry>> = lengths
            .iter()
            .map(|length| {
                self.serials += 1;
                serial(self.serials, *length)
            })
            .collect();
        match wal.append(&entries) {
            Ok(numbers) => {
                assert_eq!(wal.failed(), None);
                assert_eq!(numbers.clone().count(), entries.len());
                if std::mem::take(&mut self.hides) {
                    self.find(*numbers.start() - 1);
                }
                self.give_up();
                assert_eq!(*numbers.start(), self.last() + 1);
                self.known.extend(numbers.zip(entries));
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
                assert!(wal.failed().is_some());
                self.doubtful.push(entries);
            }
        }
    }

    pub(super) fn release(&mut self, through: u64) {
        let Some(wal) = &self.wal else { return };
        self.released = self.released.max(through.min(wal.last()));
        if let Err(error) = wal.release(through) {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        }
    }

    /// Takes in what turned up at a new start, up to an entry: one of the appends that failed, whole, or nothing.
    fn find(&mut self, to: u64) {
        let wal = self.wal.as_ref().unwrap();
        let mut read = wal.read(self.last() + 1, usize::MAX).unwrap();
        read.retain(|read| read.number <= to);
        let Some(first) = read.first() else { return };
        assert_eq!(first.number, self.last() + 1, "an entry is missing");
        let is_it = |group: &Vec<Arc<WalEntry>>| {
            group.len() == read.len() && group.iter().zip(&read).all(|(e, read)| **e == read.entry)
        };
        let at = self.doubtful.iter().position(is_it);
        let at = at.unwrap_or_else(|| panic!("entries that nobody appended: {read:?}"));
        let group = self.doubtful.remove(at);
        self.known
            .extend(read.iter().map(|read| read.number).zip(group));
    }

    /// What failed must not turn up any more.
    fn give_up(&mut self) {
        let entries = self.doubtful.drain(..).flatten();
        self.gone.extend(entries.map(|entry| serial_of(&entry)));
    }

    /// Compares all that is there with all that must be; after a new start, more may be.
    pub(super) fn check(&mut self, is_new_start: bool) {
        let Some(wal) = &self.wal else { return };
        let read = wal
            .read(self.last() + 1, 0)
            .and_then(|_| wal.read(0, usize::MAX));
        let read = match read {
            Ok(read) => read,
            Err(error) => return assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}"),
        };
        self.hides = false;
        for pair in read.windows(2) {
            assert_eq!(pair[0].number + 1, pair[1].number, "a gap");
        }
        let known = self
            .known
            .range(self.released + 1..)
            .map(|(number, _)| *number);
        let mut missing: BTreeSet<u64> = known.collect();
        for read in &read {
            missing.remove(&read.number);
            if let Some(known) = self.known.get(&read.number) {
                assert_eq!(**known, read.entry, "another entry {}", read.number);
            }
        }
        assert_eq!(missing, BTreeSet::new(), "entries are lost");
        let newest = read.last().map_or(0, |read| read.number);
        if is_new_start {
            self.find(newest);
            self.give_up();
        }
        assert!(newest <= self.last(), "entries that nobody appended");
        self.check_keys();
    }

    fn check_keys(&self) {
        let wal = self.wal.as_ref().unwrap();
        for serial in &self.gone {
            assert_eq!(wal.known_key(&format!("key {serial}")), None);
        }
        for (number, entry) in &self.known {
            assert_eq!(wal.known_key(entry.key.as_ref().unwrap()), Some(*number));
        }
    }
}

/// One operation on the log, or on what it runs on.
fn step(model: &mut Model, random: &SeededRandom) {
    let below = |most: u64| random.next_u64() % most;
    match below(20) {
        0..=9 => {
            let count = 1 + below(3);
            let lengths: Vec<usize> = (0..count).map(|_| 8 + below(400) as usize).collect();
            model.append(&lengths);
        }
        10..=11 => model.release(below(model.last() + 2)),
        12..=13 => model.check(false),
        14 => {
            let kinds = [
                FileOperation::Create,
                FileOperation::Look,
                FileOperation::Append,
                FileOperation::Sync,
                FileOperation::Truncate,
                FileOperation::Name,
                FileOperation::SyncFolder,
            ];
            let kind = kinds[below(kinds.len() as u64) as usize];
            model.files.fail_next(kind, below(3));
        }
        15 => model.files.die_at(model.files.operations() + 1 + below(30)),
        16 => {
            let room = model.wal.as_ref().map_or(0, Wal::bytes) + below(1500);
            model.files.set_capacity(Some(room));
        }
        17 => model.files.set_capacity(None),
        _ => {
            model.wal = None;
            if below(2) == 0 {
                model.files.restart();
            } else {
                model.files.reboot();
            }
            if below(3) == 0 {
                // It may die, or the disk be full, while it starts.
                model.files.die_at(model.files.operations() + 1 + below(40));
                model.open();
                model.wal = None;
                model.files.restart();
            }
            model.recover();
        }
    }
}

fn run(seed: u64, steps: usize) {
    let random = SeededRandom::new(seed);
    let options = super::kit::small();
    let mut model = Model::new(ForgetfulFiles::new(seed ^ 0xd15c), options);
    model.recover();
    for _ in 0..steps {
        step(&mut model, &random);
    }
    model.wal = None;
    model.files.reboot();
    model.recover();
    model.append(&[8]);
    model.check(false);
}

#[test]
fn whatever_fails_nothing_acknowledged_is_lost_or_doubled() {
    for seed in 0..1_000 {
        let caught = std::panic::catch_unwind(|| run(seed, 60));
        if let Err(panic) = caught {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
