//! The model: which versions there are, who made them, and what they hold.
//!
//! Owns: the history as it has to be. Learns it from what lands in the log, and its contents from
//! what producers were told to write; nothing of it comes from a state that the engine built.
//!
//! **Invariants** it checks: one history; one epoch per version, which only rises, and one writer per
//! epoch; an attempt is in the log once at most; what was acknowledged is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use grotto_format::log::{AcceptedVersion, BlobKind, EntryKind, LogEntry};
use grotto_state::{Promise, State};

use super::entry::{counted, decode, follows};
use crate::sim::DATASET;

/// Records by type and key: a number and a text.
pub(crate) type Content = BTreeMap<(&'static str, i64), (i64, String)>;

/// What a producer was told to write.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    /// Nobody else has it.
    pub(crate) token: u64,
    pub(crate) content: Arc<Content>,
}

/// An entry that landed.
#[derive(Clone, Debug)]
pub(crate) struct Committed {
    pub(crate) entry: LogEntry,
    pub(crate) content: Arc<Content>,
    /// `None` for a fence.
    pub(crate) token: Option<u64>,
    /// How often the dataset had been created anew.
    pub(crate) era: u64,
    /// The log went on behind it when it landed: what it holds is in no version after it.
    fills_gap: bool,
}

/// All that ever was in the log, and what has to be in it now.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    tokens: u64,
    /// What each writer was told last.
    told: BTreeMap<String, Attempt>,
    /// Attempts by the nonce of their entries.
    asked: BTreeMap<String, Attempt>,
    /// By version; the last one is what the log has or had.
    history: BTreeMap<u64, Vec<Committed>>,
    /// Versions whose entries were taken away, or damaged for good.
    gone: BTreeSet<u64>,
    /// Tokens in the log, with their versions.
    committed: BTreeMap<u64, u64>,
    acknowledged: BTreeMap<u64, u64>,
    head: u64,
    /// The newest version that ever was, since the dataset was created.
    peak: u64,
    era: u64,
    /// Something is lost or damaged for good, so that not every version can be read any more.
    scarred: bool,
    /// Blobs that are.
    spoilt: BTreeSet<String>,
    /// The first version that needs none before it and since which nothing was lost or damaged.
    whole_from: Option<u64>,
    /// Versions that somebody accepted, with their datasets and checksums.
    accepted: BTreeSet<(u64, String, u64)>,
    /// The log ended earlier than it had at some time.
    was_cut_off: bool,
}

impl Ledger {
    /// A writer is told what to write; returns the token that is to be part of it.
    pub(crate) fn next_token(&mut self) -> u64 {
        self.tokens += 1;
        self.tokens
    }

    pub(crate) fn told(&mut self, writer: &str, attempt: Attempt) {
        self.told.insert(writer.to_owned(), attempt);
    }

    /// A writer wants an entry to be created: what it was told last is what it stands for.
    pub(crate) fn asked(&mut self, who: &str, bytes: &Bytes) -> Result<(), String> {
        let entry = decode(bytes)?;
        if entry.writer != who {
            return Err(format!("writes an entry of {}", entry.writer));
        }
        if entry.kind == EntryKind::Commit {
            let Some(told) = self.told.get(who) else {
                return Err(format!("commits {} and was told nothing", entry.version));
            };
            let told = told.clone();
            self.asked.entry(entry.nonce).or_insert(told);
        }
        Ok(())
    }

    /// An entry is in the log from now on. In `calm` weather its writer sees whether the log goes on behind it.
    pub(crate) fn landed(&mut self, path: &str, bytes: &Bytes, calm: bool) -> Result<(), String> {
        let entry = decode(bytes)?;
        let version = entry.version;
        if !path.ends_with(&format!("/{version:020}.json")) {
            return Err(format!("{path} is an entry of version {version}"));
        }
        if self.gone.contains(&version) && self.at(version).is_some_and(|c| c.entry == entry) {
            // A late put of what was lost puts it back.
            self.gone.remove(&version);
            return Ok(());
        }
        let attempt = self.asked.get(&entry.nonce).cloned();
        let before = version.checked_sub(1).and_then(|before| self.at(before));
        if before.is_none() && version > 1 {
            return Err(format!("version {version} follows nothing"));
        }
        if let Some(before) = before {
            // Where nothing is left of the log, nobody can tell whose it was.
            let blind = (1..version).all(|version| self.gone.contains(&version));
            follows(&before.entry, &entry, blind)?;
        }
        let (content, token) = match (entry.kind, attempt) {
            (EntryKind::Commit, Some(attempt)) => (attempt.content, Some(attempt.token)),
            (EntryKind::Commit, None) => return Err(format!("nobody asked for {version}")),
            (EntryKind::Fence | EntryKind::Positions, _) => (
                before.map_or_else(Arc::default, |b| b.content.clone()),
                None,
            ),
        };
        counted(&entry, &content)?;
        if let Some(token) = token
            && let Some(other) = self.committed.insert(token, version)
        {
            return Err(format!("attempt {token} is version {other} and {version}"));
        }
        if let Some(before) = self.at(version - 1).filter(|_| version > 1)
            && before.entry.dataset_id != entry.dataset_id
        {
            // Whoever held the dataset before holds another one.
            self.era += 1;
        }
        let fills_gap = calm && self.goes_on_behind(version);
        // What is behind a gap does not rest on what fills it.
        if self.begins_anew(&entry) && version > self.head {
            self.whole_from.get_or_insert(version);
        }
        self.head = self.head.max(version);
        self.peak = self.peak.max(version);
        self.gone.remove(&version);
        let committed = Committed {
            entry,
            content,
            token,
            era: self.era,
            fills_gap,
        };
        self.history.entry(version).or_default().push(committed);
        Ok(())
    }

