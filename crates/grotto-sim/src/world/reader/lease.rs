//! The lease of a reader: what it tells the store.
//!
//! Owns: that it tells the truth, and soon. Never: reads it through a connection: what lies in the store is looked at.

use std::time::Duration;

use grotto_format::log::Lease;
use object_store::path::Path;

use super::Reader;
use crate::sim::DATASET;

/// Time between two renewals, at most.
pub(super) const INTERVAL: Duration = Duration::from_secs(2);
/// How long it may take after faults ended until a lease tells what is served.
const SOON: Duration = Duration::from_secs(15);

impl Reader {
    /// After faults ended, whoever keeps a lease tells what it serves.
    pub(crate) async fn await_lease(&self) {
        let Some(life) = self.life.as_ref().filter(|_| self.leased) else {
            return;
        };
        if !life.client.can_write() {
            return;
        }
        let until = self.stage.sim.now() + SOON;
        loop {
            let (served, told) = (life.consumer.version(), self.told());
            if told == Some(served) {
                return;
            }
            if self.stage.sim.now() >= until {
                self.violation(&format!(
                    "its lease tells of version {told:?}, version {served} is served"
                ));
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    fn told(&self) -> Option<u64> {
        let path = Path::from(format!("{DATASET}/consumers/r{}.json", self.number));
        let found = self.stage.sim.objects.lock().get(&path)?;
        Lease::decode(&found).ok().map(|lease| lease.version)
    }
}
