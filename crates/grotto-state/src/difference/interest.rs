//! What somebody wants to be told of a type: records by their key, changes by field.
//!
//! Owns: which changes count, and the refusal of an interest that a state can never meet. Never: finds the
//! changes; [`Difference`](super::Difference) does.

use super::Change;
use super::content::Contents;
use crate::error::StateError;
use crate::key::{Key, KeyInfo, KeyPart, KeyPath, kind_fits, read_part, refusal_of};
use crate::record::Record;
use crate::state::State;
use grotto_error::Result;
use grotto_format::schema::{FieldType, Schema, TypeId, TypeKind, TypeSchema};
use std::collections::BTreeSet;

#[cfg(test)]
mod tests;

/// What somebody wants to be told of a type: everything, unless keys or fields are named.
///
/// With keys, only records with one of them count. With fields, a record that comes or goes counts, and one that
/// stays counts only if one of these fields says something else than before.
///
/// ```
/// use grotto_state::Interest;
///
/// let prices = Interest::of("Product").key(17_i64).key(18_i64).field("price").field("name.en");
/// assert_eq!(prices.type_name(), "Product");
/// ```
#[derive(Clone, Debug)]
pub struct Interest {
    type_name: String,
    /// As [`written`]; `None` for all.
    keys: Option<BTreeSet<Vec<u8>>>,
    /// The types of the fields of keys that were given: few of them.
    kinds: Vec<Vec<FieldType>>,
    fields: Vec<String>,
}

impl Interest {
    /// Everything of a type.
    #[must_use]
    pub fn of(type_name: impl Into<String>) -> Self {
        Self {
            type_name: type_name.into(),
            keys: None,
            kinds: Vec::new(),
            fields: Vec::new(),
        }
    }

    /// Only the record with this primary key, and with others that were named.
    #[must_use]
    pub fn key(mut self, key: impl Key) -> Self {
        let values = (0..key.fields()).map(|position| key.field(position));
        let kinds: Vec<FieldType> = values.clone().map(|value| value.kind()).collect();
        let parts: Vec<KeyPart<'_>> = values.map(|value| value.part()).collect();
        self.keys.get_or_insert_default().insert(written(&parts));
        if !self.kinds.contains(&kinds) {
            self.kinds.push(kinds);
        }
        self
    }

    /// Only the records with these primary keys, and with others that were named. Without any, none.
    #[must_use]
    pub fn keys<K: Key>(mut self, keys: impl IntoIterator<Item = K>) -> Self {
        self.keys.get_or_insert_default();
        keys.into_iter().fold(self, Self::key)
    }

    /// Of records that stay, only those in which this field changed, or another one that was named. A path of names
    /// joined by dots leads into records within: `name.en`. What is in a list, set or map counts as one field.
    #[must_use]
    pub fn field(mut self, path: impl Into<String>) -> Self {
        self.fields.push(path.into());
        self
    }

    /// Name of the type.
    #[must_use]
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// Refuses what no change between states of this schema can ever meet.
    ///
    /// # Errors
    /// `Invalid` when the state lacks the type or a field, when the keys are not of the fields that the type
    /// declares, and when a path leads through a record with a key of its own: its changes are told of its own type.
    pub fn check(&self, state: &State) -> Result<()> {
        let ty = state.type_id(&self.type_name)?;
        let info = state.infos.get(ty.index());
        self.check_keys(info.and_then(|info| info.key.as_ref()))?;
        for path in &self.fields {
            resolve(state.schema(), ty, path).map_err(StateError::Invalid)?;
        }
        Ok(())
    }

    fn check_keys(&self, info: Option<&KeyInfo>) -> Result<()> {
        let Some(info) = info else {
            return match self.keys {
                None => Ok(()),
                Some(_) => Err(StateError::Invalid(format!(
                    "type {}: expected a type with a primary key, as keys are named; it has none",
                    self.type_name
                ))
                .into()),
            };
        };
        let fit = |kinds: &&Vec<FieldType>| {
            let mut pairs = kinds.iter().zip(&info.paths);
            kinds.len() == info.paths.len() && pairs.all(|(kind, path)| kind_fits(*kind, path.leaf))
        };
        let Some(kinds) = self.kinds.iter().find(|kinds| !fit(kinds)) else {
            return Ok(());
        };
        let fields: Vec<_> = info.paths.iter().map(|p| (&*p.text, p.leaf)).collect();
        Err(refusal_of(&self.type_name, &fields, kinds).into())
    }
}

