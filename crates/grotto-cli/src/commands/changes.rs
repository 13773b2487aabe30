//! How the counts of a version differ from those of the version before.
//!
//! Owns: finding the version before, and the words for a difference. Never: fetches a blob; which records
//! changed is for `diff`.

use grotto::store::{EntryKind, LogEntry, Outline};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What became of the records of one type.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) type_name: String,
    /// How many there are more than before; 0 where some only differ.
    pub(super) records: i64,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.type_name;
        match self.records {
            0 => write!(f, "{name} changed"),
            more => write!(f, "{name} {more:+}"),
        }
    }
}

/// By version, the types that its commit changed, the largest difference first. None of a version whose
/// parent is not there, and of one that only passes the state on.
pub(super) fn changes(outlines: &[Outline]) -> BTreeMap<u64, Vec<Change>> {
    let entries = || outlines.iter().map(Outline::entry);
    let by_version: BTreeMap<u64, &LogEntry> = entries().map(|e| (e.version, e)).collect();
    let commits = entries().filter(|entry| entry.kind == EntryKind::Commit);
    commits
        .filter_map(|entry| {
            let before = by_version.get(&entry.parent).copied();
            (before.is_some() || entry.parent == 0)
                .then(|| (entry.version, differences(before, entry)))
        })
        .collect()
}

fn differences(before: Option<&LogEntry>, entry: &LogEntry) -> Vec<Change> {
    let of = |entry: Option<&LogEntry>, name: &str| {
        let found = entry.and_then(|entry| entry.types.get(name).copied());
        found.unwrap_or_default()
    };
    let all = before.into_iter().chain([entry]);
    let names: BTreeSet<&String> = all.flat_map(|entry| entry.types.keys()).collect();
    let mut changes: Vec<Change> = names
        .into_iter()
        .filter_map(|name| {
            let (old, new) = (of(before, name), of(Some(entry), name));
            let records = i128::from(new.records) - i128::from(old.records);
            (old != new).then(|| Change {
                type_name: name.clone(),
                records: i64::try_from(records).unwrap_or(i64::MAX),
            })
        })
        .collect();
    changes.sort_by_key(|change| std::cmp::Reverse(change.records.unsigned_abs()));
    changes
}
