//! Holding a version back, and letting it go.
//!
//! Owns: which version is held and why, and what a refresh goes to instead. Never: fetches a blob.
//!
//! Versions are compared with the one before them: a dataset that grew step by step while nobody looked is not
//! held. Where one step is past the limits, the version before it is gone to, and the one it leads to is held,
//! with all that follow it until one is within the limits of what is served.

use super::way::{first_jump, kept_counts};
use super::{Guards, Watch};
use crate::error::{Error, ErrorKind, Result};
use crate::shared::Shared;
use crate::status::HeldVersion;
use crate::target::{Goal, was_written};
use grotto_state::State;
use grotto_store::{LogEntry, Outline};
use parking_lot::Mutex;
use std::sync::Arc;

/// Versions behind the newest one up to which each step is looked at; who is further behind compares the newest
/// with what it serves.
pub(super) const MOST_STEPS: u64 = 64;

/// What is held back, and the limits.
#[derive(Debug, Default)]
pub(crate) struct Holding {
    pub(crate) guards: Guards,
    /// Most bytes that a state may take.
    pub(crate) memory_limit: Option<u64>,
    held: Mutex<Option<Held>>,
}

#[derive(Clone, Debug)]
struct Held {
    told: HeldVersion,
    dataset_id: String,
    /// The newest version that was judged, and is held with the first one.
    judged: u64,
    /// What states took when one was refused for what it would take; `None` where that was not why.
    used: Option<u64>,
}

/// Where a refresh may go.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) target: LogEntry,
    pass: Pass,
}

/// How the target of a refresh is compared with what is served. Versions on the way there always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pass {
    /// As a whole, and step by step.
    Compared,
    /// Step by step: each is within the limits by its records, all together are not.
    Gradual,
    /// Not at all: somebody accepted it, or asked for it by its number.
    Accepted,
}

/// Why a version is held.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) version: u64,
    pub(crate) reason: String,
    /// Whether it is for what the state takes: nobody can accept that for others.
    pub(crate) memory: bool,
}

impl Refusal {
    /// For what it differs from what is served.
    pub(super) fn of(version: u64, reason: String) -> Self {
        Self {
            version,
            reason,
            memory: false,
        }
    }

    /// What a refresh that meets it fails with.
    pub(crate) fn error(&self) -> Error {
        let (version, reason) = (self.version, &self.reason);
        Error::invalid(format!("version {version} is held: {reason}"))
    }

    /// Whether a refresh failed for this, whatever else went wrong on the way.
    pub(crate) fn is_told_by(&self, error: &Error) -> bool {
        error.message() == self.error().message()
    }
}

impl Holding {
    pub(crate) fn held(&self) -> Option<HeldVersion> {
        self.held.lock().as_ref().map(|held| held.told.clone())
    }

    pub(crate) fn is_holding(&self) -> bool {
        self.held.lock().is_some()
    }

    /// Of this dataset.
    fn known(&self, target: &LogEntry) -> Option<Held> {
        let held = self.held.lock().clone();
        held.filter(|held| held.dataset_id == target.dataset_id)
    }
}

impl Shared {
    /// Where a refresh to `target` may go; `None` if what is held is known and nobody asked for an answer. No blobs
    /// lead to `blocked`, where there is one: that is no place to go first.
    ///
    /// # Errors
    /// When the version is held: `Invalid`, with the figures. When the store does not answer.
    pub(crate) async fn admit(
        &self,
        asked: Goal,
        goal: Goal,
        served: &State,
        target: LogEntry,
        blocked: Option<u64>,
    ) -> Result<Option<Admitted>> {
        match self.way_to(asked, goal, served, &target, blocked).await? {
            Way::Open(admitted) => Ok(Some(*admitted)),
            Way::Known => Ok(None),
            Way::Held(refusal) => self.hold(asked, &target, refusal).map(|()| None),
        }
    }

    /// The same after `refused` was refused for what its state is: that one is held then, and no other.
    pub(crate) async fn admit_instead(
        &self,
        (asked, goal): (Goal, Goal),
        target: LogEntry,
        refused: u64,
    ) -> Option<Admitted> {
        let served = self.served();
        let way = self.way_to(asked, goal, &served, &target, Some(refused));
        match way.await {
            Ok(Way::Open(admitted)) => Some(*admitted),
            Ok(Way::Held(_) | Way::Known) | Err(_) => None,
        }
    }

