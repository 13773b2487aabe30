//! Blobs whose checksums are right and whose content is not: made by whoever can write to a store.
//!
//! Owns: the promise that such a blob causes an error, or a state that can be read, and never a
//! panic, a hang or more memory than the limits of the format allow.

mod bombs;
mod crafted;
pub(crate) mod forge;
mod mutated;
mod provoke;
mod roots;

use provoke::{apply, provoke, read_everything};

pub(crate) use forge::{Forge, constant, run_of_ordinals};
