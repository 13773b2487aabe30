//! The model of guards: how much a version may differ from what is served.
//!
//! Owns: counting records by the model, and what follows from limits for the way from one version to another.
//! Never: asks a consumer, or reads what the log says of a version.

use std::collections::{BTreeMap, BTreeSet};

use grotto_consumer::Guards;
use grotto_state::State;

use super::ledger::{Committed, Content, Ledger};

/// Records by type.
pub(crate) type Counts = BTreeMap<&'static str, u64>;

/// Limits of a consumer, by records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) growth: f64,
    pub(crate) shrink: f64,
    /// Fewer records than these are not compared.
    pub(crate) least: u64,
    /// Growth by these is let pass.
    pub(crate) least_growth: u64,
}

/// Records of a version by the model, of types that are kept.
pub(crate) fn counts(content: &Content, keeps: impl Fn(&str) -> bool) -> Counts {
    let (mut counts, mut names) = (Counts::new(), BTreeSet::new());
    for ((type_name, _), (_, text)) in content.iter().filter(|((name, _), _)| keeps(name)) {
        *counts.entry(*type_name).or_default() += 1;
        if *type_name == "City" {
            names.insert(text);
        }
    }
    if !names.is_empty() {
        counts.insert("Name", names.len() as u64);
    }
    counts
}

/// Whether a state has the records of a type.
pub(crate) fn keeps(state: &State, type_name: &str) -> bool {
    state.type_id(type_name).is_ok()
}

impl Limits {
    pub(crate) fn guards(&self) -> Guards {
        Guards {
            max_growth: self.growth,
            max_shrink: self.shrink,
            min_records: self.least,
            min_growth: self.least_growth,
            min_bytes: u64::MAX,
            ..Guards::default()
        }
    }

    /// Whether some type differs too much.
    pub(crate) fn are_past(&self, before: &Counts, after: &Counts) -> bool {
        before.iter().any(|(name, before)| {
            let after = after.get(name).copied().unwrap_or(0);
            self.is_past(*before, after)
        })
    }

    pub(crate) fn is_past(&self, before: u64, after: u64) -> bool {
        if before == 0 || before < self.least {
            return false;
        }
        let times = after as f64 / before as f64;
        let grew = times >= self.growth && after.saturating_sub(before) > self.least_growth;
        grew || times <= self.shrink
    }
}

/// What a consumer with limits served at a moment.
#[derive(Clone, Debug)]
pub(crate) struct ServedAt {
    /// How often the dataset had been created anew, and the version.
    pub(crate) at: (u64, u64),
    pub(crate) checksum: u64,
    pub(crate) counts: Counts,
}

impl Ledger {
    /// Whether limits let a version be served after another: it differs little, somebody accepted it, or it is
    /// reached over versions of which each could be served after one before it.
    pub(crate) fn is_reached(
        &self,
        limits: &Limits,
        before: &ServedAt,
        to: &Committed,
        keeps: impl Fn(&str) -> bool + Copy,
    ) -> bool {
        let mut reached = vec![before.counts.clone()];
        let (version, checksum) = (to.entry.version, to.entry.state_checksum);
        let until = (to.era, version);
        for passed in self.between(before.at, until) {
            let found = counts(&passed.content, keeps);
            let within = reached.iter().any(|from| !limits.are_past(from, &found));
            if within || self.is_accepted(&passed.entry) {
                let there = (passed.era, passed.entry.version) == until;
                if there && passed.entry.state_checksum == checksum {
                    return true;
                }
                reached.push(found);
            }
        }
        false
    }

    /// Whether anything that ever was a version is past limits, as seen from what is served or from what ever was the
    /// version before it.
    pub(crate) fn is_jump(
        &self,
        limits: &Limits,
        served: &Counts,
        version: u64,
        keeps: impl Fn(&str) -> bool + Copy,
    ) -> bool {
        let counted = |committed: &Committed| counts(&committed.content, keeps);
        let before = self.all_of(version.saturating_sub(1)).map(counted);
        let before: Vec<Counts> = before.chain([served.clone()]).collect();
        self.all_of(version).map(counted).any(|after| {
            let mut before = before.iter();
            before.any(|before| limits.are_past(before, &after))
        })
    }
}
