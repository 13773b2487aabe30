//! Whether an incremental cycle will take a change in, known before there is one.
//!
//! Owns: the checks of a change by itself: its type, its record, its key. Never: what depends on other
//! records, as a delete of a record that others refer to; only a cycle can tell.

use super::flatkey::{FlatKey, flat_error};
use crate::error::{StateError, StateResult};
use crate::hash::Secret;
use crate::key::{self, Key, KeyInfo};
use grotto_format::flat;
use grotto_format::schema::{Schema, TypeId};
use std::sync::Arc;

/// The checks that a change passes before it is promised to be applied.
#[derive(Clone, Debug)]
pub struct Admission {
    schema: Arc<Schema>,
    keys: Arc<[Option<KeyInfo>]>,
}

impl Admission {
    /// Checks for changes under a schema.
    #[must_use]
    pub fn new(schema: Arc<Schema>) -> Self {
        let of_type = |id| {
            let key = schema.get(id).key().filter(|_| schema.is_top_level(id));
            key.map(|spec| KeyInfo::new(spec, Secret::NONE))
        };
        let keys = schema.ids().map(of_type).collect();
        Self { schema, keys }
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// Checks a record in flat form that is to be upserted; `place` says where it came from.
    ///
    /// # Errors
    /// When the type has no primary key, the bytes are not a record of it, or a part of its key is null.
    pub fn check_upsert(
        &self,
        id: TypeId,
        record: &[u8],
        place: &dyn Fn() -> String,
    ) -> StateResult<()> {
        let info = self.key(id)?;
        flat::validate(&self.schema, id, record).map_err(|e| flat_error(&self.schema, id, e))?;
        FlatKey::read(&self.schema, id, info, record, place).map(|_| ())
    }

    /// Checks a key whose record is to be deleted.
    ///
    /// # Errors
    /// When the type has no such key.
    pub fn check_delete<K: Key + ?Sized>(&self, id: TypeId, key: &K) -> StateResult<()> {
        key::check(self.key(id)?, key, &self.schema, id)
    }

    fn key(&self, id: TypeId) -> StateResult<&KeyInfo> {
        check_changeable(&self.schema, id, self.schema.is_top_level(id))?;
        let info = self.keys.get(id.index()).and_then(Option::as_ref);
        info.ok_or_else(|| StateError::Invalid(format!("the schema has no type number {}", id.0)))
    }
}

/// Refuses types whose records an incremental cycle cannot change by themselves.
pub(super) fn check_changeable(schema: &Schema, id: TypeId, top_level: bool) -> StateResult<()> {
    check_top_level(schema, id, top_level)?;
    if schema.get(id).key().is_none() {
        let name = &schema.get(id).name;
        return Err(StateError::Invalid(format!(
            "type {name} has no primary key: only full-state cycles can change it"
        )));
    }
    Ok(())
}

/// Refuses types whose records come only within others.
pub(super) fn check_top_level(schema: &Schema, id: TypeId, top_level: bool) -> StateResult<()> {
    if top_level {
        return Ok(());
    }
    let name = &schema.get(id).name;
    Err(StateError::Invalid(format!(
        "type {name} has no primary key and other types refer to it: its records come with those that refer to them"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use grotto_format::json;

    const SCHEMA: &str =
        "City @PrimaryKey(id) { int id; Name name; } Name { string value; } Note { long at; }";

    fn upsert(type_name: &str, text: &str) -> Result<(), String> {
        let schema = Arc::new(Schema::parse(SCHEMA).unwrap());
        let id = schema.find(type_name).unwrap();
        let mut builder = flat::FlatBuilder::new();
        json::decode(&schema, id, text, &mut builder).unwrap();
        check(schema, id, builder.bytes())
    }

    fn check(schema: Arc<Schema>, id: TypeId, record: &[u8]) -> Result<(), String> {
        let place = || "line 7".to_owned();
        let admitted = Admission::new(schema).check_upsert(id, record, &place);
        admitted.map_err(|error| error.to_string())
    }

    #[test]
    fn what_a_cycle_would_refuse_is_refused() {
        assert_eq!(upsert("City", r#"{"id":1,"name":"Bern"}"#), Ok(()));
        let error = upsert("Name", r#""Bern""#).unwrap_err();
        assert!(error.contains("its records come with"), "{error}");
        let error = upsert("Note", r#"{"at":1}"#).unwrap_err();
        assert!(error.contains("only full-state cycles"), "{error}");
    }

    #[test]
    fn a_null_in_the_key_is_refused() {
        let schema = Arc::new(Schema::parse(SCHEMA).unwrap());
        let mut builder = flat::FlatBuilder::new();
        let mark = builder.begin_object();
        builder.end_object(mark, 0);
        let city = schema.find("City").unwrap();
        let error = check(schema, city, builder.bytes()).unwrap_err();
        assert!(error.contains("line 7") && error.contains("id"), "{error}");
    }

    #[test]
    fn keys_of_other_kinds_and_bytes_that_are_no_record_are_refused() {
        let schema = Arc::new(Schema::parse(SCHEMA).unwrap());
        let (city, admission) = (schema.find("City").unwrap(), Admission::new(schema));
        assert!(admission.check_delete(city, &7_i32).is_ok());
        let error = admission.check_delete(city, &"7").unwrap_err();
        assert!(error.to_string().contains("expected int"), "{error}");
        let place = || String::new();
        assert!(admission.check_upsert(city, b"\x07", &place).is_err());
    }
}
