//! What is served: committed versions, with exactly the records of the model.
//!
//! Owns: reading a state record by record. Never: trusts a checksum.

use std::borrow::Cow;
use std::sync::Arc;

use grotto_state::{Record, State};

use super::ledger::Content;
use super::limits::keeps;
use crate::sim::Sim;

/// Two types with keys, and one whose records they share.
pub(crate) const SCHEMA: &str = "City @PrimaryKey(id) { long id; long size; Name name; } \
                                 Road @PrimaryKey(id) { long id; long length; } \
                                 Name { string value; }";

/// Compares a served state with the model; returns how often the dataset had been created anew when it
/// was written.
pub(crate) fn check_served(sim: &Arc<Sim>, who: &str, state: &State) -> u64 {
    check_served_since(sim, who, state, (0, 0))
}

/// The same by whoever saw something before, as the ledger counts: for a state that leaves types out, and looks like
/// another one that was a version of the same number.
pub(crate) fn check_served_since(
    sim: &Arc<Sim>,
    who: &str,
    state: &State,
    seen: (u64, u64),
) -> u64 {
    let version = state.version();
    let mut era = 0;
    let ledger = sim.ledger.lock();
    let expected = match ledger.known(state, seen) {
        Some(committed) => {
            era = committed.era;
            Arc::clone(&committed.content)
        }
        None if version == 0 => Arc::default(),
        None => {
            drop(ledger);
            sim.violation(who, format!("serves version {version}, which never was"));
            return era;
        }
    };
    drop(ledger);
    let found = content(state);
    match found {
        Ok(found) if found == *kept_of(&expected, state) => {}
        Ok(found) => {
            let expected = kept_of(&expected, state);
            let what = difference(&expected, &found);
            sim.violation(who, format!("serves version {version} with {what}"));
        }
        Err(reason) => sim.violation(who, format!("serves version {version}: {reason}")),
    }
    era
}

fn difference(expected: &Content, found: &Content) -> String {
    let lacks: Vec<_> = expected
        .iter()
        .filter(|(key, record)| found.get(*key) != Some(record))
        .take(3)
        .collect();
    let more: Vec<_> = found
        .iter()
        .filter(|(key, record)| expected.get(*key) != Some(record))
        .take(3)
        .collect();
    format!("{more:?} where the model has {lacks:?}")
}

/// Type and key of a record, and what it says.
type Said = ((&'static str, i64), (i64, String));

/// What a record of a type says, by its key.
pub(crate) fn said(type_name: &'static str, record: &Record<'_>) -> Result<Said, String> {
    let (id, number) = (record.word(0) as i64, record.word(1) as i64);
    if type_name == "Road" {
        return Ok(((type_name, id), (number, String::new())));
    }
    let name = record.state().type_id("Name");
    let name = name.map_err(|error| error.to_string())?;
    let shared = record.follow(2, name);
    let text = shared.map(|shared| shared.text(0).to_owned());
    let text = text.ok_or_else(|| format!("city {id} has no name"))?;
    Ok(((type_name, id), (number, text)))
}

/// What of a version's content a state keeps.
pub(crate) fn kept_of<'a>(content: &'a Content, state: &State) -> Cow<'a, Content> {
    if state.filter().is_none() {
        return Cow::Borrowed(content);
    }
    let kept = content.iter().filter(|((name, _), _)| keeps(state, name));
    Cow::Owned(kept.map(|(key, said)| (*key, said.clone())).collect())
}

/// Every record, by scan and again by key. A type that is left out is refused by the state, and has none.
fn content(state: &State) -> Result<Content, String> {
    let mut content = Content::new();
    let mut counted = 0;
    for name in ["City", "Road"] {
        let Ok(id) = state.type_id(name) else {
            continue;
        };
        counted += state.count(id);
        for record in state.scan(id) {
            let (key, said) = said(name, &record)?;
            let found = state.find(id, key.1).map_err(|error| error.to_string())?;
            if found.map(|found| found.ordinal()) != Some(record.ordinal()) {
                return Err(format!("{name} {} is not found by its key", key.1));
            }
            content.insert(key, said);
        }
    }
    if counted != content.len() as u64 || state.is_damaged() {
        return Err(format!("{counted} records counted, {} read", content.len()));
    }
    Ok(content)
}
