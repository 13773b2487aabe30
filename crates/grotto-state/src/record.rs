//! One record of a state, column by column.
//!
//! Owns: the zero-copy reads everything else is built on. Never allocates.

use crate::block::{Elements, HEADER, read_var};
use crate::hash::Secret;
use crate::key::{self, KeyPart};
use crate::layout::{Layout, Slots};
use crate::state::State;
use grotto_format::batch::{Batch, ColumnKind, Value};
use grotto_format::checksum;
use grotto_format::schema::TypeId;

/// One record of a state. Cheap to copy; valid as long as the state is held.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    state: &'a State,
    /// From the start of its block on.
    bytes: &'a [u8],
    layout: &'a Layout,
    /// Where its row starts. Blocks are smaller than 4 GB, and sums of 32-bit numbers cannot overflow
    /// an address, which spares every read a check.
    row: u32,
    ordinal: u32,
    type_id: TypeId,
}

/// The valid part of damaged text.
#[cold]
fn damaged_text<'a>(state: &State, bytes: &'a [u8], start: u32, valid: usize) -> &'a str {
    state.report_damage();
    match grotto_mmap::text(bytes, start, valid as u32) {
        Some(Ok(text)) => text,
        _ => "",
    }
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
    #[inline(always)]
    pub(crate) fn new(
        state: &'a State,
        type_id: TypeId,
        ordinal: u32,
        block: &'a [u8],
        layout: &'a Layout,
        position: u32,
    ) -> Self {
        Self {
            state,
            bytes: block,
            layout,
            row: position
                .wrapping_mul(layout.row)
                .wrapping_add(HEADER as u32),
            ordinal,
            type_id,
        }
    }

    #[inline(always)]
    fn row(&self) -> usize {
        self.row as usize
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

    /// Whether it has the primary key of another record of its type, maybe of another state. Never
    /// for a type without one.
    #[must_use]
    pub fn has_key_of(&self, other: &Record<'_>) -> bool {
        key::same(self, other)
    }

    /// Whether a column holds no value.
    #[inline]
    #[must_use]
    pub fn is_null(&self, column: usize) -> bool {
        self.layout
            .slots
            .get(column)
            .is_none_or(|slots| slots.null.read(self.bytes, self.row()) == 1)
    }

    /// A fixed-width value as a 64-bit word: integers sign-extended, floats as bits, references as
    /// ordinals. Zero for null, and for a column that the layout does not have. Means nothing for columns
    /// that are not fixed.
    #[inline]
    #[must_use]
    pub fn word(&self, column: usize) -> u64 {
        self.layout
            .slots
            .get(column)
            .map_or(0, |slots| slots.word(self.bytes, self.row()))
    }

    /// Text or bytes; empty for null.
    #[inline]
    #[must_use]
    pub fn var(&self, column: usize) -> &'a [u8] {
        let Some(slots) = self.layout.slots.get(column) else {
            return &[];
        };
        if slots.length.read(self.bytes, self.row()) == 0 {
            return &[];
        }
        read_var(self.bytes, 0, self.row(), slots).unwrap_or_else(|| {
            self.state.report_damage();
            &[]
        })
    }

    /// Bytes of text, or number of elements; zero for null.
    pub(crate) fn length(&self, column: usize) -> u64 {
        self.layout
            .slots
            .get(column)
            .map_or(0, |slots| slots.length.read(self.bytes, self.row()))
    }

    /// Text; empty for null. Text was validated when its blob was decoded; should the bytes have been
    /// damaged since, the valid part is given and the state says so ([`State::is_damaged`]).
    #[inline]
    #[must_use]
    pub fn text(&self, column: usize) -> &'a str {
        let Some(slots) = self.layout.slots.get(column) else {
            return "";
        };
        // Neither passes 32 bits, since a block does not; damaged ones end up somewhere else within it.
        let start = slots.main.read(self.bytes, self.row()) as u32;
        let length = slots.length.read(self.bytes, self.row()) as u32;
        match grotto_mmap::text(self.bytes, start, length) {
            Some(Ok(text)) => text,
            Some(Err(error)) => damaged_text(self.state, self.bytes, start, error.valid_up_to()),
            None if length == 0 => "",
            None => damaged_text(self.state, self.bytes, start, 0),
        }
    }

    /// Ordinals of the elements; none for null.
    #[inline]
    #[must_use]
    pub fn elements(&self, column: usize) -> Elements<'a> {
        let Some(slots) = self.layout.slots.get(column) else {
            return Elements::EMPTY;
        };
        if slots.length.read(self.bytes, self.row()) == 0 {
            return Elements::EMPTY;
        }
        Elements::read(self.bytes, 0, self.row(), slots).unwrap_or_else(|| {
            self.state.report_damage();
            Elements::EMPTY
        })
    }

    /// The record a reference column points at, of type `target`.
    #[inline(always)]
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
    /// way out and of those that are not kept.
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
        let rest = info.rest().map_or(0, |rest| self.word(rest));
        sum.wrapping_add(rest)
    }

    fn dropped_hash(&self, dropped: &crate::layout::Dropped) -> u64 {
        if dropped.slots.null.read(self.bytes, self.row()) == 1 {
            return 0;
        }
        match dropped.kind {
            0 => checksum::fixed(
                dropped.seed,
                dropped.slots.main.read(self.bytes, self.row()),
            ),
            _ => {
                let value = read_var(self.bytes, 0, self.row(), &dropped.slots);
                checksum::var(dropped.seed, value.unwrap_or_default())
            }
        }
    }

    /// Hash by which an equal record is found among others of a type without a key: private, and of
    /// all non-null values, also of fields on their way out, so that it stays the same when the schema
    /// changes.
    #[must_use]
    pub(crate) fn value_hash(&self) -> u64 {
        let Some(info) = self.state.infos.get(self.type_id.index()) else {
            return 0;
        };
        let mut sum = 0_u64;
        for (column, (kind, field)) in info.kinds.iter().zip(&info.fields).enumerate() {
            if !self.is_null(column) {
                sum = sum.wrapping_add(match kind {
                    ColumnKind::Fixed(_) => Secret::fixed(field, self.word(column)),
                    ColumnKind::Var(_) => info.secret.var(field, self.var(column)),
                    ColumnKind::Elements(_) => info.secret.elements(field, self.elements(column)),
                });
            }
        }
        for dropped in &self.layout.dropped {
            sum = sum.wrapping_add(self.dropped_share(&info.secret, dropped));
        }
        info.secret.finish(sum)
    }

    fn dropped_share(&self, secret: &Secret, dropped: &crate::layout::Dropped) -> u64 {
        if dropped.slots.null.read(self.bytes, self.row()) == 1 {
            return 0;
        }
        let field = secret.field(dropped.seed);
        match dropped.kind {
            0 => Secret::fixed(&field, dropped.slots.main.read(self.bytes, self.row())),
            _ => {
                let value = read_var(self.bytes, 0, self.row(), &dropped.slots);
                secret.var(&field, value.unwrap_or_default())
            }
        }
    }

    /// Whether a column that is not null holds exactly this value.
    #[inline(always)]
    pub(crate) fn has(&self, column: usize, part: KeyPart<'_>) -> bool {
        let slots = self.layout.slots.get(column);
        slots.is_some_and(|slots| self.holds_at(slots, part))
    }

    /// The same, for who has looked up where the column is.
    #[inline(always)]
    pub(crate) fn holds_at(&self, slots: &Slots, part: KeyPart<'_>) -> bool {
        match part {
            KeyPart::Fixed(word) => slots.main.read(self.bytes, self.row()) == word,
            KeyPart::Var(value) => {
                slots.length.read(self.bytes, self.row()) == value.len() as u64
                    && read_var(self.bytes, 0, self.row(), slots) == Some(value)
            }
        }
    }

    /// Asks for the row, which may reach into a second cache line.
    #[inline(always)]
    pub(crate) fn prefetch(&self) {
        grotto_mmap::prefetch(self.bytes, self.row());
        grotto_mmap::prefetch(self.bytes, self.row() + self.layout.row as usize);
    }

    /// Asks for the text and elements of the record, which are away from its row.
    pub(crate) fn prefetch_values(&self) {
        for slots in self
            .layout
            .slots
            .iter()
            .filter(|slots| !slots.length.is_constant())
        {
            let start = slots.main.read(self.bytes, self.row()) as usize;
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
            let null = slots.null.read(self.bytes, self.row()) == 1;
            match column.value(row) {
                Value::Null => null,
                Value::Fixed(word) => !null && slots.main.read(self.bytes, self.row()) == word,
                Value::Var(value) => {
                    !null
                        && slots.length.read(self.bytes, self.row()) == value.len() as u64
                        && read_var(self.bytes, 0, self.row(), slots) == Some(value)
                }
                Value::Elements(ordinals) => {
                    let found = Elements::read(self.bytes, 0, self.row(), slots);
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
            .any(|d| d.slots.null.read(self.bytes, self.row()) == 0)
    }
}
