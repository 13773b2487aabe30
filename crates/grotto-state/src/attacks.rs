//! Keys and values that somebody chose to harm: those that collide in the hashes anybody can compute.
//!
//! Owns: the promise that they cost no more than others, shown by count and not by time: nothing is
//! refused, work stays within three times and space within 1.2 times. Tests only.

mod craft;
mod keys;
mod values;

use crate::encode::EncodeOptions;
use crate::hash::HashSeed;
use crate::state::State;
use crate::write::{Cycle, Encoded, Mode, WriteState};
use grotto_format::flat::FlatBuilder;
use grotto_format::schema::{Schema, TypeId};
use std::sync::Arc;

const SEED: HashSeed = HashSeed::new([0x5eed, 0xdeed]);
const ID: TypeId = TypeId(0);

/// Spreads numbers like a good hash does, for honest values.
fn mixed(n: u64) -> u64 {
    let n = (n ^ (n >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (n ^ (n >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ n
}

/// A flat record of longs.
fn flat(longs: &[u64]) -> Vec<u8> {
    let mut builder = FlatBuilder::new();
    let mark = builder.begin_object();
    for (column, long) in (0..).zip(longs) {
        builder.field(column);
        builder.long(*long as i64);
    }
    builder.end_object(mark, longs.len() as u16);
    builder.bytes().to_vec()
}

/// How records come into a full cycle.
#[derive(Clone, Copy, Debug)]
enum Way {
    OneByOne,
    /// On several threads.
    Bulk,
}

/// A producer without a store.
struct Site {
    write: WriteState,
    schema: Arc<Schema>,
}

impl Site {
    fn new(schema: &str) -> Self {
        Self {
            write: WriteState::new(Arc::new(State::empty(SEED))),
            schema: Arc::new(Schema::parse(schema).unwrap()),
        }
    }

    fn state(&self) -> &Arc<State> {
        self.write.state()
    }

    /// A full cycle with all records taken in.
    fn full(&self, records: &[Vec<u8>], way: Way) -> Cycle {
        let mut cycle = self.write.begin(&self.schema, Mode::Full).unwrap();
        cycle.use_threads(match way {
            Way::OneByOne => 1,
            Way::Bulk => 4,
        });
        for (position, record) in (0..).zip(records) {
            cycle.add_later(ID, record, position).unwrap();
        }
        cycle.take_in().unwrap();
        cycle
    }

    fn upsert(&self, records: &[Vec<u8>]) -> Cycle {
        let mut cycle = self.write.begin(&self.schema, Mode::Incremental).unwrap();
        for (position, record) in (0..).zip(records) {
            cycle.upsert(ID, record, position).unwrap();
        }
        cycle
    }

    fn finish(&self, cycle: Cycle) -> Encoded {
        let options = EncodeOptions {
            dataset: "attacked".into(),
            version: self.state().version() + 1,
            level: None,
            threads: 2,
        };
        cycle.finish(&options).unwrap().unwrap()
    }

    fn commit(&mut self, cycle: Cycle) {
        let encoded = self.finish(cycle);
        self.write.advance(encoded);
    }
}
