//! Guards: what keeps a version that is suspicious, or too large, from being served.
//!
//! Owns: the limits, and whether a version is within them. Never: fetches anything; `hold` decides with these
//! what a refresh does.
//!
//! **Invariant**: a version that is past a limit is not served, not even for a moment, before somebody
//! accepts it. What is served stays, and every newer version is compared with it anew.

mod hold;
mod size;
mod steps;
mod told;
mod way;

use hold::MOST_STEPS;
pub(crate) use hold::{Admitted, Holding, Pass, Refusal};
use size::amount;
pub(crate) use steps::Watch;

use crate::builder::ConsumerBuilder;
use grotto_state::State;
use grotto_store::LogEntry;
use std::collections::BTreeMap;

/// How much a version may differ from the one that is served. One that differs more is held: the served one
/// stays until a newer version is within the limits, or somebody accepts the version for all consumers
/// (`grotto accept`).
///
/// Compared are the records of each type, and the bytes that all of them take with their indexes. The first
/// version that a consumer loads has nothing to be compared with, and a version that was asked for by
/// its number ([`Consumer::refresh_to`](crate::Consumer::refresh_to)) is not compared.
///
/// ```
/// use grotto_consumer::Guards;
///
/// let guards = Guards { max_growth: 1.5, ..Guards::default() };
/// assert_eq!(guards.max_shrink, 0.1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guards {
    /// A version with so many times what is served, or more, is held; 2 unless set. `f64::INFINITY` holds
    /// none.
    pub max_growth: f64,
    /// A version with this share of what is served, or less, is held; 0.1 unless set. A negative number holds
    /// none.
    pub max_shrink: f64,
    /// Types of which fewer records are served are not compared; 1,000 unless set.
    pub min_records: u64,
    /// A version that adds no more records of a type than this is not held for its growth; 20,000 unless set,
    /// what a batch of the pipeline holds at most: a dataset that is filled batch by batch doubles at first.
    pub min_growth: u64,
    /// States are not compared by their bytes where fewer are served; 1 MiB unless set.
    pub min_bytes: u64,
    /// A version that adds no more bytes than this is not held for its growth; 16 MiB unless set.
    pub min_growth_bytes: u64,
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            max_growth: 2.0,
            max_shrink: 0.1,
            min_records: 1_000,
            min_growth: 20_000,
            min_bytes: 1 << 20,
            min_growth_bytes: 16 << 20,
        }
    }
}

impl Guards {
    /// Limits that hold no version.
    #[must_use]
    pub fn none() -> Self {
        Self {
            max_growth: f64::INFINITY,
            max_shrink: -1.0,
            ..Self::default()
        }
    }

    /// What is wrong with a version by what the log says of it; `None` if nothing is.
    fn judge_entry(&self, served: &State, entry: &LogEntry) -> Option<String> {
        self.judge_records(&counts(served), &recorded(entry))
    }

    /// The same of a state that was built.
    pub(crate) fn judge_state(&self, served: &State, built: &State) -> Option<String> {
        let (before, after) = (live_bytes(served), live_bytes(built));
        let by_records = self.judge_records(&counts(served), &counts(built));
        by_records.or_else(|| {
            let changed = self.judge(before, after, self.min_bytes, self.min_growth_bytes)?;
            let (before, after) = (amount(before), amount(after));
            Some(format!(
                "its records take {after} instead of {before}, {changed}"
            ))
        })
    }

    /// The same of a state that versions lead to which each are within the limits by their records, where these
    /// versions were not seen: its bytes may have changed as the number of records did.
    pub(crate) fn judge_gradual(&self, served: &State, built: &State) -> Option<String> {
        let (before, after) = (live_bytes(served), live_bytes(built));
        let (least, most) = self.shares(&counts(served), &counts(built));
        let times = |share: f64| (before as f64 * share) as u64;
        let (least, most) = (times(least), times(most));
        let (expected, changed) = if before < self.min_bytes.max(1) {
            None
        } else if let Some(grown) = self.growth(most, after, self.min_growth_bytes) {
            Some((most, grown))
        } else {
            let compared = (least >= self.min_bytes).then_some(least);
            compared.and_then(|least| Some((least, self.shrinkage(least, after)?)))
        }?;
        let (expected, after) = (amount(expected), amount(after));
        Some(format!(
            "its records take {after} where their number lets {expected} be expected, {changed}"
        ))
    }

