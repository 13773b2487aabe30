//! The rules that every writer keeps from entry to entry, and that readers need not check.
//!
//! Owns: comparing an entry with the intact one before it, and a snapshot with its entry. What an entry must be
//! by itself to be read at all is checked where it is decoded. Never: IO.
//! Spec: `docs/format/spec.md`, sections "Log entry", "Other documents" and "Fencing".

use grotto::schema::Schema;
use grotto::store::{BlobKind, BlobRef, EntryKind, LogEntry, SnapshotEntry};

/// What an entry breaks. `before` is the newest intact entry before it: entries between the two are
/// damaged or lost, and what they said is not known.
pub(super) fn broken(before: Option<&LogEntry>, entry: &LogEntry) -> Vec<String> {
    let mut broken = Broken(Vec::new());
    broken.alone(entry);
    match before {
        Some(before) => broken.after(before, entry),
        None if entry.version == 1 => broken.same("epoch", 1, entry.epoch),
        // What comes before it was collected or is lost.
        None => {}
    }
    broken.0
}

/// What an announcement breaks that the entry of its version bears out.
pub(super) fn broken_announcement(entry: &LogEntry, announced: &SnapshotEntry) -> Vec<String> {
    let mut broken = Broken(Vec::new());
    broken.snapshot_name(announced.version, &announced.blob);
    broken.unless(announced.epoch >= entry.epoch, || {
        let (epoch, found) = (entry.epoch, announced.epoch);
        format!("expected epoch {epoch} or later, that of its log entry, found {found}")
    });
    broken.0
}

/// What was found.
struct Broken(Vec<String>);

