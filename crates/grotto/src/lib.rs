//! Grotto: the same read-mostly data in every process of a fleet, consistent, versioned and
//! reversible.
//!
//! One **producer** turns records into versions in an object store. **Consumers** in any number of processes follow the
//! versions and read the newest from memory, without copying: a lookup is a hash-table lookup. A version arrives whole or
//! not at all, and every one that is still in the store can be returned to.
//!
//! ```
//! use grotto::{Consumer, Producer, Record, Store, StoreUrl};
//! use std::time::Duration;
//!
//! #[derive(Record)]
//! #[grotto(key(sku))]
//! struct Product {
//!     sku: String,
//!     cents: i64,
//!     #[grotto(dedup)]
//!     vendor: Option<String>,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> grotto::Result<()> {
//! # let folder = tempfile::tempdir().expect("a folder");
//! # let (store, state_dir) = (folder.path().join("store"), folder.path().join("state"));
//! # let url = StoreUrl::parse(&store.to_string_lossy())?;
//! // Publish. `url` is a folder, such as "/srv/grotto": the stores that this build has are folders and memory.
//! let producer = Producer::builder("prices", Store::open_writable(&url)?)
//!     .declare::<Product>()
//!     .open()
//!     .await?;
//! let tea = Product { sku: "tea".into(), cents: 450, vendor: Some("Chaya".into()) };
//! producer.run_cycle(move |cycle| Ok(cycle.add(&tea)?)).await?;
//!
//! // Follow: in another process, on another host.
//! let consumer = Consumer::builder("prices", Store::open(&url)?).state_dir(&state_dir).start().await?;
//! consumer.on_refresh(|refresh| println!("version {} instead of {}", refresh.to, refresh.from));
//!
//! // Read. A state stays the version that it is for as long as it is held.
//! let state = consumer.state();
//! let tea = state.get::<Product>("tea")?.expect("it was published");
//! assert_eq!((tea.cents(), tea.vendor()), (450, Some("Chaya")));
//!
//! // Change one record; consumers apply just that.
//! let dearer = Product { sku: "tea".into(), cents: 470, vendor: None };
//! producer.run_incremental(move |cycle| Ok(cycle.upsert(&dearer)?)).await?;
//! let newer = consumer.wait_for(2, Duration::from_secs(30)).await?;
//! assert_eq!(newer.get::<Product>("tea")?.map(|tea| tea.cents()), Some(470));
//! assert_eq!(tea.cents(), 450, "the state held before");
//!
//! // Attach: other processes of the host map the same memory, without network and without a copy.
//! let attached = Consumer::attach(&state_dir)?;
//! assert_eq!(attached.wait_for(2, Duration::from_secs(30))?.version(), 2);
//! # consumer.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What needs an async runtime
//!
//! What talks to a store ([`Producer`], [`Consumer`]) needs a tokio runtime with timers, and says so where there is none.
//! A [`consumer::blocking::Consumer`] brings its own: `Consumer::builder(..).start_blocking()?`.
//! Reading does not: a [`State`] is plain memory, shared by any number of threads. Neither does [`Consumer::attach`], which
//! follows the state directory on a thread of its own. Closures that fill a cycle run on a thread that may block;
//! to fill one from async code, take a handle: [`Producer::begin_cycle`].
//!
//! # What a record may hold
//!
//! | Rust | schema | read as |
//! |---|---|---|
//! | `bool`, `i32`, `i64`, `f32`, `f64` | `boolean`, `int`, `long`, `float`, `double` | the value |
//! | `String`, `Vec<u8>` | `string`, `bytes` | `&str`, `&[u8]` |
//! | `Option<T>` | the same, or null | `Option` |
//! | another record | a reference: stored once, however many refer to it | its accessor |
//! | `Vec<T>` | a list | an iterator, or by position |
//! | `HashSet<T>`, `BTreeSet<T>` | a set | an iterator, or `contains` |
//! | `HashMap<K, V>`, `BTreeMap<K, V>` | a map | an iterator, or `get` |
//! | an enum without data, a newtype | text or an integer; what is in it | the enum; what is in it |
//! | any other type, by `#[grotto(with = "module")]` | what the module makes of it | the type |
//!
//! A null that is read through a field that is no `Option` is zero, false or empty. The attributes are listed at
//! [`derive@Record`].
//!
//! # What is where
//!
//! | | |
//! |---|---|
//! | [`producer`] | cycles, validators, NDJSON and CSV in, snapshots |
//! | [`consumer`] | refreshes and what they changed, listeners, subscriptions, pinned versions, state directories, attached readers; [`blocking`](consumer::blocking) |
//! | [`store`] | where versions are, the log, fencing |
//! | [`push`] | versions announced through Redis or NATS |
//! | [`State`], [`Typed`], [`RecordRef`], [`OwnedRef`] | reading, with types and without |
//! | [`Error`], [`ErrorKind`] | the one error, and what to do about it |
//! | [`schema`], [`Declarations`] | schemas as text, and from structs |
//! | [`Record`](struct@Record), [`View`], [`Field`] | reading by type and field name |
//! | [`testing`] | states for unit tests, made of records |
//! | [`engine`] | the engine's inner parts, which are not a stable face |
//!
//! This crate has no code of its own: each module is a crate of the project.
#![forbid(unsafe_code)]

