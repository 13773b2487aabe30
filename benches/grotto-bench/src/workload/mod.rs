//! Standard workloads: logical datasets made of integers alone, so that every engine, in any
//! language, holds the same records.
//!
//! Owns: records, their changes, and the digest that proves two engines hold the same.
//! Never measures.

pub mod catalog;
pub mod digest;
pub mod flat;
mod model;
pub mod rng;
#[cfg(test)]
mod tests;

pub use model::{Change, Model};

use grotto::RecordType;
use grotto_format::flat::FlatBuilder;
use grotto_state::typed::Element;

/// What a reader gets for a record of a workload.
pub type Ref<'a, W> = <<W as Workload>::Typed as Element>::Ref<'a>;

/// A way to make records out of their index and revision.
pub trait Workload: Sized + std::fmt::Debug + Send + Sync {
    /// A generated record.
    type Record: std::fmt::Debug + Send + Sync;
    /// The struct that reads it.
    type Typed: for<'k> RecordType<Key<'k> = i64>;

    /// Its name on the command line.
    const NAME: &'static str;
    /// The schema as the language writes it.
    const SCHEMA: &'static str;

    /// The workload for a dataset that starts with `n` records.
    fn new(n: u64) -> Self;

    /// The record of an index at a revision.
    fn record(&self, index: u64, revision: u64) -> Self::Record;

    /// Its primary key.
    fn key(record: &Self::Record) -> i64;

    /// Its part of the dataset's digest.
    fn digest(&self, record: &Self::Record) -> u64;

    /// Appends its flat form.
    fn write(&self, record: &Self::Record, out: &mut FlatBuilder);

    /// The number that "read" touches.
    fn number(record: Ref<'_, Self>) -> i64;

    /// The string that "read string" touches.
    fn text<'a>(record: Ref<'a, Self>) -> &'a str;

    /// The digest of a record that was read from a state.
    fn digest_read(record: Ref<'_, Self>) -> u64;
}
