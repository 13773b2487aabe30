//! Choosing the target version of a refresh.
//!
//! Owns: goals, and whether what is served can be believed. Never: fetches a blob, or changes what
//! is served.

use crate::error::{Error, ErrorKind, Result};
use crate::news::{news, news_from};
use crate::shared::Shared;
use crate::told::Told;
use grotto_state::{Promise, State};
use grotto_store::LogEntry;

/// Where a refresh is to lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// The newest version, or the pinned one. No news means that the log was looked at as a whole.
    Newest,
    /// The same by one small request, which may miss what another one shows.
    Glance(Glance),
    /// The newest version, or the pinned one; makes sure that what is served is a state of the dataset
    /// as the log has it.
    Start,
    /// This version; the consumer stays there.
    Pin(u64),
    /// The newest version; the consumer follows the log again.
    Follow,
    /// What the log has as this version, which is served and of no use any more, while nobody can tell what else to
    /// serve: it is judged as any other, since the log may have been written anew.
    Again(u64),
    /// The version that a pin or a channel names.
    Told {
        version: u64,
        /// Whether the log is looked at as well.
        whole: bool,
    },
}

impl Goal {
    /// Whether nobody waits for an answer.
    pub(crate) fn is_background(self) -> bool {
        matches!(self, Self::Glance(_) | Self::Start)
    }

    /// Whether a part of the way is better than none: one who is told where to be is there or where it was.
    pub(crate) fn keeps_parts(self) -> bool {
        !matches!(
            self,
            Self::Pin(_) | Self::Follow | Self::Again(_) | Self::Told { .. }
        )
    }

    /// Whether it leads to one version, whatever else the log has.
    fn is_of_one(self) -> bool {
        matches!(self, Self::Pin(_) | Self::Again(_) | Self::Told { .. })
    }

    /// Whether finding nothing means that there is nothing newer.
    pub(crate) fn sees_news(self) -> bool {
        !matches!(self, Self::Glance(Glance::Own | Glance::Hint))
    }
}

/// What a small request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Glance {
    /// The next entry.
    Next,
    /// The entry of the served version: gone where it was collected, the dataset vanished or the store
    /// is empty, and another where the dataset was created anew.
    Own,
    /// The writer's hint: past the served version where the next entry was lost.
    Hint,
    /// A listing from the served version on: it shows whatever the others show.
    List,
}

/// What a refresh found out before it began.
#[derive(Debug)]
pub(crate) struct Found {
    /// The entry to go to; `None` if it is served already.
    pub(crate) target: Option<LogEntry>,
    /// Whether the store was seen to hold what is served, or to be where it leads.
    pub(crate) certain: bool,
}

/// Whether anybody ever committed to a state: before, it has no types, whatever its version.
pub(crate) fn was_written(state: &State) -> bool {
    !state.schema().types().is_empty()
}

/// Refuses a pin or a channel of a dataset that was removed and created again under the same name.
fn check_meant(told: &Told, dataset: &str, entry: &LogEntry) -> Result<()> {
    if told.dataset_id == entry.dataset_id {
        return Ok(());
    }
    let (meant, found) = (&told.dataset_id, &entry.dataset_id);
    let why = format!("of dataset identity {meant}, but the log is of identity {found}");
    Err(told.refused(ErrorKind::Invalid, dataset, &why))
}

impl Shared {
    /// Where to go, and what is found of it. Nobody goes anywhere before it was read for that what the fleet is told.
    pub(crate) async fn find_way(&self, wanted: Goal, served: &State) -> Result<(Goal, Found)> {
        let (goal, is_fresh) = self.as_told(wanted).await?;
        let found = self.find_target(goal, served).await?;
        if is_fresh || found.target.is_none() {
            return Ok((goal, found));
        }
        let now = self.told_now(wanted).await?;
        match now == goal {
            true => Ok((goal, found)),
            false => Ok((now, self.find_target(now, served).await?)),
        }
    }

    async fn find_target(&self, goal: Goal, served: &State) -> Result<Found> {
        let (version, sound) = (served.version(), self.is_sound(served));
        let mut certain = true;
        let target = match goal {
            Goal::Pin(pinned) if pinned == version && sound => None,
            Goal::Pin(one) | Goal::Again(one) => Some(self.entry_of(one).await?),
            Goal::Told { whole, .. } => self.find_told(whole, served).await?,
            Goal::Glance(glance) if sound => {
                certain = matches!(glance, Glance::Own | Glance::List);
                self.glance(glance, served).await?
            }
            Goal::Newest | Goal::Follow if version > 0 && sound => {
                match news(&self.dataset, version).await? {
                    Some(target) => Some(target),
                    None => self.head_for(served).await?,
                }
            }
            _ => self.head_for(served).await?,
        };
        let newest = target.as_ref().map_or(version, |target| target.version);
        if !goal.is_of_one() {
            self.note_newest(newest);
        }
        if let Some(target) = &target {
            self.heard_of(target);
        }
        certain |= target.is_some();
        Ok(Found { target, certain })
    }

