//! What befalls a reader: it ends, its disk fails, its store vanishes.
//!
//! Owns: when, and what must be noticed then. Never: decides what is served.

use std::sync::Arc;
use std::time::Duration;

use super::{FILTERS, Reader};
use crate::fault::Fault;

/// How long a store vanishes for a reader.
const VANISHED_FOR: Duration = Duration::from_secs(40);
/// A look at the store that succeeded this long before it vanished is not asked about.
const SLACK: Duration = Duration::from_secs(12);

impl Reader {
    pub(super) async fn restart(&mut self) {
        self.check_errors();
        let Some(life) = self.life.take() else { return };
        if self.dice.chance(500) {
            self.note("shutdown", "");
            life.consumer.shutdown().await;
        } else {
            self.note("crash", "");
            self.stage.sim.count(Fault::CrashedReader);
        }
        life.client.die();
        life.mount.inspect(|mount| mount.die());
        if self.disk.is_some() && self.dice.chance(150) {
            self.keep_other_types();
        }
        if let Some(disk) = self.disk.as_ref().filter(|_| self.dice.chance(500)) {
            let disk = Arc::clone(disk);
            self.end_all_attached();
            disk.reboot();
            self.beginnings += 1;
            self.seen = (0, 0);
        }
    }

    /// Somebody sets it up anew: what its directory holds is of no use then.
    fn keep_other_types(&mut self) {
        self.stage.sim.count(Fault::Refiltered);
        let filtered = self.dice.chance(700);
        self.types = filtered.then(|| *self.dice.pick(&FILTERS));
        self.note("keeps", &format!("{:?}", self.types));
        if let Some(subscriber) = &mut self.subscriber {
            subscriber.estrange();
        }
        self.removed = true;
        self.beginnings += 1;
    }

    pub(super) async fn trouble_disk(&mut self) {
        let Some(disk) = self.disk.clone() else {
            return;
        };
        match self.dice.below(5) {
            0 => {
                disk.remove_all();
                // What is served stays, but the next start finds nothing.
                self.removed = true;
                self.beginnings += 1;
                if self.dice.chance(600) {
                    self.start_rival().await;
                }
            }
            1 => disk.fill(self.dice.millis(500..20_000)),
            2 => {
                disk.alter();
                // Once that is found out, the next start finds nothing.
                self.removed = true;
                self.beginnings += 1;
            }
            _ => {
                let mount = self.life.as_ref().and_then(|life| life.mount.as_ref());
                mount.inspect(|mount| mount.die_in(self.dice.within(1..30)));
            }
        }
    }

    /// The store looks empty for a while, as if it were not mounted: nothing that is served may count
    /// as the newest then.
    pub(super) async fn lose_sight(&mut self) {
        let Some(life) = &self.life else { return };
        // One with a pin asks for nothing.
        let waits = life.consumer.version() == 0 || self.pinned.is_some();
        if waits || !self.stage.is_raining() {
            return;
        }
        let client = Arc::clone(&life.client);
        self.stage.sim.count(Fault::Vanished);
        self.note("vanished", "");
        client.vanish(true);
        tokio::time::sleep(VANISHED_FOR).await;
        if !self.stage.is_raining() {
            return;
        }
        if self.polls {
            let staleness = self.life.as_ref().map(|life| life.consumer.staleness());
            if staleness.is_some_and(|staleness| staleness < VANISHED_FOR - SLACK) {
                self.violation(&format!("counts as {staleness:?} old without a store"));
            }
            self.check_attached_stale(VANISHED_FOR - SLACK);
        } else if self.refresh().await.is_ok() && self.stage.is_raining() {
            self.violation("finds no fault with a store that is empty");
        }
        client.vanish(false);
        self.note("vanished", "is back");
    }
}
