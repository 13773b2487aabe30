//! What a document must be to be believed, beyond its checksum.
//!
//! Owns: the checks of log entries and of blob names, for writers and readers alike. Never: IO.
//! Spec: `docs/format/spec.md`, section "Commit log".

use super::{BlobKind, BlobRef, EntryKind, LogEntry, LogError, MAX_VERSION, RecordChanges};

/// A field and what is wrong with it.
pub(super) type Fault = (&'static str, String);

impl LogEntry {
    pub(super) const WHAT: &'static str = "log entry";

    pub(super) fn check(&self) -> Result<(), LogError> {
        self.check_numbers()
            .and_then(|()| self.check_versions())
            .and_then(|()| self.check_changes())
            .and_then(|()| self.check_snapshot())
            .and_then(|()| self.links.check(self.state_version, self.epoch))
            .and_then(|()| self.check_own_link())
            .map_err(|(field, reason)| LogError::Field {
                what: Self::WHAT,
                field,
                reason,
            })
    }

    fn check_numbers(&self) -> Result<(), Fault> {
        for (field, found) in [("version", self.version), ("epoch", self.epoch)] {
            if !(1..=MAX_VERSION).contains(&found) {
                let reason = format!("expected 1 to {MAX_VERSION}, found {found}");
                return Err((field, reason));
            }
        }
        Ok(())
    }

    fn check_versions(&self) -> Result<(), Fault> {
        let (version, parent, state) = (self.version, self.parent, self.state_version);
        if parent.checked_add(1) != Some(version) {
            let reason = format!("{parent} is not the one before version {version}");
            return Err(("parent", reason));
        }
        let state_fits = match self.kind {
            EntryKind::Commit => state == version,
            EntryKind::Fence | EntryKind::Positions => state <= parent,
        };
        if !state_fits {
            return Err((
                "state_version",
                format!(
                    "{state} does not fit a {:?} of version {version}",
                    self.kind
                ),
            ));
        }
        let commits = self.commits;
        if commits > version || (self.kind == EntryKind::Commit && commits == 0) {
            return Err((
                "commits",
                format!("{commits} does not fit version {version}"),
            ));
        }
        if self.nonce.is_empty() {
            return Err(("nonce", "expected a value, found none".to_owned()));
        }
        Ok(())
    }

    /// Those that were added or modified are among the records there are.
    fn check_changes(&self) -> Result<(), Fault> {
        for (name, ty) in &self.types {
            let Some(changed) = ty.changed else {
                continue;
            };
            let (added, modified, records) = (changed.added, changed.modified, ty.records);
            let fits = changed != RecordChanges::default()
                && added
                    .checked_add(modified)
                    .is_some_and(|all| all <= records);
            if !fits {
                let removed = changed.removed;
                return Err((
                    "types",
                    format!(
                        "{added} added, {removed} removed and {modified} modified do not fit {records} records of {name}"
                    ),
                ));
            }
        }
        Ok(())
    }

    fn check_snapshot(&self) -> Result<(), Fault> {
        let Some(snapshot) = &self.snapshot else {
            return Ok(());
        };
        check_blob("snapshot", &snapshot.blob, BlobKind::Snapshot)?;
        if snapshot.version > self.version {
            let (found, own) = (snapshot.version, self.version);
            return Err(("snapshot", format!("version {found} is past version {own}")));
        }
        Ok(())
    }

    /// A commit's own step is its last link, and says of its blobs what they are.
    fn check_own_link(&self) -> Result<(), Fault> {
        let Some(blobs) = &self.blobs else {
            // Nothing leads to a commit without a delta but its snapshot.
            return match (self.kind, self.links.0.last()) {
                (EntryKind::Commit, Some(_)) => Err((
                    "links",
                    "a step leads to a commit without a delta".to_owned(),
                )),
                _ => Ok(()),
            };
        };
        if self.kind != EntryKind::Commit {
            return Err(("blobs", "expected none without a new state".to_owned()));
        }
        let fits = self.links.0.last().is_some_and(|link| {
            link.version() == self.version
                && link.epoch == self.epoch
                && link.nonce == blobs.nonce()
                && link.delta_bytes == blobs.delta_bytes()
                && link.reverse_bytes == blobs.reverse_bytes()
                && link.inline == blobs.is_inline()
        });
        if fits {
            return Ok(());
        }
        Err((
            "links",
            "the last one is not this commit's own step".to_owned(),
        ))
    }
}

/// A name becomes a path in a store, possibly a folder of the host: one known folder, one plain
/// file name, nothing that could climb or hide.
pub(super) fn check_blob(field: &'static str, blob: &BlobRef, kind: BlobKind) -> Result<(), Fault> {
    let folder = kind.folder();
    let file = blob
        .name
        .strip_prefix(folder)
        .and_then(|rest| rest.strip_prefix('/'));
    let plain = |file: &str| {
        file.len() <= 200
            && !file.starts_with('.')
            && file.ends_with(&format!(".{folder}"))
            && file
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    if file.is_some_and(plain) {
        return Ok(());
    }
    let shown: String = blob.name.chars().take(80).collect();
    Err((
        field,
        format!("blob name {shown:?} is not {folder}/<name>.{folder}"),
    ))
}
