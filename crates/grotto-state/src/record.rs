//! One record of a state, column by column.
//!
//! Owns: the zero-copy reads everything else is built on. Never allocates.

use crate::block::{Elements, HEADER, read_var};
use crate::key::KeyPart;
use crate::layout::Layout;
use crate::state::State;
use grotto_format::batch::{Batch, ColumnKind, Value};
use grotto_format::checksum;
use grotto_format::schema::TypeId;

/// One record of a state. Cheap to copy; valid as long as the state is held.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    state: &'a State,
    bytes: &'a [u8],
    layout: &'a Layout,
    block: usize,
    row: usize,
    ordinal: u32,
    type_id: TypeId,
}

impl std::fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} #{}",
            self.state.schema.get(self.type_id).name,
            self.ordinal
        )
    }
}

impl<'a> Record<'a> {
    #[inline]
    pub(crate) fn new(
        state: &'a State,
        type_id: TypeId,
        ordinal: u32,
        bytes: &'a [u8],
        block: usize,
        layout: &'a Layout,
        position: u32,
    ) -> Self {
        let row = block + HEADER + position as usize * layout.row as usize;
        Self {
            state,
            bytes,
            layout,
            block,
            row,
            ordinal,
            type_id,
        }
    }

    /// The state it belongs to.
    #[must_use]
    pub fn state(&self) -> &'a State {
        self.state
    }

    /// Its position within its type.
    #[must_use]
    pub fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// Its type.
    #[must_use]
    pub fn type_id(&self) -> TypeId {
        self.type_id
    }

    /// Whether a column holds no value.
    #[inline]
    #[must_use]
    pub fn is_null(&self, column: usize) -> bool {
        self.layout
            .slots
            .get(column)
            .is_none_or(|slots| slots.null.read(self.bytes, self.row) == 1)
    }

    /// A fixed-width value as a 64-bit word: integers sign-extended, floats as bits, references as
    /// ordinals. Means nothing for null and for columns that are not fixed: ask [`is_null`](Self::is_null).
    #[inline]
    #[must_use]
    pub fn word(&self, column: usize) -> u64 {
        self.layout
            .slots
            .get(column)
            .map_or(0, |slots| slots.main.read(self.bytes, self.row))
    }

    /// Text or bytes; empty for null.
    #[inline]
    #[must_use]
    pub fn var(&self, column: usize) -> &'a [u8] {
        let Some(slots) = self.layout.slots.get(column) else {
            return &[];
        };
        if slots.length.read(self.bytes, self.row) == 0 {
            return &[];
        }
        read_var(self.bytes, self.block, self.row, slots).unwrap_or_else(|| {
            self.state.report_damage();
            &[]
        })
    }

    /// Bytes of text, or number of elements; zero for null.
    pub(crate) fn length(&self, column: usize) -> u64 {
        self.layout
            .slots
            .get(column)
            .map_or(0, |slots| slots.length.read(self.bytes, self.row))
    }

    /// Text; empty for null. Text was validated when its blob was decoded; should the bytes have been
    /// damaged since, the valid part is given and the state says so ([`State::is_damaged`]).
    #[inline]
    #[must_use]
    pub fn text(&self, column: usize) -> &'a str {
        let bytes = self.var(column);
        match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                self.state.report_damage();
                let (valid, _) = bytes.split_at(error.valid_up_to());
                std::str::from_utf8(valid).unwrap_or_default()
            }
        }
    }

    /// Ordinals of the elements; none for null.
    #[inline]
    #[must_use]
    pub fn elements(&self, column: usize) -> Elements<'a> {
        let Some(slots) = self.layout.slots.get(column) else {
            return Elements::EMPTY;
        };
        if slots.length.read(self.bytes, self.row) == 0 {
            return Elements::EMPTY;
        }
        Elements::read(self.bytes, self.block, self.row, slots).unwrap_or_else(|| {
            self.state.report_damage();
            Elements::EMPTY
        })
    }

    /// The record a reference column points at, of type `target`.
    #[inline]
    #[must_use]
    pub fn follow(&self, column: usize, target: TypeId) -> Option<Record<'a>> {
        if self.is_null(column) {
            return None;
        }
        let record = self.state.row(target, self.word(column) as u32);
        if record.is_none() {
            self.state.report_damage();
        }
        record
    }

    /// Content hash: the wrapping sum of the hashes of all non-null values, also of fields on their
    /// way out.
    #[must_use]
    pub(crate) fn content_hash(&self) -> u64 {
        let Some(info) = self.state.infos.get(self.type_id.index()) else {
            return 0;
        };
        let mut sum = 0_u64;
        for (column, (kind, seed)) in info.kinds.iter().zip(&info.seeds).enumerate() {
            if !self.is_null(column) {
                sum = sum.wrapping_add(match kind {
                    ColumnKind::Fixed(_) => checksum::fixed(*seed, self.word(column)),
                    ColumnKind::Var(_) => checksum::var(*seed, self.var(column)),
                    ColumnKind::Elements(_) => checksum::elements(*seed, self.elements(column)),
                });
            }
        }
        for dropped in &self.layout.dropped {
            sum = sum.wrapping_add(self.dropped_hash(dropped));
        }
        sum
    }

    fn dropped_hash(&self, dropped: &crate::layout::Dropped) -> u64 {
        if dropped.slots.null.read(self.bytes, self.row) == 1 {
            return 0;
        }
        match dropped.kind {
            0 => checksum::fixed(dropped.seed, dropped.slots.main.read(self.bytes, self.row)),
            _ => {
                let value = read_var(self.bytes, self.block, self.row, &dropped.slots);
                checksum::var(dropped.seed, value.unwrap_or_default())
            }
        }
    }

    /// Whether a column holds exactly this value.
    #[inline]
    pub(crate) fn has(&self, column: usize, part: KeyPart<'_>) -> bool {
        let Some(slots) = self.layout.slots.get(column) else {
            return false;
        };
        match part {
            KeyPart::Fixed(word) => {
                slots.main.read(self.bytes, self.row) == word
                    && slots.null.read(self.bytes, self.row) == 0
            }
            KeyPart::Var(value) => {
                slots.length.read(self.bytes, self.row) == value.len() as u64
                    && slots.null.read(self.bytes, self.row) == 0
                    && self.var(column) == value
            }
        }
    }

    /// Asks for the text and elements of the record, which are away from its row.
    pub(crate) fn prefetch_values(&self) {
        for slots in self
            .layout
            .slots
            .iter()
            .filter(|slots| !slots.length.is_constant())
        {
            let start = self.block + slots.main.read(self.bytes, self.row) as usize;
            grotto_mmap::prefetch(self.bytes, start);
        }
    }

    /// Whether a row, maybe a dead one, holds exactly a row of a batch. What a dead row points at may
    /// be anything, so nothing is reported as damage here.
    pub(crate) fn holds(&self, kinds: &[ColumnKind], batch: &Batch, row: usize) -> bool {
        if self.has_dropped_value() || self.layout.slots.len() != kinds.len() {
            return false;
        }
        let columns = self.layout.slots.iter().zip(&batch.columns);
        columns.into_iter().all(|(slots, column)| {
            let null = slots.null.read(self.bytes, self.row) == 1;
            match column.value(row) {
                Value::Null => null,
                Value::Fixed(word) => !null && slots.main.read(self.bytes, self.row) == word,
                Value::Var(value) => {
                    !null
                        && slots.length.read(self.bytes, self.row) == value.len() as u64
                        && read_var(self.bytes, self.block, self.row, slots) == Some(value)
                }
                Value::Elements(ordinals) => {
                    let found = Elements::read(self.bytes, self.block, self.row, slots);
                    !null && found.is_some_and(|found| found.eq(ordinals.iter().copied()))
                }
            }
        })
    }

    /// Whether a field that the schema no longer has still holds a value.
    pub(crate) fn has_dropped_value(&self) -> bool {
        self.layout
            .dropped
            .iter()
            .any(|d| d.slots.null.read(self.bytes, self.row) == 0)
    }
}
