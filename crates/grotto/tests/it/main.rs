//! Typed and untyped access through the facade, as users see it.

mod build;
mod evolved;
mod keys;
mod kinds;
mod schemas;
mod untyped;
