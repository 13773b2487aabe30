//! What a record says, as bytes that do not depend on where it lives.
//!
//! Owns: the form in which records of two states are compared. Never: leaves the process.
//!
//! Two records that are read alike have the same bytes: fields by name and without nulls, records
//! within in place, records with a key by their key, sets and maps in an order of their own.

use crate::key::{KeyPart, KeyPath, read_part};
use crate::known::TypeInfo;
use crate::record::Record;
use crate::state::State;
use grotto_format::flat::MAX_DEPTH;
use grotto_format::schema::{FieldType, TypeId, TypeKind};

#[cfg(test)]
mod tests;

/// Records within records that are followed. No publisher nests as deep.
const MOST_DEPTH: usize = 2 * MAX_DEPTH;

/// Most bytes that are written for a record, those of entries that are put in order twice. Damaged
/// states may lead in circles.
const MOST_BYTES: usize = 16 << 20;

/// The records of one state.
pub(super) struct Contents<'a> {
    state: &'a State,
    /// By type: its columns by the hash of their names; empty until needed.
    columns: Vec<Vec<usize>>,
    /// Bytes that may still be written or held.
    room: usize,
    /// Bytes that were written, and the most that was held at a time besides.
    #[cfg(test)]
    written: usize,
    #[cfg(test)]
    most_held: usize,
}

impl<'a> Contents<'a> {
    /// Costs nothing until something is asked.
    pub(super) fn new(state: &'a State) -> Self {
        Self {
            state,
            columns: Vec::new(),
            room: 0,
            #[cfg(test)]
            written: 0,
            #[cfg(test)]
            most_held: 0,
        }
    }

    /// What a record says; `None` for one that nests too deep, says too much, or is damaged.
    pub(super) fn of(&mut self, record: Record<'a>) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        self.room = MOST_BYTES;
        self.whole(record, MOST_DEPTH, &mut out)?;
        Some(out)
    }

    /// What one field says, found by its path; a field that is not there says nothing. `None` as for [`Self::of`].
    pub(super) fn field(&mut self, record: Record<'a>, path: Option<&KeyPath>) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        self.room = MOST_BYTES;
        let Some((last, way)) = path.and_then(|path| path.steps.split_last()) else {
            return Some(out);
        };
        let mut record = record;
        for step in way {
            match self.kind_of(&record, *step)? {
                FieldType::Reference(_) if record.is_null(usize::from(*step)) => return Some(out),
                FieldType::Reference(to) => record = record.follow(usize::from(*step), to)?,
                _ => return None,
            }
        }
        let column = usize::from(*last);
        if !record.is_null(column) {
            let kind = self.kind_of(&record, *last)?;
            self.value(&record, column, kind, MOST_DEPTH, &mut out)?;
        }
        Some(out)
    }

    fn kind_of(&self, record: &Record<'a>, column: u16) -> Option<FieldType> {
        let fields = self.state.schema.get(record.type_id()).fields();
        Some(fields.get(usize::from(column))?.ty)
    }

