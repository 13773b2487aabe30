//! Lists, sets and maps without types.
//!
//! Owns: element access and lookup by key. Never copies elements.

use super::{Field, Side, find};
use crate::block::Elements;
use crate::key::Key;
use crate::record::Record;
use grotto_error::Result;
use grotto_format::schema::TypeId;

/// A list or a set. A set with a hash key is ordered by the hash of that key, any other by ordinal.
#[derive(Clone, Copy, Debug)]
pub struct ListView<'a> {
    record: Record<'a>,
    element: TypeId,
}

/// The record an element stands for; null when the state is damaged, which the state then says.
fn field<'a>(holder: &Record<'a>, ty: TypeId, ordinal: u32) -> Field<'a> {
    holder.jump(ty, ordinal).map_or(Field::Null, Field::of)
}

impl<'a> ListView<'a> {
    pub(super) fn new(record: Record<'a>, element: TypeId) -> Self {
        Self { record, element }
    }

    /// The record of the collection itself.
    #[must_use]
    pub fn record(&self) -> Record<'a> {
        self.record
    }

    /// Type of the elements.
    #[must_use]
    pub fn element_type(&self) -> TypeId {
        self.element
    }

    /// Number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.record.elements(0).len()
    }

    /// Whether there are no elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at a position.
    #[must_use]
    pub fn get(&self, position: usize) -> Option<Field<'a>> {
        let ordinal = self.record.elements(0).get(position)?;
        Some(field(&self.record, self.element, ordinal))
    }

    /// The elements in stored order.
    #[must_use]
    pub fn iter(&self) -> ListIter<'a> {
        ListIter {
            view: *self,
            elements: self.record.elements(0),
        }
    }

    /// The element with a key: the hash key of a set, otherwise the plain value of a wrapper or the
    /// primary key of the element. With a hash key a binary search, otherwise a scan.
    ///
    /// # Errors
    /// When the elements have none of these, or the key is not of its fields.
    pub fn find<K: Key>(&self, key: K) -> Result<Option<Field<'a>>> {
        Ok(find(&self.record, Side::Elements, &key)?.and_then(|position| self.get(position)))
    }

    /// Whether [`find`](Self::find) finds an element.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn contains<K: Key>(&self, key: K) -> Result<bool> {
        Ok(find(&self.record, Side::Elements, &key)?.is_some())
    }
}

impl<'a> IntoIterator for ListView<'a> {
    type Item = Field<'a>;
    type IntoIter = ListIter<'a>;

    fn into_iter(self) -> ListIter<'a> {
        self.iter()
    }
}

/// The elements of a [`ListView`].
#[derive(Clone, Debug)]
pub struct ListIter<'a> {
    view: ListView<'a>,
    elements: Elements<'a>,
}

impl<'a> Iterator for ListIter<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let ordinal = self.elements.next()?;
        Some(field(&self.view.record, self.view.element, ordinal))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.elements.size_hint()
    }
}

impl ExactSizeIterator for ListIter<'_> {}

/// A map. With a hash key it is ordered by the hash of that key, otherwise by ordinal of the keys.
#[derive(Clone, Copy, Debug)]
pub struct MapView<'a> {
    record: Record<'a>,
    key: TypeId,
    value: TypeId,
}

impl<'a> MapView<'a> {
    pub(super) fn new(record: Record<'a>, key: TypeId, value: TypeId) -> Self {
        Self { record, key, value }
    }

    /// The record of the map itself.
    #[must_use]
    pub fn record(&self) -> Record<'a> {
        self.record
    }

    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.record.elements(0).len() / 2
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry at a position.
    #[must_use]
    pub fn entry(&self, position: usize) -> Option<(Field<'a>, Field<'a>)> {
        let elements = self.record.elements(0);
        let first = position.checked_mul(2)?;
        let (key, value) = (elements.get(first)?, elements.get(first + 1)?);
        Some((
            field(&self.record, self.key, key),
            field(&self.record, self.value, value),
        ))
    }

    /// The entries in stored order.
    #[must_use]
    pub fn iter(&self) -> MapIter<'a> {
        MapIter {
            view: *self,
            elements: self.record.elements(0),
        }
    }

    /// The value of a key: the hash key of the map, otherwise the plain value of a wrapper or the
    /// primary key of the key record. With a hash key a binary search, otherwise a scan.
    ///
    /// # Errors
    /// When the keys have none of these, or the key has another shape.
    pub fn get<K: Key>(&self, key: K) -> Result<Option<Field<'a>>> {
        let position = find(&self.record, Side::Keys, &key)?;
        Ok(position
            .and_then(|position| self.entry(position))
            .map(|(_, value)| value))
    }
}

impl<'a> IntoIterator for MapView<'a> {
    type Item = (Field<'a>, Field<'a>);
    type IntoIter = MapIter<'a>;

    fn into_iter(self) -> MapIter<'a> {
        self.iter()
    }
}

/// The entries of a [`MapView`].
#[derive(Clone, Debug)]
pub struct MapIter<'a> {
    view: MapView<'a>,
    elements: Elements<'a>,
}

impl<'a> Iterator for MapIter<'a> {
    type Item = (Field<'a>, Field<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, value) = (self.elements.next()?, self.elements.next()?);
        let holder = &self.view.record;
        Some((
            field(holder, self.view.key, key),
            field(holder, self.view.value, value),
        ))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.elements.len() / 2, Some(self.elements.len() / 2))
    }
}

impl ExactSizeIterator for MapIter<'_> {}
