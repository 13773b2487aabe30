//! One record for each primary key.
//!
//! Owns: comparing the keys of records that an index has found to be alike. Never looks for them.

use super::super::indexes::Suspects;
use super::unsound;
use crate::error::StateResult;
use crate::key::{self, KeyInfo, KeyPart};
use crate::state::State;
use grotto_format::schema::TypeId;
use std::collections::{BTreeMap, HashMap};

/// Refuses two records of one key.
pub(crate) fn check_keys(state: &State, suspects: &Suspects) -> StateResult<()> {
    for (id, pairs) in suspects {
        // Those that share their first one are to be told from each other as well.
        let mut groups: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (first, other) in pairs {
            groups.entry(*first).or_default().push(*other);
        }
        for (first, others) in groups {
            if !are_unlike(state, *id, first, &others) {
                check_group(state, *id, first, others)?;
            }
        }
    }
    Ok(())
}

/// Whether there are but two, with two keys: nearly always.
fn are_unlike(state: &State, id: TypeId, first: u32, others: &[u32]) -> bool {
    let [other] = others else { return false };
    let records = state.record(id, first).zip(state.record(id, *other));
    records.is_some_and(|(a, b)| !key::same(&a, &b))
}

fn check_group(state: &State, id: TypeId, first: u32, others: Vec<u32>) -> StateResult<()> {
    let Some(info) = state
        .infos
        .get(id.index())
        .and_then(|info| info.key.as_ref())
    else {
        return Ok(());
    };
    let mut owners: HashMap<Vec<KeyPart<'_>>, u32> = HashMap::new();
    for ordinal in std::iter::once(first).chain(others) {
        let Some(key) = key_of(state, id, info, ordinal) else {
            continue;
        };
        let shown = key::show(info, &key);
        match owners.insert(key, ordinal) {
            Some(owner) if owner != ordinal => {
                let (low, high) = (owner.min(ordinal), owner.max(ordinal));
                let reason =
                    format!("expected a primary key of its own, found {shown} in #{low} too");
                return Err(unsound(&state.schema.get(id).name, high, reason));
            }
            _ => {}
        }
    }
    Ok(())
}

fn key_of<'a>(
    state: &'a State,
    id: TypeId,
    info: &KeyInfo,
    ordinal: u32,
) -> Option<Vec<KeyPart<'a>>> {
    // An entry that only looks like another one may be of a record that the blob removed.
    let record = state.record(id, ordinal)?;
    let parts = info.paths.iter();
    parts.map(|path| key::read_part(&record, path)).collect()
}
