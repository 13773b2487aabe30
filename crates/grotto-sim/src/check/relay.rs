//! The model of a dataset that several hosts lead in turn: its log, and what each host was given.
//!
//! Owns: whose versions there may be, in which order, and what they hold to the last record. Never: asks a host what
//! it published, nor the engine what a version has.
//!
//! Each submission adds a record of its own, which nobody ever deletes, besides its changes to records that all hosts
//! share. So a version tells which submissions are in it, and with the versions before it in which order they came:
//! one that was lost, came twice, or came although a person has it, is found.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use grotto_format::log::{EntryKind, LogEntry};

use super::entry::{decode, follows};
use super::stream::Changes;

/// Name of the dataset.
pub(crate) const RELAY: &str = "relay";
/// The record of a submission has its token past this.
const OWN: i64 = 1_000;

/// Records by key.
pub(crate) type Records = BTreeMap<i64, i64>;

/// A host, and which of its pipelines.
type Whose = (u64, u64);

/// What a host was given.
#[derive(Debug)]
struct Given {
    host: u64,
    /// Which of its pipelines took it in.
    pipeline: u64,
    changes: Changes,
    /// It is in the log of its host for sure.
    acknowledged: bool,
    /// The version that it was said to be in.
    published: Option<u64>,
    /// The file that a person finds it in.
    aside: Option<String>,
}

/// All that was given to hosts, and all that landed in the log.
#[derive(Debug, Default)]
pub(crate) struct Relay {
    /// Tokens are positions from 1.
    given: Vec<Given>,
    log: BTreeMap<u64, LogEntry>,
    /// Pipelines that each host began.
    pipelines: BTreeMap<u64, u64>,
    /// Who asked for an entry, by its nonce.
    asked: BTreeMap<String, Whose>,
    /// Who began an epoch.
    reigns: BTreeMap<u64, Whose>,
    /// The newest epoch that ever was.
    epoch: u64,
    /// What the last version has that was looked at.
    walked: Records,
    /// Acknowledgements live in the store: whoever leads publishes those of others, and nothing is set aside.
    in_store: bool,
}

/// The record that tells of a submission.
pub(crate) fn own_record(token: i64) -> i64 {
    OWN + token
}

/// The submission that a record tells of.
pub(crate) fn token_of(record: i64) -> Option<i64> {
    Some(record - OWN).filter(|token| *token > 0)
}

impl Relay {
    pub(crate) fn acknowledges_in_store(&mut self) {
        self.in_store = true;
    }

    /// A host begins another pipeline.
    pub(crate) fn begins(&mut self, host: u64) {
        *self.pipelines.entry(host).or_default() += 1;
    }

    /// A process of a host wants an entry to be created.
    ///
    /// # Errors
    /// When the process is none of a host.
    pub(crate) fn asked(&mut self, who: &str, bytes: &Bytes) -> Result<(), String> {
        let entry = decode(bytes)?;
        let host = who
            .strip_prefix('h')
            .and_then(|name| name.split('.').next());
        let Some(host) = host.and_then(|host| host.parse().ok()) else {
            return Err(format!("commits version {} of a relay", entry.version));
        };
        let pipeline = self.pipelines.get(&host).copied().unwrap_or(0);
        self.asked.entry(entry.nonce).or_insert((host, pipeline));
        Ok(())
    }

    /// A host is given a submission: its token, which takes the place of all values.
    pub(crate) fn give(&mut self, host: u64, changes: &mut Changes) -> i64 {
        let token = self.given.len() as i64 + 1;
        changes
            .values_mut()
            .flatten()
            .for_each(|value| *value = token);
        self.given.push(Given {
            host,
            pipeline: self.pipelines.get(&host).copied().unwrap_or(0),
            changes: changes.clone(),
            acknowledged: false,
            published: None,
            aside: None,
        });
        token
    }

    fn at(&mut self, token: i64) -> Option<&mut Given> {
        let position = usize::try_from(token - 1).ok()?;
        self.given.get_mut(position)
    }

    pub(crate) fn acknowledged(&mut self, token: i64) {
        if let Some(given) = self.at(token) {
            given.acknowledged = true;
        }
    }

