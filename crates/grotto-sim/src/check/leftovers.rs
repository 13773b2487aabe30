//! What failed attempts may leave in the store, and nothing else may.
//!
//! Owns: which attempt each blob was put for, and how often that failed. Never: looks into a blob.
//!
//! A blob has its name before anything names it, so an attempt that fails leaves some. What must not be: a
//! version that is in the log leaves blobs that it does not name, or one reason makes many snapshots.

use std::collections::{BTreeMap, BTreeSet};

use object_store::path::Path;

use super::Ledger;
use crate::sim::{DATASET, is_acceptance};

/// What a blob was put for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    /// A step of the attempt with this token.
    Step(u64),
    /// A snapshot of a version, by a process.
    Snapshot(u64, String),
}

#[derive(Debug, Default)]
struct Tried {
    paths: BTreeSet<Path>,
    /// Puts that were not answered, or with an error.
    failed: u64,
    /// Snapshots that somebody wanted.
    ordered: u64,
}

/// All blobs that were ever put.
#[derive(Debug, Default)]
pub(crate) struct Leftovers(BTreeMap<Purpose, Tried>);

impl Leftovers {
    /// A process puts an object; what for, if it is a blob.
    pub(crate) fn put(&mut self, ledger: &Ledger, who: &str, path: &Path) -> Option<Purpose> {
        let purpose = match folder(path)? {
            "delta" | "reverse" => Purpose::Step(ledger.token_of(who)?),
            "snapshot" => Purpose::Snapshot(version(path)?, who.to_owned()),
            _ => return None,
        };
        let tried = self.0.entry(purpose.clone()).or_default();
        tried.paths.insert(path.clone());
        Some(purpose)
    }

    /// A put was not answered, or with an error.
    pub(crate) fn failed(&mut self, purpose: Purpose) {
        self.0.entry(purpose).or_default().failed += 1;
    }

    /// Somebody wants a snapshot.
    pub(crate) fn ordered(&mut self, who: &str, version: u64) {
        let purpose = Purpose::Snapshot(version, who.to_owned());
        self.0.entry(purpose).or_default().ordered += 1;
    }

    /// What of the objects in the store should not be there.
    pub(crate) fn surplus(&self, ledger: &Ledger, objects: &[Path]) -> Vec<String> {
        let named = ledger.named();
        let objects: BTreeSet<&Path> = objects.iter().collect();
        let mut found: Vec<String> = self
            .0
            .iter()
            .filter_map(|(purpose, tried)| {
                let there = tried.paths.iter().filter(|path| objects.contains(path));
                let (left, allowed) = match purpose {
                    Purpose::Step(token) => {
                        let spare = there.filter(|path| !named.contains(path.as_ref()));
                        let own = if ledger.is_standing(*token) { 0 } else { 2 };
                        (spare.count() as u64, own + 2 * tried.failed)
                    }
                    // One when it is due, and one that a new start names.
                    Purpose::Snapshot(..) => {
                        (there.count() as u64, 2 + tried.ordered + tried.failed)
                    }
                };
                let what = || format!("{left} blobs for {purpose:?}, expected {allowed} at most");
                (left > allowed).then(what)
            })
            .collect();
        let known: BTreeSet<&Path> = self.0.values().flat_map(|tried| &tried.paths).collect();
        let strange = objects
            .into_iter()
            .filter(|path| !known.contains(path) && !is_document(path));
        found.extend(strange.map(|path| format!("{path} is for nothing")));
        found
    }
}

/// The folder of an object of the dataset.
fn folder(path: &Path) -> Option<&str> {
    let below = path.as_ref().strip_prefix(DATASET)?.strip_prefix('/')?;
    below.split('/').next()
}

/// The version that leads a name.
fn version(path: &Path) -> Option<u64> {
    path.filename()?.get(..20)?.parse().ok()
}

/// Objects of which there is one for a version, or one in all; probes are counted elsewhere.
fn is_document(path: &Path) -> bool {
    let name = path.filename().unwrap_or_default();
    match folder(path) {
        Some("log" | "snapshots" | "collected") => version(path).is_some() && name.len() == 25,
        Some("consumers") => true,
        Some("control") if is_acceptance(path) => version(path).is_some(),
        Some("control") => name == "leader.json" || name.starts_with("probe-"),
        _ => false,
    }
}