pub mod testing;

pub use grotto_consumer as consumer;
pub use grotto_derive::Record;
pub use grotto_error::{AnyError, Error, ErrorKind, Result};
pub use grotto_producer as producer;
pub use grotto_push as push;
pub use grotto_store as store;

pub use grotto_consumer::{Attached, Consumer};
pub use grotto_format::schema::{self, Schema};
pub use grotto_producer::{Pipeline, PipelineOptions, Producer};
pub use grotto_state::{
    Declarations, Encoder, Field, Key, KeyValue, NoKey, OwnedRef, Record, RecordRef, RecordType,
    State, Typed, View,
};
pub use grotto_store::{Store, StoreUrl};

/// The engine's inner parts: what this library, its tools and its simulator are made of. **Not a stable face**:
/// they change with any version, and nothing outside of this project needs them to publish, follow or read.
pub mod engine {
    pub use grotto_env as env;
    pub use grotto_error::panic_text;
    pub use grotto_format as format;
    pub use grotto_state as state;
}

/// What the code generated by `#[derive(Record)]` refers to. Not for use by hand.
///
/// The traits behind it accept what records can hold, by whatever name:
///
/// ```
/// type Id = i64;
/// #[derive(grotto::Record)]
/// struct City { id: Id, seen: Vec<Vec<u8>> }
/// ```
///
/// and nothing else, be it a foreign type,
///
/// ```compile_fail,E0277
/// #[derive(grotto::Record)]
/// struct City { id: i64, seen: std::time::Duration }
/// ```
///
/// an alias of a type without a place in the schema,
///
/// ```compile_fail,E0277
/// type Id = u64;
/// #[derive(grotto::Record)]
/// struct City { id: Id }
/// ```
///
/// a struct that is not a record, or an attribute on the wrong kind of field:
///
/// ```compile_fail,E0277
/// struct Country { code: String }
/// #[derive(grotto::Record)]
/// struct City { country: Option<Country> }
/// ```
///
/// ```compile_fail,E0277
/// #[derive(grotto::Record)]
/// struct City { #[grotto(dedup)] id: i64 }
/// ```
///
/// ```compile_fail,E0277
/// #[derive(grotto::Record)]
/// struct City { #[grotto(hash_key(value))] names: Vec<String> }
/// ```
#[doc(hidden)]
pub mod derive_support {
    pub use grotto_format::schema::{FieldType, TypeId};
    pub use grotto_state::typed::{
        Binder, Bindings, Cursor, Declarations, DeclaredFields, Dedup, Element, Fields, FoundBy,
        KeyKind, KeyNode, KeyOf, NodeId, ObjectWriter, Owning, RecordRef, RecordType, Value,
        Writer, key_node,
    };
    pub use grotto_state::{Key, KeyValue, NoKey, StateResult};
}