    /// By what share the records of some type, or of all, have become fewer, and by what they have become more.
    fn shares(&self, before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> (f64, f64) {
        let total = |counts: &BTreeMap<String, u64>| counts.values().sum::<u64>();
        let types = before
            .iter()
            .map(|(name, before)| (*before, after.get(name).copied().unwrap_or(0)));
        let compared = types.chain([(total(before), total(after))]);
        let compared = compared.filter(|(before, _)| *before >= self.min_records.max(1));
        let shares = compared.map(|(before, after)| after as f64 / before as f64);
        shares.fold((1.0, 1.0), |(least, most): (f64, f64), share| {
            (least.min(share), most.max(share))
        })
    }

    fn judge_records(
        &self,
        before: &BTreeMap<String, u64>,
        after: &BTreeMap<String, u64>,
    ) -> Option<String> {
        before.iter().find_map(|(name, before)| {
            let after = after.get(name).copied().unwrap_or(0);
            let changed = self.judge(*before, after, self.min_records, self.min_growth)?;
            Some(format!(
                "{after} records of {name} instead of {before}, {changed}"
            ))
        })
    }

    /// Which limit a change is past. From nothing there is no growth.
    fn judge(&self, before: u64, after: u64, least: u64, least_growth: u64) -> Option<String> {
        if before == 0 || before < least {
            return None;
        }
        let grown = self.growth(before, after, least_growth);
        grown.or_else(|| self.shrinkage(before, after))
    }

    fn growth(&self, before: u64, after: u64, least_growth: u64) -> Option<String> {
        let (times, most) = (after as f64 / before as f64, self.max_growth);
        let is_past = times >= most && after.saturating_sub(before) > least_growth;
        is_past.then(|| format!("{times:.1} times as many where less than {most} are expected"))
    }

    fn shrinkage(&self, before: u64, after: u64) -> Option<String> {
        let (times, least) = (after as f64 / before as f64, self.max_shrink);
        (times <= least)
            .then(|| format!("a share of {times:.3} where more than {least} is expected"))
    }
}

/// Records by type, by what the log says of a version.
fn recorded(entry: &LogEntry) -> BTreeMap<String, u64> {
    let types = entry.types.iter();
    types.map(|(name, ty)| (name.clone(), ty.records)).collect()
}

fn counts(state: &State) -> BTreeMap<String, u64> {
    let schema = state.schema();
    let named = schema.ids().zip(schema.types());
    named
        .map(|(id, ty)| (ty.name.clone(), state.count(id)))
        .collect()
}

/// Bytes of blocks and pages that the state uses.
fn live_bytes(state: &State) -> u64 {
    state.segments().map(grotto_state::Segment::live).sum()
}

impl ConsumerBuilder {
    /// How much a version may differ from the one that is served before it is held;
    /// [`Guards::default`] unless set.
    #[must_use]
    pub fn guards(mut self, guards: Guards) -> Self {
        self.guards = guards;
        self
    }

    /// The most bytes that the segments of a state may take. One that would take more is refused before it is
    /// built as far as its blob tells, and measured before it is served: what is served stays, and
    /// [`Consumer::status`](crate::Consumer::status) tells what is held and the figures. A first version that does not fit is an error of
    /// the start. On the heap all states that are held count together, also those that readers hold. States of
    /// [other versions](crate::Consumer::state_at) that somebody holds count with them, and with a state directory by
    /// themselves. No limit unless set.
    ///
    /// It bounds what states take, not the process: fetching and decoding a blob needs its length and some
    /// tens of megabytes beside.
    #[must_use]
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = Some(bytes);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(before: u64, after: u64) -> Option<String> {
        Guards::default().judge(before, after, 1_000, 900)
    }

    #[test]
    fn what_doubles_or_drops_to_a_tenth_is_past_the_limits() {
        for (before, after) in [(1_000, 2_000), (1_000, 9_000), (1_000, 100), (5_000, 0)] {
            assert!(judge(before, after).is_some(), "{before} to {after}");
        }
        for (before, after) in [(1_000, 1_999), (1_000, 101), (1_000, 1_000), (5_000, 501)] {
            assert_eq!(judge(before, after), None, "{before} to {after}");
        }
        let told = judge(1_000, 2_500).unwrap();
        assert_eq!(told, "2.5 times as many where less than 2 are expected");
        let told = judge(1_000, 20).unwrap();
        assert_eq!(told, "a share of 0.020 where more than 0.1 is expected");
    }

    #[test]
    fn what_is_small_or_was_nothing_is_not_compared() {
        for (before, after) in [(0, 1_000_000), (1, 999), (999, 5_000), (999, 0), (0, 0)] {
            assert_eq!(judge(before, after), None, "{before} to {after}");
        }
    }

    #[test]
    fn a_dataset_that_is_filled_batch_by_batch_is_never_past_the_limits() {
        let guards = Guards::default();
        for batch in [1, 500, 20_000] {
            for filled in 1..50 {
                let (before, after) = (filled * batch, (filled + 1) * batch);
                let told = guards.judge(before, after, guards.min_records, guards.min_growth);
                assert_eq!(told, None, "{before} to {after}");
            }
        }
        assert!(
            guards
                .judge(20_001, 40_002, guards.min_records, guards.min_growth)
                .is_some()
        );
    }

    #[test]
    fn shares_are_of_types_that_are_large_enough_and_of_all_together() {
        let shares = |types: &[(u64, u64)]| {
            let named = |at: usize| format!("T{at}");
            let before = types.iter().enumerate();
            let after = before.clone().filter(|(_, (_, after))| *after > 0);
            Guards::default().shares(
                &before
                    .map(|(at, (before, _))| (named(at), *before))
                    .collect(),
                &after.map(|(at, (_, after))| (named(at), *after)).collect(),
            )
        };
        assert_eq!(shares(&[]), (1.0, 1.0));
        assert_eq!(shares(&[(1_000, 500), (4_000, 6_000)]), (0.5, 1.5));
        assert_eq!(shares(&[(1_000, 1_000), (2_000, 0)]), (0.0, 1.0));
        // Neither of these by itself.
        assert_eq!(shares(&[(999, 0), (1, 250)]), (0.25, 1.0));
        assert_eq!(shares(&[(999, 0), (1, 1_499)]), (1.0, 1.499));
        assert_eq!(shares(&[(500, 0), (499, 9_000)]), (1.0, 1.0));
        // A type that comes has nothing to be a share of.
        assert_eq!(shares(&[(1_000, 1_000), (0, 500)]), (1.0, 1.5));
    }

    #[test]
    fn no_limits_hold_nothing() {
        for (before, after) in [(1_000, u64::MAX), (u64::MAX, 0), (1_000, 0)] {
            assert_eq!(Guards::none().judge(before, after, 0, 0), None);
        }
    }
}
