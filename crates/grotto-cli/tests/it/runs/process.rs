//! What a process has open and takes, as the system tells it.
//!
//! Owns: reading `/proc`. Never: judges.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Counts of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) threads: u64,
    pub(super) files: u64,
    pub(super) maps: u64,
    /// Kilobytes of memory that no file stands behind.
    pub(super) private_kb: u64,
    /// Kilobytes of all memory.
    pub(super) resident_kb: u64,
}

impl Process {
    pub(super) fn of(pid: u32) -> Self {
        let entries = |what: &str| {
            let entries = std::fs::read_dir(format!("/proc/{pid}/{what}")).unwrap();
            entries.count() as u64
        };
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let kb = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let value = line.unwrap().trim().strip_suffix(" kB").unwrap();
            value.parse().unwrap()
        };
        Self {
            threads: entries("task"),
            files: entries("fd"),
            maps: maps(pid).lines().count() as u64,
            private_kb: kb("RssAnon:"),
            resident_kb: kb("VmRSS:"),
        }
    }

    /// The greater of each.
    pub(super) fn most(self, other: Self) -> Self {
        Self {
            threads: self.threads.max(other.threads),
            files: self.files.max(other.files),
            maps: self.maps.max(other.maps),
            private_kb: self.private_kb.max(other.private_kb),
            resident_kb: self.resident_kb.max(other.resident_kb),
        }
    }
}

fn maps(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap()
}

/// Bytes on the disk of the files below a folder that have a name, and how many there are.
pub(super) fn named(folder: &Path) -> (u64, u64) {
    let (mut bytes, mut files) = (0, 0);
    // What is removed meanwhile is not there any more.
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if metadata.is_dir() {
            let below = named(&entry.path());
            (bytes, files) = (bytes + below.0, files + below.1);
        } else {
            (bytes, files) = (bytes + metadata.blocks() * 512, files + 1);
        }
    }
    (bytes, files)
}

/// Bytes of files that were below a folder, have no name any more, and are mapped by one of these processes: each file
/// once.
pub(super) fn nameless(folder: &Path, pids: &[u32]) -> u64 {
    let folder = std::fs::canonicalize(folder).unwrap();
    let folder = folder.to_str().unwrap();
    let mut found = BTreeMap::new();
    for pid in pids {
        for line in maps(*pid).lines() {
            let is_below = line.contains(folder);
            if !(is_below && line.ends_with("(deleted)")) {
                continue;
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            let (from, to) = words[0].split_once('-').unwrap();
            let address = |text| u64::from_str_radix(text, 16).unwrap();
            let offset = address(words[2]);
            let end = offset + address(to) - address(from);
            let length = found.entry(words[4].to_owned()).or_insert(0);
            *length = end.max(*length);
        }
    }
    found.values().sum()
}
