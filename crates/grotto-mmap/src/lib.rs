//! Sealed files and large buffers as [`Bytes`](bytes::Bytes), prefetch hints, and two inner loops that
//! need the processor's help.
//!
//! Owns: every `unsafe` block of the project, each with its proof. Never: knows what the bytes
//! mean, leaves a file behind, or lets a reader see a mapping that could be unmapped under it: a mapping
//! is owned by the `Bytes` made of it and lives as long as the last of them.
#![deny(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block
)]

mod buffer;
mod huge;
mod lanes;
mod prefetch;
mod sealed;
mod spool;
mod text;

pub use buffer::HugeBuffer;
pub use huge::HUGE_AT;
pub use lanes::equal_bytes;
pub use prefetch::prefetch;
pub use sealed::{map_sealed, map_sealed_path};
pub use spool::Spool;
pub use text::text;
