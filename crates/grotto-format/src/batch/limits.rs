//! How much of everything there may be in a chunk and in a state.
//!
//! Owns: the numbers. Never checks them: decoders here and the state do.
//! Spec: `docs/format/spec.md`, section "Limits".

/// Most records in one chunk of a blob: as many as the largest block holds.
pub const MAX_CHUNK_ROWS: usize = 1 << 16;
/// Most bytes of all sections of one chunk together, before compression. Readers decode a chunk at
/// a time, so this, [`MAX_CHUNK_CELLS`] and [`MAX_ELEMENTS`] bound their memory.
pub const MAX_CHUNK_BYTES: u64 = 1 << 29;
/// Most records times columns in one chunk. Equal numbers take no byte each, so the length of the
/// sections does not bound them.
pub const MAX_CHUNK_CELLS: usize = 1 << 25;
/// Most ordinals in the element column of one chunk. They may take no byte each either.
pub const MAX_ELEMENTS: usize = 1 << 26;
/// Most blocks of a state, empty ones before the last of a type included: a reader's tables have an
/// entry for each.
pub const MAX_BLOCKS: usize = 1 << 24;
