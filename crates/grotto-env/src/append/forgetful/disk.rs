//! What is in memory and what is on the disk.
//!
//! Owns: bytes and names in both, and what is left of them when the host goes down. Never: decides when.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::FileOperation;
use crate::{Random, SeededRandom};

#[derive(Debug)]
pub(super) struct Disk {
    pub(super) folders: BTreeSet<PathBuf>,
    /// Names as processes see them.
    pub(super) names: BTreeMap<PathBuf, u64>,
    /// Names that are on the disk.
    synced_names: BTreeMap<PathBuf, u64>,
    /// Changes of names that may be lost, in order.
    changes: Vec<Name>,
    files: BTreeMap<u64, File>,
    numbers: u64,
    pub(super) locked: BTreeSet<u64>,
    /// Rises with every process.
    pub(super) process: u64,
    pub(super) operations: u64,
    pub(super) fails_at: Option<u64>,
    pub(super) fails_next: BTreeMap<FileOperation, u64>,
    pub(super) dies_at: Option<u64>,
    pub(super) is_dead: bool,
    pub(super) capacity: Option<u64>,
    random: SeededRandom,
}

#[derive(Debug, Default)]
struct File {
    /// Bytes as processes see them.
    bytes: Vec<u8>,
    /// Bytes that are on the disk.
    synced: Vec<u8>,
    /// Where bytes differ from those on the disk, and will be written there by the next sync.
    dirty: Option<Range<usize>>,
    /// Bytes that a failed sync dropped: the disk never gets them.
    dropped: Vec<Range<usize>>,
}

/// A change of names.
#[derive(Clone, Debug)]
pub(super) enum Name {
    Create(PathBuf, u64),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf, u64),
}

impl Name {
    fn folder(&self) -> Option<&Path> {
        match self {
            Self::Create(path, _) | Self::Remove(path) | Self::Rename(path, ..) => path.parent(),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Create(path, number) => _ = names.insert(path.clone(), *number),
            Self::Remove(path) => _ = names.remove(path),
            Self::Rename(from, to, number) => {
                names.remove(from);
                names.insert(to.clone(), *number);
            }
        }
    }
}

