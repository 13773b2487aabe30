//! What must be true all the time.
//!
//! Owns: the model of the dataset and what is compared with it. Never: causes anything.

mod entry;
mod lease;
mod ledger;
mod leftovers;
mod limits;
mod pace;
mod reach;
mod relay;
mod served;
mod shelf;
mod stream;

pub(crate) use lease::check_lease;
pub(crate) use ledger::{Attempt, Content, Ledger};
pub(crate) use leftovers::{Leftovers, Purpose};
pub(crate) use limits::{Limits, ServedAt, counts, keeps};
pub(crate) use pace::Pace;
pub(crate) use reach::check_reach;
pub(crate) use relay::{RELAY, Records, Relay, own_record, token_of};
pub(crate) use served::{SCHEMA, check_served, check_served_since, kept_of, said};
pub(crate) use shelf::{SHELF, Shelf};
pub(crate) use stream::{Changes as StreamChanges, MARKER, Stream};