    /// A host says that a submission is in a version.
    ///
    /// # Errors
    /// When a person has it.
    pub(crate) fn published(&mut self, token: i64, version: u64) -> Result<(), String> {
        match self.at(token) {
            Some(Given {
                aside: Some(file), ..
            }) => Err(format!(
                "submission {token} is said to be published, and {file} has it"
            )),
            Some(given) => {
                (given.acknowledged, given.published) = (true, Some(version));
                Ok(())
            }
            None => Err(format!("submission {token} never was")),
        }
    }

    /// A person finds a submission in a file of a host.
    ///
    /// # Errors
    /// When it is of another host, was said to be published, or is in another file.
    pub(crate) fn set_aside(&mut self, host: u64, token: i64, file: &str) -> Result<bool, String> {
        if self.in_store {
            return Err(format!(
                "{file} has submission {token}, which was acknowledged in the store"
            ));
        }
        let Some(given) = self.at(token).filter(|given| given.host == host) else {
            return Err(format!(
                "{file} has submission {token}, which this host was not given"
            ));
        };
        if let Some(version) = given.published {
            return Err(format!(
                "{file} has submission {token}, said to be published in version {version}"
            ));
        }
        match &given.aside {
            Some(other) if other != file => {
                Err(format!("submission {token} is in {other} and in {file}"))
            }
            Some(_) => Ok(false),
            None => {
                given.aside = Some(file.to_owned());
                Ok(true)
            }
        }
    }

    /// An entry is in the log from now on.
    ///
    /// # Errors
    /// When it does not follow what is there, or is of somebody whom another one has fenced.
    pub(crate) fn landed(&mut self, path: &str, bytes: &Bytes) -> Result<(), String> {
        let entry = decode(bytes)?;
        let version = entry.version;
        if !path.ends_with(&format!("/{version:020}.json")) {
            return Err(format!("{path} is an entry of version {version}"));
        }
        match self.log.last_key_value() {
            Some((last, before)) if last + 1 == version => follows(before, &entry, false)?,
            None if version == 1 => {}
            last => {
                let last = last.map_or(0, |(last, _)| *last);
                return Err(format!("version {version} follows version {last}"));
            }
        }
        if entry.epoch < self.epoch {
            let (epoch, newest) = (entry.epoch, self.epoch);
            return Err(format!(
                "version {version} is of epoch {epoch}, after one of epoch {newest}"
            ));
        }
        self.epoch = entry.epoch;
        let whose = self.asked.get(&entry.nonce).copied();
        if let Some(whose) = whose {
            self.reigns.entry(entry.epoch).or_insert(whose);
        }
        self.log.insert(version, entry);
        whose.map_or_else(
            || Err(format!("nobody asked for version {version}")),
            |_| Ok(()),
        )
    }

    /// Entries were lost in a crash of the store's host.
    ///
    /// # Errors
    /// When something of them was told, or others built on them.
    pub(crate) fn crashed(&mut self, lost: &BTreeSet<u64>) -> Result<(), String> {
        let Some(first) = lost.first().copied() else {
            return Ok(());
        };
        let told = self.given.iter().position(|g| g.published >= Some(first));
        let tail: BTreeSet<u64> = self.log.split_off(&first).into_keys().collect();
        self.epoch = self.log.values().last().map_or(0, |entry| entry.epoch);
        self.reigns.retain(|epoch, _| *epoch <= self.epoch);
        if let Some(position) = told {
            let token = position + 1;
            return Err(format!(
                "submission {token} was said to be published, and versions {lost:?} are lost"
            ));
        }
        if tail != *lost {
            return Err(format!("versions {lost:?} are lost of {tail:?}"));
        }
        Ok(())
    }

    /// Versions of records, in order.
    pub(crate) fn commits(&self) -> Vec<u64> {
        let commits = self
            .log
            .values()
            .filter(|entry| entry.kind == EntryKind::Commit);
        commits.map(|entry| entry.version).collect()
    }

    /// How often somebody took over.
    pub(crate) fn reigns(&self) -> usize {
        self.reigns.len()
    }

