//! What no record of a state may hold, whoever made the blob.
//!
//! Owns: the checks of records that a blob adds, while their chunk is decoded and, for what needs the
//! records that they refer to, once all are there. Never looks at a record that the blob leaves as it
//! is: work follows the blob. Spec: `docs/format/spec.md`, section "States".

mod distinct;
mod order;

use super::live::Live;
use super::sections::Chunk;
use crate::error::{StateError, StateResult};
pub(super) use distinct::check_keys;
use grotto_format::batch::{Column, ColumnData};
use grotto_format::schema::{FieldType, Schema, TypeId, TypeKind, TypeSchema};
pub(super) use order::check_orders;

/// What is asked of the records of one type.
pub(super) struct Demands<'a> {
    name: &'a str,
    columns: Vec<Demand<'a>>,
}

/// What is asked of one column.
enum Demand<'a> {
    /// Any value will do.
    Nothing,
    /// A number within the range of its type.
    Within(&'a str, std::ops::RangeInclusive<i64>),
    /// A live record.
    Reference(&'a str, Target<'a>),
    /// Live records: of a list or set, or keys and values in turn. Sets and maps without a hash key are
    /// in the order of their ordinals.
    Elements(Vec<Target<'a>>, bool),
}

struct Target<'a> {
    name: &'a str,
    live: &'a Live<'a>,
}

/// A record that no state may hold.
pub(super) fn unsound(type_name: &str, ordinal: u32, reason: String) -> StateError {
    let type_name = type_name.to_owned();
    StateError::Unsound {
        type_name,
        ordinal,
        reason,
    }
}

impl<'a> Demands<'a> {
    /// `alive` has the types that records of this one refer to, unless the blob adds none of this one.
    pub(super) fn new(schema: &'a Schema, id: TypeId, alive: &'a [Option<Live<'a>>]) -> Self {
        let ty = schema.get(id);
        let target = |id: TypeId| {
            let live = alive.get(id.index())?.as_ref()?;
            let name = schema.get(id).name.as_str();
            Some(Target { name, live })
        };
        let columns = match ty.object() {
            Some(object) => {
                let fields = object.fields.iter();
                fields.map(|f| of_field(&f.name, f.ty, target)).collect()
            }
            None => vec![of_elements(ty, target)],
        };
        Self {
            name: &ty.name,
            columns,
        }
    }

    /// Refuses a chunk with a record that does not do.
    pub(super) fn check(&self, chunk: &Chunk) -> StateResult<()> {
        for (demand, column) in self.columns.iter().zip(&chunk.batch.columns) {
            if let Some((row, reason)) = demand.broken(column) {
                let ordinal = chunk.ordinals.get(row).copied().unwrap_or(0);
                return Err(unsound(self.name, ordinal, reason));
            }
        }
        Ok(())
    }
}

fn of_field<'a>(
    name: &'a str,
    ty: FieldType,
    target: impl Fn(TypeId) -> Option<Target<'a>>,
) -> Demand<'a> {
    match ty {
        FieldType::Int => Demand::Within(name, i64::from(i32::MIN)..=i64::from(i32::MAX)),
        FieldType::Boolean => Demand::Within(name, 0..=1),
        FieldType::Reference(to) => {
            target(to).map_or(Demand::Nothing, |to| Demand::Reference(name, to))
        }
        _ => Demand::Nothing,
    }
}

fn of_elements<'a>(ty: &TypeSchema, target: impl Fn(TypeId) -> Option<Target<'a>>) -> Demand<'a> {
    let targets = ty.kind.references().map(target).collect();
    let rising = match &ty.kind {
        TypeKind::Set { hash_key, .. } | TypeKind::Map { hash_key, .. } => hash_key.is_empty(),
        _ => false,
    };
    match targets {
        Some(targets) => Demand::Elements(targets, rising),
        None => Demand::Nothing,
    }
}

impl Demand<'_> {
    /// The first row that does not do, and why.
    fn broken(&self, column: &Column) -> Option<(usize, String)> {
        match (self, &column.data) {
            (Self::Within(field, range), ColumnData::Fixed(words)) => {
                // A null stands for 0, which is in every range.
                let row = first_outside(words, range)?;
                let (least, most, found) = (range.start(), range.end(), words[row].cast_signed());
                let reason = format!("expected {field} of {least} to {most}, found {found}");
                Some((row, reason))
            }
            (Self::Reference(field, to), ColumnData::Fixed(words)) => {
                let row = first_dangling(column, words, to)?;
                let (name, found) = (to.name, words[row]);
                let reason =
                    format!("expected {field} to refer to a live record of {name}, found #{found}");
                Some((row, reason))
            }
            (Self::Elements(to, rising), ColumnData::Elements { ends, ordinals }) => {
                let null = (0..column.nulls.len() * 64).find(|row| column.is_null(*row));
                if let Some(row) = null.filter(|row| *row < ends.len()) {
                    return Some((row, "expected elements, found null".to_owned()));
                }
                broken_elements(to, *rising, ends, ordinals)
            }
            _ => None,
        }
    }
}

fn first_outside(words: &[u64], range: &std::ops::RangeInclusive<i64>) -> Option<usize> {
    let (least, most) = (*range.start(), *range.end());
    // Without a branch for each, as nearly all columns are fine.
    let outside = |word: &u64| (word.cast_signed() < least) | (word.cast_signed() > most);
    let any = words.iter().fold(false, |any, word| any | outside(word));
    any.then(|| words.iter().position(outside)).flatten()
}

fn first_dangling(column: &Column, words: &[u64], to: &Target<'_>) -> Option<usize> {
    let dangles = |word: u64| !u32::try_from(word).is_ok_and(|ordinal| to.live.has(ordinal));
    if column.nulls.is_empty() {
        return words.iter().position(|word| dangles(*word));
    }
    let rows = words.iter().enumerate();
    rows.into_iter()
        .position(|(row, word)| !column.is_null(row) && dangles(*word))
}

fn broken_elements(
    to: &[Target<'_>],
    rising: bool,
    ends: &[usize],
    ordinals: &[u32],
) -> Option<(usize, String)> {
    let row_of = |at: usize| ends.partition_point(|end| *end <= at);
    for (part, target) in to.iter().enumerate() {
        let part = ordinals.iter().enumerate().skip(part).step_by(to.len());
        let dangling = part.into_iter().find(|(_, o)| !target.live.has(**o));
        if let Some((at, ordinal)) = dangling {
            let name = target.name;
            let reason = format!("expected live records of {name} as elements, found #{ordinal}");
            return Some((row_of(at), reason));
        }
    }
    if !rising {
        return None;
    }
    let mut start = 0;
    for (row, end) in ends.iter().enumerate() {
        let list = ordinals.get(start..*end).unwrap_or_default();
        if let Some((before, after)) = falls(list.iter().copied().step_by(to.len())) {
            let reason = format!("expected elements to rise, found #{after} after #{before}");
            return Some((row, reason));
        }
        start = *end;
    }
    None
}

/// The first element that is not above the one before.
fn falls<T: PartialOrd + Copy>(mut list: impl Iterator<Item = T>) -> Option<(T, T)> {
    let mut before = list.next()?;
    list.find_map(|item| {
        let last = std::mem::replace(&mut before, item);
        (last >= item).then_some((last, item))
    })
}
