//! Leases of consumers: writing one's own, and reading those of all.
//!
//! Owns: which objects they are, how many are read at a time, which are damaged. Never: decides anything
//! that a reader of records depends on; and no reader removes a lease because it is old.
//! Spec: `docs/format/spec.md`, section "Leases".
//!
//! Whoever can write to the store can write any lease: what is read is shown to people and holds back a
//! collector for a while, no more.

mod age;
mod observe;

use std::time::Duration;

pub(crate) use age::StoreTime;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use grotto_format::log::{Lease, MAX_EXPIRY_S, MAX_LEASE_BYTES};
use object_store::ObjectMeta;

use crate::control::unencodable;
use crate::dataset::Dataset;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::ConsumerId;

pub use observe::LeaseObserver;

/// Leases read at a time.
const LEASES_AT_ONCE: usize = 32;
/// Most leases that are listed.
const MOST_LEASES: usize = 10_000;

/// The leases of a dataset.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Leases {
    /// By name of the consumer.
    pub found: Vec<FoundLease>,
    /// Whether these are all: no more than 10,000 are listed.
    pub complete: bool,
}

/// A lease as it lies in the store.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundLease {
    /// The consumer, by the name of the object.
    pub consumer: ConsumerId,
    /// What it says.
    pub content: LeaseContent,
    /// Time since it was renewed, as far as one listing tells; a [`LeaseObserver`] knows better.
    pub age: Duration,
    /// When it was renewed by the time of the store, in milliseconds since 1970.
    pub renewed_ms: u64,
    /// For how long it is believed after a renewal. One that cannot be read: for as long as any, unless a
    /// [`LeaseObserver`] has read it before.
    pub expires_after: Duration,
}

/// What a lease says.
#[derive(Clone, Debug, PartialEq)]
pub enum LeaseContent {
    /// This.
    Lease(Box<Lease>),
    /// Nothing that can be read, for this reason.
    Damaged(String),
    /// Not read: older than any lease is believed.
    Old,
}

impl LeaseContent {
    /// One that cannot be read is believed for as long as any.
    fn expires_after(&self) -> Duration {
        Duration::from_secs(match self {
            Self::Lease(lease) => lease.expires_after_s,
            Self::Damaged(_) | Self::Old => MAX_EXPIRY_S,
        })
    }
}

impl FoundLease {
    /// What it says, if that can be read and is recent enough to be read.
    pub fn lease(&self) -> Option<&Lease> {
        match &self.content {
            LeaseContent::Lease(lease) => Some(lease),
            LeaseContent::Damaged(_) | LeaseContent::Old => None,
        }
    }

    /// Whether its consumer counts as gone.
    pub fn is_expired(&self) -> bool {
        self.age > self.expires_after
    }
}

impl Dataset {
    /// Writes a lease, whatever was there. Tried once: the next renewal is the next try.
    ///
    /// # Errors
    /// `Invalid` when the lease says what no reader would take, is that of another dataset, or the store takes
    /// no writes; `Unavailable` or `Overloaded` when it does not answer or asks for less.
    pub async fn write_lease(&self, lease: &Lease) -> Result<()> {
        if lease.dataset != self.name() {
            let (expected, found) = (self.name(), &lease.dataset);
            return Err(Error::invalid(format!(
                "lease of a consumer of {found:?}: expected dataset {expected}"
            )));
        }
        let bytes = Bytes::from(lease.encode().map_err(unencodable)?);
        let consumer = ConsumerId::parse(&lease.consumer)?;
        self.store.put(&self.layout.lease(&consumer), bytes).await
    }

    /// Removes the lease of a consumer that ends; one that is already gone is fine. Tried once.
    ///
    /// # Errors
    /// `Invalid` when the store takes no writes; `Unavailable` or `Overloaded` when it does not answer or asks for
    /// less.
    pub async fn remove_lease(&self, consumer: &ConsumerId) -> Result<()> {
        self.store.delete(&self.layout.lease(consumer)).await
    }

    /// All leases, expired ones too: one listing, and a request for each that was renewed within a day. One that
    /// is damaged is told as such and hides no other.
    ///
    /// # Errors
    /// `Unavailable` or `Overloaded` when the store does not answer or asks for less.
    pub async fn leases(&self) -> Result<Leases> {
        self.leases_as_of(None).await
    }

