//! The producer: records in, versions out.
//!
//! Owns: cycles, validation, the integrity check before a commit, publishing, snapshots in the
//! background, restoring after a restart. Never serves reads to others.
//!
//! **Invariants**
//! - Nothing refers to a blob before its version was validated, and nothing is visible before the
//!   log entry exists.
//! - A cycle that fails, for whatever reason, leaves the committed state as it was; the next cycle
//!   starts from it.
//! - At most one cycle runs at a time.
//!
//! ```no_run
//! # async fn example() -> Result<(), grotto_producer::Error> {
//! use grotto_format::Schema;
//! use grotto_producer::Producer;
//! use grotto_store::{Store, StoreUrl};
//!
//! let schema = Schema::parse("City @PrimaryKey(id) { long id; string name; }")?;
//! let store = Store::open_writable(&StoreUrl::parse("/var/lib/grotto/store")?)?;
//! let producer = Producer::builder("cities", store).schema(schema).open().await?;
//! let published = producer
//!     .run_cycle(|cycle| {
//!         cycle.add_json("City", r#"{"id":1,"name":"Bern"}"#, 1)?;
//!         Ok(())
//!     })
//!     .await?;
//! if let Some(published) = published {
//!     println!("version {}", published.version);
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod aside;
mod builder;
mod chores;
mod csv;
mod cycle;
pub mod dead_letter;
mod guard;
mod metrics;
mod ndjson;
mod notes;
mod open;
pub mod pipeline;
mod producer;
mod publish;
mod restore;
mod run;
mod snapshot;
mod spool;
mod takeover;
mod validate;
pub mod wal;

pub use builder::ProducerBuilder;
pub use csv::{CsvRow, CsvText};
pub use cycle::{FullCycle, IncrementalCycle};
pub use grotto_error::{AnyError, Error, ErrorKind, Result};
pub use grotto_state::Mode;
pub use grotto_store::{Announcement, Announcer};
pub use metrics::Metrics;
pub use ndjson::{NdjsonInput, Progress};
pub use open::OpenCycle;
pub use pipeline::{Ack, Batch, Pipeline, PipelineBuilder, PipelineOptions, PipelineStatus};
pub use producer::Producer;
pub use publish::{Published, Times};
pub use validate::{Candidate, MinimumCount, RecordCountDrift, Validator};
