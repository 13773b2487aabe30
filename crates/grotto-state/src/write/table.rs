//! The table by which records of a type without a key are found by what they hold.
//!
//! Owns: ordinals by private hash, in many small tables. Never reads a record: whoever changes the table
//! supplies the hashes of what is in it.
//!
//! One large table would have to hash all its entries anew whenever it is full, half a second for five
//! million. Here, an insertion splits at most one of the small tables (linear hashing): they are split in
//! a fixed order, so that their number follows from the number of entries and nobody can drive it up.
//! Small tables are also what a copy of the whole shares with the original, until one of the two
//! changes them.

use hashbrown::HashTable;
use std::sync::Arc;

/// Entries per small table, on average at most. Those that have their split before them hold up to twice
/// as many.
const TARGET: usize = 512;

/// Ordinals by private hash.
#[derive(Clone, Debug)]
pub(crate) struct ContentTable {
    shards: Vec<Arc<HashTable<u32>>>,
    entries: usize,
    target: usize,
}

impl Default for ContentTable {
    fn default() -> Self {
        Self::with_target(TARGET)
    }
}

impl ContentTable {
    /// A table whose small tables hold `target` entries on average.
    pub(crate) fn with_target(target: usize) -> Self {
        Self {
            shards: vec![Arc::default()],
            entries: 0,
            target: target.max(1),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.entries
    }

    /// How many small tables this one does not share with another, and how many it has.
    #[cfg(test)]
    pub(crate) fn unlike(&self, other: &Self) -> (usize, usize) {
        let pairs = self.shards.iter().zip(&other.shards);
        let shared = pairs.filter(|(a, b)| Arc::ptr_eq(a, b)).count();
        (self.shards.len() - shared, self.shards.len())
    }

    /// Makes room for so many entries, if there are none yet.
    pub(crate) fn reserve(&mut self, entries: usize) {
        if self.entries > 0 {
            return;
        }
        let shards = entries.div_ceil(self.target).next_power_of_two();
        // A hash spreads them evenly, but for what chance adds.
        let each = entries / shards + entries / shards / 8 + 16;
        let each = each.min(entries);
        let shard = || Arc::new(HashTable::with_capacity(each));
        self.shards = std::iter::repeat_with(shard).take(shards).collect();
    }

    /// The ordinal with this hash that `same` recognises.
    pub(crate) fn find(&self, hash: u64, mut same: impl FnMut(u32) -> bool) -> Option<u32> {
        let shard = self.shards.get(self.shard_of(hash))?;
        shard.find(hash, |ordinal| same(*ordinal)).copied()
    }

    /// Adds an ordinal that is not there. `rehash` gives the hashes of others.
    pub(crate) fn insert(&mut self, hash: u64, ordinal: u32, rehash: impl Fn(u32) -> u64) {
        let shard = self.shard_of(hash);
        self.insert_into(shard, hash, ordinal, &rehash);
        self.entries += 1;
        if self.entries > self.shards.len() * self.target {
            self.split(&rehash);
        }
    }

    /// Takes an ordinal out, if it is there. `rehash` gives the hashes of others.
    pub(crate) fn remove(&mut self, hash: u64, ordinal: u32, rehash: impl Fn(u32) -> u64) {
        let shard = self.shard_of(hash);
        let Some(shard) = self.shards.get_mut(shard) else {
            return;
        };
        if let Ok(entry) = Arc::make_mut(shard).find_entry(hash, |found| *found == ordinal) {
            entry.remove();
            self.entries -= 1;
        }
        // A quarter: whoever adds and removes a few does not have tables split and joined by turns.
        if self.shards.len() > 1 && self.entries < (self.shards.len() - 1) * self.target / 4 {
            self.join(&rehash);
        }
    }

    /// Which small table a hash belongs to. Not by the lowest and highest bits, which place an entry
    /// within it.
    fn shard_of(&self, hash: u64) -> usize {
        let (bits, mask) = (
            (hash >> 25) as usize,
            self.shards.len().next_power_of_two() - 1,
        );
        let shard = bits & mask;
        match shard < self.shards.len() {
            true => shard,
            // Its table was not split from this one yet.
            false => shard & (mask >> 1),
        }
    }

    fn insert_into(&mut self, shard: usize, hash: u64, ordinal: u32, rehash: &dyn Fn(u32) -> u64) {
        if let Some(shard) = self.shards.get_mut(shard) {
            Arc::make_mut(shard).insert_unique(hash, ordinal, |ordinal| rehash(*ordinal));
        }
    }

    /// Splits the next table in line.
    fn split(&mut self, rehash: &dyn Fn(u32) -> u64) {
        let from = parent_of(self.shards.len());
        let old = std::mem::take(&mut self.shards[from]);
        self.shards.push(Arc::default());
        let hashes: Vec<(u64, u32)> = old
            .iter()
            .map(|ordinal| (rehash(*ordinal), *ordinal))
            .collect();
        let capacity = old.len() / 2 + 1;
        for shard in [from, self.shards.len() - 1] {
            self.shards[shard] = Arc::new(HashTable::with_capacity(capacity));
        }
        for (hash, ordinal) in hashes {
            self.insert_into(self.shard_of(hash), hash, ordinal, rehash);
        }
    }

    /// Undoes the last split.
    fn join(&mut self, rehash: &dyn Fn(u32) -> u64) {
        let Some(last) = self.shards.pop() else {
            return;
        };
        let into = parent_of(self.shards.len());
        for ordinal in last.iter() {
            self.insert_into(into, rehash(*ordinal), *ordinal, rehash);
        }
    }
}

/// The table from which table `shard` is split.
fn parent_of(shard: usize) -> usize {
    shard & !(1 << shard.max(1).ilog2())
}

#[cfg(test)]
mod tests;
