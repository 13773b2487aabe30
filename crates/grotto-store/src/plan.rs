//! Planning: the cheapest blobs that lead from one version to another.
//!
//! Owns: the choice. Never: IO, or a version that the log did not name; it is pure.
//!
//! Versions are nodes; deltas, reverse deltas and fences are edges; a snapshot is an edge from
//! anywhere. Cost is bytes to fetch and, told in bytes too, the time spent waiting for answers:
//! [`PlanWeights`].

mod step;
#[cfg(test)]
mod tests;
mod weights;

pub use step::Step;
pub use weights::PlanWeights;
pub(crate) use weights::REQUESTS_AT_ONCE;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use grotto_format::log::{BlobKind, BlobRef, EntryKind, Link, LogEntry};

use crate::source::Source;

/// The steps from the current version to the target, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What to do; empty if the target is already reached.
    pub steps: Vec<Step>,
    /// Bytes to fetch.
    pub bytes: u64,
}

/// Bytes of blobs from log entries that are kept for when a plan needs them. What is past that is asked
/// for again: a long log of large entries must not fill the memory of somebody who plans.
const MOST_HELD: u64 = 4 << 20;

/// One step of the state, as the planner knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Transition {
    /// The oldest version with the same state as `from`.
    since: u64,
    from: u64,
    version: u64,
    delta: Option<Source>,
    reverse: Option<Source>,
}

impl Transition {
    fn of(link: &Link) -> Self {
        Self {
            since: link.since,
            from: link.from,
            version: link.version(),
            delta: Source::linked(link, BlobKind::Delta),
            reverse: Source::linked(link, BlobKind::Reverse),
        }
    }

    /// Bytes of its blobs that are here.
    fn held(&self) -> u64 {
        let blobs = self.delta.iter().chain(&self.reverse);
        blobs.map(Source::held).sum()
    }
}

/// What is known of a dataset's past: the input of planning.
#[derive(Clone, Debug, Default)]
pub struct Known {
    transitions: BTreeMap<u64, Transition>,
    snapshots: BTreeMap<(u64, String), Source>,
    /// Ranges of versions that share one state.
    same: BTreeSet<(u64, u64)>,
    excluded: BTreeSet<String>,
    /// Bytes of blobs that are held.
    held: u64,
}

impl Known {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Learns everything that a log entry tells.
    pub fn learn_entry(&mut self, entry: &LogEntry) {
        for link in &entry.links.0 {
            self.learn_link(link);
        }
        if let Some(link) = entry.own_link() {
            self.learn_own(entry, link);
        }
        if entry.kind != EntryKind::Commit {
            self.same.insert((entry.state_version, entry.version));
        }
        if let Some(snapshot) = &entry.snapshot {
            self.learn_snapshot(snapshot.version, &snapshot.blob);
        }
    }

    /// The entry of a step says more of it than a link does: checksums, or the blobs themselves.
    fn learn_own(&mut self, entry: &LogEntry, link: &Link) {
        let own = Transition {
            delta: Source::of(entry, BlobKind::Delta),
            reverse: Source::of(entry, BlobKind::Reverse),
            ..Transition::of(link)
        };
        let before = self.transitions.get(&own.version);
        let held = self.held - before.map_or(0, Transition::held) + own.held();
        if held > MOST_HELD {
            self.learn_link(link);
            return;
        }
        self.held = held;
        self.transitions.insert(own.version, own);
    }

    /// Learns one step of the state.
    pub fn learn_link(&mut self, link: &Link) {
        self.same.insert((link.since, link.from));
        self.transitions
            .entry(link.version())
            .or_insert_with(|| Transition::of(link));
    }

    /// Learns of a snapshot.
    pub fn learn_snapshot(&mut self, version: u64, blob: &BlobRef) {
        self.snapshots
            .insert((version, blob.name.clone()), Source::from(blob));
    }

    /// Never plans with the blob of this name again: it was missing or damaged.
    pub fn exclude(&mut self, blob_name: impl Into<String>) {
        self.excluded.insert(blob_name.into());
    }

    fn usable(&self, blob: &Source) -> bool {
        !self.excluded.contains(blob.name())
    }
}

/// The cheapest plan from `current` (`None`: the empty state, version 0) to the state of `target`,
/// with what `target` itself tells added to `known`.
pub fn plan_to_entry(current: Option<u64>, target: &LogEntry, known: &Known) -> Option<Plan> {
    let mut known = known.clone();
    known.learn_entry(target);
    plan(current, target.version, &known, PlanWeights::default())
}