    /// The producer says that a version is published. `token` is that of the attempt it must hold,
    /// where that is known.
    pub(crate) fn acknowledged(
        &mut self,
        writer: &str,
        version: u64,
        token: Option<u64>,
    ) -> Result<(), String> {
        let mut versions = self.history.get(&version).into_iter().flatten();
        let own = versions.rfind(|c| c.entry.writer == writer);
        if own.is_some_and(|own| own.fills_gap) {
            return Err(format!(
                "version {version} is acknowledged, and the log went on behind it without it"
            ));
        }
        let Some(found) = own.and_then(|own| own.token) else {
            return Err(format!(
                "version {version} is acknowledged and not in the log"
            ));
        };
        if token.is_some_and(|token| token != found) {
            return Err(format!(
                "version {version} is acknowledged for attempt {token:?}, and holds {found}"
            ));
        }
        match self.acknowledged.insert(found, version) {
            Some(other) if other != version => Err(format!(
                "attempt {found} is acknowledged as version {other} and {version}"
            )),
            _ => Ok(()),
        }
    }

    /// Whether the version after one is there and rests on something.
    fn goes_on_behind(&self, version: u64) -> bool {
        let next = version + 1;
        let there = next <= self.head && !self.gone.contains(&next);
        let next = self.at(next).filter(|_| there).map(|next| &next.entry);
        next.is_some_and(|next| next.kind != EntryKind::Commit || next.blobs.is_some())
    }

    /// What the log has, or had, as `version`.
    pub(crate) fn at(&self, version: u64) -> Option<&Committed> {
        self.history.get(&version)?.last()
    }

    /// Everything that ever was `version`, with this state.
    pub(crate) fn with_state(&self, version: u64, checksum: u64) -> Option<&Committed> {
        let all = self.history.get(&version)?;
        all.iter()
            .rev()
            .find(|committed| committed.entry.state_checksum == checksum)
    }

    /// What a served state is: one that leaves types out is known by those it keeps. Of several that agree in
    /// these it is the first that does not come before `seen`: how often the dataset had been created anew, and version.
    pub(crate) fn known(&self, state: &State, seen: (u64, u64)) -> Option<&Committed> {
        if state.filter().is_none() {
            return self.with_state(state.version(), state.checksum());
        }
        let all = self.history.get(&state.version())?;
        let fits = |committed: &&Committed| Promise::of(&committed.entry).check(state).is_ok();
        let version = state.version();
        let mut young = all
            .iter()
            .filter(|committed| (committed.era, version) >= seen);
        young.find(fits).or_else(|| all.iter().rev().find(fits))
    }

    /// Everything that ever was `version`.
    pub(crate) fn all_of(&self, version: u64) -> impl Iterator<Item = &Committed> {
        self.history.get(&version).into_iter().flatten()
    }

    /// Everything that ever was a version after one up to another, in order: by how often the dataset had been
    /// created anew, and version.
    pub(crate) fn between(&self, after: (u64, u64), until: (u64, u64)) -> Vec<&Committed> {
        let all = self.history.values().flatten();
        let at = |committed: &Committed| (committed.era, committed.entry.version);
        let mut found: Vec<&Committed> = all
            .filter(|committed| (after..=until).contains(&at(committed)))
            .collect();
        found.sort_by_key(|committed| at(committed));
        found
    }

    /// Somebody accepts a version.
    pub(crate) fn accept(&mut self, bytes: &Bytes) -> Result<(), String> {
        let accepted = AcceptedVersion::decode(bytes);
        let accepted = accepted.map_err(|e| format!("what is accepted does not decode: {e}"))?;
        let (version, id, checksum) = (
            accepted.version,
            accepted.dataset_id,
            accepted.state_checksum,
        );
        self.accepted.insert((version, id, checksum));
        Ok(())
    }

