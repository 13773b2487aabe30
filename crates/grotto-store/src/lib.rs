//! The store of a dataset: blobs, the commit log, and the fence that keeps writers apart.
//!
//! Owns: everything under a dataset's prefix in an object store. Creating `log/<n+1>` is the commit
//! and the fence; nothing else decides who writes. Never: knows what a record is, or trusts a byte
//! that it did not verify. Spec: `docs/format/spec.md`, section "Commit log".
//!
//! ```no_run
//! # async fn example() -> Result<(), grotto_store::Error> {
//! use grotto_store::{Dataset, Store, StoreUrl};
//!
//! let store = Store::open(&StoreUrl::parse("/var/lib/grotto/store")?)?;
//! let cities = Dataset::open(store, "cities")?;
//! if let Some(head) = cities.head().await? {
//!     println!("version {} of {}", head.version, head.dataset);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! **Invariants**: a version is visible whole or not at all. A blob is reached only through the log
//! or a snapshot announcement. A writer that lost its slot never writes again. "Not found" is an
//! answer wherever an object may rightly be absent, never an error.
#![forbid(unsafe_code)]

mod accepted;
mod archive;
mod backend;
mod blob;
mod breaker;
mod cache;
mod collect;
mod confirm;
mod control;
mod copy;
mod dataset;
mod error;
pub mod excerpt;
mod fallback;
mod folder;
pub mod follow;
mod head;
mod layout;
mod lease;
mod location;
mod object;
mod options;
mod outline;
pub mod plan;
mod pointer;
mod push;
mod retry;
mod route;
mod source;
mod standby;
mod sweep;
mod wal_slots;
mod whole;
mod writer;

pub use accepted::Acceptance;
pub use breaker::{BreakerOptions, BreakerState, CircuitBreaker};
pub use cache::{BlobCache, BlobKey};
pub use collect::{Collection, Doomed, Hold, Retention, Why};
pub use confirm::Confirm;
pub use copy::{Copied, CopyFault, CopyHold, CopyOptions, CopyStep, CopyWatch};
pub use dataset::{Dataset, Next};
pub use error::{Error, ErrorKind, Result};
pub use folder::{FolderSync, SystemSync};
pub use grotto_format::log::{
    AcceptedVersion, Announcement, BlobKind, BlobRef, CollectedRow, EntryBlobs, EntryKind,
    InlineBlobs, LeaderHint, Lease, LeaseTold, Link, Links, LogEntry, Pointer, RecordChanges,
    SnapshotEntry, SnapshotRef, StepNonce, Stored, StoredBlobs, ToldBy, TypeSummary,
};
pub use head::EntryMark;
pub use layout::{ChannelId, ConsumerId};
pub use lease::{FoundLease, LeaseContent, LeaseObserver, Leases};
pub use location::{Access, BucketUrl, StoreUrl, Vendor};
pub use object::Store;
pub use options::{Parts, Ranges, StoreOptions};
pub use outline::Outline;
pub use pointer::{FoundPointer, Note, PointerName};
pub use push::{Announcements, Announcer, Feed, HeardCounts, Hint, PushLink, announcements};
pub use retry::RetryPolicy;
pub use source::Source;
pub use standby::{Standby, StandbyOptions, Turn, Vacancy};
pub use sweep::Leftover;
pub use wal_slots::{ListedSlot, MAX_SLOT_BYTES, SlotOwner, WalSlots};
pub use writer::{CommitFields, MAX_INLINE_BYTES, Uploaded, Writer, WriterOptions};
