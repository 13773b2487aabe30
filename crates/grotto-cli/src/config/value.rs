//! Values that are more than text or numbers.
//!
//! Owns: reading them where they stand, so that a complaint names their own line and column.
//! Never: sets a default.

use crate::place;
use grotto::store::{MAX_INLINE_BYTES, StoreUrl};
use serde::de::{Deserializer, Error, Visitor};
use std::fmt;
use std::time::Duration;

/// Most threads that can be asked for.
const MOST_THREADS: u64 = 1024;

/// Text that stands for a value, and how to read it.
struct Text<T>(&'static str, fn(&str) -> Result<T, String>);

impl<T> Visitor<'_> for Text<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<T>, E> {
        (self.1)(text).map(Some).map_err(E::custom)
    }
}

struct Threads;

impl Visitor<'_> for Threads {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1 to {MOST_THREADS}")
    }

    fn visit_u64<E: Error>(self, count: u64) -> Result<Option<usize>, E> {
        match usize::try_from(count) {
            Ok(threads) if (1..=MOST_THREADS).contains(&count) => Ok(Some(threads)),
            _ => Err(E::custom(format!(
                "expected 1 to {MOST_THREADS}, found {count}"
            ))),
        }
    }
}

struct InlineBlobs;

impl Visitor<'_> for InlineBlobs {
    type Value = Option<u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0 to {MAX_INLINE_BYTES} bytes")
    }

    fn visit_u64<E: Error>(self, bytes: u64) -> Result<Option<u64>, E> {
        if bytes <= MAX_INLINE_BYTES as u64 {
            return Ok(Some(bytes));
        }
        Err(E::custom(format!(
            "expected 0 to {MAX_INLINE_BYTES} bytes, found {bytes}"
        )))
    }
}

pub(super) fn store_url<'de, D: Deserializer<'de>>(value: D) -> Result<Option<StoreUrl>, D::Error> {
    value.deserialize_str(Text("a folder or url", |text| {
        StoreUrl::parse(text).map_err(|e| e.message().to_owned())
    }))
}

/// Text, or a number that stands for it as it is written.
struct Plain<T>(&'static str, fn(&str) -> Result<T, String>);

impl<T> Visitor<'_> for Plain<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<T>, E> {
        (self.1)(text).map(Some).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<T>, E> {
        self.visit_str(&number.to_string())
    }
}

/// A mode may be written without quotation marks: 750 is what it looks like.
pub(super) fn mode<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u32>, D::Error> {
    value.deserialize_any(Plain("a mode such as 750", place::mode))
}

pub(super) fn name_or_number<'de, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<String>, D::Error> {
    value.deserialize_any(Plain("a group by name or number", |text| {
        Ok(text.to_owned())
    }))
}

pub(super) fn threads<'de, D: Deserializer<'de>>(value: D) -> Result<Option<usize>, D::Error> {
    value.deserialize_u64(Threads)
}

pub(super) fn inline_blobs<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u64>, D::Error> {
    value.deserialize_u64(InlineBlobs)
}

pub(super) fn interval<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Duration>, D::Error> {
    value.deserialize_str(Text("a duration such as 100ms", duration))
}

/// Reads a duration: a whole number with its unit, such as `100ms`, `5s`, `2m` or `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let refused = || format!("expected a duration such as 100ms, 5s, 2m or 1h, found {text:?}");
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| refused())?;
    let unit_ms = match unit.trim_start() {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(refused()),
    };
    match number.checked_mul(unit_ms) {
        Some(ms @ 1..=86_400_000) => Ok(Duration::from_millis(ms)),
        _ => Err(format!("expected a duration of 1ms to 24h, found {text:?}")),
    }
}
