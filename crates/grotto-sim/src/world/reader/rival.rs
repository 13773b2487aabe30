//! A second consumer on a state directory that a first one uses.
//!
//! Owns: when it must be refused, and what it does where it is let in: in a directory that was removed and
//! made again. That the two never write to one directory is watched by `disk`. Never: polls.

use std::path::Path;
use std::sync::Arc;

use grotto_env::FileSystem;

use super::Reader;
use crate::check::check_served;
use crate::disk::Mount;
use crate::fault::Fault;

pub(super) const FOLDER: &str = "/state";

impl Reader {
    /// Somebody starts another consumer on the same directory.
    pub(super) async fn start_rival(&mut self) {
        let Some(disk) = self.disk.clone() else {
            return;
        };
        self.stage.sim.count(Fault::Rival);
        let refused = self.holds_folder();
        let mount = disk.mount();
        let (client, builder) = self.builder(&format!("r{}.rival", self.number));
        let system = Arc::clone(&mount) as Arc<dyn FileSystem>;
        let opened = builder.state_dir(FOLDER).file_system(system).open().await;
        match opened {
            Ok(consumer) => {
                self.note("rival", &format!("at {}", consumer.version()));
                if refused && self.holds_folder() {
                    self.violation("a second consumer was let into a state directory in use");
                }
                self.expect_other_state();
                self.take_turns(&consumer).await;
                consumer.shutdown().await;
            }
            Err(error) => {
                self.note("rival", &error.to_string());
                self.judge(&error);
                // One that was let in and did not get to the newest version may have kept a part of the way.
                if !refused {
                    self.expect_other_state();
                }
            }
        }
        client.die();
        mount.die();
    }

    /// The next start finds what the rival leaves, and the first one may take the directory back, with what it serves.
    fn expect_other_state(&mut self) {
        self.removed = true;
        self.beginnings += 2;
    }

    /// Both look for news.
    async fn take_turns(&mut self, rival: &grotto_consumer::Consumer) {
        let name = format!("r{}.rival", self.number);
        for _ in 0..self.dice.within(1..5) {
            tokio::time::sleep(self.dice.millis(20..1_500)).await;
            if let Err(error) = rival.refresh().await {
                self.note("rival", &error.to_string());
                self.judge(&error);
            }
            check_served(&self.stage.sim, &name, &rival.state());
            if !self.polls {
                _ = self.refresh().await;
            }
            self.check();
        }
    }

    pub(super) fn holds_folder(&self) -> bool {
        let mount = self.life.as_ref().and_then(|life| life.mount.as_deref());
        let holds = |mount: &Mount, disk: &crate::disk::Disk| {
            !mount.is_dead() && disk.is_locked_by(mount, Path::new(FOLDER))
        };
        matches!((mount, &self.disk), (Some(mount), Some(disk)) if holds(mount, disk))
    }
}
