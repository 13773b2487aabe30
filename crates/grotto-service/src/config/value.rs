//! Values that are more than text or numbers.
//!
//! Owns: reading them where they stand, so that a complaint names their own line and column.
//! Never: sets a default.

use super::consumer::Mode;
use bytesize::ByteSize;
use grotto::consumer::is_state_mode;
use grotto::push::{Channel, PushUrl};
use grotto::store::{ChannelId, MAX_INLINE_BYTES, StoreUrl};
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Most bytes of blobs that ride in a log entry.
pub(super) const MOST_INLINE: u64 = MAX_INLINE_BYTES as u64;
/// A number without an upper limit of its own.
pub(super) const ANY: u64 = i64::MAX as u64;

/// Text that stands for a value, and how to read it.
struct Text<T>(&'static str, fn(&str) -> Result<T, String>);

impl<T> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.1)(text).map_err(E::custom)
    }
}

/// Text, or a number that stands for it as it is written.
struct Plain<F>(&'static str, F);

impl<T, F: Fn(&str) -> Result<T, String>> Visitor<'_> for Plain<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.1)(text).map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }
}

/// A whole number within limits.
struct Count(u64, u64);

impl Visitor<'_> for Count {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(min, ANY) => write!(f, "a number of at least {min}"),
            Self(min, max) => write!(f, "{min} to {max}"),
        }
    }

    fn visit_u64<E: Error>(self, count: u64) -> Result<u64, E> {
        if (self.0..=self.1).contains(&count) {
            return Ok(count);
        }
        Err(outside(&self, count))
    }

    fn visit_i64<E: Error>(self, count: i64) -> Result<u64, E> {
        Err(outside(&self, count))
    }
}

fn outside<E: Error>(count: &Count, found: impl fmt::Display) -> E {
    struct Shown<'a>(&'a Count);
    impl fmt::Display for Shown<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.expecting(f)
        }
    }
    E::custom(format!("expected {}, found {found}", Shown(count)))
}

pub(super) fn count<'de, const MIN: u64, const MAX: u64, D: Deserializer<'de>>(
    value: D,
) -> Result<u64, D::Error> {
    value.deserialize_u64(Count(MIN, MAX))
}

/// A number, or nothing.
pub(super) fn some_count<'de, const MIN: u64, const MAX: u64, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<u64>, D::Error> {
    struct Within<const MIN: u64, const MAX: u64>(u64);
    impl<'de, const MIN: u64, const MAX: u64> serde::Deserialize<'de> for Within<MIN, MAX> {
        fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
            count::<MIN, MAX, D>(value).map(Self)
        }
    }
    let given: Option<Within<MIN, MAX>> = serde::Deserialize::deserialize(value)?;
    Ok(given.map(|Within(count)| count))
}

/// A number that is not negative.
pub(super) fn real<'de, D: Deserializer<'de>>(value: D) -> Result<f64, D::Error> {
    value.deserialize_any(Plain("a number", |text: &str| match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err(format!("expected a number of at least 0, found {text:?}")),
    }))
}

pub(super) fn port<'de, D: Deserializer<'de>>(value: D) -> Result<u16, D::Error> {
    // Within the limits of the type.
    count::<0, 65535, D>(value).map(|port| u16::try_from(port).unwrap_or_default())
}

pub(super) fn flag<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    serde::Deserialize::deserialize(value)
}

pub(super) fn name<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    let text = |text: &str| match text {
        "" => Err("expected a name, found empty text".to_owned()),
        name => Ok(Some(name.to_owned())),
    };
    value.deserialize_any(Plain("a name", text))
}

/// The name of a channel, which is part of the name of an object.
pub(super) fn channel<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    value.deserialize_any(Plain("a channel", |text: &str| {
        let channel = ChannelId::parse(text).map_err(|e| e.message().to_owned())?;
        Ok(Some(channel.to_string()))
    }))
}