/// The cheapest plan from `current` (`None`: the empty state, version 0) to `target`, forward or
/// back; `None` if no known blobs lead there. Of what costs the same, fewer bytes and then fewer steps, and
/// of these the one without a snapshot.
pub fn plan(
    current: Option<u64>,
    target: u64,
    known: &Known,
    weights: PlanWeights,
) -> Option<Plan> {
    let start = current.unwrap_or(0);
    let routes = routes_to(target, &edges(start, target, known));
    let direct = routes.get(&start).map(|route| Candidate {
        snapshot: None,
        start,
        bytes: route.bytes,
        steps: route.steps,
        requests: route.requests,
    });
    let usable = known
        .snapshots
        .iter()
        .filter(|(_, blob)| known.usable(blob));
    let loaded = usable.filter_map(|((version, _), blob)| {
        routes.get(version).map(|route| Candidate {
            snapshot: Some(blob),
            start: *version,
            bytes: route.bytes.saturating_add(blob.length()),
            steps: route.steps + 1,
            requests: route.requests + 1,
        })
    });
    let candidates: Vec<Candidate<'_>> = direct.into_iter().chain(loaded).collect();
    let cost = |way: &&Candidate<'_>| (weights.cost(way.bytes, way.requests), way.bytes, way.steps);
    let chosen = candidates.iter().min_by_key(cost)?;
    Some(chosen.into_plan(&routes))
}

/// A way to begin: from where we are, or from a snapshot.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    snapshot: Option<&'a Source>,
    start: u64,
    bytes: u64,
    steps: usize,
    requests: u64,
}

impl Candidate<'_> {
    fn into_plan(self, routes: &BTreeMap<u64, Route<'_>>) -> Plan {
        let mut steps = Vec::with_capacity(self.steps);
        if let Some(blob) = self.snapshot {
            steps.push(Step::Snapshot {
                version: self.start,
                blob: blob.clone(),
            });
        }
        let mut at = self.start;
        while let Some(edge) = routes.get(&at).and_then(|route| route.next) {
            push_merged(&mut steps, edge.step());
            at = edge.to;
        }
        Plan {
            steps,
            bytes: self.bytes,
        }
    }
}

/// Neighbouring skips become one.
fn push_merged(steps: &mut Vec<Step>, step: Step) {
    if let (Some(Step::Skip { to, .. }), Step::Skip { to: further, .. }) = (steps.last_mut(), &step)
    {
        *to = *further;
        return;
    }
    steps.push(step);
}

#[derive(Clone, Copy)]
struct Edge<'a> {
    from: u64,
    to: u64,
    /// `None` for a fence.
    blob: Option<&'a Source>,
}

impl Edge<'_> {
    fn bytes(&self) -> u64 {
        self.blob.map_or(0, Source::length)
    }

    fn step(&self) -> Step {
        let (from, to) = (self.from, self.to);
        match self.blob.cloned() {
            None => Step::Skip { from, to },
            Some(blob) if from < to => Step::Delta { from, to, blob },
            Some(blob) => Step::Reverse { from, to, blob },
        }
    }
}

/// All usable edges, by the version they lead to.
fn edges<'a>(start: u64, target: u64, known: &'a Known) -> BTreeMap<u64, Vec<Edge<'a>>> {
    let mut into: BTreeMap<u64, Vec<Edge<'a>>> = BTreeMap::new();
    let mut add = |from, to, blob: Option<&'a Source>| {
        if blob.is_none_or(|blob| known.usable(blob)) {
            into.entry(to).or_default().push(Edge { from, to, blob });
        }
    };
    let mut nodes = BTreeSet::from([start, target]);
    nodes.extend(known.snapshots.keys().map(|(version, _)| *version));
    for transition in known.transitions.values() {
        let (from, version) = (transition.from, transition.version);
        nodes.extend([transition.since, from, version]);
        if let Some(delta) = &transition.delta {
            add(from, version, Some(delta));
        }
        if let Some(reverse) = &transition.reverse {
            add(version, from, Some(reverse));
        }
    }
    // Only versions that something leads to are nodes: a range may be as long as it likes.
    for (first, last) in &known.same {
        let within: Vec<u64> = nodes.range(first..=last).copied().collect();
        for pair in within.windows(2) {
            if let [low, high] = *pair {
                add(low, high, None);
                add(high, low, None);
            }
        }
    }
    into
}

/// The best way from a version to the target.
struct Route<'a> {
    bytes: u64,
    steps: usize,
    requests: u64,
    next: Option<Edge<'a>>,
}

/// Shortest paths to `target` from everywhere, walked backwards from it.
fn routes_to<'a>(target: u64, edges: &BTreeMap<u64, Vec<Edge<'a>>>) -> BTreeMap<u64, Route<'a>> {
    let mut routes = BTreeMap::new();
    let mut queue = BinaryHeap::from([Reverse((0_u64, 0_usize, target))]);
    routes.insert(
        target,
        Route {
            bytes: 0,
            steps: 0,
            requests: 0,
            next: None,
        },
    );
    while let Some(Reverse((bytes, steps, at))) = queue.pop() {
        let Some(here) = routes.get(&at) else {
            continue;
        };
        if (here.bytes, here.steps) != (bytes, steps) {
            continue; // a better way was found after this was queued
        }
        let requests = here.requests;
        for edge in edges.get(&at).into_iter().flatten() {
            let cost = (bytes.saturating_add(edge.bytes()), steps + 1);
            let known = routes.get(&edge.from);
            if known.is_none_or(|route| cost < (route.bytes, route.steps)) {
                let route = Route {
                    bytes: cost.0,
                    steps: cost.1,
                    requests: requests + u64::from(edge.blob.is_some_and(Source::needs_request)),
                    next: Some(*edge),
                };
                routes.insert(edge.from, route);
                queue.push(Reverse((cost.0, cost.1, edge.from)));
            }
        }
    }
    routes
}
