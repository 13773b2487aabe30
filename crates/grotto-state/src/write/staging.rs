//! Records that are nowhere yet: staging them, and reading staged ones back.
//!
//! Owns: the ordinal of a new record and the counts of what it refers to. Never looks for an equal one.

use super::cycle::Cycle;
use super::flatkey::FlatKey;
use super::intern::{Row, Source, element_type};
use crate::error::{StateError, StateResult};
use crate::key::{Key, KeyPart};
use grotto_format::batch::Value;
use grotto_format::schema::{FieldType, TypeId, TypeKind};

impl Cycle {
    /// Stages a record that is nowhere yet.
    pub(super) fn stage(
        &mut self,
        row: Row<'_>,
        content: u64,
        key: Option<u64>,
        source: Source,
    ) -> StateResult<u32> {
        let ty = self.base.types.get(row.id.index());
        let stage = &mut self.stages[row.id.index()];
        let staged = u32::try_from(stage.batch.rows)
            .map_err(|_| StateError::Limit("2^32 new records of one type in a cycle".into()))?;
        let ordinal = stage.allocator.next(&self.base, ty, row.weight())?;
        for (column, data) in stage.batch.columns.iter_mut().enumerate() {
            data.push(row.value(column));
        }
        stage.batch.rows += 1;
        stage.ordinals.push(ordinal);
        stage.hashes.push(content);
        stage.references.push(0);
        stage.positions.push(source.position);
        if ty.is_some_and(|ty| ty.live > 0) {
            stage.rows.insert(ordinal, staged);
        }
        match key {
            Some(hash) => {
                stage.keys.push(hash);
                let keys = &stage.keys;
                stage
                    .table
                    .insert_unique(hash, staged, |row| keys[*row as usize]);
            }
            None => {
                let hashes = &stage.hashes;
                stage
                    .table
                    .insert_unique(content, staged, |row| hashes[*row as usize]);
            }
        }
        self.refer_to_children(row);
        Ok(ordinal)
    }

    fn refer_to_children(&mut self, row: Row<'_>) {
        let schema = std::sync::Arc::clone(&self.schema);
        let kind = &schema.get(row.id).kind;
        for (column, cell) in row.cells.iter().enumerate() {
            match (row.value(column), cell) {
                (Value::Fixed(word), _) => {
                    if let TypeKind::Object(object) = kind
                        && let Some(FieldType::Reference(to)) =
                            object.fields.get(column).map(|f| f.ty)
                    {
                        self.refer(to, word as u32);
                    }
                }
                (Value::Elements(ordinals), _) => {
                    for (i, ordinal) in ordinals.iter().enumerate() {
                        if let Some(to) = element_type(kind, i) {
                            self.refer(to, *ordinal);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn refer(&mut self, id: TypeId, ordinal: u32) {
        match self.staged_row(id, ordinal) {
            Some(row) => self.stages[id.index()].references[row as usize] += 1,
            None => {
                self.stages[id.index()].recount(ordinal, 1);
            }
        }
    }

    /// The staged record with an ordinal; `None` when the ordinal is the base's.
    pub(super) fn staged_row(&self, id: TypeId, ordinal: u32) -> Option<u32> {
        match self.base.types.get(id.index()) {
            Some(ty) if ty.live > 0 => self.stages[id.index()].rows.get(&ordinal).copied(),
            _ => Some(ordinal),
        }
    }

    pub(super) fn equals_staged(&self, row: &Row<'_>, staged: u32) -> bool {
        let batch = &self.stages[row.id.index()].batch;
        batch
            .columns
            .iter()
            .enumerate()
            .all(|(i, column)| column.value(staged as usize) == row.value(i))
    }

    /// The staged record with a key.
    pub(super) fn staged_with_key(&self, id: TypeId, key: &FlatKey<'_>, hash: u64) -> Option<u32> {
        let stage = &self.stages[id.index()];
        let same = |staged: &u32| {
            stage.keys[*staged as usize] == hash && self.staged_key_is(id, *staged, key)
        };
        stage.table.find(hash, same).copied()
    }

    /// Whether a staged record has this key: parts may be behind references.
    fn staged_key_is(&self, id: TypeId, staged: u32, key: &FlatKey<'_>) -> bool {
        let Some(info) = self.base.infos[id.index()].key.as_ref() else {
            return false;
        };
        info.paths
            .iter()
            .enumerate()
            .all(|(i, path)| self.staged_part(id, staged, &path.steps) == Some(key.part(i)))
    }

    fn staged_part(&self, id: TypeId, staged: u32, steps: &[u16]) -> Option<KeyPart<'_>> {
        let (step, rest) = steps.split_first()?;
        let column = usize::from(*step);
        match self.stages[id.index()]
            .batch
            .columns
            .get(column)?
            .value(staged as usize)
        {
            Value::Var(bytes) => Some(KeyPart::Var(bytes)),
            Value::Fixed(word) if rest.is_empty() => Some(KeyPart::Fixed(word)),
            Value::Fixed(word) => {
                let FieldType::Reference(to) = self.schema.get(id).fields().get(column)?.ty else {
                    return None;
                };
                match self.staged_row(to, word as u32) {
                    Some(row) => self.staged_part(to, row, rest),
                    None => {
                        let record = self.base.row(to, word as u32)?;
                        let path = crate::key::KeyPath::of_steps(&self.schema, to, rest)?;
                        crate::key::read_part(&record, &path)
                    }
                }
            }
            _ => None,
        }
    }
}