    pub(crate) fn is_accepted(&self, entry: &LogEntry) -> bool {
        let (id, checksum) = (entry.dataset_id.clone(), entry.state_checksum);
        self.accepted.contains(&(entry.version, id, checksum))
    }

    /// Whether everything that ever was in the log is still there, whole.
    pub(crate) fn is_untouched(&self) -> bool {
        !self.scarred && !self.was_cut_off && self.gone.is_empty()
    }

    pub(crate) fn head(&self) -> u64 {
        self.head
    }

    /// The newest version that anybody can have seen, even if the log lost it since.
    pub(crate) fn peak(&self) -> u64 {
        self.peak
    }

    /// Something was lost or damaged for good.
    pub(crate) fn scarred(&mut self) {
        self.scarred = true;
        self.whole_from = None;
    }

    /// A blob was lost or damaged for good.
    pub(crate) fn spoilt(&mut self, path: &str) {
        self.scarred();
        self.spoilt.insert(path.to_owned());
    }

    /// Whether an entry needs nothing of what came before it.
    fn begins_anew(&self, entry: &LogEntry) -> bool {
        let named = entry
            .snapshot
            .as_ref()
            .map(|named| named.blob.name.as_str());
        let spoilt = named.is_some_and(|name| self.spoilt.iter().any(|path| path.ends_with(name)));
        entry.kind == EntryKind::Commit && entry.blobs.is_none() && !spoilt
    }

    /// Whether a version that is in the log needs nothing that was lost or damaged.
    pub(crate) fn is_readable(&self, version: u64) -> bool {
        !self.scarred || self.whole_from.is_some_and(|from| version >= from)
    }

    /// The attempt that a writer is at.
    pub(crate) fn token_of(&self, writer: &str) -> Option<u64> {
        self.told.get(writer).map(|attempt| attempt.token)
    }

    /// Whether an attempt is in the log.
    pub(crate) fn is_standing(&self, token: u64) -> bool {
        let version = self.committed.get(&token);
        version.is_some_and(|version| {
            // An entry that was lost may have had its number given to another.
            let own = self.at(*version).and_then(|committed| committed.token);
            own == Some(token) && !self.gone.contains(version)
        })
    }

    /// Paths of the steps that the log names.
    pub(crate) fn named(&self) -> BTreeSet<String> {
        let entries = self.intact().into_iter().filter_map(|v| self.at(v));
        let steps = entries.filter_map(|c| Some((&c.entry, c.entry.blobs.as_ref()?.nonce())));
        let paths = steps.flat_map(|(entry, nonce)| {
            let name = |kind| nonce.name(kind, entry.version, entry.epoch);
            [BlobKind::Delta, BlobKind::Reverse].map(|kind| format!("{DATASET}/{}", name(kind)))
        });
        paths.collect()
    }

    /// Versions that the log has to have.
    pub(crate) fn intact(&self) -> Vec<u64> {
        let versions = self.history.keys().copied();
        versions
            .filter(|version| *version <= self.head && !self.gone.contains(version))
            .collect()
    }

    /// The entry was taken away or damaged for good.
    pub(crate) fn lose(&mut self, version: u64) {
        self.gone.insert(version);
    }

    /// The entry was lost in a crash of the store's host, before anybody was told of it.
    pub(crate) fn crashed(&mut self, version: u64) -> Result<(), String> {
        let told = self.acknowledged.iter().find(|(_, at)| **at == version);
        let told = told.map(|(token, _)| *token);
        if version == self.head {
            self.cut_off(version - 1);
        } else {
            self.lose(version);
            self.whole_from = None;
        }
        told.map_or(Ok(()), |token| {
            Err(format!(
                "attempt {token} was acknowledged as version {version}, which a crash took away"
            ))
        })
    }

    /// The log ends earlier than it did.
    pub(crate) fn cut_off(&mut self, head: u64) {
        self.was_cut_off = true;
        // A dataset without a log is another dataset from its first version on.
        if head == 0 {
            self.era += 1;
            self.peak = 0;
        }
        let lost = |version: &u64| *version > head;
        self.committed.retain(|_, version| !lost(version));
        self.acknowledged.retain(|_, version| !lost(version));
        self.gone.retain(|version| !lost(version));
        self.head = head;
        self.whole_from = self.whole_from.filter(|from| *from <= head);
    }

    /// What was acknowledged and is not in the log.
    pub(crate) fn missing(&self) -> Vec<String> {
        let lost = self.acknowledged.iter().filter(|(token, version)| {
            !self.gone.contains(version) && self.committed.get(token) != Some(version)
        });
        lost.map(|(token, version)| {
            format!("attempt {token} was acknowledged as version {version} and is gone")
        })
        .collect()
    }
}
