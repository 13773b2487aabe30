//! A refresh that failed at a blob which did not fit what it was to be applied to.
//!
//! Owns: loading afresh once, as either of the two may be wrong: where the log lost its end and was written anew, the
//! number of what is served stands for another state, and every delta that follows seems to be damaged. Never: lets
//! go of what is served before the new state is whole.

use super::Run;
use crate::error::{Error, ErrorKind, Result};

/// What is served, and a blob that did not fit it: both stayed as they were when all else was loaded afresh.
pub(crate) type Doubted = (u64, String);

impl Run<'_> {
    /// Goes to the target without what is served, after a way from that failed with `error`. A blob that does not fit
    /// then either is to blame, and is not tried so again.
    pub(super) async fn doubt_base(&mut self, error: Error) -> Result<()> {
        let Some(blob) = self.misfit.take().filter(|_| is_of_blobs(&error)) else {
            return Err(error);
        };
        let doubted: Doubted = (self.shared.served().version(), blob);
        if self.shared.doubted.lock().as_ref() == Some(&doubted) {
            return Err(error);
        }
        let (version, blob) = &doubted;
        let (name, recovered) = (self.shared.dataset.name(), &mut self.report.recovered);
        let reason =
            format!("version {version} or {blob} is not what the other expects: loading afresh");
        tracing::warn!(dataset = name, reason);
        recovered.push(reason);
        self.useless = self.shared.served();
        self.afresh = true;
        self.set_out_from(self.shared.origin());
        let Err(again) = self.journey().await else {
            return Ok(());
        };
        self.afresh = false;
        self.go_back();
        if !is_of_blobs(&again) {
            return Err(again);
        }
        *self.shared.doubted.lock() = Some(doubted);
        Err(error)
    }
}

fn is_of_blobs(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Missing)
}
