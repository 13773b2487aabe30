//! From a flat record to an ordinal: equal records share one, at every nesting level.
//!
//! Owns: looking a record up among the base's and the staged ones, and staging it when it is new.
//! Never removes anything.

use super::cycle::Cycle;
use super::flatkey::{FlatKey, element_hash, flat_error};
use crate::error::StateResult;
use crate::hash::Secret;
use crate::known::TypeInfo;
use crate::record::Record;
use grotto_format::batch::Value;
use grotto_format::checksum;
use grotto_format::flat::{FlatError, FlatReader, FlatValue, MAX_DEPTH};
use grotto_format::schema::{FieldPath, FieldType, TypeId, TypeKind};

/// Whether a record that is not there yet is staged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Resolve {
    Find,
    Create,
}

/// Where a record came from, and how deep it is nested.
#[derive(Clone, Copy)]
pub(super) struct Source {
    pub(super) position: u64,
    pub(super) depth: usize,
}

impl Source {
    fn nested(self) -> Self {
        Self {
            depth: self.depth + 1,
            ..self
        }
    }
}

/// A value of the record being resolved. Text is a span of its flat bytes, elements a span of the
/// scratch list.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell {
    Null,
    Fixed(u64),
    Var { start: usize, length: usize },
    Elements { start: usize, length: usize },
}

/// Stacks shared by all levels of nesting, so that resolving a record allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    cells: Vec<Cell>,
    elements: Vec<u32>,
}

/// The record being resolved.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) id: TypeId,
    pub(super) flat: &'a [u8],
    pub(super) cells: &'a [Cell],
    pub(super) elements: &'a [u32],
}

impl<'a> Row<'a> {
    pub(super) fn value(&self, column: usize) -> Value<'a> {
        match self.cells.get(column) {
            Some(Cell::Fixed(word)) => Value::Fixed(*word),
            Some(Cell::Var { start, length }) => Value::Var(&self.flat[*start..start + length]),
            Some(Cell::Elements { start, length }) => {
                Value::Elements(&self.elements[*start..start + length])
            }
            _ => Value::Null,
        }
    }

    /// Bytes that the row takes in a block, roughly.
    pub(super) fn weight(&self) -> u64 {
        let weight = |cell: &Cell| match cell {
            Cell::Null => 0,
            Cell::Fixed(_) => 4,
            Cell::Var { length, .. } => 3 + *length as u64,
            Cell::Elements { length, .. } => 4 + 3 * *length as u64,
        };
        self.cells.iter().map(weight).sum()
    }

    /// What [`Record::value_hash`] gives for the stored record.
    fn value_hash(&self, info: &TypeInfo) -> u64 {
        let mut sum = 0_u64;
        for (column, field) in info.fields.iter().enumerate() {
            sum = sum.wrapping_add(match self.value(column) {
                Value::Null => 0,
                Value::Fixed(word) => Secret::fixed(field, word),
                Value::Var(bytes) => info.secret.var(field, bytes),
                Value::Elements(ordinals) => info.secret.elements(field, ordinals.iter().copied()),
            });
        }
        info.secret.finish(sum)
    }

    fn content_hash(&self, seeds: &[u64]) -> u64 {
        seeds.iter().enumerate().fold(0, |sum, (column, seed)| {
            sum.wrapping_add(match self.value(column) {
                Value::Null => 0,
                Value::Fixed(word) => checksum::fixed(*seed, word),
                Value::Var(bytes) => checksum::var(*seed, bytes),
                Value::Elements(ordinals) => checksum::elements(*seed, ordinals.iter().copied()),
            })
        })
    }

    pub(super) fn equals(&self, record: &Record<'_>) -> bool {
        !record.has_dropped_value()
            && (0..self.cells.len()).all(|column| {
                let null = record.is_null(column);
                match self.value(column) {
                    Value::Null => null,
                    Value::Fixed(word) => !null && record.word(column) == word,
                    Value::Var(bytes) => !null && record.var(column) == bytes,
                    Value::Elements(ordinals) => {
                        !null && record.elements(column).eq(ordinals.iter().copied())
                    }
                }
            })
    }
}

