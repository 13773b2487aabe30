//! Finding out which version a refresh is to lead to.
//!
//! Owns: goals, and whether what is served can be believed. Never: fetches a blob, or changes what
//! is served.

use crate::error::{Error, ErrorKind, Result};
use crate::news::news;
use crate::shared::Shared;
use crate::step::Promise;
use grotto_state::State;
use grotto_store::LogEntry;

/// Where a refresh is to lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// The newest version, or the pinned one.
    Newest,
    /// The same, and makes sure that what is served is a state of the dataset as the log has it.
    Start,
    /// This version; the consumer stays there.
    Pin(u64),
    /// The newest version; the consumer follows the log again.
    Follow,
}

/// Whether anybody ever committed to a state: before, it has no types, whatever its version.
pub(crate) fn was_written(state: &State) -> bool {
    !state.schema().types().is_empty()
}

impl Shared {
    /// The entry to go to; `None` if it is served already.
    pub(crate) async fn find_target(&self, goal: Goal, served: &State) -> Result<Option<LogEntry>> {
        let (version, sound) = (served.version(), self.is_sound(served));
        let target = match goal {
            Goal::Pin(pinned) if pinned == version && sound => None,
            Goal::Pin(pinned) => Some(self.entry_of(pinned).await?),
            Goal::Newest | Goal::Follow if version > 0 && sound => {
                news(&self.dataset, version).await?
            }
            _ => self.head_for(served).await?,
        };
        let newest = target.as_ref().map_or(version, |target| target.version);
        if !matches!(goal, Goal::Pin(_)) {
            self.metrics.newest(newest);
        }
        Ok(target)
    }

    /// The head, if it is of another dataset than the served state, is past it, or replaces it.
    async fn head_for(&self, served: &State) -> Result<Option<LogEntry>> {
        let version = served.version();
        let Some(head) = self.dataset.head().await? else {
            if version > 0 {
                let dataset = self.dataset.name();
                tracing::warn!(
                    dataset,
                    version,
                    "the store has no log of this dataset: serving what is here"
                );
            }
            return Ok(None);
        };
        if !self.is_same_dataset(&head) {
            return Ok(Some(head));
        }
        self.compare_with_log(served, &head).await?;
        if head.version > version || (head.version == version && !self.is_sound(served)) {
            return Ok(Some(head));
        }
        if head.version < version {
            return Err(Error::corrupt(format!(
                "dataset {}: the log ends at version {}, below version {version} that is served",
                self.dataset.name(),
                head.version
            )));
        }
        Ok(None)
    }

    /// Distrusts what is served if it is not what the log says of its version: a state directory may
    /// be of another time than its store. Where the log says nothing of it any more, it is believed.
    async fn compare_with_log(&self, served: &State, head: &LogEntry) -> Result<()> {
        let version = served.version();
        let entry = match version {
            0 => return Ok(()),
            _ if version == head.version => Some(head.clone()),
            _ => match self.dataset.read_entry(version).await {
                Err(error) if error.kind() == ErrorKind::Corrupt => None,
                other => other?,
            },
        };
        if let Some(Err(error)) = entry.map(|entry| Promise::of(&entry).check(served)) {
            tracing::warn!(%error, dataset = self.dataset.name(), "the served state is not what the log says");
            self.metrics.error(error.kind());
            self.distrust();
        }
        Ok(())
    }

    async fn entry_of(&self, version: u64) -> Result<LogEntry> {
        let entry = self.dataset.read_entry(version).await?;
        entry.ok_or_else(|| {
            Error::invalid(format!(
                "dataset {}: version {version} is not in the log",
                self.dataset.name()
            ))
        })
    }

    /// A dataset that was removed and created again has another identity under the same name.
    pub(crate) fn is_same_dataset(&self, entry: &LogEntry) -> bool {
        let known = self.dataset_id();
        known.is_empty() || known == entry.dataset_id
    }
}
