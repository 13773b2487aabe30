//! What a process looked at last: which requests belong to one look for news.
//!
//! Owns: when the pin was asked for in the look that goes on. Never: changes an answer.

use std::time::Duration;

use object_store::path::Path;

use super::client::Client;
use super::weather::Kind;

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
