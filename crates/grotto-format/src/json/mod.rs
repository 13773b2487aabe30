//! Records as JSON, in and out.
//!
//! Owns: how a record looks in JSON. Never keeps records and never reads more than one at a time:
//! lines, files and their numbers belong to the caller. Text that comes in is untrusted.
//! Spec: `docs/format/spec.md`, section "JSON".
//!
//! | type | JSON |
//! |---|---|
//! | int, long | number without fraction or exponent, within range |
//! | float, double | any number within range; `"NaN"`, `"Infinity"`, `"-Infinity"` |
//! | boolean, string | the same |
//! | bytes | string in standard base64 |
//! | object | object; a field that is null or absent is null; nulls are not printed |
//! | wrapper such as `String { string value; }` | the plain value, or the object |
//! | list, set | array |
//! | map | object if the key wraps a string, else (or also) array of `{"key":…,"value":…}` |
//!
//! A wrapper that holds null prints as `{"value":null}`, to stay distinct from a null reference.
//! A float is read as a double and rounded once more; every printed float reads back unchanged.

mod decode;
mod encode;
mod error;
mod key;
mod map;
mod object;
#[cfg(test)]
mod refusal_tests;
mod scalar;
#[cfg(test)]
mod tests;
mod text;
mod written;

pub use encode::encode;
pub use error::{JsonError, LineError};
pub use key::{KeyError, KeyPart, Keys, decode_key, decode_keys};
pub use map::has_text_keys;
pub use text::JsonText;
pub use written::WrittenValue;

use crate::flat::FlatBuilder;
use crate::schema::{Schema, TypeId};

/// Longest text of one record, in bytes. Its flat form stays far below 4 GiB.
pub const MAX_TEXT: usize = 64 << 20;

/// Appends the record that `text` holds to `builder`. On an error `builder` is as it was before.
///
/// # Errors
/// With the field, what was expected there and what was found, when the text is not exactly one
/// record of the type.
pub fn decode(
    schema: &Schema,
    type_id: TypeId,
    text: impl AsRef<[u8]>,
    builder: &mut FlatBuilder,
) -> Result<(), JsonError> {
    let start = builder.bytes().len();
    let result = decode::record(schema, type_id, text.as_ref(), builder);
    if result.is_err() {
        builder.truncate(start);
    }
    result
}
