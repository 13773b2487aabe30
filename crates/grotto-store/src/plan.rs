//! Planning: the cheapest blobs that lead from one version to another.
//!
//! Owns: the choice. Never: IO, or a version that the log did not name; it is pure.
//!
//! Versions are nodes; deltas, reverse deltas and fences are edges; a snapshot is an edge from
//! anywhere. Cost is bytes to fetch, then number of steps.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use grotto_format::log::{BlobRef, EntryKind, LogEntry, Transition};

/// A chain of more deltas than this gives way to a snapshot that is not much larger.
pub const LONG_CHAIN: usize = 32;

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Load a whole state; what was held before does not matter.
    Snapshot {
        /// The version it holds.
        version: u64,
        /// The file.
        blob: BlobRef,
    },
    /// Apply a delta.
    Delta {
        /// The version before.
        from: u64,
        /// The version after.
        to: u64,
        /// The file.
        blob: BlobRef,
    },
    /// Apply a reverse delta.
    Reverse {
        /// The version before, the higher one.
        from: u64,
        /// The version after, the lower one.
        to: u64,
        /// The file.
        blob: BlobRef,
    },
    /// Only the version moves: fences lie between, the state is the same.
    Skip {
        /// The version before.
        from: u64,
        /// The version after.
        to: u64,
    },
}

impl Step {
    /// The file to fetch, if the step needs one.
    pub fn blob(&self) -> Option<&BlobRef> {
        match self {
            Self::Snapshot { blob, .. } | Self::Delta { blob, .. } | Self::Reverse { blob, .. } => {
                Some(blob)
            }
            Self::Skip { .. } => None,
        }
    }

    /// The version after the step.
    pub fn to(&self) -> u64 {
        match self {
            Self::Snapshot { version, .. } => *version,
            Self::Delta { to, .. } | Self::Reverse { to, .. } | Self::Skip { to, .. } => *to,
        }
    }
}

/// The steps from the current version to the target, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What to do; empty if the target is already reached.
    pub steps: Vec<Step>,
    /// Bytes to fetch.
    pub bytes: u64,
}

/// What is known of a dataset's past: the input of planning.
#[derive(Clone, Debug, Default)]
pub struct Known {
    transitions: BTreeMap<u64, Transition>,
    snapshots: BTreeSet<(u64, BlobRef)>,
    /// Ranges of versions that share one state.
    same: BTreeSet<(u64, u64)>,
    excluded: BTreeSet<String>,
}

impl Known {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Learns everything that a log entry tells.
    pub fn learn_entry(&mut self, entry: &LogEntry) {
        for transition in &entry.transitions {
            self.learn_transition(transition);
        }
        if entry.kind == EntryKind::Fence {
            self.same.insert((entry.state_version, entry.version));
        }
        if let Some(snapshot) = &entry.snapshot {
            self.learn_snapshot(snapshot.version, snapshot.blob.clone());
        }
    }

    /// Learns one step of the state.
    pub fn learn_transition(&mut self, transition: &Transition) {
        self.same.insert((transition.since, transition.from));
        self.transitions
            .insert(transition.version, transition.clone());
    }

    /// Learns of a snapshot.
    pub fn learn_snapshot(&mut self, version: u64, blob: BlobRef) {
        self.snapshots.insert((version, blob));
    }

    /// Never plans with the blob of this name again: it was missing or damaged.
    pub fn exclude(&mut self, blob_name: impl Into<String>) {
        self.excluded.insert(blob_name.into());
    }

    fn usable(&self, blob: &BlobRef) -> bool {
        !self.excluded.contains(&blob.name)
    }
}

/// The cheapest plan from `current` (`None`: the empty state, version 0) to the state of `target`,
/// with what `target` itself tells added to `known`.
pub fn plan_to_entry(current: Option<u64>, target: &LogEntry, known: &Known) -> Option<Plan> {
    let mut known = known.clone();
    known.learn_entry(target);
    plan(current, target.version, &known)
}

/// The cheapest plan from `current` (`None`: the empty state, version 0) to `target`, forward or
/// back; `None` if no known blobs lead there.
pub fn plan(current: Option<u64>, target: u64, known: &Known) -> Option<Plan> {
    let start = current.unwrap_or(0);
    let routes = routes_to(target, &edges(start, target, known));
    let direct = routes.get(&start).map(|route| Candidate {
        snapshot: None,
        start,
        bytes: route.bytes,
        steps: route.steps,
        deltas: route.deltas,
    });
    let usable = known
        .snapshots
        .iter()
        .filter(|(_, blob)| known.usable(blob));
    let loaded = usable.filter_map(|(version, blob)| {
        routes.get(version).map(|route| Candidate {
            snapshot: Some(blob),
            start: *version,
            bytes: route.bytes.saturating_add(blob.length),
            steps: route.steps + 1,
            deltas: route.deltas,
        })
    });
    let candidates: Vec<Candidate<'_>> = direct.into_iter().chain(loaded).collect();
    choose(&candidates).map(|chosen| chosen.into_plan(&routes))
}

/// A way to begin: from where we are, or from a snapshot.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    snapshot: Option<&'a BlobRef>,
    start: u64,
    bytes: u64,
    steps: usize,
    deltas: usize,
}

/// Fewest bytes; but a long chain costs time per step, so a shorter way may cost up to twice.
fn choose<'a>(candidates: &[Candidate<'a>]) -> Option<Candidate<'a>> {
    let best = *candidates.iter().min_by_key(|c| (c.bytes, c.steps))?;
    if best.deltas <= LONG_CHAIN {
        return Some(best);
    }
    let affordable = |c: &&Candidate<'a>| {
        c.snapshot.is_some() && c.deltas < best.deltas && c.bytes <= best.bytes.saturating_mul(2)
    };
    let shorter = candidates
        .iter()
        .filter(affordable)
        .min_by_key(|c| (c.deltas.max(LONG_CHAIN), c.bytes, c.steps));
    Some(shorter.copied().unwrap_or(best))
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
    blob: Option<&'a BlobRef>,
}

impl Edge<'_> {
    fn bytes(&self) -> u64 {
        self.blob.map_or(0, |blob| blob.length)
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
    let mut add = |from, to, blob: Option<&'a BlobRef>| {
        if blob.is_none_or(|blob| known.usable(blob)) {
            into.entry(to).or_default().push(Edge { from, to, blob });
        }
    };
    let mut nodes = BTreeSet::from([start, target]);
    nodes.extend(known.snapshots.iter().map(|(version, _)| *version));
    for transition in known.transitions.values() {
        let (from, version) = (transition.from, transition.version);
        nodes.extend([transition.since, from, version]);
        add(from, version, Some(&transition.delta));
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
    deltas: usize,
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
            deltas: 0,
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
        let deltas = here.deltas;
        for edge in edges.get(&at).into_iter().flatten() {
            let cost = (bytes.saturating_add(edge.bytes()), steps + 1);
            let known = routes.get(&edge.from);
            if known.is_none_or(|route| cost < (route.bytes, route.steps)) {
                let route = Route {
                    bytes: cost.0,
                    steps: cost.1,
                    deltas: deltas + usize::from(edge.blob.is_some()),
                    next: Some(*edge),
                };
                routes.insert(edge.from, route);
                queue.push(Reverse((cost.0, cost.1, edge.from)));
            }
        }
    }
    routes
}
