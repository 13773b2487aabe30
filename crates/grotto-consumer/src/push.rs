//! Looks that somebody else gives a reason for: announcements of versions.
//!
//! Owns: when an announcement ends a wait, and when announcements replace short waits. Never: believes one: it is a
//! hint to look at the log now, and what is found there counts.
//!
//! **Invariant**: however many announcements come, from whomever, looks that find nothing are no more than polls of an
//! active dataset are, or one in a second, and a store that fails is asked no more often than without them.

mod gauges;

pub(crate) use gauges::PushGauges;

use crate::builder::ConsumerBuilder;
use crate::pace::Waits;
use crate::shared::Shared;
use grotto_env::Random;
use grotto_store::{Announcements, Hint};
use std::time::Duration;

/// How long announcements are ignored at most after one for which there was nothing.
const LONGEST_CLOSED: Duration = Duration::from_secs(1);

impl ConsumerBuilder {
    /// Looks for a version as soon as it is announced. Polling stays: as rare as for an idle dataset while versions are
    /// announced, otherwise as without. A lost announcement costs [`max_backoff`](Self::max_backoff), a forged one a look.
    #[must_use]
    pub fn push(mut self, announcements: Announcements) -> Self {
        self.push = Some(announcements);
        self
    }
}

impl Shared {
    /// Is told of versions from now on.
    pub(crate) fn listen_to(&mut self, announcements: Option<Announcements>) {
        if let Some(heard) = &announcements {
            heard.serves(&self.dataset_id(), self.served().version());
        }
        self.heard = announcements;
    }

    /// No announcement of this version is a reason to look from now on.
    pub(crate) fn note_served(&self, dataset_id: &str, version: u64) {
        if let Some(heard) = &self.heard {
            heard.serves(dataset_id, version);
        }
    }

    /// Whether somebody chose the version that is served, so that what is newest is no matter.
    fn stays(&self) -> bool {
        self.tellers.told().is_some() || self.pin_now().flatten().is_some()
    }
}

/// How the last look went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    News,
    Nothing,
    /// It could not see whether there is news.
    Elsewhere,
    Failed,
}

/// What a poller knows of announcements.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    /// Why the present look takes place, if somebody gave a reason.
    hint: Option<Hint>,
    /// Announcements end no wait before.
    closed_until: Duration,
    /// Announcements replace no short wait before.
    doubted_until: Duration,
}

impl Hints {
    /// A look begins: what is announced from here on may be past what it finds. Whether there is a reason for it.
    pub(crate) fn take(&mut self, shared: &Shared) -> bool {
        let announced = shared.heard.as_ref().and_then(Announcements::take);
        if let Some(hint) = announced {
            let version = self.hint.map_or(0, |earlier| earlier.version);
            self.hint = Some(Hint {
                version: version.max(hint.version),
            });
        }
        self.hint.is_some()
    }

    /// Takes note of how the look went, and of the wait after it: gives the wait that it comes to.
    pub(crate) fn after(
        &mut self,
        shared: &Shared,
        look: Look,
        (waits, wait): (&mut Waits, Duration),
        random: &dyn Random,
    ) -> Duration {
        let (Some(heard), false) = (&shared.heard, look == Look::Elsewhere) else {
            // The reason stays one for the next look.
            return wait;
        };
        let (now, hint) = (shared.env.clock.monotonic(), self.hint.take());
        let closed = match look {
            Look::Nothing if hint.is_some() => waits.interval().min(LONGEST_CLOSED),
            Look::Failed => wait,
            // Who announced news told the truth: nobody waits for the next one.
            Look::News | Look::Nothing | Look::Elsewhere => Duration::ZERO,
        };
        self.closed_until = self.closed_until.max(now + closed);
        // A look out of turn for which there was nothing takes the turn of the next poll.
        let least = match look {
            Look::Nothing => closed * 2,
            _ => Duration::ZERO,
        };
        match hint {
            Some(hint) if is_settled(shared, hint) => self.doubted_until = now,
            // The link went up or down, or what was announced is not to be seen yet: it is looked for as if there was news.
            Some(_) => {
                self.doubted_until = now + waits.active_for();
                if look != Look::Failed {
                    return waits.woken(now).max(least);
                }
            }
            None => {}
        }
        match look != Look::Failed && now >= self.doubted_until && heard.is_relied_on() {
            true => waits.relying(random),
            false => wait.max(least),
        }
    }

    /// Waits until an announcement is a reason to look; for ever without any.
    pub(crate) async fn wait(&self, shared: &Shared) {
        let Some(heard) = &shared.heard else {
            return std::future::pending().await;
        };
        heard.wait().await;
        // Those that come meanwhile are looked at together.
        let now = shared.env.clock.monotonic();
        let closed = self.closed_until.saturating_sub(now);
        if !closed.is_zero() {
            shared.env.sleep(closed).await;
        }
    }
}

/// Whether nothing more is to be looked for: what was announced is served, or seen and not to be served.
fn is_settled(shared: &Shared, hint: Hint) -> bool {
    let seen = shared.served().version().max(shared.vitals.newest());
    hint.version > 0 && (hint.version <= seen || shared.stays())
}
