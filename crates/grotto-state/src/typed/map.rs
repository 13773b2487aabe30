//! Maps.
//!
//! Owns: their accessor, and how the maps of the standard library map to it. Never copies entries
//! to read them.

use super::bind::{Binder, NodeId};
use super::collection::elements;
use super::cursor::Cursor;
use super::declare::Declarations;
use super::encode::Writer;
use super::keys::FoundBy;
use super::value::{Element, Hashed, Owning};
use crate::block::Elements;
use crate::error::StateResult;
use crate::key::Key;
use crate::view::{Side, find};
use grotto_error::Result;
use grotto_format::schema::TypeId;
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;

/// A map of a state, read in place: entries in stored order.
pub struct MapRef<'a, K, V> {
    at: Cursor<'a>,
    of: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Clone for MapRef<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for MapRef<'_, K, V> {}

impl<K, V> std::fmt::Debug for MapRef<'_, K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.at.fmt(f)
    }
}

impl<'a, K: Element, V: Element> MapRef<'a, K, V> {
    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        elements(&self.at).len() / 2
    }

    /// Whether there are no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entry at a position.
    #[must_use]
    pub fn entry(&self, position: usize) -> Option<(K::Ref<'a>, V::Ref<'a>)> {
        let (elements, first) = (elements(&self.at), position.checked_mul(2)?);
        Some(read::<K, V>(
            self.at,
            elements.get(first)?,
            elements.get(first + 1)?,
        ))
    }

    /// The entries in stored order.
    #[must_use]
    pub fn iter(&self) -> MapRefIter<'a, K, V> {
        MapRefIter {
            elements: elements(&self.at),
            at: self.at,
            of: PhantomData,
        }
    }

    /// The value of a key: the hash key of the map, otherwise the plain value of a scalar or the
    /// primary key of the key record. With a hash key a binary search, otherwise a scan.
    ///
    /// # Errors
    /// When the keys have none of these, or the key is not of its fields.
    pub fn get<Q: Key>(&self, key: Q) -> Result<Option<V::Ref<'a>>>
    where
        K: FoundBy<Q>,
    {
        let Some(record) = self.at.record() else {
            return Ok(None);
        };
        let position = find(&record, Side::Keys, &key)?;
        Ok(position
            .and_then(|position| self.entry(position))
            .map(|(_, value)| value))
    }
}

fn read<'a, K: Element, V: Element>(
    at: Cursor<'a>,
    key: u32,
    value: u32,
) -> (K::Ref<'a>, V::Ref<'a>) {
    let (keys, values) = (at.slot(0), at.slot(1));
    (
        K::read(at.element(keys, key), 0),
        V::read(at.element(values, value), 0),
    )
}

impl<'a, K: Element, V: Element> IntoIterator for MapRef<'a, K, V> {
    type Item = (K::Ref<'a>, V::Ref<'a>);
    type IntoIter = MapRefIter<'a, K, V>;

    fn into_iter(self) -> MapRefIter<'a, K, V> {
        self.iter()
    }
}

/// The entries of a [`MapRef`].
pub struct MapRefIter<'a, K, V> {
    elements: Elements<'a>,
    at: Cursor<'a>,
    of: PhantomData<fn() -> (K, V)>,
}

impl<K, V> std::fmt::Debug for MapRefIter<'_, K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} more of {:?}", self.elements.len() / 2, self.at)
    }
}

impl<'a, K: Element, V: Element> Iterator for MapRefIter<'a, K, V> {
    type Item = (K::Ref<'a>, V::Ref<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, value) = (self.elements.next()?, self.elements.next()?);
        Some(read::<K, V>(self.at, key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.elements.len() / 2, Some(self.elements.len() / 2))
    }
}

impl<K: Element, V: Element> ExactSizeIterator for MapRefIter<'_, K, V> {}

fn own_all<K: Element, V: Element, M: Extend<(K, V)> + Default>(
    at: Cursor<'_>,
    owning: &mut Owning,
) -> StateResult<M> {
    let (mut map, mut ordinals) = (M::default(), elements(&at));
    while let (Some(key), Some(value)) = (ordinals.next(), ordinals.next()) {
        let (key, value) = (at.element(at.slot(0), key), at.element(at.slot(1), value));
        let key = owning.nested(|owning| <K as Element>::own(key, 0, owning))?;
        let value = owning.nested(|owning| <V as Element>::own(value, 0, owning))?;
        map.extend(std::iter::once((key, value)));
    }
    Ok(map)
}

macro_rules! map {
    ($ty:ty, $($bounds:tt)*) => {
        impl<$($bounds)*> Element for $ty {
            type Ref<'a> = MapRef<'a, K, V>;

            fn type_name() -> String {
                format!("MapOf{}To{}", K::type_name(), V::type_name())
            }

            fn declare(out: &mut Declarations) {
                Self::declare_hashed(out, Self::type_name(), &[]);
            }

            fn bind(binder: &mut Binder<'_>, id: TypeId) -> StateResult<NodeId> {
                binder.map::<Self, K, V>(id)
            }

            fn read(at: Cursor<'_>, _: usize) -> MapRef<'_, K, V> {
                MapRef { at, of: PhantomData }
            }

            fn own(at: Cursor<'_>, _: usize, owning: &mut Owning) -> StateResult<Self> {
                own_all(at, owning)
            }

            fn write_record(&self, node: NodeId, out: &mut Writer<'_>) -> StateResult<()> {
                out.map(node, self.iter())
            }
        }

        impl<$($bounds)*> Hashed for $ty {
            const BY_VALUE: bool = <K as Element>::SCALAR.is_some();

            fn declare_hashed(out: &mut Declarations, name: String, hash_key: &[&str]) {
                out.map_of::<K, V>(name, hash_key);
            }
        }
    };
}

map!(BTreeMap<K, V>, K: Element + Ord, V: Element);
map!(HashMap<K, V, S>, K: Element + Hash + Eq, V: Element, S: BuildHasher + Default + 'static);
