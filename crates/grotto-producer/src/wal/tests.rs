//! The write-ahead log on a disk that forgets and fails, and on the one of this host.

mod crash;
mod damage;
pub(super) mod format;
mod host;
pub(super) mod kit;
mod limits;
mod model;
mod release;
mod schemas;
