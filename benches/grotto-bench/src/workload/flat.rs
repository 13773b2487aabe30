//! Workload `flat`: one type, eight fields, no references.
//!
//! Owns: its records. Never changes: figures of different days are compared.

use super::digest::Digest;
use super::rng::{Rng, Words, id};
use super::{Ref, Workload};
use grotto::Record;
use grotto_format::flat::FlatBuilder;

/// A product of a shop.
#[derive(Clone, Debug, PartialEq, Record)]
#[grotto(key(id))]
pub struct Product {
    /// Primary key.
    pub id: i64,
    /// 12 to 40 characters.
    pub title: String,
    /// Price; changes.
    pub cents: i32,
    /// Pieces; changes.
    pub stock: i32,
    /// One of 500.
    pub category: i32,
    /// 0 to 5 in steps of 0.01.
    pub rating: f32,
    /// True nine times in ten.
    pub active: bool,
    /// Milliseconds since 1970; changes.
    pub updated_at: i64,
}

/// The workload.
#[derive(Debug, Default)]
pub struct Flat {
    words: Words,
}

impl Workload for Flat {
    type Record = Product;
    type Typed = Product;

    const NAME: &'static str = "flat";
    const SCHEMA: &'static str = "Product @PrimaryKey(id) { long id; string title; int cents; \
        int stock; int category; float rating; boolean active; long updated_at; }";

    fn new(_n: u64) -> Self {
        Self::default()
    }

    fn record(&self, index: u64, revision: u64) -> Product {
        let (mut fixed, mut changing) = (Rng::fixed(index), Rng::changing(index, revision));
        // Fields draw in this order; moving a line changes every record.
        Product {
            id: id(index),
            title: self.words.text(&mut fixed, 12, 29),
            category: fixed.below(500) as i32,
            rating: fixed.below(501) as f32 / 100.0,
            active: fixed.below(10) != 0,
            cents: changing.below(1_000_000) as i32,
            stock: changing.below(10_000) as i32,
            updated_at: 1_700_000_000_000 + changing.below(31_536_000_000).cast_signed(),
        }
    }

    fn key(record: &Product) -> i64 {
        record.id
    }

    fn digest(&self, record: &Product) -> u64 {
        Digest::of(record.id)
            .word(record.cents as u64)
            .word(record.stock as u64)
            .word(record.category as u64)
            .word(u64::from(record.rating.to_bits()))
            .word(u64::from(record.active))
            .word(record.updated_at.cast_unsigned())
            .text(&record.title)
            .done()
    }

    fn write(&self, record: &Product, out: &mut FlatBuilder) {
        let mark = out.begin_object();
        out.field(0);
        out.long(record.id);
        out.field(1);
        out.var(record.title.as_bytes());
        for (position, value) in [(2, record.cents), (3, record.stock), (4, record.category)] {
            out.field(position);
            out.int(value);
        }
        out.field(5);
        out.float(record.rating);
        out.field(6);
        out.boolean(record.active);
        out.field(7);
        out.long(record.updated_at);
        out.end_object(mark, 8);
    }

    #[inline]
    fn number(record: Ref<'_, Self>) -> i64 {
        i64::from(record.cents())
    }

    #[inline]
    fn text<'a>(record: Ref<'a, Self>) -> &'a str {
        record.title()
    }

    fn digest_read(record: Ref<'_, Self>) -> u64 {
        Digest::of(record.id())
            .word(record.cents() as u64)
            .word(record.stock() as u64)
            .word(record.category() as u64)
            .word(u64::from(record.rating().to_bits()))
            .word(u64::from(record.active()))
            .word(record.updated_at().cast_unsigned())
            .text(record.title())
            .done()
    }
}
