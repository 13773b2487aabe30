//! States for unit tests: made of records, without store, runtime or folder.
//!
//! Owns: the way from records to a [`State`] in one call. Never: anything for production, as the seed that it
//! hashes keys with is known to everybody.

use crate::encode::EncodeOptions;
use crate::hash::HashSeed;
use crate::state::State;
use crate::typed::{Declarations, Encoder, RecordType};
use crate::write::{Cycle, Mode, WriteState, show_position};
use grotto_error::{Error, Result};
use grotto_format::flat::FlatBuilder;
use grotto_format::json;
use grotto_format::schema::Schema;
use std::sync::Arc;

/// Keys are hashed alike in every run, so that a test that fails fails again.
const SEED: HashSeed = HashSeed::new([0x7e57, 0x57a7e]);

/// Begins a state. Types are declared by the records it is given, or by [`StateBuilder::schema`].
#[must_use]
pub fn state<'r>() -> StateBuilder<'r> {
    StateBuilder {
        declarations: Declarations::new(),
        schema: None,
        after: None,
        version: None,
        fills: Vec::new(),
    }
}

/// A state of records that tests name; see [`state`].
///
/// Records are taken in as a cycle takes them in, so what no producer would publish is refused with the same
/// error: two records of one key, a key that is null, a type of which no record stands alone.
pub struct StateBuilder<'r> {
    declarations: Declarations,
    schema: Option<Schema>,
    after: Option<Arc<State>>,
    version: Option<u64>,
    fills: Vec<Fill<'r>>,
}

type Fill<'r> = Box<dyn FnOnce(&mut Filling) -> Result<()> + 'r>;

/// The cycle that is filled, and how many records it has got.
struct Filling {
    cycle: Cycle,
    records: u64,
}

impl std::fmt::Debug for StateBuilder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a state for tests at version {}", self.version())
    }
}

impl<'r> StateBuilder<'r> {
    /// Adds a record.
    #[must_use]
    pub fn with<T: RecordType>(self, record: &'r T) -> Self {
        self.with_all([record])
    }

    /// Adds records.
    #[must_use]
    pub fn with_all<T: RecordType>(self, records: impl IntoIterator<Item = &'r T>) -> Self {
        let records: Vec<&'r T> = records.into_iter().collect();
        self.with_type::<T>()
            .fill(move |filling| filling.typed(&records))
    }

    /// Declares a type, of which there may be no record.
    #[must_use]
    pub fn with_type<T: RecordType>(mut self) -> Self {
        self.declarations = self.declarations.with::<T>();
        self
    }

    /// Adds records of a type as JSON lines, for tests of code that reads without types. Empty lines are skipped.
    #[must_use]
    pub fn with_json(self, type_name: &'r str, lines: &'r str) -> Self {
        self.fill(move |filling| filling.json(type_name, lines))
    }

    /// The schema, where the structs do not declare it: for JSON, or to see how a struct reads a dataset that
    /// has another one.
    #[must_use]
    pub fn schema(mut self, schema: Schema) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Makes it the version after another one, with the records that are named here and no others. Those that
    /// stay keep their place, as in a dataset that is followed.
    #[must_use]
    pub fn after(mut self, state: &Arc<State>) -> Self {
        self.after = Some(Arc::clone(state));
        self
    }

    /// Its version: without a word 1, or one more than that of the state [`after`](Self::after) which it comes.
    #[must_use]
    pub fn at_version(mut self, version: u64) -> Self {
        self.version = Some(version);
        self
    }

    /// The state.
    ///
    /// # Errors
    /// When the structs do not fit together or the schema, the schema cannot follow that of the state before, or a
    /// record is one that no cycle takes in.
    pub fn build(self) -> Result<Arc<State>> {
        let version = self.version();
        let schema = match self.schema {
            Some(schema) => schema,
            None => self.declarations.schema()?,
        };
        let before = self.after.unwrap_or_else(|| Arc::new(State::empty(SEED)));
        let write = WriteState::new(before);
        let mut filling = Filling {
            cycle: write.begin(&Arc::new(schema), Mode::Full)?,
            records: 0,
        };
        for fill in self.fills {
            fill(&mut filling)?;
        }
        let options = EncodeOptions {
            dataset: "test".to_owned(),
            version: write.state().version() + 1,
            level: None,
            threads: 1,
        };
        let next = filling.cycle.finish(&options)?.map(|encoded| encoded.next);
        let next = next.unwrap_or_else(|| Arc::clone(write.state()));
        Ok(match next.version() == version {
            true => next,
            false => Arc::new(next.at_version(version)),
        })
    }

    fn version(&self) -> u64 {
        let next = self.after.as_ref().map_or(1, |state| state.version() + 1);
        self.version.unwrap_or(next)
    }

    fn fill(mut self, fill: impl FnOnce(&mut Filling) -> Result<()> + 'r) -> Self {
        self.fills.push(Box::new(fill));
        self
    }
}

impl Filling {
    fn typed<T: RecordType>(&mut self, records: &[&T]) -> Result<()> {
        let encoder = Encoder::<T>::new(self.cycle.schema())?;
        self.cycle.set_source("");
        for record in records {
            self.records += 1;
            let flat = encoder.record(record)?;
            self.cycle
                .add(encoder.type_id(), &flat.bytes, self.records)?;
        }
        Ok(())
    }

    fn json(&mut self, type_name: &str, lines: &str) -> Result<()> {
        let schema = Arc::clone(self.cycle.schema());
        let id = schema.require(type_name)?;
        let source = format!("the JSON of {type_name},");
        self.cycle.set_source(&source);
        for (number, line) in (1..).zip(lines.lines()) {
            if line.trim().is_empty() {
                continue;
            }
            let mut flat = FlatBuilder::new();
            json::decode(&schema, id, line, &mut flat).map_err(|error| {
                Error::invalid(format!("{}: {error}", show_position(&source, number)))
            })?;
            self.cycle.add(id, &flat.finish(id).bytes, number)?;
        }
        Ok(())
    }
}