impl Broken {
    fn unless(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.0.push(otherwise());
        }
    }

    /// Two numbers that are the same in every log.
    fn same(&mut self, what: &str, expected: u64, found: u64) {
        self.unless(expected == found, || {
            format!("expected {what} {expected}, found {found}")
        });
    }

    fn same_hash(&mut self, what: &str, expected: u64, found: u64) {
        self.unless(expected == found, || {
            format!("expected {what} {expected:016x}, found {found:016x}")
        });
    }

    fn alone(&mut self, entry: &LogEntry) {
        let shares = entry.types.values().map(|ty| ty.checksum);
        let sum = shares.fold(0, u64::wrapping_add);
        self.same_hash(
            "a state checksum that is the sum of those of its types,",
            sum,
            entry.state_checksum,
        );
        if entry.state_version == 0 {
            self.before_the_first_state(entry);
        }
        if let Some(snapshot) = &entry.snapshot {
            self.snapshot_name(snapshot.version, &snapshot.blob);
        }
        let own = entry.snapshot.as_ref().map(|snapshot| snapshot.version) == Some(entry.version);
        let needs_own = entry.kind == EntryKind::Commit && entry.blobs.is_none();
        self.unless(own || !needs_own, || {
            "a commit without a delta that names no snapshot of its own".to_owned()
        });
    }

    fn before_the_first_state(&mut self, entry: &LogEntry) {
        self.same("commits", 0, entry.commits);
        self.unless(entry.types.is_empty(), || {
            let found = entry.types.len();
            format!("expected no types before the first commit, found {found}")
        });
        let none = Schema::default().hash();
        self.same_hash("schema hash", none, entry.schema_hash);
    }

    /// The name tells the version, and the epoch of the writer, which is a number.
    fn snapshot_name(&mut self, version: u64, blob: &BlobRef) {
        let part = format!("{}/{version:020}-", BlobKind::Snapshot.folder());
        let rest = blob.name.strip_prefix(&part);
        let epoch = rest.and_then(|rest| rest.split_once('-'));
        let is_right = epoch.is_some_and(|(epoch, _)| epoch.parse::<u64>().is_ok());
        self.unless(is_right, || {
            format!(
                "expected a snapshot named {part}<epoch>-…, found {}",
                blob.name
            )
        });
    }

    fn after(&mut self, before: &LogEntry, entry: &LogEntry) {
        let lost = entry.version.saturating_sub(before.version + 1);
        self.unless(entry.dataset_id == before.dataset_id, || {
            "it is of another dataset than the version before".to_owned()
        });
        self.epoch(before, entry, lost);
        let (least, found) = (before.commits + is_commit(entry), entry.commits);
        self.unless((least..=least + lost).contains(&found), || {
            format!("expected commits {least}, one for each so far, found {found}")
        });
        for (source, position) in &before.sources {
            self.unless(entry.sources.contains_key(source), || {
                format!("the position of source {source:?}, {position} before, is gone")
            });
        }
        if lost > 0 {
            return;
        }
        match entry.kind {
            EntryKind::Commit => self.commit(before, entry),
            EntryKind::Fence | EntryKind::Positions => self.stays(before, entry),
        }
        self.tags(before, entry);
    }

    /// It never falls, rises by one with each reign, and belongs to one writer.
    fn epoch(&mut self, before: &LogEntry, entry: &LogEntry, lost: u64) {
        let (earlier, found) = (before.epoch, entry.epoch);
        self.unless(found >= earlier, || {
            format!("epoch {found} is below {earlier}, that of the version before")
        });
        let most = earlier + lost + 1;
        self.unless(found <= most, || {
            format!("epoch {found} skips some: expected at most {most}")
        });
        self.unless(entry.kind != EntryKind::Fence || found != earlier, || {
            format!("a fence that begins no epoch: {found} is that of the version before")
        });
        self.unless(found != earlier || entry.writer == before.writer, || {
            let (expected, other) = (&before.writer, &entry.writer);
            format!("expected {expected:?} as the only writer of epoch {found}, found {other:?}")
        });
    }

    fn commit(&mut self, before: &LogEntry, entry: &LogEntry) {
        let known = |entry: &LogEntry| entry.snapshot.as_ref().map(|known| known.version);
        self.unless(known(entry) >= known(before), || {
            let expected = known(before).unwrap_or(0);
            format!("expected the snapshot of version {expected} or a newer one to be named")
        });
        let Some(own) = entry.own_link() else {
            return;
        };
        self.changes(before, entry);
        self.same(
            "a step that begins at version",
            before.state_version,
            own.since,
        );
        let repeated = entry.links.0.iter().rev().skip(1);
        let differs = repeated
            .zip(
                before
                    .links
                    .0
                    .iter()
                    .rev()
                    .map(Some)
                    .chain(std::iter::repeat(None)),
            )
            .find(|(link, earlier)| Some(*link) != *earlier);
        if let Some((link, _)) = differs {
            let version = link.version();
            self.0.push(format!(
                "its link to version {version} is not that of the version before"
            ));
        }
    }

    /// What is there is what was there, with what came and without what went.
    fn changes(&mut self, before: &LogEntry, entry: &LogEntry) {
        for (name, ty) in &entry.types {
            let changed = ty.changed.unwrap_or_default();
            let records = before.types.get(name).map_or(0, |ty| ty.records);
            let expected = records
                .checked_add(changed.added)
                .and_then(|all| all.checked_sub(changed.removed));
            self.unless(expected == Some(ty.records), || {
                let (added, removed, found) = (changed.added, changed.removed, ty.records);
                format!(
                    "type {name}: {records} records before, {added} added and {removed} removed do not make {found}"
                )
            });
        }
    }

    /// Nothing of the state changes.
    fn stays(&mut self, before: &LogEntry, entry: &LogEntry) {
        self.same("state version", before.state_version, entry.state_version);
        self.same_hash(
            "state checksum",
            before.state_checksum,
            entry.state_checksum,
        );
        self.same_hash("schema hash", before.schema_hash, entry.schema_hash);
        for (what, same) in [
            ("types", before.types == entry.types),
            ("snapshot", before.snapshot == entry.snapshot),
            ("links", before.links == entry.links),
        ] {
            self.unless(same, || {
                format!("without a new state, its {what} differ from those of the version before")
            });
        }
    }

    /// A fence repeats them, positions add to them.
    fn tags(&mut self, before: &LogEntry, entry: &LogEntry) {
        let kept = match entry.kind {
            EntryKind::Commit => true,
            EntryKind::Fence => entry.tags == before.tags,
            EntryKind::Positions => before.tags.keys().all(|tag| entry.tags.contains_key(tag)),
        };
        self.unless(kept, || {
            "without a new state, tags of the version before are gone or others".to_owned()
        });
    }
}

/// 1 for a commit, 0 for other entries.
fn is_commit(entry: &LogEntry) -> u64 {
    u64::from(entry.kind == EntryKind::Commit)
}