impl Cycle {
    /// The ordinal of a record; `None` when it is not there and `how` is [`Resolve::Find`].
    pub(super) fn resolve(
        &mut self,
        id: TypeId,
        flat: &[u8],
        how: Resolve,
        source: Source,
    ) -> StateResult<Option<u32>> {
        if source.depth > MAX_DEPTH {
            let error = FlatError {
                at: 0,
                what: "nesting of at most 64 records",
            };
            return Err(flat_error(&self.schema, id, error));
        }
        let (cells, elements) = (self.scratch.cells.len(), self.scratch.elements.len());
        let found = match self.read_cells(id, flat, how, source)? {
            true => self.locate(id, flat, cells, how, source)?,
            false => None,
        };
        self.scratch.cells.truncate(cells);
        self.scratch.elements.truncate(elements);
        Ok(found)
    }

    /// Pushes the cells of a record; `false` when a nested record was not found.
    fn read_cells(
        &mut self,
        id: TypeId,
        flat: &[u8],
        how: Resolve,
        source: Source,
    ) -> StateResult<bool> {
        let schema = std::sync::Arc::clone(&self.schema);
        match &schema.get(id).kind {
            TypeKind::Object(object) => {
                let fail = |e| flat_error(&schema, id, e);
                let first = self.scratch.cells.len();
                self.scratch
                    .cells
                    .resize(first + object.fields.len(), Cell::Null);
                let mut reader = FlatReader::new(flat);
                for _ in 0..reader.object().map_err(fail)? {
                    let position = usize::from(reader.field().map_err(fail)?);
                    let Some(field) = object.fields.get(position) else {
                        return Err(fail(FlatError {
                            at: 0,
                            what: "fields of the type",
                        }));
                    };
                    let cell = match (reader.value(field.ty).map_err(fail)?, field.ty) {
                        (FlatValue::Fixed(word), _) => Cell::Fixed(word),
                        (FlatValue::Var(bytes), _) => span(flat, bytes),
                        (FlatValue::Nested(inner), FieldType::Reference(to)) => {
                            match self.resolve(to, inner, how, source.nested())? {
                                Some(ordinal) => Cell::Fixed(u64::from(ordinal)),
                                None => return Ok(false),
                            }
                        }
                        (FlatValue::Nested(_), _) => Cell::Null,
                    };
                    if !matches!(self.scratch.cells[first + position], Cell::Null) {
                        return Err(fail(FlatError {
                            at: 0,
                            what: "each field of the type at most once",
                        }));
                    }
                    self.scratch.cells[first + position] = cell;
                }
                Ok(true)
            }
            TypeKind::List { element } => {
                self.read_elements(id, flat, (*element, None), None, how, source)
            }
            TypeKind::Set { element, hash_key } => {
                self.read_elements(id, flat, (*element, None), Some(hash_key), how, source)
            }
            TypeKind::Map {
                key,
                value,
                hash_key,
            } => self.read_elements(id, flat, (*key, Some(*value)), Some(hash_key), how, source),
        }
    }

