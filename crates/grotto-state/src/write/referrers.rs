//! Why a record cannot be deleted.
//!
//! Owns: finding a record that refers to another one once the cycle is over. Reads all records that
//! may, so it is for messages only.

use super::cycle::Cycle;
use super::element_type;
use super::for_each_reference;
use crate::error::StateError;
use crate::key;
use grotto_format::batch::Value;
use grotto_format::flat::MAX_DEPTH;
use grotto_format::schema::{FieldType, TypeId, TypeKind};

/// A record as the cycle leaves it.
#[derive(Clone, Copy)]
enum Place {
    Base(u32),
    /// A row of the stage.
    Staged(u32),
}

impl Cycle {
    /// What is said of a record that must go and that others refer to.
    pub(super) fn still_needed(&self, id: TypeId, ordinal: u32) -> StateError {
        let (name, key) = (&self.schema.get(id).name, self.key_of_base(id, ordinal));
        let count = self.references(id, ordinal);
        let (records, refer) = match count {
            1 => ("record", "refers"),
            _ => ("records", "refer"),
        };
        let one = self.a_referrer(id, ordinal);
        let one = one.map_or(String::new(), |one| format!(", such as {one}"));
        StateError::Invalid(format!(
            "type {name}: key {key} cannot be deleted: {count} {records} of the new version {refer} to it{one}"
        ))
    }

    /// One record that refers to another, or, where it is not a record that stands by itself, one
    /// that holds it.
    fn a_referrer(&self, id: TypeId, ordinal: u32) -> Option<String> {
        let (mut id, mut ordinal) = (id, ordinal);
        for _ in 0..=MAX_DEPTH {
            let (from, place) = self.refers_to(id, ordinal)?;
            if self.is_top_level(from) {
                return Some(self.name_of(from, place));
            }
            (id, ordinal) = (from, self.ordinal_at(from, place));
        }
        Some(format!("{} #{ordinal}", self.schema.get(id).name))
    }

    fn refers_to(&self, id: TypeId, ordinal: u32) -> Option<(TypeId, Place)> {
        let may = |from: &TypeId| {
            let kind = &self.schema.get(*from).kind;
            kind.references().any(|to| to == id)
        };
        self.schema.ids().filter(may).find_map(|from| {
            let staged = self.staged_referrer(from, id, ordinal);
            let place = staged.or_else(|| self.base_referrer(from, id, ordinal));
            place.map(|place| (from, place))
        })
    }

    fn base_referrer(&self, from: TypeId, id: TypeId, ordinal: u32) -> Option<Place> {
        let stage = &self.stages[from.index()];
        let stays = |o: &u32| !stage.dead.contains(o) && !stage.updates.contains_key(o);
        let found = self.base.ordinals(from).filter(stays).find(|o| {
            let mut refers = false;
            if let Some(record) = self.base.row(from, *o) {
                for_each_reference(&self.schema, &record, &mut |to, child| {
                    refers |= (to, child) == (id, ordinal);
                });
            }
            refers
        });
        found.map(Place::Base)
    }

    fn staged_referrer(&self, from: TypeId, id: TypeId, ordinal: u32) -> Option<Place> {
        let mut rows = 0..self.stages[from.index()].batch.rows as u32;
        let found = rows.find(|row| self.row_refers(from, *row, id, ordinal));
        found.map(Place::Staged)
    }

    fn row_refers(&self, from: TypeId, row: u32, id: TypeId, ordinal: u32) -> bool {
        let kind = &self.schema.get(from).kind;
        let columns = self.stages[from.index()].batch.columns.iter().enumerate();
        let mut values = columns.map(|(at, column)| (at, column.value(row as usize)));
        values.any(|(at, value)| match (kind, value) {
            (TypeKind::Object(object), Value::Fixed(word)) => {
                let field = object.fields.get(at).map(|field| field.ty);
                field == Some(FieldType::Reference(id)) && word == u64::from(ordinal)
            }
            (kind, Value::Elements(elements)) => elements
                .iter()
                .enumerate()
                .any(|(at, child)| element_type(kind, at) == Some(id) && *child == ordinal),
            _ => false,
        })
    }

    fn ordinal_at(&self, id: TypeId, place: Place) -> u32 {
        match place {
            Place::Base(ordinal) => ordinal,
            Place::Staged(row) => self.stages[id.index()].ordinals[row as usize],
        }
    }

    /// A record by its key, or by its ordinal where it has none.
    fn name_of(&self, id: TypeId, place: Place) -> String {
        let name = &self.schema.get(id).name;
        let Some(info) = self.base.infos[id.index()].key.as_ref() else {
            return format!("{name} #{}", self.ordinal_at(id, place));
        };
        match place {
            Place::Base(ordinal) => format!("{name} {}", self.key_of_base(id, ordinal)),
            Place::Staged(row) => {
                let paths = info.paths.iter();
                let parts: Vec<_> = paths
                    .filter_map(|path| self.staged_part(id, row, &path.steps))
                    .collect();
                format!("{name} {}", key::show(info, &parts))
            }
        }
    }
}
