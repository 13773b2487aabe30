//! The HTTP side of a daemon.
//!
//! Owns: connections, what every request goes through, bodies, and the form of answers. Never: decides what a
//! request means; the daemons do, with rules of their own.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod crew;
pub(crate) mod encoding;
pub(crate) mod guard;
pub(crate) mod listen;
pub(crate) mod outgoing;
pub(crate) mod paths;
pub(crate) mod patient;
pub(crate) mod server;
#[cfg(test)]
mod tests;
