//! Which versions somebody may still need.
//!
//! Owns: what holds versions, and the boundary that follows. Never: writes, or looks at blobs.

use std::collections::BTreeSet;
use std::time::Duration;

use grotto_format::log::{BlobRef, SnapshotRef};

use crate::dataset::Dataset;
use crate::error::{ErrorKind, Result};
use crate::layout::version_of;
use crate::lease::{LeaseContent, StoreTime, renewed_ms};

use super::{Hold, Retention};

/// Damaged log entries in a row that are passed.
const DAMAGED_IN_A_ROW: usize = 8;

/// What was needed at some moment.
#[derive(Debug)]
pub(super) struct Needs {
    /// The newest version; 0 for an empty log.
    pub(super) newest: u64,
    /// What keeps versions, those that keep most first.
    pub(super) holds: Vec<Hold>,
}

impl Needs {
    /// The newest version that nobody needs.
    pub(super) fn boundary(&self) -> u64 {
        let oldest = self.holds.iter().map(|hold| hold.from).min();
        // The newest version stays in any case: what follows builds on it.
        oldest.unwrap_or(0).min(self.newest).saturating_sub(1)
    }
}

/// What is needed now. The log is looked at first: what is committed after that is newer than all that goes.
pub(super) async fn of(dataset: &Dataset, retention: &Retention, now: StoreTime) -> Result<Needs> {
    let head = dataset.head().await?;
    let newest = head.map_or(0, |head| head.version);
    let mut needs = Needs {
        newest,
        holds: Vec::new(),
    };
    if newest == 0 {
        return Ok(needs);
    }
    let kept = retention.snapshots.max(1);
    let snapshots = newest_snapshots(dataset, newest, kept).await?;
    needs.hold(match (snapshots.versions.first(), snapshots.told) {
        (Some(oldest), true) => Hold {
            from: *oldest,
            why: format!("the newest {kept} snapshots and what follows them"),
        },
        (_, false) => Hold {
            from: 1,
            why: "log entries that would name older snapshots are damaged".to_owned(),
        },
        // What there is can be reached in no other way.
        (None, true) => Hold {
            from: 1,
            why: "there is no snapshot yet".to_owned(),
        },
    });
    needs.hold_young(dataset, retention.grace, now).await?;
    needs.hold_pointers(dataset).await?;
    needs.hold_leases(dataset, retention.grace, now).await?;
    needs.holds.sort_by_key(|hold| hold.from);
    Ok(needs)
}

/// The newest snapshots up to a version.
struct Snapshots {
    versions: BTreeSet<u64>,
    /// Whether these are all, or as many as were asked for: where log entries are damaged that would name another one, nobody
    /// knows.
    told: bool,
}

/// Those that are announced and count, and the one that log entries name beside them. Of all of them the blobs are there.
async fn newest_snapshots(dataset: &Dataset, up_to: u64, most: usize) -> Result<Snapshots> {
    let mut versions = BTreeSet::new();
    let announced = dataset.snapshot_versions().await?;
    for version in announced
        .into_iter()
        .rev()
        .filter(|version| *version <= up_to)
    {
        if versions.len() >= most {
            break;
        }
        let announced = dataset.read_snapshot_or_warn(version).await?;
        // One whose blob is lost leads nobody anywhere.
        if let Some(blob) = announced.map(|announced| announced.blob)
            && has_blob(dataset, &blob).await?
        {
            versions.insert(version);
        }
    }
    let mut told = true;
    if versions.len() < most {
        // A first version, and a new start, come with a snapshot that nothing announces: what comes before the oldest
        // announced one may build on that.
        let before = versions
            .first()
            .map_or(up_to, |oldest| oldest.saturating_sub(1));
        match named_at(dataset, before).await? {
            Named::Snapshot(named) if has_blob(dataset, &named.blob).await? => {
                versions.insert(named.version);
            }
            Named::Snapshot(_) | Named::None => {}
            Named::Unknown => told = false,
        }
    }
    Ok(Snapshots { versions, told })
}

/// Which snapshot log entries name at a version.
enum Named {
    Snapshot(SnapshotRef),
    None,
    /// The entries that would say so are damaged.
    Unknown,
}