    /// A version up to one that was refused, if somebody accepted it.
    pub(crate) async fn admit_accepted(
        &self,
        goal: Goal,
        target: &LogEntry,
        refused: u64,
    ) -> Option<Admitted> {
        let released = self.released(goal, &self.served(), target, refused).await;
        let accepted = released.ok()??;
        Some(Admitted::new(accepted, Pass::Accepted))
    }

    async fn way_to(
        &self,
        asked: Goal,
        goal: Goal,
        served: &State,
        target: &LogEntry,
        blocked: Option<u64>,
    ) -> Result<Way> {
        let straight = |pass| Way::Open(Box::new(Admitted::new(target.clone(), pass)));
        if matches!(goal, Goal::Pin(_)) || self.is_way_back(served, target) {
            return Ok(straight(Pass::Accepted));
        }
        let is_told = matches!(goal, Goal::Told { .. });
        let known = self.holding.known(target);
        let again = known.filter(|held| held.judged == target.version);
        if let Some(used) = again.as_ref().and_then(|held| held.used) {
            // Until readers let go of what is in the way, it does not fit either.
            if asked.is_background() && self.held_bytes() >= used {
                let own = self.own_afresh(served, target, blocked).await?;
                return Ok(own.map_or(Way::Known, |own| Way::Open(Box::new(own))));
            }
        }
        let open = |admitted: &Admitted| Some(admitted.target.version) > blocked;
        let refusal = match again.filter(|held| held.used.is_none()) {
            Some(held) => Refusal::of(held.told.version, held.told.reason),
            None => match self.judge(served, target).await? {
                Judged::Within(pass) => return Ok(straight(pass)),
                Judged::Until(entry, pass, jump) => {
                    let before = Admitted::new(*entry, pass);
                    if open(&before) && !is_told {
                        return Ok(Way::Open(Box::new(before)));
                    }
                    jump
                }
                Judged::Past(refusal) => refusal,
            },
        };
        let accepted = self.released(goal, served, target, refusal.version);
        let accepted = accepted
            .await?
            .map(|entry| Admitted::new(entry, Pass::Accepted));
        let open = match accepted.filter(open) {
            Some(accepted) => Some(accepted),
            None => self.own_afresh(served, target, blocked).await?,
        };
        Ok(open.map_or(Way::Held(refusal), |open| Way::Open(Box::new(open))))
    }

    /// What is served, where that is of no use any more and the version that would take its place is held: what the log
    /// has as this version is loaded afresh, if it differs little.
    pub(crate) async fn own_afresh(
        &self,
        served: &State,
        target: &LogEntry,
        blocked: Option<u64>,
    ) -> Result<Option<Admitted>> {
        let version = served.version();
        let is_behind = version < target.version && self.is_same_dataset(target);
        if self.is_sound(served) || !is_behind || Some(version) == blocked {
            return Ok(None);
        }
        let own = match self.dataset.read_entry(version).await {
            Err(error) if error.kind() == ErrorKind::Corrupt => None,
            other => other?,
        };
        let guards = &self.holding.guards;
        let own = own.filter(|own| guards.judge_entry(served, own).is_none());
        Ok(own.map(|own| Admitted::new(own, Pass::Compared)))
    }

    /// What watches over a refresh.
    pub(crate) fn watch(&self, admitted: &Admitted) -> Arc<Watch> {
        let served = self.served();
        let compared = was_written(&served).then_some(served);
        Arc::new(Watch::new(self.holding.guards, compared, admitted.pass))
    }

    /// Holds a version back. Said once; later only to whoever asks for an answer.
    ///
    /// # Errors
    /// `Invalid`: what is held, and why.
    pub(crate) fn hold(&self, asked: Goal, target: &LogEntry, refusal: Refusal) -> Result<()> {
        let (dataset, served) = (self.dataset.name(), self.served());
        // Who starts with what is of no use serves nothing.
        let stays = match asked == Goal::Start && !self.is_sound(&served) {
            true => String::new(),
            false => format!(" and version {} stays served", served.version()),
        };
        let known = self.holding.known(target);
        let told = match &known {
            Some(held) if held.used.is_some() == refusal.memory => held.told.clone(),
            _ => HeldVersion {
                version: refusal.version,
                reason: refusal.reason,
                memory: refusal.memory,
            },
        };
        let mend = match refusal.memory {
            true => "give it more memory, or serve fewer records",
            false => "if it is right, release it with `grotto accept`",
        };
        let (version, reason) = (told.version, &told.reason);
        let message =
            format!("dataset {dataset}: version {version} is held{stays}: {reason}; {mend}");
        *self.holding.held.lock() = Some(Held {
            told: told.clone(),
            dataset_id: target.dataset_id.clone(),
            judged: target.version,
            used: refusal.memory.then(|| self.held_bytes()),
        });
        self.metrics.holding(version);
        if known.is_some() && asked.is_background() {
            return Ok(());
        }
        Err(Error::invalid(message))
    }

