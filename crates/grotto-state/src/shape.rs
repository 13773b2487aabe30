//! How well a state fills what it takes up.
//!
//! Owns: adding up tables, for tools that watch a dataset over weeks. Reads tables and block headers,
//! never records, and is never part of a refresh or of a lookup.

use crate::index::{self, LINE};
use crate::part;
use crate::segment::Loc;
use crate::state::{State, TypeState};
use std::collections::BTreeSet;

/// What a state takes up, and how much of it is of use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Live records of all types.
    pub records: u64,
    /// Ordinals that the blocks of all types have room for; records divided by it is the fill.
    pub room: u64,
    /// Blocks.
    pub blocks: u64,
    /// Bytes of blocks: rows and heaps, dead ones included.
    pub block_bytes: u64,
    /// Pages of the primary-key indexes.
    pub index_pages: u64,
    /// Bytes of these pages.
    pub index_bytes: u64,
    /// Layouts that the types know.
    pub layouts: u64,
    /// Layouts that a block uses.
    pub layouts_used: u64,
    /// Segments.
    pub segments: u64,
    /// Bytes of segments: what the state takes up.
    pub bytes: u64,
    /// Bytes of segments that belong to a block or a page of this state.
    pub live_bytes: u64,
}

impl State {
    /// Adds up what the state takes up.
    #[must_use]
    pub fn shape(&self) -> Shape {
        let mut shape = Shape::default();
        for ty in &self.types {
            self.add_type(ty, &mut shape);
        }
        for segment in self.segments() {
            shape.segments += 1;
            shape.bytes += segment.bytes.len() as u64;
            shape.live_bytes += segment.live;
        }
        shape
    }

    fn add_type(&self, ty: &TypeState, shape: &mut Shape) {
        let mut used = BTreeSet::new();
        let present = ty
            .blocks
            .iter()
            .enumerate()
            .filter(|(_, loc)| !loc.is_none());
        let mut last = Loc::NONE;
        for (number, loc) in present {
            used.insert(loc.tag);
            // A block may take several entries.
            shape.blocks += u64::from(*loc != last);
            last = *loc;
            shape.room += 1 << ty.shift;
            let share = self.block_of(ty, number);
            shape.block_bytes += share.map_or(0, |b| part::share(&b, ty.shift, number).bytes);
        }
        shape.records += ty.live;
        shape.layouts += ty.layouts.len() as u64;
        shape.layouts_used += used.len() as u64;
        for loc in ty.index.iter().flat_map(index::each_page) {
            shape.index_pages += 1;
            shape.index_bytes += u64::from(loc.tag) * LINE as u64;
        }
    }
}
