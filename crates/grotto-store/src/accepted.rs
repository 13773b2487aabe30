//! Accepted versions: what releases a version that consumers hold back.
//!
//! Owns: creating and reading them. Never: decides what is held; consumers do, each for itself.
//! Spec: `docs/format/spec.md`, section "Other documents".

use std::ops::RangeInclusive;

use bytes::Bytes;
use grotto_format::log::{AcceptedVersion, FORMAT, LogEntry, MAX_CONTROL_BYTES, MAX_NOTE_BYTES};

use crate::control::unencodable;
use crate::dataset::Dataset;
use crate::error::{Error, ErrorKind, Result};
use crate::layout::version_of;
use crate::object::Created;

/// Who accepts a version, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// For people, such as `ada@host-1`; 1,000 bytes at most.
    pub by: String,
    /// For people; 1,000 bytes at most, may be empty.
    pub reason: String,
}

impl Dataset {
    /// Has consumers that hold a version back serve it, all of them and for good. Once for a version: what
    /// was accepted before is given back as it is, and `true` says that it is new.
    ///
    /// # Errors
    /// `Invalid` when the version is not in the log, or a text is too long; `Corrupt` when its log entry, or
    /// what was accepted before, is damaged or is of another state; `Unavailable` or `Overloaded` when the
    /// store does not answer or asks for less.
    pub async fn accept(&self, version: u64, note: &Acceptance) -> Result<(AcceptedVersion, bool)> {
        let name = self.name();
        let entry = self.read_entry(version).await?.ok_or_else(|| {
            Error::invalid(format!(
                "dataset {name}: version {version} is not in the log"
            ))
        })?;
        check_note("name of who accepts", &note.by)?;
        check_note("reason", &note.reason)?;
        let accepted = AcceptedVersion {
            format: FORMAT,
            dataset: name.to_owned(),
            dataset_id: entry.dataset_id.clone(),
            version,
            state_checksum: entry.state_checksum,
            by: note.by.clone(),
            reason: note.reason.clone(),
            time_ms: self.store.env().clock.wall_ms(),
        };
        let bytes = Bytes::from(accepted.encode().map_err(unencodable)?);
        let path = self.layout.accepted_version(version);
        let create = || self.store.create(&path, bytes.clone());
        if self.store.writing(create).await? == Created::New {
            return Ok((accepted, true));
        }
        // There already: ours, tried twice, or somebody else's, which is as good if it is of this state.
        let found = self.read_accepted(version).await?.ok_or_else(|| {
            Error::unavailable(format!(
                "{path} exists and cannot be read: the store contradicts itself"
            ))
        })?;
        check_state(&found, &entry)?;
        let is_new = found == accepted;
        Ok((found, is_new))
    }

    /// The newest accepted version in a range that counts, with its log entry; `None` if there is none.
    /// One listing, and two small requests for each that is there. One that is damaged or does not count
    /// is logged and passed over.
    ///
    /// # Errors
    /// `Unavailable` or `Overloaded` when the store does not answer or asks for less.
    pub async fn accepted_within(
        &self,
        range: RangeInclusive<u64>,
    ) -> Result<Option<(AcceptedVersion, LogEntry)>> {
        let paths = self.store.list(&self.layout.accepted(), None).await?;
        let mut versions: Vec<u64> = paths.iter().filter_map(version_of).collect();
        versions.retain(|version| range.contains(version));
        versions.sort_unstable();
        for version in versions.into_iter().rev() {
            match self.accepted_entry(version).await {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(error) if error.kind().is_outage() => return Err(error),
                Err(error) => {
                    let dataset = self.name();
                    tracing::warn!(%error, dataset, version, "ignoring an accepted version");
                }
            }
        }
        Ok(None)
    }

    /// What was accepted of a version, if it counts; `None` if nothing was, or the version is gone.
    async fn accepted_entry(&self, version: u64) -> Result<Option<(AcceptedVersion, LogEntry)>> {
        let (Some(accepted), Some(entry)) = (
            self.read_accepted(version).await?,
            self.read_entry(version).await?,
        ) else {
            return Ok(None);
        };
        check_state(&accepted, &entry)?;
        Ok(Some((accepted, entry)))
    }

    async fn read_accepted(&self, version: u64) -> Result<Option<AcceptedVersion>> {
        let path = self.layout.accepted_version(version);
        let found = self
            .read_document(&path, MAX_CONTROL_BYTES, AcceptedVersion::decode)
            .await?;
        let Some(found) = found else { return Ok(None) };
        self.check_dataset(&path, &found.dataset)?;
        if found.version != version {
            return Err(Error::corrupt(format!(
                "{path}: expected version {version}, found {}",
                found.version
            )));
        }
        Ok(Some(found))
    }
}

/// A dataset that was created anew, or a log that lost its end, has another state under the number.
fn check_state(accepted: &AcceptedVersion, entry: &LogEntry) -> Result<()> {
    let (version, expected, found) = (entry.version, &entry.dataset_id, &accepted.dataset_id);
    if expected != found {
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "version {version} was accepted of dataset identity {found}, expected {expected}"
            ),
        ));
    }
    if accepted.state_checksum == entry.state_checksum {
        return Ok(());
    }
    Err(Error::corrupt(format!(
        "version {version} was accepted with state checksum {:016x}, the log says {:016x}",
        accepted.state_checksum, entry.state_checksum
    )))
}

fn check_note(what: &str, text: &str) -> Result<()> {
    if text.len() <= MAX_NOTE_BYTES {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{what}: expected at most {MAX_NOTE_BYTES} bytes, found {}",
        text.len()
    )))
}
