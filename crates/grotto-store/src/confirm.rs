//! Stores where an object that can be read may still get lost.
//!
//! Owns: the [`Confirm`] trait. Never: writes an object.

use std::fmt;

use async_trait::async_trait;
use object_store::path::Path;

/// How a store whose writes are visible before they are on its disk says that one of them is there for
/// good. A folder is such a store: a file has its name before the name is synced, and the sync may fail.
///
/// A writer never takes what it reads back from such a store as proof of its own write, and confirms the
/// head of the log before it builds on it.
#[async_trait]
pub trait Confirm: fmt::Debug + Send + Sync {
    /// Returns once an object that was read is there for good.
    ///
    /// # Errors
    /// `NotFound` when it is gone: what held it went down before it was on the disk. Others when it cannot be made sure of.
    async fn confirm(&self, location: &Path) -> object_store::Result<()>;

    /// Whether nothing more is written until the store is opened again.
    fn is_spent(&self) -> bool {
        false
    }
}
