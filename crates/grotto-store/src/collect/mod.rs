//! Collection: removing what no reader needs any more.
//!
//! Owns: the order of things. Never: removes anything that the log, as it is after the boundary was raised, still needs.
//!
//! **Invariants**
//! - The boundary is raised before anything at or below it is removed, and it never falls: a slot of the log that was
//!   removed can be created again, and counts for nothing there.
//! - Removed is what two looks found of no use: one before the boundary was raised, one after. Whoever began to need
//!   something in between keeps it.
//! - A blob of a version that nobody has committed yet is never removed, however old: its writer may have slept, and
//!   commits it when it wakes.
//!
//! - What is old is so by the time of the store, which is asked for it: no clock of a host makes anything old.
//!
//! Any number of collectors may run at a time, on any hosts, and may be stopped anywhere: the next one goes on.

mod clock;
mod needs;
mod rubbish;

use std::fmt;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;

use crate::dataset::Dataset;
use crate::error::Result;
use crate::lease::StoreTime;
use needs::Needs;

/// Objects removed at a time.
const REMOVALS_AT_ONCE: usize = 16;

/// What is kept for readers that nobody knows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Newest snapshots that stay, and with them every version from the oldest of them on; 0 counts as 1. 3 unless set.
    pub snapshots: usize,
    /// Younger objects stay, by the time of the store. Longer than any upload and any refresh takes. An hour unless set.
    pub grace: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            snapshots: 3,
            grace: Duration::from_secs(3600),
        }
    }
}

/// What keeps versions, and from which one on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The oldest version that is kept for it.
    pub from: u64,
    /// What it is, for people.
    pub why: String,
}

/// Why an object goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Its version is gone for good.
    Collected,
    /// Uploaded by an attempt that lost or was given up: no log entry names it, and none ever will.
    Orphan,
    /// Left by a check of the store, or by a consumer that is gone.
    Leftover,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Collected => "its version is collected",
            Self::Orphan => "no log entry names it",
            Self::Leftover => "its writer is gone",
        })
    }
}

/// An object that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doomed {
    /// Its name in the dataset.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Why.
    pub why: Why,
}

/// What a collection removed, or would.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collection {
    /// The newest version that was gone before.
    pub before: u64,
    /// The newest version that is gone with it.
    pub boundary: u64,
    /// The newest version of the log; 0 for an empty one.
    pub newest: u64,
    /// What keeps the versions past the boundary, those that keep most first.
    pub holds: Vec<Hold>,
    /// What goes, in the order in which it goes.
    pub objects: Vec<Doomed>,
}

impl Collection {
    /// Bytes of all that goes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.bytes).sum()
    }
}

impl Dataset {
    /// What a collection would remove now, and what keeps the rest. Removes nothing, and needs to write only to ask the store
    /// for its time: where that is not allowed, what the listing and the own clock tell has to do.
    ///
    /// # Errors
    /// `Corrupt` when the head of the log is damaged; `Unavailable` or `Overloaded` when the store does not answer or
    /// asks for less.
    pub async fn plan_collection(&self, retention: &Retention) -> Result<Collection> {
        let now = clock::ask_or_guess(self).await?;
        let needs = needs::of(self, retention, now).await?;
        let before = self.collected().await?;
        let boundary = needs.boundary();
        self.plan_up_to(boundary, before, retention, needs, now)
            .await
    }

    async fn plan_up_to(
        &self,
        boundary: u64,
        before: u64,
        retention: &Retention,
        needs: Needs,
        now: StoreTime,
    ) -> Result<Collection> {
        let objects = rubbish::of(self, retention, &needs, boundary, now).await?;
        Ok(Collection {
            before,
            boundary: before.max(boundary),
            newest: needs.newest,
            holds: needs.holds,
            objects,
        })
    }

    /// Removes what no reader needs: raises the boundary first, looks again, and removes what is of no use then. What
    /// could not be removed is found again by the next collection.
    ///
    /// # Errors
    /// As [`plan_collection`](Self::plan_collection); `Invalid` when the store takes no writes.
    pub async fn collect(&self, retention: &Retention) -> Result<Collection> {
        let now = clock::ask(self).await?;
        let needs = needs::of(self, retention, now).await?;
        let before = self.collected().await?;
        if needs.boundary() > before {
            self.raise_collected(needs.boundary()).await?;
        }
        // What is needed since stays, though it is below the boundary; what is not since is past it.
        let needs = needs::of(self, retention, now).await?;
        let boundary = needs.boundary().min(self.collected().await?);
        let collection = self
            .plan_up_to(boundary, before, retention, needs, now)
            .await?;
        // In their order, so that one that is stopped leaves nothing that names what is gone, but by bounded haste.
        let objects = collection.objects.iter();
        let paths: Vec<Path> = objects
            .map(|object| self.layout.blob(&object.name))
            .collect();
        let removals =
            futures::stream::iter(paths).map(|path| async move { self.remove(&path).await });
        let removals = removals.buffered(REMOVALS_AT_ONCE);
        removals.try_collect::<Vec<()>>().await?;
        self.sweep_as_of(now.ms(), retention.grace).await?;
        Ok(collection)
    }

    async fn remove(&self, path: &Path) -> Result<()> {
        self.store.writing(|| self.store.delete(path)).await
    }
}
