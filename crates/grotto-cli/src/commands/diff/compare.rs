//! Comparing two states by key and field.
//!
//! Owns: what counts as a change. Never: prints. Both states are walked in the order of their keys,
//! so that nothing but the order is held in memory.

use crate::failure::{Failure, Outcome};
use crate::records::{self, Printer};
use grotto::schema::{FieldType, Schema, TypeId, TypeKind};
use grotto::state::{Record, State};
use serde_json::Value;
use std::cmp::Ordering;

/// One changed record.
pub(super) enum Change<'a> {
    Added { key: &'a Value, record: &'a Value },
    Removed { key: &'a Value, record: &'a Value },
    /// Fields that differ: name, before, after.
    Modified { key: &'a Value, fields: &'a [(String, Value, Value)] },
}

/// Figures of one type.
#[derive(Default)]
pub(super) struct Compared {
    pub(super) before: u64,
    pub(super) after: u64,
    pub(super) added: u64,
    pub(super) removed: u64,
    pub(super) modified: u64,
}

/// One side: a state and the type in it, if it has the type.
#[derive(Clone, Copy)]
struct Side<'a> {
    state: &'a State,
    type_id: Option<TypeId>,
}

impl<'a> Side<'a> {
    fn new(state: &'a State, name: &str) -> Self {
        Self { state, type_id: state.schema().find(name) }
    }

    fn count(&self) -> u64 {
        self.type_id.map_or(0, |id| self.state.count(id))
    }

    fn has_key(&self) -> bool {
        self.type_id.is_none_or(|id| !records::key_paths(self.state, id).is_empty())
    }

    fn records(self) -> Vec<Record<'a>> {
        let Some(id) = self.type_id else { return Vec::new() };
        let ordinals = records::by_key(self.state, id);
        ordinals.into_iter().filter_map(|ordinal| self.state.record(id, ordinal)).collect()
    }
}

