//! A reader that is told of a version, once announcements are heard again.
//!
//! Owns: how soon it must serve it. Never: asks how it found it.

use std::sync::Arc;
use std::time::Duration;

use super::Reader;
use crate::world::herald::Herald;
use crate::world::stage::Stage;
use crate::world::writer::Writer;

/// How long announcements are to have been heard, and nothing to have happened: by then whoever polls waits for its
/// longest time.
const SILENCE: Duration = Duration::from_secs(40);
/// How long it may take to fetch a version that was announced: less than that wait.
const SOON: Duration = Duration::from_millis(1_500);

impl Reader {
    fn hears(&self, herald: &Herald) -> bool {
        self.life.is_some() && self.polls && herald.reaches(&self.name())
    }

    /// Whether it serves a version, or may hold it back.
    fn is_at(&self, version: u64) -> bool {
        let served = self.life.as_ref().map(|life| life.consumer.version());
        served == Some(version) || self.hold().is_some()
    }
}

/// After all that went wrong with announcements, one of a version has everybody serve it at once who hears it.
pub(crate) async fn prove(stage: &Arc<Stage>, last: &mut Writer, readers: &[Reader]) {
    let Some(herald) = stage.herald() else { return };
    herald.mend();
    tokio::time::sleep(SILENCE).await;
    let before = stage.sim.ledger.lock().head();
    let settled = readers.iter().filter(|reader| reader.is_at(before));
    let told: Vec<&Reader> = settled.filter(|reader| reader.hears(herald)).collect();
    if !last.publish_surely(None).await {
        let what = "the last writer cannot publish what is to be announced";
        return stage.sim.violation("sim", what);
    }
    tokio::time::sleep(SOON).await;
    let version = stage.sim.ledger.lock().head();
    for reader in told {
        let name = reader.name();
        stage.sim.note(&name, format_args!("was told of {version}"));
        if !reader.is_at(version) {
            let what = format!("does not serve version {version}, announced {SOON:?} ago");
            stage.sim.violation(&name, what);
        }
    }
}
