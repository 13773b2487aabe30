//! What a log entry promises of its state, compared with the state.
//!
//! Owns: which of an entry's statements a state must bear out: all that say something of it. Never: reads
//! an entry. Spec: `docs/format/spec.md`, section "Commit log".

use grotto_format::log::{LogEntry, TypeSummary};
use std::collections::BTreeMap;

use crate::State;

/// What a log entry says about its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    version: u64,
    state_checksum: u64,
    schema_hash: u64,
    types: BTreeMap<String, TypeSummary>,
}

impl Promise {
    /// What an entry says.
    #[must_use]
    pub fn of(entry: &LogEntry) -> Self {
        Self {
            version: entry.version,
            state_checksum: entry.state_checksum,
            schema_hash: entry.schema_hash,
            types: entry.types.clone(),
        }
    }

    /// Whether a state is the one that the log means, as far as it keeps its types.
    ///
    /// # Errors
    /// Names the first thing that differs.
    pub fn check(&self, state: &State) -> Result<(), String> {
        let version = self.version;
        let compare = |what: &str, expected: u64, found: u64| {
            if expected == found {
                return Ok(());
            }
            Err(format!(
                "version {version}: {what} expected {expected:016x} by the log, found {found:016x}"
            ))
        };
        compare("schema hash", self.schema_hash, state.schema_hash())?;
        let found = state.summary();
        let left_out = |name: &str| {
            let id = state.schema().find(name);
            id.is_some_and(|id| !state.keeps(id))
        };
        for (name, expected) in self.types.iter().filter(|(name, _)| !left_out(name)) {
            let found = found.get(name).copied().unwrap_or_default();
            if found.records != expected.records {
                return Err(format!(
                    "version {version}: expected {} records of {name} by the log, found {}",
                    expected.records, found.records
                ));
            }
            let what = format!("state checksum of {name}");
            compare(&what, expected.checksum, found.checksum)?;
        }
        if let Some(name) = found.keys().find(|name| !self.types.contains_key(*name)) {
            return Err(format!(
                "version {version}: type {name} is not one of the log"
            ));
        }
        match state.filter() {
            // The sum of all of them; those that are kept were compared one by one.
            Some(_) => Ok(()),
            None => compare("state checksum", self.state_checksum, state.checksum()),
        }
    }
}

impl State {
    /// Records and checksum of each type, by its name: what a log entry tells of a state, whatever led to it.
    #[must_use]
    pub fn summary(&self) -> BTreeMap<String, TypeSummary> {
        let schema = self.schema();
        let names = schema.types().iter().map(|ty| ty.name.clone());
        let types = schema.ids().zip(&*self.types).map(|(id, ty)| TypeSummary {
            records: ty.live,
            changed: None,
            // Also where what refers to it is left out.
            nested: !self.full_schema().is_top_level(id),
            checksum: ty.checksum,
        });
        names.zip(types).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grotto_format::schema::Schema;

    #[test]
    fn a_state_has_the_types_that_the_log_tells_of_and_no_other() {
        let text = "A @PrimaryKey(id) { long id; } B @PrimaryKey(id) { long id; }";
        let state = crate::testing::state()
            .schema(Schema::parse(text).unwrap())
            .with_json("A", r#"{"id":1}"#)
            .with_json("B", r#"{"id":1}"#)
            .build()
            .unwrap();
        let promise = Promise {
            version: 1,
            state_checksum: state.checksum(),
            schema_hash: state.schema_hash(),
            types: state.summary(),
        };
        promise.check(&state).unwrap();
        // All its sums are right, and nothing is said of a type.
        let (mut fewer, mut more) = (promise.clone(), promise);
        let told = fewer.types.remove("B").unwrap();
        let refused = fewer.check(&state).unwrap_err();
        assert_eq!(refused, "version 1: type B is not one of the log");
        more.types.insert("C".to_owned(), told);
        let refused = more.check(&state).unwrap_err();
        assert_eq!(
            refused,
            "version 1: expected 1 records of C by the log, found 0"
        );
    }
}