    /// Elements of a list in order, of a set or map by hash key and ordinal, each once.
    fn read_elements(
        &mut self,
        id: TypeId,
        flat: &[u8],
        of: (TypeId, Option<TypeId>),
        hash_key: Option<&[FieldPath]>,
        how: Resolve,
        source: Source,
    ) -> StateResult<bool> {
        let schema = std::sync::Arc::clone(&self.schema);
        let fail = |e| flat_error(&schema, id, e);
        let mut reader = FlatReader::new(flat);
        let count = reader.collection().map_err(fail)?;
        let mut list = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let inner = reader.nested().map_err(fail)?;
            let Some(ordinal) = self.resolve(of.0, inner, how, source.nested())? else {
                return Ok(false);
            };
            let value = match of.1 {
                None => 0,
                Some(ty) => {
                    match self.resolve(ty, reader.nested().map_err(fail)?, how, source.nested())? {
                        Some(value) => value,
                        None => return Ok(false),
                    }
                }
            };
            let hash = match hash_key {
                Some(key) => element_hash(&schema, of.0, inner, key).map_err(fail)?,
                None => 0,
            };
            list.push((hash, ordinal, value));
        }
        if hash_key.is_some() {
            in_stored_order(&mut list).map_err(fail)?;
        }
        let start = self.scratch.elements.len();
        for (_, ordinal, value) in list {
            self.scratch.elements.push(ordinal);
            if of.1.is_some() {
                self.scratch.elements.push(value);
            }
        }
        let length = self.scratch.elements.len() - start;
        self.scratch.cells.push(Cell::Elements { start, length });
        Ok(true)
    }

    fn locate(
        &mut self,
        id: TypeId,
        flat: &[u8],
        first: usize,
        how: Resolve,
        source: Source,
    ) -> StateResult<Option<u32>> {
        let scratch = std::mem::take(&mut self.scratch);
        let row = Row {
            id,
            flat,
            cells: &scratch.cells[first..],
            elements: &scratch.elements,
        };
        let found = match self.base.infos[id.index()].key.is_some() {
            true => self.locate_keyed(row, how, source),
            false => self.locate_by_content(row, how, source),
        };
        self.scratch = scratch;
        found
    }

    fn locate_by_content(
        &mut self,
        row: Row<'_>,
        how: Resolve,
        source: Source,
    ) -> StateResult<Option<u32>> {
        let info = &self.base.infos[row.id.index()];
        let lookup = row.value_hash(info);
        let children = self.old_of[row.id.index()].and_then(|old| self.children.get(old));
        if let Some(ordinal) = children.and_then(|c| c.find(&self.base, &row, lookup)) {
            return Ok(Some(ordinal));
        }
        let stage = &self.stages[row.id.index()];
        if let Some(staged) = stage.find(&row, lookup) {
            return Ok(Some(stage.ordinals[staged as usize]));
        }
        match how {
            Resolve::Find => Ok(None),
            Resolve::Create => {
                let content = row.content_hash(&info.seeds);
                self.stage(row, content, lookup, source).map(Some)
            }
        }
    }

    fn locate_keyed(
        &mut self,
        row: Row<'_>,
        how: Resolve,
        source: Source,
    ) -> StateResult<Option<u32>> {
        let infos = std::sync::Arc::clone(&self.base.infos);
        let info = &infos[row.id.index()];
        let Some(key_info) = info.key.as_ref() else {
            return Ok(None);
        };
        let key = FlatKey::read(&self.schema, row.id, key_info, row.flat, &|| {
            self.sources.show(source.position)
        })?;
        let (hash, content) = (key_info.secret.of_key(&key), row.content_hash(&info.seeds));
        let stage = &self.stages[row.id.index()];
        if let Some(staged) = self.staged_with_key(row.id, &key, hash) {
            if stage.hashes[staged as usize] != content || !stage.equals(&row, staged) {
                let first = stage.positions[staged as usize];
                return Err(self.duplicate(row.id, &key, first, source.position));
            }
            let ordinal = stage.ordinals[staged as usize];
            // The base has other content there, and that is what is looked for.
            let other = how == Resolve::Find && stage.updates.contains_key(&ordinal);
            return Ok((!other).then_some(ordinal));
        }
        let base = std::sync::Arc::clone(&self.base);
        let replaced = base.find_hashed(row.id, key_info, &key, hash);
        let replaced = match replaced {
            Some(record) if row.equals(&record) => {
                self.name_as_is(row.id, record.ordinal(), source.position)?;
                return Ok(Some(record.ordinal()));
            }
            _ if how == Resolve::Find => return Ok(None),
            other => other.map(|record| record.ordinal()),
        };
        match replaced {
            Some(ordinal) if self.anchored[row.id.index()] => {
                self.update(row, content, hash, ordinal, source)
            }
            _ => {
                let staged = self.stages[row.id.index()].batch.rows as u32;
                let ordinal = self.stage(row, content, hash, source)?;
                let replaces = &mut self.stages[row.id.index()].replaces;
                replaces.extend(replaced.map(|replaced| (staged, replaced)));
                Ok(ordinal)
            }
        }
        .map(Some)
    }
}

/// Elements of a set or entries of a map, as (hash, ordinal, value): sorted, each once.
pub(super) fn in_stored_order(list: &mut Vec<(u64, u32, u32)>) -> Result<(), FlatError> {
    list.sort_unstable();
    list.dedup();
    if list.windows(2).any(|pair| pair[0].1 == pair[1].1) {
        return Err(FlatError {
            at: 0,
            what: "each key of a map once",
        });
    }
    Ok(())
}

/// The span of `part` within `whole`, which it was cut from.
pub(super) fn span(whole: &[u8], part: &[u8]) -> Cell {
    let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    if part.is_empty() || start > whole.len() {
        return Cell::Var {
            start: 0,
            length: 0,
        };
    }
    Cell::Var {
        start,
        length: part.len(),
    }
}
