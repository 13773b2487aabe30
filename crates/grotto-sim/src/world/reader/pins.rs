//! A reader that is told to stay at a version, and to go on.
//!
//! Owns: when, and that it does. Never: expects a reader with a pin to be at any other version.

use grotto_store::ErrorKind;

use super::Reader;
use super::witness::Hold;
use crate::fault::Fault;

impl Reader {
    /// Stays at some version from now on, or follows the log again.
    pub(super) async fn pin_or_follow(&mut self) {
        if self.pinned.is_some() && self.dice.chance(500) {
            return self.follow().await;
        }
        let intact = self.stage.sim.ledger.lock().intact();
        let Some(version) = intact.get(self.dice.below(intact.len() as u64) as usize) else {
            return;
        };
        let Some(life) = &self.life else { return };
        // Whatever is served then is no sign of anything; a refresh that fails may get a part of the way.
        self.witness.look_away(true);
        self.beginnings += 1;
        self.begun += 1;
        if let Some(subscriber) = &mut self.subscriber {
            subscriber.expect_back();
        }
        let answer = life.consumer.refresh_to(*version).await;
        let served = life.consumer.state();
        self.witness.look_away(false);
        self.witness.begin_at(&served);
        self.seen = (0, 0);
        match answer {
            Ok(_) => {
                self.note("pin", &format!("at {version}"));
                self.stage.sim.count(Fault::Pinned);
                self.pinned = Some(*version);
                self.witness.pin(self.pinned);
            }
            Err(error) => {
                self.note("pin", &error.to_string());
                // A process that dies while it is done may have done it.
                self.removed = true;
                self.judge(&error);
            }
        }
    }

    /// Follows the log again; a pin stays where that fails.
    pub(super) async fn follow(&mut self) {
        let Some(life) = &self.life else { return };
        match life.consumer.follow().await {
            Ok(_) => {
                (self.pinned, self.kept_back) = (None, None);
                self.witness.pin(None);
            }
            Err(error) => {
                self.judge(&error);
                // With a pin nothing is held, and so it is told only here.
                self.kept_back = match error.kind() {
                    ErrorKind::Invalid => Some(Hold::of(error.message())),
                    _ => None,
                };
                self.note("follow", &error.to_string());
            }
        }
    }

    /// Serves what it was told to.
    pub(super) fn check_pin(&self) {
        let Some(life) = &self.life else { return };
        let served = life.consumer.version();
        if self.pinned.is_some_and(|pinned| pinned != served) {
            let what = format!("serves version {served}, pinned at {:?}", self.pinned);
            self.violation(&what);
        }
    }
}
