//! What a reader refuses although every checksum is right: the rules of "What a state may hold".
//!
//! Looks at all records of the new state, not only at those that the blob adds.

use super::{Cell, File, Naive, columns, ordinals};
use grotto_format::TypeId;
use grotto_format::schema::{FieldPath, FieldType, Schema, TypeKind, TypeSchema};
use std::collections::BTreeSet;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Sections by rising type; of each the removed ordinals, then chunks with all their columns, which rise
/// from chunk to chunk and share no block.
pub(super) fn check_order_of_sections(schema: &Schema, file: &File) {
    let mut sections = file.sections.iter().peekable();
    for (ty, (of, (shift, _))) in schema.types().iter().zip(&file.types).enumerate() {
        let ty = ty as u64;
        assert!((9..=16).contains(shift));
        sections.next_if(|(entry, _)| (entry.ty, entry.chunk, entry.kind) == (ty, 0, 0));
        let mut last: Option<u32> = None;
        for chunk in 0.. {
            let is_next =
                |entry: &super::Entry| (entry.ty, entry.chunk, entry.kind) == (ty, chunk, 1);
            let Some((_, raw)) = sections.next_if(|(entry, _)| is_next(entry)) else {
                break;
            };
            let list = ordinals(raw);
            if let (Some(last), Some(first)) = (last, list.first()) {
                assert!(last >> shift < first >> shift, "a block in two chunks");
            }
            last = list.last().copied().or(last);
            for kind in (2..).take(columns(of).len()) {
                let (entry, _) = sections.next().unwrap();
                assert_eq!((entry.ty, entry.chunk, entry.kind), (ty, chunk, kind));
            }
        }
    }
    assert!(sections.next().is_none(), "a section out of order");
}

pub(super) fn check(before: &Naive, next: &Naive, file: &File) {
    for (id, ty) in next.schema.ids().zip(next.schema.types()) {
        let mut keys = BTreeSet::new();
        for (ordinal, row) in &next.records[id.index()] {
            next.check_record(ty, row);
            let Some(key) = next.key(id, row) else {
                continue;
            };
            let old = before.records[id.index()].get(ordinal);
            let changed = file.to != 0 && old.is_some_and(|_| changes(file, id, *ordinal));
            if changed {
                assert_eq!(before.key(id, old.unwrap()).as_ref(), Some(&key));
            }
            assert!(
                keys.insert(key),
                "{} #{ordinal}: its key comes twice",
                ty.name
            );
        }
    }
}

/// Whether a blob removes and adds an ordinal.
fn changes(file: &File, id: TypeId, ordinal: u32) -> bool {
    let lists = file
        .sections
        .iter()
        .filter(|(entry, _)| entry.ty == id.index() as u64 && entry.kind == 0);
    lists
        .into_iter()
        .any(|(_, raw)| ordinals(raw).contains(&ordinal))
}

impl Naive {
    fn is_live(&self, to: TypeId, word: u64) -> bool {
        let ordinal = u32::try_from(word).expect("an ordinal of 32 bits");
        self.records[to.index()].contains_key(&ordinal)
    }

    fn check_record(&self, ty: &TypeSchema, row: &[Cell]) {
        match &ty.kind {
            TypeKind::Object(object) => {
                for (field, cell) in object.fields.iter().zip(row) {
                    let Cell::Word(word) = cell else { continue };
                    let fits = match field.ty {
                        FieldType::Int => i32::try_from(*word as i64).is_ok(),
                        FieldType::Boolean => *word < 2,
                        FieldType::Reference(to) => self.is_live(to, *word),
                        _ => true,
                    };
                    assert!(fits, "{}.{} of {word}", ty.name, field.name);
                }
            }
            TypeKind::List { element } => self.check_elements(&row[0], &[*element], None),
            TypeKind::Set { element, hash_key } => {
                self.check_elements(&row[0], &[*element], Some(hash_key));
            }
            TypeKind::Map {
                key,
                value,
                hash_key,
            } => {
                self.check_elements(&row[0], &[*key, *value], Some(hash_key));
            }
        }
    }

    fn check_elements(&self, cell: &Cell, of: &[TypeId], hash_key: Option<&Vec<FieldPath>>) {
        let Cell::Ordinals(list) = cell else {
            panic!("a collection holds {cell:?}")
        };
        assert!(list.len().is_multiple_of(of.len()));
        for (position, ordinal) in list.iter().enumerate() {
            assert!(self.is_live(of[position % of.len()], u64::from(*ordinal)));
        }
        let Some(hash_key) = hash_key else { return };
        let place = |ordinal: &u32| (self.element_hash(of[0], *ordinal, hash_key), *ordinal);
        let places: Vec<_> = list.iter().step_by(of.len()).map(place).collect();
        assert!(places.is_sorted_by(|a, b| a < b), "elements out of order");
    }

    fn element_hash(&self, id: TypeId, ordinal: u32, paths: &[FieldPath]) -> u64 {
        if paths.is_empty() {
            return 0;
        }
        let row = &self.records[id.index()][&ordinal];
        paths.iter().fold(0x4752_4f54_544f_4b59, |hash, path| {
            match self.at(id, row, &path.steps) {
                None => hash,
                Some(Cell::Bytes(bytes)) => xxh3_64_with_seed(bytes, hash),
                Some(Cell::Word(word)) => xxh3_64_with_seed(&word.to_le_bytes(), hash),
                Some(other) => panic!("a path ends at {other:?}"),
            }
        })
    }

    /// The value at the end of a path; none when it or a reference on the way is null.
    fn at<'a>(&'a self, id: TypeId, row: &'a [Cell], steps: &[u16]) -> Option<&'a Cell> {
        let (step, rest) = steps.split_first()?;
        let cell = &row[usize::from(*step)];
        match (cell, self.schema.get(id).fields()[usize::from(*step)].ty) {
            (Cell::Null, _) => None,
            (Cell::Word(word), FieldType::Reference(to)) => {
                let ordinal = u32::try_from(*word).expect("an ordinal");
                self.at(to, &self.records[to.index()][&ordinal], rest)
            }
            _ => Some(cell),
        }
    }

    /// The primary key of a record, bit by bit.
    fn key(&self, id: TypeId, row: &[Cell]) -> Option<Vec<Vec<u8>>> {
        let paths = &self.schema.get(id).key()?.paths;
        let part = |path: &FieldPath| match self.at(id, row, &path.steps) {
            Some(Cell::Bytes(bytes)) => bytes.clone(),
            Some(Cell::Word(word)) => word.to_le_bytes().to_vec(),
            other => panic!("a part of a key is {other:?}"),
        };
        Some(paths.iter().map(part).collect())
    }
}
