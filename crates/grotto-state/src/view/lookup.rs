//! Finds an element of a set, or an entry of a map, by key.
//!
//! Owns: which paths identify an element, and the search. Never copies an element.
//!
//! **Invariant:** sets and maps whose type declares a hash key are stored by rising hash of that
//! key, then by ordinal; nulls in the key are left out of the hash. All others are stored by ordinal,
//! so they are scanned.

use crate::error::{StateError, StateResult};
use crate::key::{self, Key, KeyPart, KeyParts};
use crate::record::Record;
use grotto_format::checksum::KEY_SEED;
use grotto_format::schema::{FieldPath, FieldType, Schema, TypeId, TypeKind};

/// What is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The elements of a list or a set.
    Elements,
    /// The keys of a map.
    Keys,
}

/// What identifies an element.
enum Paths<'a> {
    Declared(&'a [FieldPath]),
    /// The only field of a wrapper.
    Wrapped(FieldType),
}

impl<'a> Paths<'a> {
    /// The paths for the type of a collection, the type they start at, and whether the collection
    /// is ordered by their hash.
    fn of(schema: &'a Schema, collection: TypeId) -> Option<(Self, TypeId, bool)> {
        let (start, hash_key): (TypeId, &[FieldPath]) = match &schema.get(collection).kind {
            TypeKind::Object(_) => return None,
            TypeKind::List { element } => (*element, &[]),
            TypeKind::Set { element, hash_key } => (*element, hash_key),
            TypeKind::Map { key, hash_key, .. } => (*key, hash_key),
        };
        if !hash_key.is_empty() {
            return Some((Self::Declared(hash_key), start, true));
        }
        let ty = schema.get(start);
        let paths = match ty.wrapped() {
            Some(leaf) => Self::Wrapped(leaf),
            None => Self::Declared(&ty.key()?.paths),
        };
        Some((paths, start, false))
    }

    fn len(&self) -> usize {
        match self {
            Self::Declared(paths) => paths.len(),
            Self::Wrapped(_) => 1,
        }
    }

    fn leaf(&self, part: usize) -> Option<FieldType> {
        match self {
            Self::Declared(paths) => paths.get(part).map(|path| path.leaf),
            Self::Wrapped(leaf) => Some(*leaf),
        }
    }

    /// Names and types of the fields, for messages.
    fn named(&self) -> Vec<(&str, FieldType)> {
        match self {
            Self::Declared(paths) => paths.iter().map(|p| (&*p.text, p.leaf)).collect(),
            Self::Wrapped(leaf) => vec![("value", *leaf)],
        }
    }

    fn read<'r>(&self, record: &Record<'r>, part: usize) -> Option<KeyPart<'r>> {
        match self {
            Self::Declared(paths) => {
                let path = paths.get(part)?;
                read_path(record, &path.steps, path.leaf)
            }
            Self::Wrapped(leaf) => read_path(record, &[0], *leaf),
        }
    }

    fn hash(&self, record: &Record<'_>) -> u64 {
        (0..self.len()).fold(KEY_SEED, |hash, part| match self.read(record, part) {
            Some(part) => part.mix_order(hash),
            None => hash,
        })
    }

    fn equals<K: KeyParts + ?Sized>(&self, record: &Record<'_>, key: &K) -> bool {
        (0..self.len()).all(|part| self.read(record, part) == Some(key.part(part)))
    }

    fn fits<K: Key + ?Sized>(&self, key: &K) -> bool {
        let fits = |part| {
            let leaf = self.leaf(part);
            leaf.is_some_and(|leaf| key.field(part).fits(leaf))
        };
        key.fields() == self.len() && (0..self.len()).all(fits)
    }
}

/// How the elements of a set or map with a hash key are ordered.
pub(crate) struct ElementOrder<'a> {
    paths: Paths<'a>,
    target: TypeId,
    stride: usize,
}

impl<'a> ElementOrder<'a> {
    /// That of a type; `None` if it declares no hash key.
    pub(crate) fn of(schema: &'a Schema, collection: TypeId) -> Option<Self> {
        let (paths, target, ordered) = Paths::of(schema, collection)?;
        let stride = match &schema.get(collection).kind {
            TypeKind::Map { .. } => 2,
            _ => 1,
        };
        ordered.then_some(Self {
            paths,
            target,
            stride,
        })
    }

    /// Ordinals that an element or entry takes.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// The hash that an element of a collection is ordered by.
    pub(crate) fn hash(&self, collection: &Record<'_>, element: u32) -> u64 {
        let element = collection.jump(self.target, element);
        element.map_or(0, |element| self.paths.hash(&element))
    }
}

/// The value at the end of a path; `None` when it, or a reference on the way, is null.
fn read_path<'a>(record: &Record<'a>, steps: &[u16], leaf: FieldType) -> Option<KeyPart<'a>> {
    let (last, way) = steps.split_last()?;
    let mut record = *record;
    for step in way {
        let ty = record.state().schema().get(record.type_id());
        let FieldType::Reference(to) = ty.fields().get(usize::from(*step))?.ty else {
            return None;
        };
        record = record.follow(usize::from(*step), to)?;
    }
    let column = usize::from(*last);
    if record.is_null(column) {
        return None;
    }
    Some(match leaf {
        FieldType::String | FieldType::Bytes => KeyPart::Var(record.var(column)),
        _ => KeyPart::Fixed(record.word(column)),
    })
}

/// The position of the element (or entry) with a key.
///
/// # Errors
/// When nothing identifies the elements, or the key is not of the fields that do.
pub(crate) fn find<K: Key + ?Sized>(
    collection: &Record<'_>,
    side: Side,
    key: &K,
) -> StateResult<Option<usize>> {
    let schema = collection.state().schema();
    let Some((paths, target, ordered)) = Paths::of(schema, collection.type_id()) else {
        return Err(no_key(schema, collection.type_id()));
    };
    if !paths.fits(key) {
        let name = &schema.get(collection.type_id()).name;
        return Err(key::refusal(name, &paths.named(), key));
    }
    let stride = if side == Side::Keys { 2 } else { 1 };
    let elements = collection.elements(0);
    let count = elements.len() / stride;
    let element = |position: usize| collection.jump(target, elements.get(position * stride)?);
    let equals = |position: &usize| element(*position).is_some_and(|e| paths.equals(&e, key));
    if !ordered {
        return Ok((0..count).find(equals));
    }
    let hash = key::order_hash(key);
    let at = |position: usize| element(position).map_or(0, |e| paths.hash(&e));
    let first = lower_bound(count, |position| at(position) < hash);
    Ok((first..count)
        .take_while(|position| at(*position) == hash)
        .find(equals))
}

/// The first position below `count` that is not `before`.
fn lower_bound(count: usize, before: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

#[cold]
fn no_key(schema: &Schema, id: TypeId) -> StateError {
    let name = &schema.get(id).name;
    StateError::Invalid(format!(
        "type {name}: expected a hash key to find elements by, found none"
    ))
}

#[cfg(test)]
mod tests;