/// Compares the records of a type. Without a primary key, a record is its own key: it can come and
/// go but not change.
pub(super) fn types(
    before: &State,
    after: &State,
    name: &str,
    show: &mut dyn FnMut(&Change<'_>) -> Outcome<()>,
) -> Outcome<Compared> {
    let (before, after) = (Side::new(before, name), Side::new(after, name));
    let mut compared = Compared { before: before.count(), after: after.count(), ..Compared::default() };
    let mut printer = Printer::default();
    if before.has_key() && after.has_key() {
        by_key(before, after, &mut printer, &mut compared, show)?;
    } else {
        whole(before, after, &mut printer, &mut compared, show)?;
    }
    Ok(compared)
}

fn by_key(
    before: Side<'_>,
    after: Side<'_>,
    printer: &mut Printer,
    compared: &mut Compared,
    show: &mut dyn FnMut(&Change<'_>) -> Outcome<()>,
) -> Outcome<()> {
    let (old, new) = (before.records(), after.records());
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (Some(a), Some(b)) => records::key_of(a).cmp(&records::key_of(b)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return Ok(()),
        };
        match order {
            Ordering::Less => removed(old.next(), printer, compared, show)?,
            Ordering::Greater => added(new.next(), printer, compared, show)?,
            Ordering::Equal => {
                if let (Some(a), Some(b)) = (old.next(), new.next()) {
                    modified(a, b, printer, compared, show)?;
                }
            }
        }
    }
}

fn removed(
    record: Option<&Record<'_>>,
    printer: &mut Printer,
    compared: &mut Compared,
    show: &mut dyn FnMut(&Change<'_>) -> Outcome<()>,
) -> Outcome<()> {
    let Some(record) = record else { return Ok(()) };
    compared.removed += 1;
    let (key, record) = (records::key_value(record), printer.value(record)?);
    show(&Change::Removed { key: &key, record: &record })
}

fn added(
    record: Option<&Record<'_>>,
    printer: &mut Printer,
    compared: &mut Compared,
    show: &mut dyn FnMut(&Change<'_>) -> Outcome<()>,
) -> Outcome<()> {
    let Some(record) = record else { return Ok(()) };
    compared.added += 1;
    let (key, record) = (records::key_value(record), printer.value(record)?);
    show(&Change::Added { key: &key, record: &record })
}

fn modified(
    old: &Record<'_>,
    new: &Record<'_>,
    printer: &mut Printer,
    compared: &mut Compared,
    show: &mut dyn FnMut(&Change<'_>) -> Outcome<()>,
) -> Outcome<()> {
    let before = printer.json(old)?.to_owned();
    // Equal text is by far the most common case, and cheaper than values.
    if before == printer.json(new)? {
        return Ok(());
    }
    let (old_value, new_value) = (sorted_value(old, printer)?, sorted_value(new, printer)?);
    let fields = differing(&old_value, &new_value);
    if fields.is_empty() {
        return Ok(());
    }
    compared.modified += 1;
    let key = records::key_value(new);
    show(&Change::Modified { key: &key, fields: &fields })
}

/// Fields of either side that differ, in the order of their names.
fn differing(old: &Value, new: &Value) -> Vec<(String, Value, Value)> {
    let empty = serde_json::Map::new();
    let (old, new) = (old.as_object().unwrap_or(&empty), new.as_object().unwrap_or(&empty));
    let mut names: Vec<&String> = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name))).collect();
    names.sort();
    let field = |side: &serde_json::Map<String, Value>, name: &String| side.get(name).cloned().unwrap_or(Value::Null);
    let fields = names.into_iter().map(|name| (name.clone(), field(old, name), field(new, name)));
    fields.filter(|(_, old, new)| old != new).collect()
}

/// Records of a type without a key, as values: those of one side only came or went.
fn whole(
    before: Side<'_>,
    after: Side<'_>,
    printer: &mut Printer,
    compared: &mut Compared,
    show: &mut dyn FnMut(&Change<'_>) -> Outcome<()>,
) -> Outcome<()> {
    let mut texts = |side: Side<'_>| {
        let texts = side.records().into_iter().map(|record| Ok(sorted_value(&record, printer)?.to_string()));
        let mut texts = texts.collect::<Outcome<Vec<String>>>()?;
        texts.sort_unstable();
        Ok::<_, Failure>(texts)
    };
    let (old, new) = (texts(before)?, texts(after)?);
    let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (Some(a), Some(b)) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return Ok(()),
        };
        if order == Ordering::Equal {
            (old.next(), new.next());
            continue;
        }
        let text = if order == Ordering::Less { old.next() } else { new.next() };
        let record = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        if order == Ordering::Less {
            compared.removed += 1;
            show(&Change::Removed { key: &Value::Null, record: &record })?;
        } else {
            compared.added += 1;
            show(&Change::Added { key: &Value::Null, record: &record })?;
        }
    }
}

/// A record as a value in which sets and maps are sorted: their stored order means nothing.
fn sorted_value(record: &Record<'_>, printer: &mut Printer) -> Outcome<Value> {
    let mut value = printer.value(record)?;
    sort(record.state().schema(), record.type_id(), &mut value);
    Ok(value)
}

fn sort(schema: &Schema, id: TypeId, value: &mut Value) {
    let ty = schema.get(id);
    match (&ty.kind, value) {
        (TypeKind::Object(object), Value::Object(members)) => {
            for field in &object.fields {
                if let (FieldType::Reference(to), Some(value)) = (field.ty, members.get_mut(&field.name)) {
                    sort(schema, to, value);
                }
            }
        }
        (TypeKind::List { element }, Value::Array(elements)) => {
            elements.iter_mut().for_each(|value| sort(schema, *element, value));
        }
        (TypeKind::Set { element, .. }, Value::Array(elements)) => {
            elements.iter_mut().for_each(|value| sort(schema, *element, value));
            elements.sort_by_cached_key(Value::to_string);
        }
        (TypeKind::Map { value: target, .. }, Value::Object(entries)) => {
            entries.values_mut().for_each(|value| sort(schema, *target, value));
        }
        (TypeKind::Map { key, value: target, .. }, Value::Array(entries)) => {
            for entry in entries.iter_mut() {
                for (part, id) in [("key", *key), ("value", *target)] {
                    if let Some(value) = entry.get_mut(part) {
                        sort(schema, id, value);
                    }
                }
            }
            entries.sort_by_cached_key(Value::to_string);
        }
        _ => {}
    }
}