    /// Nothing is held any more.
    pub(crate) fn let_go(&self) {
        let held = self.holding.held.lock().take();
        if let Some(held) = held {
            let (dataset, served) = (self.dataset.name(), self.served().version());
            let version = held.told.version;
            tracing::info!(dataset, version, served, "no version is held any more");
            self.metrics.holding(0);
        }
    }

    /// What the log says of the way to a version.
    async fn judge(&self, served: &State, target: &LogEntry) -> Result<Judged> {
        let guards = &self.holding.guards;
        let reason = match was_written(served) {
            true => guards.judge_entry(served, target),
            false => return Ok(Judged::Within(Pass::Compared)),
        };
        let Some(reason) = reason else {
            return Ok(Judged::Within(Pass::Compared));
        };
        let behind = target.version.saturating_sub(served.version());
        let version = target.version;
        let past = Refusal::of(version, reason);
        if behind == 0 || behind > MOST_STEPS || !self.is_same_dataset(target) {
            return Ok(Judged::Past(past));
        }
        let steps = self.dataset.outlines(served.version() + 1..=version);
        let steps = steps.await?;
        // A listing may not show the newest yet.
        let listed = steps.iter().map(Outline::entry);
        let way = listed.filter(|entry| entry.version < version);
        let way: Vec<&LogEntry> = way.chain([target]).collect();
        let counts = way.iter().map(|entry| super::recorded(entry));
        let Some((at, reason)) = first_jump(guards, kept_counts(served), counts) else {
            return Ok(Judged::Within(Pass::Gradual));
        };
        let jump = Refusal::of(way.get(at).map_or(version, |entry| entry.version), reason);
        let before = at.checked_sub(1).and_then(|before| way.get(before));
        let before = match before {
            Some(before) => self.dataset.read_entry(before.version).await?,
            None => None,
        };
        Ok(match before {
            // A single step is compared as such, also where a snapshot leads to it.
            Some(entry) if at == 1 => Judged::Until(Box::new(entry), Pass::Compared, jump),
            Some(entry) => Judged::Until(Box::new(entry), Pass::Gradual, jump),
            None => Judged::Past(jump),
        })
    }

    /// The newest version up to the target that somebody accepted: the served one too, where the log may have another
    /// state under its number.
    pub(super) async fn accepted(
        &self,
        served: &State,
        target: &LogEntry,
    ) -> Result<Option<LogEntry>> {
        let first = match self.is_same_dataset(target) {
            true if self.is_sound(served) => served.version().saturating_add(1),
            true => served.version(),
            false => 1,
        };
        let found = self.dataset.accepted_within(first..=target.version).await?;
        let found = found.filter(|(accepted, _)| accepted.dataset_id == target.dataset_id);
        Ok(found.map(|(accepted, entry)| {
            let (dataset, version) = (self.dataset.name(), entry.version);
            let (by, reason) = (&accepted.by, &accepted.reason);
            tracing::info!(dataset, version, by, reason, "going to an accepted version");
            entry
        }))
    }
}

/// Where a refresh may go, if anywhere.
enum Way {
    Open(Box<Admitted>),
    Held(Refusal),
    /// What is held is known, and nobody asked for an answer.
    Known,
}

/// What a look at the log found.
enum Judged {
    Within(Pass),
    /// The version before the first that is past a limit, and that one: each step up to it is within them.
    Until(Box<LogEntry>, Pass, Refusal),
    Past(Refusal),
}

impl Admitted {
    fn new(target: LogEntry, pass: Pass) -> Self {
        Self { target, pass }
    }

    /// What a refresh goes to once: the version, and whether it was accepted.
    pub(crate) fn tried(&self) -> (u64, bool) {
        (self.target.version, self.pass == Pass::Accepted)
    }
}