    /// The same where the time of the store is known.
    pub(crate) async fn leases_as_of(&self, now: Option<StoreTime>) -> Result<Leases> {
        let folder = self.layout.leases();
        let listing = self.store.list_objects(&folder, None, MOST_LEASES).await?;
        let (objects, complete) = listing;
        let named = objects.into_iter();
        let named = named.filter_map(|meta| Some((self.layout.consumer_of(&meta.location)?, meta)));
        let named: Vec<(ConsumerId, ObjectMeta)> = named.collect();
        let times = named.iter().map(|(_, meta)| renewed_ms(meta));
        let time = match now {
            Some(now) => now,
            None => StoreTime::of(times, self.store.env().clock.wall_ms()),
        };
        let found: Vec<Option<FoundLease>> = futures::stream::iter(named)
            .map(|(consumer, meta)| self.look_at(consumer, meta, time))
            .buffer_unordered(LEASES_AT_ONCE)
            .try_collect()
            .await?;
        let mut found: Vec<FoundLease> = found.into_iter().flatten().collect();
        found.sort_by(|a, b| a.consumer.cmp(&b.consumer));
        Ok(Leases { found, complete })
    }

    /// Removes leases that expired at least `grace` ago, and gives their names: for a collector, as nobody else
    /// removes the lease of a consumer that died. A consumer that comes back at that moment is not seen
    /// until its next renewal.
    ///
    /// # Errors
    /// As [`leases`](Self::leases) and [`remove_lease`](Self::remove_lease).
    pub async fn remove_expired_leases(&self, grace: Duration) -> Result<Vec<ConsumerId>> {
        let old = |lease: &FoundLease| lease.age > lease.expires_after.saturating_add(grace);
        let leases = self.leases().await?.found;
        let gone: Vec<ConsumerId> = leases
            .into_iter()
            .filter(old)
            .map(|lease| lease.consumer)
            .collect();
        let removals = futures::stream::iter(&gone).map(|consumer| self.remove_lease(consumer));
        let removals = removals.buffer_unordered(LEASES_AT_ONCE);
        removals.try_collect::<Vec<()>>().await?;
        Ok(gone)
    }

    /// `None` if it was removed since it was listed.
    async fn look_at(
        &self,
        consumer: ConsumerId,
        meta: ObjectMeta,
        time: StoreTime,
    ) -> Result<Option<FoundLease>> {
        let renewed_ms = renewed_ms(&meta);
        let age = time.age(renewed_ms);
        let content = if age > Duration::from_secs(MAX_EXPIRY_S) {
            Some(LeaseContent::Old)
        } else {
            self.read_lease(&consumer, &meta).await?
        };
        Ok(content.map(|content| FoundLease {
            consumer,
            expires_after: content.expires_after(),
            content,
            age,
            renewed_ms,
        }))
    }

    async fn read_lease(
        &self,
        consumer: &ConsumerId,
        meta: &ObjectMeta,
    ) -> Result<Option<LeaseContent>> {
        let path = &meta.location;
        if meta.size > MAX_LEASE_BYTES as u64 {
            let found = meta.size;
            return Ok(Some(LeaseContent::Damaged(format!(
                "{path} is {found} bytes, expected at most {MAX_LEASE_BYTES}"
            ))));
        }
        let read = self.read_document(path, MAX_LEASE_BYTES, Lease::decode);
        match read.await {
            Ok(lease) => Ok(lease.map(|lease| self.placed(consumer, lease))),
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Invalid) => {
                Ok(Some(LeaseContent::Damaged(error.message().to_owned())))
            }
            Err(error) => Err(error),
        }
    }

    /// A lease that was copied to the place of another says nothing about that one.
    fn placed(&self, consumer: &ConsumerId, lease: Lease) -> LeaseContent {
        let expected = (self.name(), consumer.as_str());
        let found = (lease.dataset.as_str(), lease.consumer.as_str());
        if found == expected {
            return LeaseContent::Lease(Box::new(lease));
        }
        LeaseContent::Damaged(format!(
            "expected the lease of {} of dataset {}, found that of {} of dataset {}",
            expected.1, expected.0, found.1, found.0
        ))
    }
}

/// Times before 1970 are as good as none.
pub(crate) fn renewed_ms(meta: &ObjectMeta) -> u64 {
    u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or(0)
}