/// A list of names.
pub(super) fn names<'de, D: Deserializer<'de>>(value: D) -> Result<BTreeSet<String>, D::Error> {
    struct One(String);
    impl<'de> serde::Deserialize<'de> for One {
        fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
            name(value).map(|name| Self(name.unwrap_or_default()))
        }
    }
    let names: Vec<One> = serde::Deserialize::deserialize(value)?;
    Ok(names.into_iter().map(|One(name)| name).collect())
}

pub(super) fn path<'de, D: Deserializer<'de>>(value: D) -> Result<PathBuf, D::Error> {
    let text = |text: &str| match text {
        "" => Err("expected a path, found empty text".to_owned()),
        path => Ok(PathBuf::from(path)),
    };
    value.deserialize_str(Text("a path", text))
}

pub(super) fn some_path<'de, D: Deserializer<'de>>(value: D) -> Result<Option<PathBuf>, D::Error> {
    path(value).map(Some)
}

pub(super) fn store_url<'de, D: Deserializer<'de>>(value: D) -> Result<Option<StoreUrl>, D::Error> {
    value.deserialize_str(Text("a folder or url", |text| {
        let url = StoreUrl::parse(text);
        url.map(Some).map_err(|e| e.message().to_owned())
    }))
}

pub(super) fn push_url<'de, D: Deserializer<'de>>(value: D) -> Result<Option<PushUrl>, D::Error> {
    value.deserialize_str(Text("an address", |text| {
        let url = PushUrl::parse(text);
        url.map(Some).map_err(|e| e.message().to_owned())
    }))
}

pub(super) fn push_channel<'de, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<Channel>, D::Error> {
    value.deserialize_any(Plain("the name of a channel", |text: &str| {
        let channel = Channel::parse(text);
        channel.map(Some).map_err(|e| e.message().to_owned())
    }))
}

/// A mode may be written without quotation marks: 750 is what it looks like.
pub(super) fn mode<'de, D: Deserializer<'de>>(value: D) -> Result<Option<u32>, D::Error> {
    value.deserialize_any(Plain("a mode such as 750", |text: &str| {
        folder_mode(text).map(Some)
    }))
}

/// Reads permission bits of a folder, such as `750`.
///
/// # Errors
/// When others than its owner could write to it, or the text is no mode.
pub fn folder_mode(text: &str) -> Result<u32, String> {
    let octal = (3..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..b'8').contains(&b));
    match u32::from_str_radix(text, 8) {
        Ok(mode) if octal && is_state_mode(mode) => Ok(mode),
        _ => Err(format!(
            "expected the mode of a folder that its owner alone may write to, such as 700, 750 or 755, found {text:?}"
        )),
    }
}

/// A mode of a socket: who may write to it may ask.
pub(super) fn socket_mode<'de, D: Deserializer<'de>>(value: D) -> Result<Mode, D::Error> {
    value.deserialize_any(Plain("a mode such as 660", |text: &str| {
        let octal = (3..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        match u32::from_str_radix(text, 8) {
            Ok(mode) if octal && mode & 0o600 == 0o600 && mode <= 0o777 => Ok(Mode(mode)),
            _ => Err(format!(
                "expected the mode of a socket that its owner may use, such as 600, 660 or 666, found {text:?}"
            )),
        }
    }))
}

pub(super) fn duration<'de, D: Deserializer<'de>>(value: D) -> Result<Duration, D::Error> {
    value.deserialize_any(Plain("a duration such as 100ms", parse_duration))
}

/// For how long something is kept, which may be days.
pub(super) fn age<'de, D: Deserializer<'de>>(value: D) -> Result<Duration, D::Error> {
    value.deserialize_any(Plain("an age such as 12h or 7d", |text: &str| {
        let days = text.strip_suffix('d').map(|days| days.trim_end().parse());
        let refused =
            || format!("expected an age of 1m to 366d, such as 12h or 7d, found {text:?}");
        let hours = text.strip_suffix('h').map(|hours| hours.trim_end().parse());
        let seconds: u64 = match (days, hours) {
            (Some(Ok(days @ 1..=366)), _) => days * 86_400,
            (_, Some(Ok(hours @ 1..=8_784))) => hours * 3_600,
            (None, None) => parse_duration(text).map_err(|_| refused())?.as_secs(),
            _ => return Err(refused()),
        };
        match seconds {
            60.. => Ok(Duration::from_secs(seconds)),
            _ => Err(refused()),
        }
    }))
}

/// Reads a duration: a whole number with its unit, such as `100ms`, `5s`, `2m` or `1h`.
///
/// # Errors
/// When the text is no duration of 1 ms to 24 h.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
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

/// A number of bytes, as people write it: `512MB`, `64MiB` or `65536`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u64); 8] = [
            ("TiB", 1 << 40),
            ("TB", 1_000_000_000_000),
            ("GiB", 1 << 30),
            ("GB", 1_000_000_000),
            ("MiB", 1 << 20),
            ("MB", 1_000_000),
            ("KiB", 1 << 10),
            ("kB", 1_000),
        ];
        let whole = |(_, unit): &&(&str, u64)| self.0 >= *unit && self.0.is_multiple_of(*unit);
        match UNITS.iter().find(whole) {
            Some((name, unit)) => write!(f, "{}{name}", self.0 / unit),
            None => write!(f, "{}", self.0),
        }
    }
}

