//! What a section of settings is made of.
//!
//! Owns: the form in which a key is stated once: its name, type, default, reader, and whether it may change while
//! the daemon runs. Never: knows a section.

use super::value::{Size, Word};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A setting as it is in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// Sections and name, joined by dots: `producer.batching.max_batch_size`.
    pub path: String,
    /// Its value, as one would write it.
    pub value: Value,
    /// Whether it may change while the daemon runs.
    pub live: bool,
}

/// A section, or all settings of a dataset.
pub(super) trait Section {
    /// Adds the keys below `at`.
    fn keys(&self, at: &str, keys: &mut Vec<Key>);
}

/// Settings that can be shown.
pub(super) trait Shown {
    fn shown(&self) -> Value;
}

impl Shown for u64 {
    fn shown(&self) -> Value {
        (*self).into()
    }
}

impl Shown for u16 {
    fn shown(&self) -> Value {
        (*self).into()
    }
}

impl Shown for f64 {
    fn shown(&self) -> Value {
        (*self).into()
    }
}

impl Shown for bool {
    fn shown(&self) -> Value {
        (*self).into()
    }
}

impl Shown for String {
    fn shown(&self) -> Value {
        self.as_str().into()
    }
}

impl Shown for PathBuf {
    fn shown(&self) -> Value {
        self.display().to_string().into()
    }
}

impl Shown for IpAddr {
    fn shown(&self) -> Value {
        self.to_string().into()
    }
}

impl Shown for Size {
    fn shown(&self) -> Value {
        self.to_string().into()
    }
}

impl Shown for grotto::StoreUrl {
    fn shown(&self) -> Value {
        self.to_string().into()
    }
}

impl Shown for grotto::push::PushUrl {
    fn shown(&self) -> Value {
        self.to_string().into()
    }
}

impl Shown for grotto::push::Channel {
    fn shown(&self) -> Value {
        self.as_str().into()
    }
}

impl Shown for Duration {
    fn shown(&self) -> Value {
        duration_text(*self).into()
    }
}

/// A time as one would write it: `90s`, `10m`.
pub(crate) fn duration_text(time: Duration) -> String {
    match time.as_millis() {
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}

impl Shown for BTreeMap<String, u64> {
    fn shown(&self) -> Value {
        self.iter()
            .map(|(name, number)| (name.clone(), Value::from(*number)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

/// Names; none of them are nothing.
impl Shown for BTreeSet<String> {
    fn shown(&self) -> Value {
        match self.is_empty() {
            true => Value::Null,
            false => self.iter().map(String::as_str).collect(),
        }
    }
}

impl<T: Shown> Shown for Option<T> {
    fn shown(&self) -> Value {
        self.as_ref().map_or(Value::Null, Shown::shown)
    }
}

/// The word of a value that is one of few.
pub(super) fn shown_word<T: Word>(value: T) -> Value {
    value.word().into()
}

/// A section whose keys are stated one per line: name, type, default, reader, and `live` where it may change
/// while the daemon runs.
macro_rules! section {
    (
        $(#[$doc:meta])*
        $name:ident {
            $($(#[$key_doc:meta])* $key:ident: $type:ty = $default:expr, $reader:tt $(, $live:ident)?;)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name {
            $($(#[$key_doc])* #[serde(deserialize_with = $reader)] pub $key: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }

        impl $crate::config::section::Section for $name {
            fn keys(&self, at: &str, keys: &mut Vec<$crate::config::section::Key>) {
                $(keys.push($crate::config::section::Key {
                    path: format!("{at}.{}", stringify!($key)),
                    value: $crate::config::section::Shown::shown(&self.$key),
                    live: $crate::config::section::is_live(&[$(stringify!($live))?]),
                });)*
            }
        }
    };
}
pub(super) use section;

/// Whether a key is marked as one that may change.
pub(super) fn is_live(marks: &[&str]) -> bool {
    !marks.is_empty()
}
