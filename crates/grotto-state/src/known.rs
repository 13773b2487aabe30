//! What all versions with one schema share.
//!
//! Owns: the schema as it was published, what of it a state keeps, and what is worked out of that once for each type.
//! Never: holds a record.

use crate::filter::TypeFilter;
use crate::hash::{FieldSecret, HashSeed, Secret};
use crate::key::KeyInfo;
use grotto_format::batch::{ColumnKind, columns_of};
use grotto_format::checksum;
use grotto_format::schema::{Schema, TypeId, TypeSchema};
use std::sync::Arc;

/// A schema, and how a state keeps its records.
#[derive(Debug)]
pub(crate) struct Known {
    /// As it was published.
    pub(crate) full: Arc<Schema>,
    /// Hash of it.
    pub(crate) schema_hash: u64,
    /// What is left of it: all its types, at their positions.
    pub(crate) schema: Arc<Schema>,
    /// What Rust types are bound by. The same part may be left of two schemas, and hold other things back.
    pub(crate) binding: u64,
    pub(crate) infos: Arc<[TypeInfo]>,
    /// Tells apart which fields are left out of the types that are kept; 0 for none. Checksums do not: they are those of
    /// whole records.
    pub(crate) left_out: u64,
    /// `None` to keep all.
    pub(crate) filter: Option<Arc<TypeFilter>>,
    /// By type: whether its records are kept. Empty for all.
    kept: Vec<bool>,
}

impl Known {
    pub(crate) fn new(
        full: Arc<Schema>,
        filter: Option<Arc<TypeFilter>>,
        seed: HashSeed,
    ) -> Arc<Self> {
        let (schema_hash, secret) = (full.hash(), Secret::new(seed));
        let (schema, kept) = match &filter {
            Some(filter) => {
                let part = filter.part(&full);
                let kept = filter.kept(&part);
                (Arc::new(part), kept)
            }
            None => (Arc::clone(&full), Vec::new()),
        };
        let types = schema.types().iter().zip(full.types());
        let infos = types.map(|(part, ty)| {
            let by_field = filter.as_ref().is_some_and(|f| f.is_by_field(&ty.name));
            TypeInfo::new(part, by_field.then_some(ty), secret)
        });
        let binding = match &filter {
            Some(_) => checksum::of_bytes(format!("{schema_hash:016x} {schema}").as_bytes()),
            None => schema_hash,
        };
        Arc::new(Self {
            infos: infos.collect(),
            left_out: left_out(&schema, &kept),
            full,
            schema_hash,
            schema,
            binding,
            filter,
            kept,
        })
    }

    /// The same for another schema.
    pub(crate) fn under(&self, schema: &Arc<Schema>, seed: HashSeed) -> Arc<Self> {
        Self::new(Arc::clone(schema), self.filter.clone(), seed)
    }

    pub(crate) fn keeps(&self, type_id: TypeId) -> bool {
        self.filter.is_none() || self.kept.get(type_id.index()).is_some_and(|kept| *kept)
    }
}

fn left_out(part: &Schema, kept: &[bool]) -> u64 {
    let mut names = String::new();
    let types = part.types().iter().zip(kept).filter(|(_, kept)| **kept);
    for (ty, object) in types.filter_map(|(ty, _)| Some((ty, ty.object()?))) {
        let fields = object.left_out.iter();
        names.extend(fields.map(|field| format!("{}.{field}\n", ty.name)));
    }
    match names.as_str() {
        "" => 0,
        names => checksum::of_bytes(names.as_bytes()),
    }
}

/// What all versions with one schema share about a type.
#[derive(Debug)]
pub(crate) struct TypeInfo {
    /// Hash of its name, by which the lists in segments know it.
    pub(crate) name: u64,
    /// Columns of rows: one per kept field, or one of elements; behind them that of the [rest](Self::rest).
    pub(crate) kinds: Vec<ColumnKind>,
    /// Hash seed per column, that of the rest left out.
    pub(crate) seeds: Vec<u64>,
    /// What values are hashed with to find equal records, per column.
    pub(crate) fields: Vec<FieldSecret>,
    pub(crate) secret: Secret,
    pub(crate) key: Option<KeyInfo>,
    /// Columns of the primary key that are in the record itself.
    pub(crate) first: Vec<u16>,
    /// Columns of blobs, where only some are kept; empty where they are those of rows.
    published: Vec<Published>,
}

/// A column of blobs.
#[derive(Clone, Copy, Debug)]
struct Published {
    kind: ColumnKind,
    place: Place,
}

/// What becomes of a column of blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is this column of rows.
    Column(usize),
    /// Its values, hashed with this seed, are part of the rest.
    Rest(u64),
}

impl TypeInfo {
    /// Of a type that is kept whole, or of what is left of the `published` one.
    pub(crate) fn new(ty: &TypeSchema, published: Option<&TypeSchema>, secret: Secret) -> Self {
        let seeds: Vec<u64> = match ty.object() {
            Some(object) => object
                .fields
                .iter()
                .map(|f| checksum::field_seed(&ty.name, &f.name))
                .collect(),
            None => vec![checksum::field_seed(&ty.name, "")],
        };
        let key = ty.key().map(|key| KeyInfo::new(key, secret));
        let first = key.as_ref().map_or(Vec::new(), KeyInfo::own_columns);
        let mut kinds = columns_of(ty);
        if published.is_some() {
            kinds.push(ColumnKind::Fixed(0));
        }
        Self {
            name: checksum::field_seed(&ty.name, ""),
            kinds,
            fields: seeds.iter().map(|seed| secret.field(*seed)).collect(),
            seeds,
            secret,
            key,
            first,
            published: published.map_or(Vec::new(), |published| columns(published, ty)),
        }
    }

    /// The column that holds, as one word, the sum of the hashes of all values of a record that are not kept: with it
    /// the content of a record that goes can be told. `None` for a type that is kept whole.
    pub(crate) fn rest(&self) -> Option<usize> {
        (self.kinds.len() > self.seeds.len()).then_some(self.seeds.len())
    }

    /// How many columns blobs have.
    pub(crate) fn width(&self) -> usize {
        match self.rest() {
            Some(_) => self.published.len(),
            None => self.kinds.len(),
        }
    }

    /// The columns of blobs, and what becomes of them.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (ColumnKind, Place)> + '_ {
        (0..self.width()).filter_map(|at| match self.rest() {
            Some(_) => self.published.get(at).map(|p| (p.kind, p.place)),
            None => self.kinds.get(at).map(|kind| (*kind, Place::Column(at))),
        })
    }
}

fn columns(published: &TypeSchema, part: &TypeSchema) -> Vec<Published> {
    let kinds = columns_of(published);
    let fields = published.fields().iter().zip(kinds);
    let places = fields.map(|(field, kind)| {
        let place = part
            .fields()
            .iter()
            .position(|kept| kept.name == field.name);
        let place = place.map_or_else(
            || Place::Rest(checksum::field_seed(&published.name, &field.name)),
            Place::Column,
        );
        Published { kind, place }
    });
    places.collect()
}