impl Disk {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            folders: BTreeSet::new(),
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            changes: Vec::new(),
            files: BTreeMap::new(),
            numbers: 0,
            locked: BTreeSet::new(),
            process: 1,
            operations: 0,
            fails_at: None,
            fails_next: BTreeMap::new(),
            dies_at: None,
            is_dead: false,
            capacity: None,
            random: SeededRandom::new(seed),
        }
    }

    /// A number below another one.
    pub(super) fn below(&self, most: usize) -> usize {
        (self.random.next_u64() % most.max(1) as u64) as usize
    }

    pub(super) fn toss(&self) -> bool {
        self.below(2) == 0
    }

    /// Counts an operation. An error that it gives back is the end of one that may be done in part.
    pub(super) fn enter(&mut self, kind: FileOperation) -> io::Result<Option<io::Error>> {
        if self.is_dead {
            return Err(io::Error::other("the process is dead"));
        }
        self.operations += 1;
        if self.dies_at == Some(self.operations) {
            self.is_dead = true;
            return Ok(Some(io::Error::other("the process dies")));
        }
        let due = match self.fails_next.get_mut(&kind) {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        };
        if due {
            self.fails_next.remove(&kind);
        }
        let fails = due || self.fails_at == Some(self.operations);
        Ok(fails.then(|| io::Error::other(format!("{kind:?} was told to fail"))))
    }

    pub(super) fn restart(&mut self) {
        self.process += 1;
        self.is_dead = false;
        self.locked.clear();
        (self.fails_at, self.dies_at) = (None, None);
        self.fails_next.clear();
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<u64> {
        if path
            .parent()
            .is_none_or(|folder| !self.folders.contains(folder))
        {
            return Err(ErrorKind::NotFound.into());
        }
        self.numbers += 1;
        self.files.insert(self.numbers, File::default());
        self.name(Name::Create(path.to_owned(), self.numbers));
        Ok(self.numbers)
    }

    pub(super) fn name(&mut self, change: Name) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    pub(super) fn number(&self, path: &Path) -> io::Result<u64> {
        let number = self.names.get(path).copied();
        number.ok_or_else(|| ErrorKind::NotFound.into())
    }

    pub(super) fn bytes(&self, path: &Path) -> io::Result<&[u8]> {
        let file = self.files.get(&self.number(path)?);
        file.map(|file| &*file.bytes)
            .ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn used(&self) -> u64 {
        let named = self
            .names
            .values()
            .filter_map(|number| self.files.get(number));
        named.map(|file| file.bytes.len() as u64).sum()
    }

    pub(super) fn append(&mut self, number: u64, bytes: &[u8]) -> io::Result<()> {
        let room = self.capacity.map(|most| most.saturating_sub(self.used()));
        let room = room.map_or(usize::MAX, |room| {
            usize::try_from(room).unwrap_or(usize::MAX)
        });
        if let Some(file) = self.files.get_mut(&number) {
            file.append(&bytes[..bytes.len().min(room)]);
        }
        if bytes.len() > room {
            return Err(ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    pub(super) fn truncate(&mut self, number: u64, length: u64) {
        if let Some(file) = self.files.get_mut(&number) {
            file.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        }
    }

    pub(super) fn sync(&mut self, number: u64, succeeds: bool) {
        if let Some(file) = self.files.get_mut(&number) {
            file.sync(succeeds);
        }
    }

    pub(super) fn sync_folder(&mut self, folder: &Path) {
        let (here, elsewhere) = std::mem::take(&mut self.changes)
            .into_iter()
            .partition(|change| change.folder() == Some(folder));
        self.changes = elsewhere;
        for change in here {
            change.apply(&mut self.synced_names);
        }
    }

    pub(super) fn write(&mut self, path: &Path, bytes: &[u8]) {
        self.numbers += 1;
        let file = File {
            bytes: bytes.to_vec(),
            synced: bytes.to_vec(),
            ..File::default()
        };
        self.files.insert(self.numbers, file);
        let created = Name::Create(path.to_owned(), self.numbers);
        created.apply(&mut self.names);
        created.apply(&mut self.synced_names);
    }

    /// Loses what was not synced: some times all of it, some times none, some times any part.
    pub(super) fn lose(&mut self) -> u64 {
        let (kept, mut lost) = (self.below(3), 0);
        for change in std::mem::take(&mut self.changes) {
            if kept == 1 || (kept == 2 && self.toss()) {
                change.apply(&mut self.synced_names);
            } else {
                lost += 1;
            }
        }
        self.names = self.synced_names.clone();
        let mut files = std::mem::take(&mut self.files);
        files.retain(|number, _| self.names.values().any(|named| named == number));
        for file in files.values_mut() {
            let (how, at) = (self.below(4), self.below(file.bytes.len() + 1));
            lost += u64::from(file.lose(how, at));
        }
        self.files = files;
        lost
    }
}

impl File {
    fn append(&mut self, bytes: &[u8]) {
        let start = self
            .dirty
            .as_ref()
            .map_or(self.bytes.len(), |dirty| dirty.start);
        self.bytes.extend_from_slice(bytes);
        self.dirty = Some(start.min(self.bytes.len())..self.bytes.len());
    }

    fn truncate(&mut self, length: usize) {
        let length = length.min(self.bytes.len());
        self.bytes.truncate(length);
        let start = self.dirty.as_ref().map_or(length, |dirty| dirty.start);
        self.dirty = Some(start.min(length)..length);
    }

    fn sync(&mut self, succeeds: bool) {
        let Some(dirty) = self.dirty.take() else {
            return;
        };
        if succeeds {
            self.synced = self.with_holes();
        } else {
            self.dropped.push(dirty);
        }
    }

    /// The bytes, with zeros where a sync dropped them.
    fn with_holes(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for dropped in &self.dropped {
            let end = dropped.end.min(bytes.len());
            if let Some(hole) = bytes.get_mut(dropped.start..end) {
                hole.fill(0);
            }
        }
        bytes
    }

    /// What is left when the host goes down: what was synced, all, or all before or behind a place. Tells whether
    /// that is less than there was.
    fn lose(&mut self, how: usize, at: usize) -> bool {
        let all = self.with_holes();
        let from = self.dirty.as_ref().map(|dirty| dirty.start);
        let left = match (how, from) {
            (0, _) | (_, None) => self.synced.clone(),
            (1, _) => all,
            (2, Some(from)) => all[..at.clamp(from.min(all.len()), all.len())].to_vec(),
            (_, Some(from)) => {
                let mut left = all;
                let end = at.clamp(from, left.len().max(from));
                left.get_mut(from..end).unwrap_or_default().fill(0);
                left
            }
        };
        let is_less = left != self.bytes;
        *self = Self {
            bytes: left.clone(),
            synced: left,
            ..Self::default()
        };
        is_less
    }
}
