//! Hash maps of whole records: what a program without a database does.
//!
//! Owns: the standard map with its default hasher, and hashbrown with foldhash.

use super::{Engine, Read, ends};
use anyhow::Result;
use grotto_bench::workload::Model;
use grotto_bench::workload::flat::{Flat, Product};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::path::Path;

/// What the maps have in common.
trait Map<V> {
    fn find(&self, key: u64) -> Option<&V>;
    fn all<'a>(&'a self) -> impl Iterator<Item = &'a V>
    where
        V: 'a;
}

impl<V, S: BuildHasher> Map<V> for HashMap<u64, V, S> {
    #[inline]
    fn find(&self, key: u64) -> Option<&V> {
        self.get(&key)
    }
    fn all<'a>(&'a self) -> impl Iterator<Item = &'a V>
    where
        V: 'a,
    {
        self.values()
    }
}

impl<V, S: BuildHasher> Map<V> for hashbrown::HashMap<u64, V, S>
where
    u64: Hash,
{
    #[inline]
    fn find(&self, key: u64) -> Option<&V> {
        self.get(&key)
    }
    fn all<'a>(&'a self) -> impl Iterator<Item = &'a V>
    where
        V: 'a,
    {
        self.values()
    }
}

/// The numbers of a record, without its text: the least that a map of numbers needs.
struct Numbers {
    cents: i32,
    #[expect(dead_code, reason = "held as any program would hold them")]
    rest: (i32, i32, f32, bool, i64),
}

struct Whole<M>(M);

struct Few<M>(M);

fn sum<V, M: Map<V>>(map: &M, keys: &[i64], read: impl Fn(&V) -> i64) -> i64 {
    let found = keys.iter().filter_map(|key| map.find(key.cast_unsigned()));
    found.map(read).fold(0, i64::wrapping_add)
}

impl<M: Map<Product>> Engine for Whole<M> {
    fn read(&self, read: Read, keys: &[i64]) -> Result<Option<i64>> {
        let number = |product: &Product| i64::from(product.cents);
        Ok(match read {
            Read::Number => Some(sum(&self.0, keys, number)),
            Read::Text => Some(sum(&self.0, keys, |product| ends(product.title.as_bytes()))),
            Read::Miss => Some(sum(&self.0, keys, |_| 1)),
            Read::Scan => Some(self.0.all().map(number).fold(0, i64::wrapping_add)),
            Read::Many | Read::ManyText => None,
        })
    }
}

impl<M: Map<Numbers>> Engine for Few<M> {
    fn read(&self, read: Read, keys: &[i64]) -> Result<Option<i64>> {
        let number = |numbers: &Numbers| i64::from(numbers.cents);
        Ok(match read {
            Read::Number => Some(sum(&self.0, keys, number)),
            Read::Miss => Some(sum(&self.0, keys, |_| 1)),
            Read::Scan => Some(self.0.all().map(number).fold(0, i64::wrapping_add)),
            Read::Text | Read::Many | Read::ManyText => None,
        })
    }
}

pub(super) fn std(model: &Model<Flat>, _folder: &Path) -> Result<Box<dyn Engine>> {
    let mut map = HashMap::with_capacity(model.records().len());
    map.extend(
        model
            .records()
            .iter()
            .map(|product| (product.id.cast_unsigned(), product.clone())),
    );
    Ok(Box::new(Whole(map)))
}

pub(super) fn std_numbers(model: &Model<Flat>, _folder: &Path) -> Result<Box<dyn Engine>> {
    let mut map = HashMap::with_capacity(model.records().len());
    for p in model.records() {
        let rest = (p.stock, p.category, p.rating, p.active, p.updated_at);
        map.insert(
            p.id.cast_unsigned(),
            Numbers {
                cents: p.cents,
                rest,
            },
        );
    }
    Ok(Box::new(Few(map)))
}

pub(super) fn hashbrown(model: &Model<Flat>, _folder: &Path) -> Result<Box<dyn Engine>> {
    let hasher = foldhash::fast::RandomState::default();
    let mut map = hashbrown::HashMap::with_capacity_and_hasher(model.records().len(), hasher);
    map.extend(
        model
            .records()
            .iter()
            .map(|product| (product.id.cast_unsigned(), product.clone())),
    );
    Ok(Box::new(Whole(map)))
}
