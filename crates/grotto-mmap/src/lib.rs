//! Sealed files and large buffers as [`Bytes`](bytes::Bytes), and prefetch hints.
//!
//! Owns: every `unsafe` block of the project, each with its proof. Never: knows what the bytes
//! mean, writes a file, or lets a reader see a mapping that could be unmapped under it: a mapping
//! is owned by the `Bytes` made of it and lives as long as the last of them.
#![deny(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block
)]

mod huge;
mod prefetch;
mod sealed;

pub use huge::{HUGE_AT, huge_bytes};
pub use prefetch::prefetch;
pub use sealed::{map_sealed, map_sealed_path};
