//! Which field is the primary key.
//!
//! Owns: keeping track of which fields hold another value in every record, and the choice among them by name. Never:
//! keeps a value; hashes of 64 bits do, and a chance collision only costs a candidate.

use super::value::Json;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// Names of keys, the likeliest first.
const NAMES: [&str; 8] = ["id", "key", "uuid", "guid", "sku", "code", "slug", "name"];

/// Fields that may be the key.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    hasher: RandomState,
    records: u64,
    fields: Vec<Candidate>,
    /// The fields that are to be the key, and the values that they had.
    wanted: Vec<String>,
    seen: HashSet<u64>,
}

#[derive(Debug)]
struct Candidate {
    name: String,
    seen: HashSet<u64>,
}

impl Candidates {
    /// Of records whose key is to be these fields; none to find one out.
    pub(super) fn new(wanted: &[String]) -> Self {
        Self {
            wanted: wanted.to_vec(),
            ..Self::default()
        }
    }

    /// Whether another record had these values in the fields that are to be the key.
    pub(super) fn is_seen(&mut self, fields: &[(String, Json)]) -> bool {
        let value = |part: &String| {
            fields
                .iter()
                .find(|(name, value)| name == part && *value != Json::Null)
        };
        let values: Vec<_> = self
            .wanted
            .iter()
            .map(|part| value(part).map(|(_, value)| value))
            .collect();
        // A key without a value is refused for that.
        let is_whole = !values.is_empty() && values.iter().all(Option::is_some);
        is_whole
            && !self
                .seen
                .insert(self.hasher.hash_one(format!("{values:?}")))
    }

    /// Takes the top-level fields of one more record in: fields that it lacks, that are null or that hold a value
    /// seen before are none any more.
    pub(super) fn take(&mut self, fields: &[(String, Json)]) {
        self.records += 1;
        if self.records == 1 {
            self.fields = fields
                .iter()
                .map(|(name, _)| Candidate {
                    name: name.clone(),
                    seen: HashSet::new(),
                })
                .collect();
        }
        let hasher = &self.hasher;
        self.fields.retain_mut(|candidate| {
            let value = fields.iter().find(|(name, _)| *name == candidate.name);
            let hash = value.and_then(|(_, value)| match value {
                Json::Whole(value) => Some(hasher.hash_one(value)),
                Json::Text(text) => Some(hasher.hash_one(text)),
                _ => None,
            });
            hash.is_some_and(|hash| candidate.seen.insert(hash))
        });
    }

    /// The likeliest of those that are left; by name, then by order.
    pub(super) fn choose(&self, type_name: &str) -> Option<&str> {
        let type_name = type_name.to_ascii_lowercase();
        let rank = |candidate: &&Candidate| {
            let name = candidate.name.to_ascii_lowercase();
            let own = name.strip_prefix(&type_name).unwrap_or(&name);
            let own = own.trim_start_matches('_');
            let known = NAMES.iter().position(|known| *known == own);
            known.unwrap_or(if name.ends_with("id") {
                NAMES.len()
            } else {
                NAMES.len() + 1
            })
        };
        self.fields
            .iter()
            .min_by_key(rank)
            .map(|candidate| candidate.name.as_str())
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }
}
