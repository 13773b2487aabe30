//! The state of a dataset: blocks, copy-on-write, indexes, deltas.
//!
//! Owns: the read state ([`State`]), the write state ([`WriteState`]), how a delta is computed,
//! encoded and applied, the primary-key index and the state checksum.
//! Never does: input or output, async, threads that outlive a call, `unsafe`.
//!
//! A [`State`] is the dataset at one version. It is immutable, can be read by any number of threads,
//! and shares with its neighbours everything that did not change. Applying a delta costs what
//! changed: touched blocks, bitmap pages and index pages are copied into one new segment, and the
//! small tables that point at them are copied whole.
#![forbid(unsafe_code)]

mod apply;
#[cfg(test)]
mod attacks;
mod bitmap;
mod block;
mod check;
mod compact;
mod difference;
mod encode;
mod error;
mod evolve;
mod filter;
mod find;
mod hash;
mod index;
mod key;
mod known;
mod layout;
mod part;
mod parts;
mod promise;
mod record;
mod scan;
mod segment;
mod shape;
mod split;
mod state;
pub mod testing;
mod threads;
pub mod typed;
mod view;
mod write;

pub use apply::{Changes, Effort, TypeChanges};
pub use bitmap::Ordinals;
pub use block::Elements;
pub use difference::{Change, Difference, Interest};
pub use encode::{EncodeOptions, encode_snapshot, encode_snapshot_to, encode_snapshot_within};
pub use error::{StateError, StateResult};
pub use filter::TypeFilter;
pub use grotto_format as format;
pub use hash::HashSeed;
pub use key::{Key, KeyValue, NoKey};
pub use parts::{Parts, SegmentPart};
pub use promise::Promise;
pub use record::Record;
pub use scan::Scan;
pub use segment::{HeapSeal, HugeBuffer, Seal, Sealed, Segment, SegmentOptions};
pub use shape::Shape;
pub use state::State;
pub use typed::{Declarations, Encoder, OwnedRef, RecordRef, RecordType, Typed};
pub use view::{Field, FieldEquals, ListIter, ListView, MapIter, MapView, View};
pub use write::{Admission, Counts, Cycle, Encoded, Mode, Savepoint, WriteState, show_position};
