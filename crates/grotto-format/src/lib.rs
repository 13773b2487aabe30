//! The formats of Grotto: schema and its language, record codec, record batches, blob framing,
//! log entries and checksums.
//!
//! Owns: every byte that leaves a process, and the schema that gives the bytes a meaning.
//! Never does: input or output, async, threads, `unsafe`. Everything here turns bytes into values
//! and values into bytes; bytes that come in are untrusted and may cause an error, never a panic.
//! The bytes are specified in `docs/format/spec.md`.
#![forbid(unsafe_code)]

pub mod batch;
pub mod blob;
pub mod checksum;
pub mod flat;
pub mod json;
pub mod limits;
pub mod log;
pub mod schema;
mod wire;

pub use flat::{FlatBuilder, FlatReader, FlatRecord};
pub use limits::{Limits, OverLimit};
pub use schema::{
    Field, FieldPath, FieldType, KeySpec, ObjectSchema, Schema, TypeId, TypeKind, TypeSchema,
};
pub use wire::WireError;
