//! Typed records on several threads.
//!
//! Owns: the typed face of [`crate::split`]. Never cuts a type itself.

use super::access::Typed;
use super::value::RecordType;
use crate::split::fold_parts;

impl<'a, T: RecordType> Typed<'a, T> {
    /// All records in at most `parts` iterators, none of them empty. One after the other they are
    /// [`iter`](Self::iter); each may go to a thread of its own, to a pool or a runtime that the program has
    /// anyway.
    ///
    /// A type is cut between its blocks, of some hundred to some thousand records: a small type comes in
    /// fewer parts, an empty one in none.
    pub fn split(&self, parts: usize) -> Vec<impl Iterator<Item = T::Ref<'a>> + Send + use<'a, T>> {
        let this = *self;
        let scans = self.state().split_scan(self.bound().type_id(), parts);
        let typed = |scan: crate::Scan<'a>| scan.map(move |record| this.read(record));
        scans.into_iter().map(typed).collect()
    }

    /// Folds all records on up to `threads` threads, this one among them. Each thread folds a run of neighbours
    /// with `each`, beginning with `new()`; `join` makes one result of those of all runs, by rising
    /// ordinal. So the outcome is that of one thread wherever `join` makes it so: for a sum, a
    /// maximum, or lists put together.
    ///
    /// ```
    /// # use grotto_state::{RecordType, Typed};
    /// fn longest<'a, T: RecordType>(
    ///     records: &Typed<'a, T>,
    ///     length: impl Fn(T::Ref<'a>) -> usize + Sync,
    /// ) -> usize {
    ///     let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    ///     records.par_fold(threads, || 0, |most, record| most.max(length(record)), usize::max)
    /// }
    /// ```
    ///
    /// # Panics
    /// When a closure panics, with its panic.
    pub fn par_fold<A: Send>(
        &self,
        threads: usize,
        new: impl Fn() -> A + Sync,
        each: impl Fn(A, T::Ref<'a>) -> A + Sync,
        join: impl FnMut(A, A) -> A,
    ) -> A {
        fold_parts(self.split(threads), new, each, join)
    }
}
