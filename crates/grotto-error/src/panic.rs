//! What a panic says.
//!
//! Owns: reading it, for messages about closures and listeners of callers. Never: catches one.

use std::any::Any;

/// The message of a panic, as `catch_unwind` and `JoinError` give it.
#[must_use]
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a message")
}