    /// Compares the records of a version with those of the one before it and what was given. Versions come in order.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn walk(&mut self, version: u64, found: Records) -> Result<(), String> {
        let mut expected = self.walked.clone();
        let own = |records: &Records| -> BTreeSet<i64> {
            records.keys().filter_map(|key| token_of(*key)).collect()
        };
        let (before, after) = (own(&expected), own(&found));
        if let Some(lost) = before.difference(&after).next() {
            return Err(format!(
                "submission {lost} is not in version {version} any more"
            ));
        }
        let fresh: Vec<i64> = after.difference(&before).copied().collect();
        for token in &fresh {
            self.check_fresh(version, *token, &fresh)?;
            let Some(given) = self.at(*token) else {
                return Err(format!(
                    "version {version} has submission {token}, which never was"
                ));
            };
            // Nobody is told of one that is late.
            if given.published.is_some_and(|told| told < version) {
                let told = given.published;
                return Err(format!(
                    "submission {token} was said to be in version {told:?}, and comes with {version}"
                ));
            }
            expected.insert(own_record(*token), *token);
            for (key, value) in &given.changes {
                match value {
                    Some(value) => _ = expected.insert(*key, *value),
                    None => _ = expected.remove(key),
                }
            }
        }
        if self.in_store {
            self.allow_orders(&fresh, &mut expected, &found);
        }
        if expected != found {
            return Err(format!(
                "version {version}, with submissions {fresh:?} after those of the version before: {}",
                difference(&expected, &found)
            ));
        }
        self.walked = found;
        Ok(())
    }

    /// One that is new in a version comes from the same host as the others, behind what that had before, and no person
    /// has it.
    fn check_fresh(&mut self, version: u64, token: i64, all: &[i64]) -> Result<(), String> {
        let hosts: BTreeSet<u64> = all.iter().filter_map(|t| Some(self.at(*t)?.host)).collect();
        if hosts.len() > 1 && !self.in_store {
            return Err(format!(
                "version {version} has submissions {all:?} of several hosts"
            ));
        }
        if let Some(file) = self.at(token).and_then(|given| given.aside.clone()) {
            return Err(format!(
                "version {version} has submission {token}, and {file} too"
            ));
        }
        if !self.in_store {
            self.check_overtaken(version, token)?;
        }
        let host = self.at(token).map(|given| given.host);
        let last = self.walked.keys().filter_map(|key| token_of(*key));
        let own = last.filter(|last| self.given.get(*last as usize - 1).map(|g| g.host) == host);
        match own.max() {
            Some(last) if last > token => Err(format!(
                "version {version} has submission {token} of a host after its submission {last}"
            )),
            _ => Ok(()),
        }
    }

    /// After the last version was looked at: whatever a host acknowledged is in it, or a person has it.
    pub(crate) fn lost(&self) -> Vec<String> {
        let given = self.given.iter().enumerate();
        let lost = given.filter(|(position, given)| {
            let token = *position as i64 + 1;
            let there = self.walked.contains_key(&own_record(token));
            let expected = given.acknowledged && given.aside.is_none();
            !there && (expected || given.published.is_some())
        });
        lost.map(|(position, given)| {
            let (token, host) = (position + 1, given.host);
            match given.published {
                Some(version) => format!(
                    "submission {token} of host {host} was said to be in version {version}, and is in none"
                ),
                None => format!(
                    "submission {token} of host {host} was acknowledged, and is neither published nor set aside"
                ),
            }
        })
        .collect()
    }
}

fn difference(expected: &Records, found: &Records) -> String {
    let keys: BTreeSet<&i64> = expected.keys().chain(found.keys()).collect();
    let differ = keys
        .into_iter()
        .filter(|key| expected.get(key) != found.get(key));
    let told = differ.take(3).map(|key| {
        let (expected, found) = (expected.get(key), found.get(key));
        format!("record {key} is {found:?}, expected {expected:?}")
    });
    told.collect::<Vec<_>>().join("; ")
}

mod orders;
mod overtaken;
#[cfg(test)]
mod tests;
