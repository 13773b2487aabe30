//! Reading the flat records of a batch into rows per type, nested ones included.
//!
//! Owns: everything about a record that needs no other batch: its values, hashes, the committed record
//! with its key. So batches are parsed in any order, on any thread. Never gives out ordinals.

use super::{Ground, NONE};
use crate::error::StateResult;
use crate::hash::Secret;
use crate::record::Record;
use crate::write::equal::{Surroundings, equals_record};
use crate::write::flatkey::{FlatKey, element_hash, flat_error};
use crate::write::intern::{Cell, span};
use grotto_format::checksum;
use grotto_format::flat::{FlatError, FlatReader, FlatValue, MAX_DEPTH};
use grotto_format::schema::{FieldPath, FieldType, ObjectSchema, TypeId, TypeKind};

/// A record as it was handed over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given {
    pub(super) id: TypeId,
    pub(super) start: usize,
    pub(super) length: usize,
    pub(super) position: u64,
}

/// One record of a type, as it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    /// Which of the batch's records it came with.
    pub(super) given: u32,
    /// Whether it is that record itself, not nested in it.
    pub(super) top: bool,
    /// The committed record with its key, if there is one.
    pub(super) base: u32,
    /// Whether that one is equal; its values were not read then.
    pub(super) same: bool,
    /// Content hash of the values that are known without ordinals.
    pub(super) content: u64,
    /// Private hash of the key; of a type without one, the shares of the values that are known without
    /// ordinals.
    pub(super) lookup: u64,
    /// End of its values among the cells.
    pub(super) cells: usize,
}

/// All records of one type in a batch. References and elements are positions of rows of the batch.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) heads: Vec<Head>,
    /// Columns that are not null, and their values.
    pub(super) cells: Vec<(u16, Cell)>,
    pub(super) elements: Vec<u32>,
    /// Hash by which each element of a set, or entry of a map, is put in order.
    pub(super) order: Vec<u64>,
}

impl Rows {
    pub(super) fn clear(&mut self) {
        self.heads.clear();
        self.cells.clear();
        self.elements.clear();
        self.order.clear();
    }
}

/// A comparison on a thread that knows nothing of what others take in.
struct Elsewhere<'a>(&'a Ground);

impl Surroundings for Elsewhere<'_> {
    fn find_set(&mut self, _: TypeId, _: &[u8], _: usize) -> StateResult<Option<u32>> {
        Ok(None)
    }

    fn found_equal(&mut self, record: &Record<'_>) {
        self.0.compared.insert(record.type_id(), record.ordinal());
    }
}

/// Reads one record after the other.
pub(super) struct Parser<'a> {
    pub(super) ground: &'a Ground,
    pub(super) bytes: &'a [u8],
    pub(super) rows: &'a mut [Rows],
    pub(super) given: u32,
    pub(super) position: u64,
}

impl<'a> Parser<'a> {
    /// Reads a record; returns its row.
    ///
    /// Types never contain themselves here, so the cells of a row stay side by side.
    pub(super) fn record(&mut self, id: TypeId, flat: &'a [u8], depth: usize) -> StateResult<u32> {
        let ground = self.ground;
        if depth > MAX_DEPTH {
            let what = "nesting of at most 64 records";
            return Err(flat_error(&ground.schema, id, FlatError { at: 0, what }));
        }
        let mut head = Head {
            given: self.given,
            top: depth == 0,
            base: NONE,
            same: false,
            content: 0,
            lookup: 0,
            cells: 0,
        };
        if ground.base.count(id) > 0 {
            self.key(id, flat, &mut head)?;
        }
        if !head.same {
            self.values(id, flat, depth, &mut head)?;
            if ground.base.count(id) == 0 {
                self.key(id, flat, &mut head)?;
            }
        }
        let rows = &mut self.rows[id.index()];
        head.cells = rows.cells.len();
        rows.heads.push(head);
        Ok(rows.heads.len() as u32 - 1)
    }

    /// Reads the key and looks for the committed record that has it.
    fn key(&self, id: TypeId, flat: &[u8], head: &mut Head) -> StateResult<()> {
        let ground = self.ground;
        let Some(info) = ground.base.infos[id.index()].key.as_ref() else {
            return Ok(());
        };
        let position = || ground.sources.show(self.position);
        let key = FlatKey::read(&ground.schema, id, info, flat, &position)?;
        head.lookup = info.secret.of_key(&key);
        if ground.base.count(id) == 0 {
            return Ok(());
        }
        if let Some(record) = ground.base.find_hashed(id, info, &key, head.lookup) {
            head.base = record.ordinal();
            // What holds a set is found out below, with the ordinals of its elements.
            head.same = head.top && equals_record(&record, flat, 0, &mut Elsewhere(ground))?;
        }
        Ok(())
    }

