//! What is served: committed versions, with exactly the records of the model.
//!
//! Owns: reading a state record by record. Never: trusts a checksum.

use std::sync::Arc;

use grotto_state::State;

use super::ledger::Content;
use crate::sim::Sim;

/// Two types with keys, and one whose records they share.
pub(crate) const SCHEMA: &str = "City @PrimaryKey(id) { long id; long size; Name name; } \
                                 Road @PrimaryKey(id) { long id; long length; } \
                                 Name { string value; }";

/// Compares a served state with the model; returns how often the dataset had been created anew when it
/// was written.
pub(crate) fn check_served(sim: &Arc<Sim>, who: &str, state: &State) -> u64 {
    let version = state.version();
    let mut era = 0;
    let ledger = sim.ledger.lock();
    let expected = match ledger.with_state(version, state.checksum()) {
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
        Ok(found) if found == *expected => {}
        Ok(found) => {
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

/// Every record, by scan and again by key.
fn content(state: &State) -> Result<Content, String> {
    let mut content = Content::new();
    let (Ok(city), Ok(road), Ok(name)) = (
        state.type_id("City"),
        state.type_id("Road"),
        state.type_id("Name"),
    ) else {
        return Ok(content);
    };
    for record in state.scan(city) {
        let id = record.word(0) as i64;
        let shared = record.follow(2, name);
        let text = shared.map(|shared| shared.text(0).to_owned());
        let text = text.ok_or_else(|| format!("city {id} has no name"))?;
        content.insert(("City", id), (record.word(1) as i64, text));
        let found = state.find(city, id).map_err(|error| error.to_string())?;
        if found.map(|found| found.ordinal()) != Some(record.ordinal()) {
            return Err(format!("city {id} is not found by its key"));
        }
    }
    for record in state.scan(road) {
        let id = record.word(0) as i64;
        content.insert(("Road", id), (record.word(1) as i64, String::new()));
    }
    let counted = state.count(city) + state.count(road);
    if counted != content.len() as u64 || state.is_damaged() {
        return Err(format!("{counted} records counted, {} read", content.len()));
    }
    Ok(content)
}
