//! What a refresh cost, counted and not timed.
//!
//! Owns: the figures. Never: decides by them.

/// Work of one refresh. The first three follow the change and not the dataset; tests hold them to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Bytes of the segments that were sealed.
    pub sealed_bytes: u64,
    /// Bytes among them that were moved out of older segments.
    pub moved_bytes: u64,
    /// Blocks, bitmap pages and index pages that were written or moved.
    pub items: u64,
    /// Entries of tables that were copied: those of all types that something changed in.
    pub table_entries: u64,
}