pub(super) fn size<'de, const MIN: u64, const MAX: u64, D: Deserializer<'de>>(
    value: D,
) -> Result<Size, D::Error> {
    value.deserialize_any(Plain("a size such as 512MB", |text: &str| {
        let size = text.parse::<ByteSize>();
        let size = size
            .map_err(|_| format!("expected a size such as 512MB, 64MiB or 65536, found {text:?}"));
        let (size, min, max) = (Size(size?.as_u64()), Size(MIN), Size(MAX));
        if (min..=max).contains(&size) {
            return Ok(size);
        }
        Err(format!("expected a size of {min} to {max}, found {size}"))
    }))
}

/// A size, or nothing.
pub(super) fn some_size<'de, const MIN: u64, const MAX: u64, D: Deserializer<'de>>(
    value: D,
) -> Result<Option<Size>, D::Error> {
    struct Within<const MIN: u64, const MAX: u64>(Size);
    impl<'de, const MIN: u64, const MAX: u64> serde::Deserialize<'de> for Within<MIN, MAX> {
        fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
            size::<MIN, MAX, D>(value).map(Self)
        }
    }
    let given: Option<Within<MIN, MAX>> = serde::Deserialize::deserialize(value)?;
    Ok(given.map(|Within(size)| size))
}

/// A value that is one of few words.
pub(super) fn word<'de, T: Word, D: Deserializer<'de>>(value: D) -> Result<T, D::Error> {
    value.deserialize_any(Plain("a word", |text: &str| {
        let word = T::WORDS.iter().find(|(word, _)| *word == text);
        word.map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<&str> = T::WORDS.iter().map(|(word, _)| *word).collect();
            format!("expected one of {}, found {text:?}", words.join(", "))
        })
    }))
}

/// What a word stands for.
pub(super) trait Word: Copy + PartialEq + 'static {
    /// Each word with its value.
    const WORDS: &'static [(&'static str, Self)];

    /// The word of a value.
    fn word(self) -> &'static str {
        let word = Self::WORDS.iter().find(|(_, value)| *value == self);
        word.map_or("", |(word, _)| word)
    }
}

pub(super) fn address<'de, D: Deserializer<'de>>(value: D) -> Result<std::net::IpAddr, D::Error> {
    value.deserialize_any(Plain("an ip address", |text: &str| {
        text.parse()
            .map_err(|_| format!("expected an ip address such as 127.0.0.1, found {text:?}"))
    }))
}

/// Numbers by the names of types.
pub(super) fn by_type<'de, D: Deserializer<'de>>(
    value: D,
) -> Result<BTreeMap<String, u64>, D::Error> {
    value.deserialize_map(PerType)
}

struct PerType;

impl<'de> Visitor<'de> for PerType {
    type Value = BTreeMap<String, u64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("numbers by type, such as `City: 1000`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut numbers = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            numbers.insert(name, map.next_value::<Number>()?.0);
        }
        Ok(numbers)
    }
}

struct Number(u64);

impl<'de> serde::Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        count::<0, ANY, D>(value).map(Self)
    }
}