    fn values(
        &mut self,
        id: TypeId,
        flat: &'a [u8],
        depth: usize,
        head: &mut Head,
    ) -> StateResult<()> {
        let ground = self.ground;
        let done = match &ground.schema.get(id).kind {
            TypeKind::Object(object) => return self.fields(id, object, flat, depth, head),
            TypeKind::List { element } => self.elements(id, flat, (*element, None), None, depth),
            TypeKind::Set { element, hash_key } => {
                self.elements(id, flat, (*element, None), Some(hash_key), depth)
            }
            TypeKind::Map {
                key,
                value,
                hash_key,
            } => self.elements(id, flat, (*key, Some(*value)), Some(hash_key), depth),
        };
        let (start, length) = done?;
        let cell = (0, Cell::Elements { start, length });
        self.rows[id.index()].cells.push(cell);
        Ok(())
    }

    fn fields(
        &mut self,
        id: TypeId,
        object: &ObjectSchema,
        flat: &'a [u8],
        depth: usize,
        head: &mut Head,
    ) -> StateResult<()> {
        let ground = self.ground;
        let fail = |what| flat_error(&ground.schema, id, FlatError { at: 0, what });
        let info = &ground.base.infos[id.index()];
        let (seeds, unkeyed) = (&info.seeds, info.key.is_none());
        let first = self.rows[id.index()].cells.len();
        let mut reader = FlatReader::new(flat);
        let mut last = None;
        let read = |e| flat_error(&ground.schema, id, e);
        for _ in 0..reader.object().map_err(read)? {
            let column = reader.field().map_err(read)?;
            let at = usize::from(column);
            let field = object.fields.get(at);
            let field = field.ok_or_else(|| fail("fields of the type"))?;
            let cell = match (reader.value(field.ty).map_err(read)?, field.ty) {
                (FlatValue::Nested(inner), FieldType::Reference(to)) => {
                    Cell::Fixed(u64::from(self.record(to, inner, depth + 1)?))
                }
                (FlatValue::Var(bytes), _) => {
                    head.content = head.content.wrapping_add(checksum::var(seeds[at], bytes));
                    if unkeyed {
                        let share = info.secret.var(&info.fields[at], bytes);
                        head.lookup = head.lookup.wrapping_add(share);
                    }
                    span(self.bytes, bytes)
                }
                (FlatValue::Fixed(word), _) => {
                    head.content = head.content.wrapping_add(checksum::fixed(seeds[at], word));
                    if unkeyed {
                        let share = Secret::fixed(&info.fields[at], word);
                        head.lookup = head.lookup.wrapping_add(share);
                    }
                    Cell::Fixed(word)
                }
                (FlatValue::Nested(_), _) => Cell::Null,
            };
            let cells = &mut self.rows[id.index()].cells;
            // Fields mostly come in order, and then none comes twice.
            if last >= Some(column) && cells[first..].iter().any(|(other, _)| *other == column) {
                return Err(fail("each field of the type at most once"));
            }
            last = last.max(Some(column));
            cells.push((column, cell));
        }
        Ok(())
    }

    /// Reads elements; returns where they are.
    fn elements(
        &mut self,
        id: TypeId,
        flat: &'a [u8],
        of: (TypeId, Option<TypeId>),
        hash_key: Option<&[FieldPath]>,
        depth: usize,
    ) -> StateResult<(usize, usize)> {
        let schema = &self.ground.schema;
        let fail = |e| flat_error(schema, id, e);
        let mut reader = FlatReader::new(flat);
        let start = self.rows[id.index()].elements.len();
        for _ in 0..reader.collection().map_err(fail)? {
            let inner = reader.nested().map_err(fail)?;
            let row = self.record(of.0, inner, depth + 1)?;
            self.rows[id.index()].elements.push(row);
            if let Some(value) = of.1 {
                let row = self.record(value, reader.nested().map_err(fail)?, depth + 1)?;
                self.rows[id.index()].elements.push(row);
            }
            if let Some(key) = hash_key {
                let hash = element_hash(schema, of.0, inner, key).map_err(fail)?;
                self.rows[id.index()].order.push(hash);
            }
        }
        Ok((start, self.rows[id.index()].elements.len() - start))
    }
}