/// An interest, bound to the two states that are told apart.
pub(super) struct Wanted<'a> {
    keys: Option<&'a BTreeSet<Vec<u8>>>,
    /// By field that was named: where it is in each of the states, if it is.
    fields: Vec<(Option<KeyPath>, Option<KeyPath>)>,
    before: Contents<'a>,
    after: Contents<'a>,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(interest: &'a Interest, before: &'a State, after: &'a State) -> Self {
        let find = |state: &State, path: &str| {
            let ty = state.schema().find(&interest.type_name)?;
            // A field may go with a version: it then says nothing there.
            resolve(state.schema(), ty, path).ok()
        };
        let fields = interest.fields.iter();
        Self {
            keys: interest.keys.as_ref(),
            fields: fields
                .map(|path| (find(before, path), find(after, path)))
                .collect(),
            before: Contents::new(before),
            after: Contents::new(after),
        }
    }

    pub(super) fn has(&mut self, change: &Change<Record<'a>>) -> bool {
        self.has_key(change) && self.has_field(change)
    }

    fn has_key(&self, change: &Change<Record<'a>>) -> bool {
        let Some(keys) = self.keys else {
            return true;
        };
        let record = change.after().or(change.before());
        let key = record.and_then(|record| {
            let info = record.state().infos.get(record.type_id().index())?;
            let paths = info.key.as_ref()?.paths.iter();
            let parts: Option<Vec<KeyPart<'_>>> =
                paths.map(|path| read_part(&record, path)).collect();
            Some(written(&parts?))
        });
        key.is_some_and(|key| keys.contains(&key))
    }

    fn has_field(&mut self, change: &Change<Record<'a>>) -> bool {
        let Change::Modified { before, after } = change else {
            return true;
        };
        let (left, right) = (&mut self.before, &mut self.after);
        self.fields.is_empty()
            || self.fields.iter().any(|(was, is)| {
                let was = left.field(*before, was.as_ref());
                // What is damaged or beyond the limits cannot be said to be the same.
                was.is_none() || was != right.field(*after, is.as_ref())
            })
    }
}

/// A key as bytes, equal for equal keys only.
fn written(parts: &[KeyPart<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        match part {
            KeyPart::Fixed(word) => {
                out.push(0);
                out.extend(word.to_le_bytes());
            }
            KeyPart::Var(bytes) => {
                out.push(1);
                out.extend((bytes.len() as u64).to_le_bytes());
                out.extend(*bytes);
            }
        }
    }
    out
}

/// Where a field is, by its path.
fn resolve(schema: &Schema, ty: TypeId, path: &str) -> std::result::Result<KeyPath, String> {
    let (mut at, mut steps, mut leaf) = (ty, Vec::new(), None);
    for name in path.split('.') {
        let here = schema.get(at);
        if let Some(FieldType::Reference(_)) = leaf {
            check_way(here, path)?;
        } else if leaf.is_some() {
            return Err(format!(
                "type {}, path {path}: expected the path to end before {name}, as what is there has no fields",
                schema.get(ty).name
            ));
        }
        let fields = here.fields();
        let Some(column) = fields.iter().position(|field| field.name == name) else {
            let names: Vec<&str> = fields.iter().map(|f| f.name.as_str()).collect();
            return Err(format!(
                "type {}, path {path}: expected one of {}, found field {name}",
                here.name,
                names.join(", ")
            ));
        };
        let step = u16::try_from(column).map_err(|_| format!("path {path}: too many fields"))?;
        steps.push(step);
        leaf = Some(fields[column].ty);
        if let FieldType::Reference(to) = fields[column].ty {
            at = to;
        }
    }
    let leaf = leaf.ok_or_else(|| format!("path {path}: expected a field"))?;
    let text = path.to_owned();
    Ok(KeyPath { text, steps, leaf })
}

/// Refuses a way that leads through what does not change with the record.
fn check_way(through: &TypeSchema, path: &str) -> std::result::Result<(), String> {
    match &through.kind {
        TypeKind::Object(_) if through.key().is_none() => Ok(()),
        TypeKind::Object(_) => Err(format!(
            "path {path}: expected the path to end at the reference to {0}, which has a primary key: its changes are told of type {0}",
            through.name
        )),
        _ => Err(format!(
            "path {path}: expected the path to end at {}, whose elements count as one field",
            through.name
        )),
    }
}