    /// One small request; more only if it shows that something is there or is wrong.
    async fn glance(&self, glance: Glance, served: &State) -> Result<Option<LogEntry>> {
        let version = served.version();
        let suspicious = match glance {
            Glance::Next => match self.dataset.read_entry(version.saturating_add(1)).await {
                Ok(None) => return Ok(None),
                Ok(Some(entry)) => return news_from(&self.dataset, entry).await,
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    return news(&self.dataset, version).await;
                }
                Err(error) => return Err(error),
            },
            Glance::List => return self.list(served).await,
            // Before the first version there is none of its own to ask for.
            Glance::Own if version > 0 => match self.dataset.read_entry(version).await {
                Ok(Some(own)) if self.is_same_dataset(&own) => {
                    self.heard_of(&own);
                    false
                }
                Ok(Some(_)) => true,
                Ok(None) => true,
                // What is served was verified; that its entry is damaged now takes nothing from it.
                Err(error) if error.kind() == ErrorKind::Corrupt => false,
                Err(error) => return Err(error),
            },
            Glance::Own | Glance::Hint => match self.dataset.leader_hint().await {
                Ok(hint) => hint.is_some_and(|hint| hint.version > version),
                Err(error) if error.kind().is_outage() => return Err(error),
                // Only a hint.
                Err(_) => false,
            },
        };
        if suspicious {
            return self.head_for(served).await;
        }
        Ok(None)
    }

    /// What a listing from the served version on shows. Its own entry is read once: one that is listed as it was then
    /// is the same.
    async fn list(&self, served: &State) -> Result<Option<LogEntry>> {
        let version = served.version();
        let mut listed = self.dataset.listed_from(version.max(1)).await?.into_iter();
        let own = match (listed.next(), listed.next()) {
            (Some((own, mark)), None) if own == version => (own, mark),
            (None, _) if version == 0 => return Ok(None),
            _ => return self.head_for(served).await,
        };
        if self.own_entry.lock().as_ref() == Some(&own) {
            return Ok(None);
        }
        match self.dataset.read_entry(version).await {
            Ok(Some(entry)) if self.is_same_dataset(&entry) => {
                self.compare_with_log(served, &entry).await?;
                if !self.is_sound(served) {
                    return Ok(Some(entry));
                }
                *self.own_entry.lock() = Some(own);
                Ok(None)
            }
            // What is served was verified; that its entry is damaged now takes nothing from it.
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(None),
            Err(error) => Err(error),
            Ok(_) => self.head_for(served).await,
        }
    }

    /// The entry of the version that a pin or a channel names; `None` if it is served.
    async fn find_told(&self, whole: bool, served: &State) -> Result<Option<LogEntry>> {
        let (dataset, Some(told)) = (self.dataset.name(), self.tellers.told()) else {
            return Ok(None);
        };
        if whole {
            self.look_past(&told, served).await?;
        }
        let (version, is_same) = (told.version, told.dataset_id == self.dataset_id());
        if is_same && version == served.version() && self.is_sound(served) {
            return Ok(None);
        }
        let refused = |why: &str| told.refused(ErrorKind::Missing, dataset, why);
        let entry = self.dataset.read_entry(version).await?;
        let entry = entry.ok_or_else(|| refused("which is not in the log"))?;
        check_meant(&told, dataset, &entry)?;
        // A slot that was collected may be there again, and counts for nothing.
        if self.dataset.collected().await? >= version {
            return Err(refused("which was collected"));
        }
        Ok(Some(entry))
    }

    /// Looks at the log of one that stays where it is told to: what is newest there, and whether it is the dataset that
    /// is meant.
    async fn look_past(&self, told: &Told, served: &State) -> Result<()> {
        match self.dataset.head().await {
            Ok(Some(head)) => {
                check_meant(told, self.dataset.name(), &head)?;
                self.note_newest(head.version);
                self.heard_of(&head);
                match self.is_same_dataset(&head) {
                    true => self.compare_with_log(served, &head).await,
                    false => Ok(()),
                }
            }
            Ok(None) => Err(self.without_log(served.version())),
            // Where to be does not depend on what is newest.
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn without_log(&self, version: u64) -> Error {
        Error::unavailable(format!(
            "dataset {}: the store has no log of it, version {version} is served: it was emptied, removed or is not mounted",
            self.dataset.name()
        ))
    }

    /// The head, if it is of another dataset than the served state, is past it, or replaces it.
    async fn head_for(&self, served: &State) -> Result<Option<LogEntry>> {
        let version = served.version();
        let Some(head) = self.dataset.head().await? else {
            if version > 0 {
                return Err(self.without_log(version));
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
        if let Some(entry) = &entry {
            self.heard_of(entry);
        }
        if let Some(Err(error)) = entry.map(|entry| Promise::of(&entry).check(served)) {
            tracing::warn!(%error, dataset = self.dataset.name(), "the served state is not what the log says");
            self.note_error(ErrorKind::Corrupt);
            self.distrust();
        }
        Ok(())
    }

    /// The head of the log, if no intact blobs lead to `target` and the head is past it: entries are
    /// read one by one up to one that is lost or damaged, and a snapshot may lie behind that.
    pub(crate) async fn past_blocked(
        &self,
        goal: Goal,
        error: &Error,
        target: &LogEntry,
    ) -> Option<LogEntry> {
        match error.kind() {
            ErrorKind::Corrupt | ErrorKind::Missing => self.head_past(goal, target).await,
            _ => None,
        }
    }

    /// The head of the log, if it is past `target` and nobody asked for one version.
    pub(crate) async fn head_past(&self, goal: Goal, target: &LogEntry) -> Option<LogEntry> {
        if goal.is_of_one() {
            return None;
        }
        // The error that is told is that of the way; what is wrong with the head would hide it.
        let head = self.dataset.head().await.ok().flatten()?;
        let further = head.version > target.version && head.dataset_id == target.dataset_id;
        if !further {
            return None;
        }
        self.note_newest(head.version);
        Some(head)
    }

    fn note_newest(&self, version: u64) {
        self.metrics.newest(version);
        self.vitals.note_newest(version);
    }

    fn heard_of(&self, entry: &LogEntry) {
        self.vitals.heard_of(entry.version, entry.time_ms);
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
        let known = self.served.identified().dataset_id;
        known.is_empty() || *known == entry.dataset_id
    }
}
