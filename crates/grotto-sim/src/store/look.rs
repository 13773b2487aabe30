//! What a process looked at last: which requests belong to one look for news.
//!
//! Owns: when the pin was asked for in the look that goes on, and which looks found no next version. Never: changes an
//! answer.

use std::time::Duration;

use object_store::path::Path;

use super::client::Client;
use super::weather::Kind;
use crate::check::Pace;
use crate::sim::logged;

/// Requests of one look follow each other within this, and looks do not.
const BETWEEN: Duration = Duration::from_millis(230);

/// What is known of the look that goes on.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// When the pin was asked for last.
    pin: Option<Duration>,
    /// It saw less of the store since than was there.
    blurred: bool,
    /// The pin was not asked for in this look.
    blind: bool,
    under_way: u64,
    /// When all was answered well; `None` while something is under way, and after an error.
    quiet: Option<Duration>,
}

/// When a process that changes what it serves asked for the pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    At(Duration),
    /// It did, and did not see all that was there.
    Blurred,
    /// It did not.
    Never,
}

impl Client {
    pub(crate) fn looked(&self) -> Looked {
        let look = self.look.lock();
        match look.pin {
            _ if look.blurred => Looked::Blurred,
            Some(at) if !look.blind => Looked::At(at),
            _ => Looked::Never,
        }
    }

    /// It looks for versions that are not there no more often than one that polls so often.
    pub(crate) fn keep_pace(&self, interval: Duration) {
        *self.pace.lock() = Some(Pace::new(interval));
    }

    /// It asked for an object, and found it or not.
    pub(super) fn asked(&self, path: &Path, found: bool) {
        let mut pace = self.pace.lock();
        let (Some(pace), Some(version)) = (pace.as_mut(), logged(path)) else {
            return;
        };
        let now = self.sim.now();
        if found {
            return pace.found(version, now);
        }
        // One that does not see what is there is not in question.
        if self.is_blind() || self.sim.objects.lock().get(path).is_some() {
            return;
        }
        self.sim.missed.notify_one();
        if let Err(what) = pace.nothing(now) {
            self.sim.violation(&self.name, what);
        }
    }

    /// It sees less than is there, or what was there before.
    pub(super) fn blur(&self) {
        self.look.lock().blurred = true;
        self.sim.shelf.lock().blurs(&self.name);
    }

    pub(super) fn request_begins(&self, kind: Kind, path: &Path) {
        let now = self.sim.now();
        let mut look = self.look.lock();
        let quiet = look.quiet.take().filter(|_| look.under_way == 0);
        if quiet.is_some_and(|since| now - since > BETWEEN) {
            look.blind = true;
        }
        look.under_way += 1;
        if kind == Kind::Read && path.filename() == Some("pin.json") {
            (look.pin, look.blurred, look.blind) = (Some(now), false, false);
        }
    }

    /// A request is answered; one that nobody waits for any more never is.
    pub(super) fn request_ends(&self, well: bool) {
        let mut look = self.look.lock();
        look.under_way = look.under_way.saturating_sub(1);
        look.quiet = (well && look.under_way == 0).then(|| self.sim.now());
    }
}
