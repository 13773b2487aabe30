//! One look at the datasets of a store and their consumers.
//!
//! Owns: what is asked, and who counts as gone, behind or in trouble. Never: prints.

use crate::failure::Outcome;
use grotto::store::{
    ChannelId, Dataset, FoundLease, FoundPointer, Lease, LeaseContent, LeaseObserver, LogEntry,
    Store,
};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::time::Duration;

/// Looks at a store, and remembers what the last look found.
#[derive(Debug)]
pub(super) struct Looks {
    store: Store,
    /// The only dataset that is asked for.
    dataset: Option<String>,
    observers: BTreeMap<String, LeaseObserver>,
}

/// Datasets as they were at one time.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) wall_ms: u64,
    pub(super) datasets: Vec<Looked>,
}

/// A dataset.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) name: String,
    /// The newest version, or why that cannot be read.
    pub(super) head: Result<Box<LogEntry>, String>,
    /// The pin, and the channels.
    pub(super) pointers: Vec<FoundPointer>,
    /// Those in trouble first.
    pub(super) consumers: Vec<Consumer>,
    /// Whether these are all.
    pub(super) complete: bool,
}

/// A consumer by its lease.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) id: String,
    /// What it says of itself, or why that is unknown.
    pub(super) lease: Result<Box<Lease>, String>,
    /// Since it said so.
    pub(super) age: Duration,
    pub(super) expired: bool,
    pub(super) behind: Behind,
}

/// How far a consumer is from the version that it should serve. In order of concern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Behind {
    /// It serves that one, or nobody knows better.
    No,
    /// It is so many versions away, since what it serves was last known to be right.
    By(u64, Duration),
    /// It serves a dataset that was replaced under this name.
    Other,
}

impl Looks {
    pub(super) fn new(store: Store, dataset: Option<String>) -> Self {
        Self {
            store,
            dataset,
            observers: BTreeMap::new(),
        }
    }

    /// Looks once.
    pub(super) async fn look(&mut self) -> Outcome<Look> {
        let mut datasets = Vec::new();
        for name in self.store.datasets().await? {
            if self.dataset.as_ref().is_some_and(|named| *named != name) {
                continue;
            }
            let Ok(dataset) = Dataset::open(self.store.clone(), &name) else {
                continue;
            };
            let head = match dataset.head().await {
                Ok(None) => continue,
                Ok(Some(head)) => Ok(Box::new(head)),
                Err(error) if error.kind().is_outage() => return Err(error.into()),
                Err(error) => Err(error.to_string()),
            };
            datasets.push(self.consumers(name, &dataset, head).await?);
        }
        let wall_ms = self.store.env().clock.wall_ms();
        Ok(Look { wall_ms, datasets })
    }

    async fn consumers(
        &mut self,
        name: String,
        dataset: &Dataset,
        head: Result<Box<LogEntry>, String>,
    ) -> Outcome<Looked> {
        let pointers = dataset.pointers().await?;
        let mut leases = dataset.leases().await?;
        let now = self.store.env().clock.monotonic();
        let observer = self.observers.entry(name.clone()).or_default();
        observer.observe(&mut leases, now);
        let newest = head.as_deref().ok();
        let found = leases.found.into_iter();
        let consumers = found.map(|one| of(one, newest, &pointers));
        let mut consumers: Vec<Consumer> = consumers.collect();
        consumers.sort_by(by_concern);
        Ok(Looked {
            name,
            head,
            pointers,
            consumers,
            complete: leases.complete,
        })
    }
}

impl Consumer {
    /// How much it is in need of somebody, the most last: gone, fine, behind, in trouble, unreadable.
    fn concern(&self) -> (u8, Behind) {
        let rank = match &self.lease {
            _ if self.expired => 0,
            Err(_) => 4,
            Ok(lease) if lease.health == "ready" => 1,
            Ok(lease) if lease.health == "degraded" => 2,
            Ok(_) => 3,
        };
        (rank, self.behind)
    }
}

/// Those that somebody should look at first, else by name.
fn by_concern(a: &Consumer, b: &Consumer) -> Ordering {
    b.concern().cmp(&a.concern()).then_with(|| a.id.cmp(&b.id))
}

fn of(found: FoundLease, newest: Option<&LogEntry>, pointers: &[FoundPointer]) -> Consumer {
    let (expired, age) = (found.is_expired(), found.age);
    let lease = match found.content {
        LeaseContent::Lease(lease) => Ok(lease),
        LeaseContent::Damaged(why) => Err(why),
        LeaseContent::Old => Err("not renewed for more than a day".to_owned()),
    };
    let told = lease.as_ref().ok().zip(newest);
    Consumer {
        id: found.consumer.to_string(),
        behind: told.map_or(Behind::No, |(lease, head)| {
            behind(lease, (head, pointers), age)
        }),
        lease,
        age,
        expired,
    }
}

/// How many versions a consumer is from the one that it is to serve, by what is in the store now: that of the pin, of its
/// channel, or the newest. `None` where that is not known.
fn away(lease: &Lease, head: &LogEntry, pointers: &[FoundPointer]) -> Option<u64> {
    let newest = Some(head.version.saturating_sub(lease.version));
    // A program that asked for a version of its own looks at neither.
    if lease.pinned.is_some() {
        return newest;
    }
    let named = |channel: Option<&str>| {
        let name = |one: &FoundPointer| one.name.channel().map(ChannelId::as_str) == channel;
        let found = pointers.iter().find(|one| name(one))?;
        let pointer = found.content.as_ref().ok();
        let version = pointer.map(|pointer| pointer.version_for(Some(&lease.consumer)));
        Some(version.map(|version| version.abs_diff(lease.version)))
    };
    match (named(None), lease.channel.as_deref()) {
        (Some(pin), _) => pin,
        (None, Some(channel)) => named(Some(channel)).flatten(),
        (None, None) => newest,
    }
}

fn behind(lease: &Lease, (head, pointers): (&LogEntry, &[FoundPointer]), age: Duration) -> Behind {
    if !lease.dataset_id.is_empty() && lease.dataset_id != head.dataset_id {
        return Behind::Other;
    }
    match away(lease, head, pointers).unwrap_or(0) {
        0 => Behind::No,
        versions => Behind::By(versions, Duration::from_millis(lease.staleness_ms) + age),
    }
}

#[cfg(test)]
mod tests;