/// What the entry of a version says, or where that is damaged or lost, the next older one that is not collected.
async fn named_at(dataset: &Dataset, version: u64) -> Result<Named> {
    let collected = dataset.collected().await?;
    let slots = (collected + 1..=version).rev();
    let mut passed = 0;
    for slot in slots.take(DAMAGED_IN_A_ROW) {
        match dataset.read_entry(slot).await {
            Ok(Some(entry)) => return Ok(entry.snapshot.map_or(Named::None, Named::Snapshot)),
            Ok(None) => {}
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::warn!(%error, "a damaged log entry hides which snapshot is older");
            }
            Err(error) => return Err(error),
        }
        passed += 1;
    }
    match passed {
        DAMAGED_IN_A_ROW => Ok(Named::Unknown),
        _ => Ok(Named::None),
    }
}

async fn has_blob(dataset: &Dataset, blob: &BlobRef) -> Result<bool> {
    let path = dataset.layout.blob(&blob.name);
    let length = dataset
        .store
        .reading(|| dataset.store.length(&path))
        .await?;
    Ok(length == Some(blob.length))
}

impl Needs {
    fn hold(&mut self, hold: Hold) {
        self.holds.push(hold);
    }

    /// A version that somebody may have to load at any time.
    async fn hold_version(&mut self, dataset: &Dataset, version: u64, why: String) -> Result<()> {
        let nearest = newest_snapshots(dataset, version, 1).await?;
        let nearest = nearest.versions.last().copied();
        let from = nearest.unwrap_or(1).min(version);
        self.hold(Hold { from, why });
        Ok(())
    }

    /// What the pin and the channels name, which consumers may go to at any time.
    async fn hold_pointers(&mut self, dataset: &Dataset) -> Result<()> {
        for found in dataset.pointers().await? {
            let name = &found.name;
            match &found.content {
                Ok(pointer) => {
                    for version in pointer.versions() {
                        let why = format!("{name} names version {version}");
                        self.hold_version(dataset, version, why).await?;
                    }
                }
                Err(error) => self.hold(Hold {
                    from: 1,
                    why: format!("{name} cannot be read: {}", error.message()),
                }),
            }
        }
        Ok(())
    }

    /// Versions younger than the grace, which somebody may be on the way to.
    async fn hold_young(
        &mut self,
        dataset: &Dataset,
        grace: Duration,
        now: StoreTime,
    ) -> Result<()> {
        let folder = dataset.layout.log();
        let (entries, _) = dataset
            .store
            .list_objects(&folder, None, usize::MAX)
            .await?;
        let young = entries
            .iter()
            .filter(|meta| now.age(renewed_ms(meta)) <= grace);
        if let Some(from) = young.filter_map(|meta| version_of(&meta.location)).min() {
            let why = format!("younger than {} s", grace.as_secs());
            self.hold(Hold { from, why });
        }
        Ok(())
    }

    /// What consumers serve and go on from. One that is gone is believed for the grace longer.
    async fn hold_leases(
        &mut self,
        dataset: &Dataset,
        grace: Duration,
        now: StoreTime,
    ) -> Result<()> {
        let leases = dataset.leases_as_of(Some(now)).await?;
        if !leases.complete {
            let why = "more consumers than can be listed".to_owned();
            self.hold(Hold { from: 1, why });
        }
        for found in leases.found {
            if found.age > found.expires_after.saturating_add(grace) {
                continue;
            }
            let consumer = &found.consumer;
            let hold = match &found.content {
                LeaseContent::Lease(lease) => {
                    if let Some(pinned) = lease.pinned {
                        let why = format!("consumer {consumer} is pinned to version {pinned}");
                        self.hold_version(dataset, pinned, why).await?;
                    }
                    match lease.version {
                        // It has nothing yet, and will load the newest.
                        0 => continue,
                        from => Hold {
                            from,
                            why: format!("consumer {consumer}"),
                        },
                    }
                }
                LeaseContent::Damaged(reason) => Hold {
                    from: 1,
                    why: format!("the lease of consumer {consumer} cannot be read: {reason}"),
                },
                LeaseContent::Old => continue,
            };
            self.hold(hold);
        }
        Ok(())
    }
}
