//! Looking after the files of what is served.
//!
//! Owns: what is done about a file that is not what it was. Never: fetches a blob; the next refresh does.

use crate::dir::Soundness;
use crate::error::{Error, ErrorKind, Result};
use crate::shared::{Shared, blocking};
use crate::target::{Glance, Goal};
use std::sync::Arc;
use std::time::Duration;

/// Whoever polls more rarely than this looks at the files each time.
const OFTEN: Duration = Duration::from_secs(1);

impl Shared {
    /// Makes sure that states are kept where others look for them, and that what is there is right; tells
    /// whether that was looked at. A request for the next entry finds nothing as a rule, and is made often:
    /// only what is gone on from then has to be right.
    pub(crate) async fn look_after(self: &Arc<Self>, goal: Goal) -> Result<bool> {
        self.keep_place().await?;
        let rarely = self.vitals.wait() >= OFTEN;
        let looks = rarely || goal != Goal::Glance(Glance::Next);
        if looks {
            self.check_files().await?;
        }
        self.drop_flagged().await?;
        Ok(looks)
    }

    /// Compares the files of the state directory with what was sealed. Where one is damaged, nobody finds
    /// it there any more, and this refresh loads what is served afresh.
    ///
    /// # Errors
    /// When the system refuses to tell.
    pub(crate) async fn check_files(self: &Arc<Self>) -> Result<()> {
        let shared = Arc::clone(self);
        blocking(&self.env, move || shared.check_files_here()).await?
    }

    fn check_files_here(&self) -> Result<()> {
        let mut keeper = self.keeper();
        match keeper.place.check_files(&self.served())? {
            Soundness::Same => {}
            Soundness::Renewed => {
                let served = self.served.identified();
                // Until the root says so, whoever attaches verifies their bytes.
                if let Err(error) = keeper.place.publish(&served.state, &served.dataset_id) {
                    let dataset = self.dataset.name();
                    tracing::warn!(%error, dataset, "cannot note that files were changed and are right");
                }
            }
            Soundness::Damaged(damage) => {
                drop(keeper);
                self.drop_damaged(&damage);
            }
        }
        Ok(())
    }

    /// Drops what is served if a read met damage in it that no look at the files has shown.
    pub(crate) async fn drop_flagged(self: &Arc<Self>) -> Result<()> {
        let served = self.served();
        if !served.is_damaged() || self.is_distrusted() {
            return Ok(());
        }
        let shared = Arc::clone(self);
        let drop_it = move || {
            let version = served.version();
            let reason = format!("version {version}: a read met bytes that contradict each other");
            shared.drop_damaged(&Error::corrupt(reason));
        };
        blocking(&self.env, drop_it).await
    }

    /// Drops what is served from the state directory, and has the next refresh load it afresh.
    pub(crate) fn drop_damaged(&self, damage: &Error) {
        let (dataset, version) = (self.dataset.name(), self.served().version());
        tracing::error!(error = %damage, dataset, version, "what is served is damaged: loading afresh");
        self.note_error(ErrorKind::Corrupt);
        self.metrics.damaged();
        self.keeper().place.discard();
        self.distrust();
    }
}
