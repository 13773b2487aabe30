//! Lists and sets.
//!
//! Owns: their accessors, and how the collections of the standard library map to them. Never
//! copies elements to read them.

use super::bind::{Binder, NodeId, Slot};
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
use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;

/// The elements of a collection's record; none when it is absent.
pub(super) fn elements<'a>(at: &Cursor<'a>) -> Elements<'a> {
    at.record()
        .map_or(Elements::EMPTY, |record| record.elements(0))
}

macro_rules! accessor {
    ($name:ident, $doc:literal) => {
        #[doc = $doc]
        pub struct $name<'a, T> {
            at: Cursor<'a>,
            of: PhantomData<fn() -> T>,
        }

        impl<T> Clone for $name<'_, T> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<T> Copy for $name<'_, T> {}

        impl<T> std::fmt::Debug for $name<'_, T> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.at.fmt(f)
            }
        }

        impl<'a, T: Element> $name<'a, T> {
            fn new(at: Cursor<'a>) -> Self {
                Self {
                    at,
                    of: PhantomData,
                }
            }

            /// Number of elements.
            #[must_use]
            pub fn len(&self) -> usize {
                elements(&self.at).len()
            }

            /// Whether there are no elements.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// The element at a position.
            #[must_use]
            pub fn get(&self, position: usize) -> Option<T::Ref<'a>> {
                let ordinal = elements(&self.at).get(position)?;
                Some(T::read(self.at.element(self.at.slot(0), ordinal), 0))
            }

            /// The elements in stored order.
            #[must_use]
            pub fn iter(&self) -> RefIter<'a, T> {
                let (elements, slot) = (elements(&self.at), self.at.slot(0));
                RefIter {
                    elements,
                    slot,
                    at: self.at,
                    of: PhantomData,
                }
            }

            /// The element with a key: the hash key of a set, otherwise the plain value of a scalar
            /// or the primary key of the element. With a hash key a binary search, otherwise a scan.
            ///
            /// # Errors
            /// When the elements have none of these, or the key is not of its fields.
            pub fn find<K: Key>(&self, key: K) -> Result<Option<T::Ref<'a>>>
            where
                T: FoundBy<K>,
            {
                let Some(record) = self.at.record() else {
                    return Ok(None);
                };
                Ok(find(&record, Side::Elements, &key)?.and_then(|position| self.get(position)))
            }

            /// Whether [`find`](Self::find) finds an element.
            ///
            /// # Errors
            /// As [`find`](Self::find).
            pub fn contains<K: Key>(&self, key: K) -> Result<bool>
            where
                T: FoundBy<K>,
            {
                Ok(self.find(key)?.is_some())
            }
        }

        impl<'a, T: Element> IntoIterator for $name<'a, T> {
            type Item = T::Ref<'a>;
            type IntoIter = RefIter<'a, T>;

            fn into_iter(self) -> RefIter<'a, T> {
                self.iter()
            }
        }
    };
}

accessor!(
    ListRef,
    "A list of a state, read in place: elements in their order."
);
accessor!(
    SetRef,
    "A set of a state, read in place: elements in stored order."
);

/// The elements of a [`ListRef`] or [`SetRef`].
pub struct RefIter<'a, T> {
    elements: Elements<'a>,
    slot: Slot,
    at: Cursor<'a>,
    of: PhantomData<fn() -> T>,
}

impl<T> std::fmt::Debug for RefIter<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} more of {:?}", self.elements.len(), self.at)
    }
}

impl<'a, T: Element> Iterator for RefIter<'a, T> {
    type Item = T::Ref<'a>;

    #[inline]
    fn next(&mut self) -> Option<T::Ref<'a>> {
        let ordinal = self.elements.next()?;
        Some(T::read(self.at.element(self.slot, ordinal), 0))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.elements.size_hint()
    }
}

impl<T: Element> ExactSizeIterator for RefIter<'_, T> {}

fn own_all<T: Element, C: Extend<T> + Default>(
    at: Cursor<'_>,
    owning: &mut Owning,
) -> StateResult<C> {
    let mut collection = C::default();
    for ordinal in elements(&at) {
        let element = at.element(at.slot(0), ordinal);
        let owned = owning.nested(|owning| <T as Element>::own(element, 0, owning))?;
        collection.extend(std::iter::once(owned));
    }
    Ok(collection)
}

impl<T: Element> Element for Vec<T> {
    type Ref<'a> = ListRef<'a, T>;

    fn type_name() -> String {
        format!("ListOf{}", T::type_name())
    }

    fn declare(out: &mut Declarations) {
        out.list::<T>(Self::type_name());
    }

    fn bind(binder: &mut Binder<'_>, id: TypeId) -> StateResult<NodeId> {
        binder.list::<Self, T>(id)
    }

    fn read(at: Cursor<'_>, _: usize) -> ListRef<'_, T> {
        ListRef::new(at)
    }

    fn own(at: Cursor<'_>, _: usize, owning: &mut Owning) -> StateResult<Self> {
        own_all(at, owning)
    }

    fn write_record(&self, node: NodeId, out: &mut Writer<'_>) -> StateResult<()> {
        out.list(node, self.iter())
    }
}

macro_rules! set {
    ($ty:ty, $($bounds:tt)*) => {
        impl<$($bounds)*> Element for $ty {
            type Ref<'a> = SetRef<'a, T>;

            fn type_name() -> String {
                format!("SetOf{}", T::type_name())
            }

            fn declare(out: &mut Declarations) {
                Self::declare_hashed(out, Self::type_name(), &[]);
            }

            fn bind(binder: &mut Binder<'_>, id: TypeId) -> StateResult<NodeId> {
                binder.set::<Self, T>(id)
            }

            fn read(at: Cursor<'_>, _: usize) -> SetRef<'_, T> {
                SetRef::new(at)
            }

            fn own(at: Cursor<'_>, _: usize, owning: &mut Owning) -> StateResult<Self> {
                own_all(at, owning)
            }

            fn write_record(&self, node: NodeId, out: &mut Writer<'_>) -> StateResult<()> {
                out.list(node, self.iter())
            }
        }

        impl<$($bounds)*> Hashed for $ty {
            const BY_VALUE: bool = <T as Element>::SCALAR.is_some();

            fn declare_hashed(out: &mut Declarations, name: String, hash_key: &[&str]) {
                out.set_of::<T>(name, hash_key);
            }
        }
    };
}

set!(BTreeSet<T>, T: Element + Ord);
set!(HashSet<T, S>, T: Element + Hash + Eq, S: BuildHasher + Default + 'static);