    fn whole(&mut self, record: Record<'a>, depth: usize, out: &mut Vec<u8>) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match &self.state.schema.get(record.type_id()).kind {
            TypeKind::Object(_) => self.fields(record, depth, out),
            TypeKind::List { element } => {
                let elements = record.elements(0);
                self.number(elements.len() as u64, out)?;
                for ordinal in elements {
                    self.linked(record.jump(*element, ordinal)?, depth, out)?;
                }
                Some(())
            }
            TypeKind::Set { element, .. } => self.entries(record, &[*element], depth, out),
            TypeKind::Map { key, value, .. } => self.entries(record, &[*key, *value], depth, out),
        }
    }

    fn fields(&mut self, record: Record<'a>, depth: usize, out: &mut Vec<u8>) -> Option<()> {
        let (state, ty) = (self.state, record.type_id());
        let info = state.infos.get(ty.index())?;
        let columns = self.columns_of(ty, info);
        let there = columns.iter().filter(|column| !record.is_null(**column));
        let there: Vec<usize> = there.copied().collect();
        self.number(there.len() as u64, out)?;
        let fields = state.schema.get(ty).fields();
        for column in there {
            let kind = fields.get(column)?.ty;
            self.number(*info.seeds.get(column)?, out)?;
            self.value(&record, column, kind, depth, out)?;
        }
        Some(())
    }

    /// A field that is not null.
    fn value(
        &mut self,
        record: &Record<'a>,
        column: usize,
        kind: FieldType,
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        self.write(&[tag(kind)], out)?;
        match kind {
            FieldType::String | FieldType::Bytes => self.bytes(record.var(column), out),
            FieldType::Reference(to) => self.linked(record.follow(column, to)?, depth, out),
            _ => self.number(record.word(column), out),
        }
    }

    fn columns_of(&mut self, ty: TypeId, info: &TypeInfo) -> &[usize] {
        let needed = ty.index() + 1;
        if self.columns.len() < needed {
            self.columns.resize(needed, Vec::new());
        }
        let columns = &mut self.columns[ty.index()];
        if columns.len() != info.seeds.len() {
            *columns = (0..info.seeds.len()).collect();
            columns.sort_unstable_by_key(|column| info.seeds.get(*column));
        }
        columns
    }

    /// Elements or entries whose order means nothing.
    fn entries(
        &mut self,
        record: Record<'a>,
        types: &[TypeId],
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let elements = record.elements(0);
        // Each takes eight bytes or more; a damaged state may claim any number of them. Held while they are
        // gathered, as sets within sets gather at the same time.
        let gathered = elements.len().checked_mul(8)?;
        self.room = self.room.checked_sub(gathered)?;
        #[cfg(test)]
        (self.most_held = self.most_held.max(MOST_BYTES - self.room - self.written));
        let ordinals: Vec<u32> = elements.collect();
        let mut entries = Vec::with_capacity(ordinals.len() / types.len());
        for entry in ordinals.chunks(types.len()) {
            let mut one = Vec::new();
            for (ty, ordinal) in types.iter().zip(entry) {
                self.linked(record.jump(*ty, *ordinal)?, depth, &mut one)?;
            }
            entries.push(one);
        }
        self.room += gathered;
        entries.sort_unstable();
        self.number(entries.len() as u64, out)?;
        entries.iter().try_for_each(|entry| self.bytes(entry, out))
    }

    /// A record that another one refers to: the key says which one is meant, if it has one.
    fn linked(&mut self, record: Record<'a>, depth: usize, out: &mut Vec<u8>) -> Option<()> {
        let info = self.state.infos.get(record.type_id().index())?;
        self.number(info.name, out)?;
        let Some(key) = &info.key else {
            return self.whole(record, depth, out);
        };
        for path in &key.paths {
            match read_part(&record, path) {
                Some(KeyPart::Fixed(word)) => self.number(word, out)?,
                Some(KeyPart::Var(text)) => self.bytes(text, out)?,
                None => return None,
            }
        }
        Some(())
    }

    fn number(&mut self, value: u64, out: &mut Vec<u8>) -> Option<()> {
        self.write(&value.to_le_bytes(), out)
    }

    fn bytes(&mut self, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
        self.number(value.len() as u64, out)?;
        self.write(value, out)
    }

    fn write(&mut self, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
        self.room = self.room.checked_sub(value.len())?;
        #[cfg(test)]
        (self.written += value.len());
        out.extend_from_slice(value);
        Some(())
    }
}

/// A field that had another type is another field.
fn tag(kind: FieldType) -> u8 {
    match kind {
        FieldType::Int => 0,
        FieldType::Long => 1,
        FieldType::Float => 2,
        FieldType::Double => 3,
        FieldType::Boolean => 4,
        FieldType::String => 5,
        FieldType::Bytes => 6,
        FieldType::Reference(_) => 7,
    }
}
