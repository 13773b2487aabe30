//! Consumers: follow the versions of a dataset and serve the newest, zero-copy.
//!
//! Owns: planning a refresh, applying it, the state directory, polling, attached readers.
//! Never: writes to the store, but for a lease that it is told to keep; or serves anything but the whole and verified state of a version.
//!
//! ```no_run
//! # async fn example() -> Result<(), grotto_consumer::Error> {
//! use grotto_consumer::Consumer;
//! use grotto_store::{Store, StoreUrl};
//!
//! let store = Store::open(&StoreUrl::parse("/var/lib/grotto/store")?)?;
//! let consumer = Consumer::builder("cities", store).state_dir("/run/grotto/cities").start().await?;
//! let state = consumer.state(); // stays the same version for as long as it is held
//! let city = state.type_id("City").map(|city| state.count(city));
//! let attached = Consumer::attach("/run/grotto/cities")?; // in another process: no network, no copy
//! # let _ = (city, attached);
//! # Ok(())
//! # }
//! ```
//!
//! What a refresh changed is told to listeners, as records of both states; who refreshes gets the same.
//!
//! ```no_run
//! # use grotto_consumer::Consumer;
//! # use grotto_state::RecordType;
//! # fn example<City: RecordType>(consumer: &Consumer)
//! # where for<'a> City::Ref<'a>: std::fmt::Debug {
//! consumer.on_refresh(|refresh| match refresh.changes::<City>() {
//!     Err(error) => eprintln!("{error}"), // this version has no such type
//!     Ok(changes) => for change in changes {
//!         println!("{:?} instead of {:?}", change.after(), change.before());
//!     },
//! });
//! let handle = consumer.on_error(|error| eprintln!("not refreshed: {error}"));
//! handle.remove();
//! # }
//! ```
//!
//! Without an async runtime, [`ConsumerBuilder::start_blocking`] gives a [`blocking::Consumer`].
//!
//! A refresh is: plan, fetch, verify, apply, compare the state checksum, swap one pointer. A failure
//! at any step leaves the served state as it was and names version, blob and reason; a blob that is
//! damaged or missing is worked around where other blobs lead to the same version.
#![forbid(unsafe_code)]

mod attach;
pub mod blocking;
mod builder;
mod cache;
mod changes;
mod choice;
mod compare;
mod consumer;
mod dir;
mod error;
mod follower;
mod gauges;
mod guards;
mod history;
mod lease;
mod listeners;
mod memory;
mod metrics;
mod news;
mod pace;
mod place;
mod poll;
mod push;
mod refresh;
mod report;
mod scrub;
mod served;
mod shared;
mod start;
mod status;
mod step;
mod subscribe;
mod target;
mod told;
mod turn;
mod upkeep;
mod vitals;
mod watch;

pub use attach::Attached;
pub use builder::ConsumerBuilder;
pub use consumer::Consumer;
pub use dir::{DirReport, is_state_mode};
pub use error::{Error, ErrorKind, Result};
pub use grotto_state::{Change, Interest, State, TypeChanges};
pub use grotto_store::{BreakerState, PushLink};
pub use guards::Guards;
pub use listeners::ListenerHandle;
pub use metrics::Metrics;
pub use report::{Refresh, RefreshReport, StepKind, StepReport};
pub use status::{ConsumerStatus, Health, HeldVersion, PushStatus};
pub use subscribe::{Position, Subscribe, Subscription, Update};
pub use told::Told;
