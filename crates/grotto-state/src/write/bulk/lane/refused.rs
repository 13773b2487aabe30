//! What is said of a key that comes twice.
//!
//! Owns: the words, and showing both places. Never decides that a key is refused.

use super::{Lane, Stop};
use crate::error::StateError;
use crate::key::{self, KeyPart};
use crate::write::bulk::Ground;
use crate::write::intern::Row;
use grotto_format::batch::Value;

impl Lane {
    pub(super) fn duplicate(
        &self,
        ground: &Ground,
        row: &Row<'_>,
        first: u64,
        second: u64,
    ) -> StateError {
        let columns = &ground.base.infos[self.id.index()].first;
        let part = |column: &u16| match row.value(usize::from(*column)) {
            Value::Fixed(word) => Some(KeyPart::Fixed(word)),
            Value::Var(bytes) => Some(KeyPart::Var(bytes)),
            Value::Null | Value::Elements(_) => None,
        };
        let parts: Vec<_> = columns.iter().filter_map(part).collect();
        self.duplicate_key(ground, &parts, first, second)
    }

    pub(super) fn duplicate_of_base(
        &self,
        ground: &Ground,
        base: u32,
        first: u64,
        second: u64,
    ) -> Stop {
        let info = ground.base.infos[self.id.index()].key.as_ref();
        let record = ground.base.row(self.id, base);
        let parts: Vec<_> = info
            .zip(record.as_ref())
            .map(|(info, record)| {
                let paths = info.paths.iter();
                paths.filter_map(|p| key::read_part(record, p)).collect()
            })
            .unwrap_or_default();
        Stop::Error(self.duplicate_key(ground, &parts, first, second))
    }

    pub(super) fn duplicate_key(
        &self,
        ground: &Ground,
        parts: &[KeyPart<'_>],
        first: u64,
        second: u64,
    ) -> StateError {
        let info = ground.base.infos[self.id.index()].key.as_ref();
        StateError::DuplicateKey {
            type_name: ground.schema.get(self.id).name.clone(),
            key: info.map_or(String::new(), |info| key::show(info, parts)),
            first: ground.sources.show(first),
            second: ground.sources.show(second),
        }
    }
}
