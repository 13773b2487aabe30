//! How much of everything there may be in a blob and in a state.
//!
//! Owns: the numbers, as constants that the specification is compared with and as [`Limits`] that
//! readers and writers are given, so that a test can cross each of them with little data; and the
//! one error that says which was passed. Never checks anything by itself.
//! Spec: `docs/format/spec.md`, section "Limits".
//!
//! **Invariant:** whoever writes a blob and whoever reads it take the number from here, so no writer
//! makes what a reader refuses.

/// Most bytes of a blob's header.
pub const MAX_HEADER: u64 = 1 << 27;
/// Most bytes of a dataset's name in a header.
pub const MAX_DATASET_NAME: u64 = 1 << 10;
/// Most sections of one blob.
pub const MAX_SECTIONS: u64 = 1 << 20;
/// Most bytes of one section, before compression and stored.
pub const MAX_SECTION: u64 = 1 << 29;
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
/// Most weight of a block: what its records can take at most, in whatever way a reader lays them
/// out. Half of what a chunk may hold, so that a state that deltas lead to can also be a snapshot.
pub const MAX_BLOCK_WEIGHT: u64 = MAX_CHUNK_BYTES / 2;
/// Weight of one value of a record beside its text, bytes or elements: a word, or where a value is
/// and how long it is, and whether it is null.
pub const CELL_WEIGHT: u64 = 9;
/// Weight of one element of a list, set or map (an entry of a map has two).
pub const ELEMENT_WEIGHT: u64 = 4;

/// The limits that a blob is written and read under: those of the format, but for tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// See [`MAX_HEADER`].
    pub header: u64,
    /// See [`MAX_DATASET_NAME`].
    pub dataset_name: u64,
    /// See [`MAX_TEXT`](crate::schema::MAX_TEXT).
    pub schema_text: u64,
    /// See [`MAX_TYPES`](crate::schema::MAX_TYPES).
    pub types: u64,
    /// See [`MAX_SECTIONS`].
    pub sections: u64,
    /// See [`MAX_SECTION`].
    pub section: u64,
    /// See [`MAX_CHUNK_ROWS`].
    pub chunk_rows: usize,
    /// See [`MAX_CHUNK_BYTES`].
    pub chunk_bytes: u64,
    /// See [`MAX_CHUNK_CELLS`].
    pub chunk_cells: usize,
    /// See [`MAX_ELEMENTS`].
    pub elements: usize,
    /// See [`MAX_BLOCKS`].
    pub blocks: usize,
    /// See [`MAX_BLOCK_WEIGHT`].
    pub block_weight: u64,
}

impl Limits {
    /// Those of the format.
    pub const FORMAT: Self = Self {
        header: MAX_HEADER,
        dataset_name: MAX_DATASET_NAME,
        schema_text: crate::schema::MAX_TEXT as u64,
        types: crate::schema::MAX_TYPES as u64,
        sections: MAX_SECTIONS,
        section: MAX_SECTION,
        chunk_rows: MAX_CHUNK_ROWS,
        chunk_bytes: MAX_CHUNK_BYTES,
        chunk_cells: MAX_CHUNK_CELLS,
        elements: MAX_ELEMENTS,
        blocks: MAX_BLOCKS,
        block_weight: MAX_BLOCK_WEIGHT,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::FORMAT
    }
}

/// Something is more than the format allows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected at most {limit} {what}, found {found}")]
pub struct OverLimit {
    /// What there is too much of.
    pub what: &'static str,
    /// How much is allowed.
    pub limit: u64,
    /// How much there is.
    pub found: u64,
}

impl OverLimit {
    /// Fails when `found` passes `limit`.
    ///
    /// # Errors
    /// Says what is limited to what.
    pub fn check(what: &'static str, found: u64, limit: u64) -> Result<(), Self> {
        if found <= limit {
            return Ok(());
        }
        Err(Self { what, limit, found })
    }
}
