//! Comparing two states by key and field.
//!
//! Owns: what counts as a change. Never: prints. Both states are walked in the order of their keys,
//! so that nothing but the order is held in memory.

use super::sorted;
use crate::failure::Outcome;
use crate::records::{self, Printer};
use grotto::engine::state::{Record, State};
use grotto::schema::TypeId;
use serde_json::Value;
use std::cmp::Ordering;
use std::iter::Peekable;

/// One changed record.
pub(super) enum Change<'a> {
    Added {
        key: &'a Value,
        record: &'a Value,
    },
    Removed {
        key: &'a Value,
        record: &'a Value,
    },
    /// Fields that differ: name, before, after.
    Modified {
        key: &'a Value,
        fields: &'a [(String, Value, Value)],
    },
}

/// Figures of one type.
#[derive(Clone, Copy, Default)]
pub(super) struct Compared {
    pub(super) before: u64,
    pub(super) after: u64,
    pub(super) added: u64,
    pub(super) removed: u64,
    pub(super) modified: u64,
}

/// Called with every change.
pub(super) type Show<'a> = &'a mut dyn FnMut(&Change<'_>) -> Outcome<()>;

/// Compares the records of a type. Without a primary key, a record is its own key: it can come and
/// go but not change.
pub(super) fn types(
    before: &State,
    after: &State,
    name: &str,
    show: Show<'_>,
) -> Outcome<Compared> {
    let (before, after) = (Side::new(before, name), Side::new(after, name));
    let compared = Compared {
        before: before.count(),
        after: after.count(),
        ..Compared::default()
    };
    let printer = Printer::default();
    let mut comparison = Comparison {
        printer,
        compared,
        show,
    };
    if before.has_key() && after.has_key() {
        comparison.by_key(before, after)?;
    } else {
        comparison.whole(before, after)?;
    }
    Ok(comparison.compared)
}

/// One side: a state and the type in it, if it has the type.
#[derive(Clone, Copy)]
struct Side<'a> {
    state: &'a State,
    type_id: Option<TypeId>,
}

impl<'a> Side<'a> {
    fn new(state: &'a State, name: &str) -> Self {
        let type_id = state.schema().find(name);
        Self { state, type_id }
    }

    fn count(&self) -> u64 {
        self.type_id.map_or(0, |id| self.state.count(id))
    }

    fn has_key(&self) -> bool {
        self.type_id
            .is_none_or(|id| !records::key_paths(self.state, id).is_empty())
    }

    fn records(self) -> impl Iterator<Item = Record<'a>> {
        let ordinals = self.type_id.map(|id| records::by_key(self.state, id));
        let ordinals = ordinals.unwrap_or_default().into_iter();
        ordinals.filter_map(move |ordinal| self.state.record(self.type_id?, ordinal))
    }
}

struct Comparison<'a> {
    printer: Printer,
    compared: Compared,
    show: Show<'a>,
}

impl Comparison<'_> {
    fn by_key(&mut self, before: Side<'_>, after: Side<'_>) -> Outcome<()> {
        let (mut old, mut new) = (before.records().peekable(), after.records().peekable());
        let order = |a: &Record<'_>, b: &Record<'_>| records::key_of(a).cmp(&records::key_of(b));
        while let Some(pair) = next_pair(&mut old, &mut new, order) {
            match pair {
                Pair::Old(record) => {
                    let (key, record) = (records::key_value(&record), self.printer.value(&record)?);
                    self.removed(&key, &record)?;
                }
                Pair::New(record) => {
                    let (key, record) = (records::key_value(&record), self.printer.value(&record)?);
                    self.added(&key, &record)?;
                }
                Pair::Both(old, new) => self.modified(&old, &new)?,
            }
        }
        Ok(())
    }

    /// Records as values: those of one side only came or went.
    fn whole(&mut self, before: Side<'_>, after: Side<'_>) -> Outcome<()> {
        let (old, new) = (self.values(before)?, self.values(after)?);
        let (mut old, mut new) = (old.into_iter().peekable(), new.into_iter().peekable());
        let order = |a: &(String, Value), b: &(String, Value)| a.0.cmp(&b.0);
        while let Some(pair) = next_pair(&mut old, &mut new, order) {
            match pair {
                Pair::Old((_, record)) => self.removed(&Value::Null, &record)?,
                Pair::New((_, record)) => self.added(&Value::Null, &record)?,
                Pair::Both(..) => {}
            }
        }
        Ok(())
    }

    /// All records of a side with their text, ordered by it.
    fn values(&mut self, side: Side<'_>) -> Outcome<Vec<(String, Value)>> {
        let mut value = |record| {
            let value = sorted::value(&record, &mut self.printer)?;
            Ok((value.to_string(), value))
        };
        let mut values = side
            .records()
            .map(&mut value)
            .collect::<Outcome<Vec<_>>>()?;
        values.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(values)
    }

    fn removed(&mut self, key: &Value, record: &Value) -> Outcome<()> {
        self.compared.removed += 1;
        (self.show)(&Change::Removed { key, record })
    }

    fn added(&mut self, key: &Value, record: &Value) -> Outcome<()> {
        self.compared.added += 1;
        (self.show)(&Change::Added { key, record })
    }

    /// Two records with one key.
    fn modified(&mut self, old: &Record<'_>, new: &Record<'_>) -> Outcome<()> {
        let before = self.printer.json(old)?.to_owned();
        // Equal text is by far the most common case, and cheaper than values.
        if before == self.printer.json(new)? {
            return Ok(());
        }
        let before = sorted::value(old, &mut self.printer)?;
        let after = sorted::value(new, &mut self.printer)?;
        let fields = differing(&before, &after);
        if fields.is_empty() {
            return Ok(());
        }
        self.compared.modified += 1;
        let (key, fields) = (&records::key_value(new), fields.as_slice());
        (self.show)(&Change::Modified { key, fields })
    }
}

/// What comes next of two ordered sides.
enum Pair<T> {
    Old(T),
    New(T),
    Both(T, T),
}

fn next_pair<T>(
    old: &mut Peekable<impl Iterator<Item = T>>,
    new: &mut Peekable<impl Iterator<Item = T>>,
    order: impl Fn(&T, &T) -> Ordering,
) -> Option<Pair<T>> {
    let order = match (old.peek(), new.peek()) {
        (Some(a), Some(b)) => order(a, b),
        (Some(_), None) => Ordering::Less,
        (None, _) => Ordering::Greater,
    };
    Some(match order {
        Ordering::Less => Pair::Old(old.next()?),
        Ordering::Greater => Pair::New(new.next()?),
        Ordering::Equal => Pair::Both(old.next()?, new.next()?),
    })
}

/// Fields of either side that differ, in the order of their names.
fn differing(old: &Value, new: &Value) -> Vec<(String, Value, Value)> {
    let names = |side: &Value| {
        side.as_object()
            .map_or_else(Vec::new, |side| side.keys().cloned().collect())
    };
    let mut all: Vec<String> = names(old);
    all.extend(names(new));
    all.sort();
    all.dedup();
    let field = |side: &Value, name: &str| side.get(name).cloned().unwrap_or(Value::Null);
    let fields = all.into_iter().map(|name| {
        let (old, new) = (field(old, &name), field(new, &name));
        (name, old, new)
    });
    fields.filter(|(_, old, new)| old != new).collect()
}
