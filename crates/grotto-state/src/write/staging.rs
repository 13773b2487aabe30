//! Records that are nowhere yet: staging them, and reading staged ones back.
//!
//! Owns: the ordinal of a new record and the counts of what it refers to. Never looks for an equal one.

use super::cycle::Cycle;
use super::element_type;
use super::flatkey::FlatKey;
use super::intern::{Row, Source};
use crate::error::StateResult;
use crate::key::{KeyPart, KeyParts};
use grotto_format::batch::{ColumnData, Value};
use grotto_format::schema::{FieldType, TypeId, TypeKind};

impl Cycle {
    /// Stages a record that is nowhere yet.
    pub(super) fn stage(
        &mut self,
        row: Row<'_>,
        content: u64,
        lookup: u64,
        source: Source,
    ) -> StateResult<u32> {
        let stage = &mut self.stages[row.id.index()];
        stage.push(&self.base, row, content, lookup, source.position)
    }

    /// Stages the new content of a base record that others refer to: it keeps its ordinal.
    pub(super) fn update(
        &mut self,
        row: Row<'_>,
        content: u64,
        key: u64,
        ordinal: u32,
        source: Source,
    ) -> StateResult<u32> {
        let id = row.id;
        let stage = &mut self.stages[id.index()];
        if let Some(first) = stage.named_as_is(ordinal) {
            return Err(self.told_twice(id, ordinal, first, source.position));
        }
        // Deleted by an earlier change, brought back by this one.
        self.doomed.remove(&(id, ordinal));
        stage.update(row, content, key, source.position, ordinal)?;
        Ok(ordinal)
    }

    /// Counts what the staged records refer to, once all of them are there.
    pub(super) fn count_references(&mut self) {
        for position in 0..self.stages.len() {
            let id = TypeId(position as u16);
            let batch = std::mem::take(&mut self.stages[position].batch);
            match &std::sync::Arc::clone(&self.schema).get(id).kind {
                TypeKind::Object(object) => {
                    for (field, column) in object.fields.iter().zip(&batch.columns) {
                        if let (FieldType::Reference(to), ColumnData::Fixed(words)) =
                            (field.ty, &column.data)
                        {
                            for (row, word) in words.iter().enumerate() {
                                if !column.is_null(row) {
                                    self.refer(to, *word as u32);
                                }
                            }
                        }
                    }
                }
                kind => {
                    for column in &batch.columns {
                        if let ColumnData::Elements { ordinals, .. } = &column.data {
                            for (i, ordinal) in ordinals.iter().enumerate() {
                                if let Some(to) = element_type(kind, i) {
                                    self.refer(to, *ordinal);
                                }
                            }
                        }
                    }
                }
            }
            self.stages[position].batch = batch;
        }
    }

    fn refer(&mut self, id: TypeId, ordinal: u32) {
        let row = self.staged_row(id, ordinal);
        let stage = &mut self.stages[id.index()];
        // Those of the base stay with the ordinal when its record changes.
        match row.filter(|_| !stage.updates.contains_key(&ordinal)) {
            Some(row) => stage.references[row as usize] += 1,
            None => {
                stage.recount(ordinal, 1);
            }
        }
    }

    /// The staged record with an ordinal; `None` when the base's record there does not change.
    pub(super) fn staged_row(&self, id: TypeId, ordinal: u32) -> Option<u32> {
        match self.base.types.get(id.index()) {
            Some(ty) if ty.live > 0 => self.stages[id.index()].rows.get(&ordinal).copied(),
            _ => Some(ordinal),
        }
    }

    /// The staged record with a key.
    pub(super) fn staged_with_key(&self, id: TypeId, key: &FlatKey<'_>, hash: u64) -> Option<u32> {
        let stage = &self.stages[id.index()];
        let same = |staged: &u32| {
            stage.lookups[*staged as usize] == hash && self.staged_key_is(id, *staged, key)
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

    pub(super) fn staged_part(
        &self,
        id: TypeId,
        staged: u32,
        steps: &[u16],
    ) -> Option<KeyPart<'_>> {
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
