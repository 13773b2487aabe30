//! What must be true all the time.
//!
//! Owns: the model of the dataset and what is compared with it. Never: causes anything.

mod ledger;
mod leftovers;
mod reach;
mod served;
mod stream;

pub(crate) use ledger::{Attempt, Content, Ledger};
pub(crate) use leftovers::{Leftovers, Purpose};
pub(crate) use reach::check_reach;
pub(crate) use served::{SCHEMA, check_served, said};
pub(crate) use stream::{Changes as StreamChanges, MARKER, Stream};
