//! Typed records: Rust structs over a state.
//!
//! Owns: how Rust types map to schema types ([`Element`], [`Value`], [`RecordType`], mostly
//! implemented by `#[derive(Record)]`), binding them to the schema of a dataset, reading in place
//! and writing flat records. Never interprets bytes itself: everything goes through
//! [`Record`](crate::Record).
//!
//! | Rust | schema | accessor gives |
//! |---|---|---|
//! | `i32` `i64` `f32` `f64` `bool` | `int` `long` `float` `double` `boolean` | the value |
//! | `String`, `Vec<u8>` | `string`, `bytes` | `&str`, `&[u8]` |
//! | `Option<T>` | as `T`, null for `None` | `Option` of what `T` gives |
//! | struct with `#[derive(Record)]` `S` | reference to `S` | `SRef` |
//! | `Vec<T>` | reference to `ListOfT` | [`ListRef`] |
//! | `HashSet<T>`, `BTreeSet<T>` | reference to `SetOfT`, with `hash_key(id)` to `SetOfTById` | [`SetRef`] |
//! | `HashMap<K, V>`, `BTreeMap<K, V>` | reference to `MapOfKToV`, likewise | [`MapRef`] |
//! | `Box<T>` | as `T` | as `T` |
//! | enum without data | `string`, with `#[grotto(int)]` `int` | the enum |
//! | newtype `N(T)` | as `T` | as `T` |
//! | any type, by `#[grotto(with = "module")]` | as `module::Stored` | the type |
//!
//! Elements, keys and values are records of their own, so a scalar there is in a wrapper such as
//! `Long { long value; }`. A scalar field binds to a plain field and to a reference to a wrapper
//! alike.
//!
//! **Reading never fails after binding.** Fields are matched by name. What the dataset lacks, and
//! null where the struct has no `Option`, reads as the default: 0, `false`, empty text, no elements,
//! and for a nested struct a record all of whose fields read so. Who would rather know asks
//! [`State::typed_strict`](crate::State::typed_strict).

mod access;
mod bind;
mod boxed;
mod cache;
mod collection;
mod cursor;
mod declare;
mod encode;
mod keys;
mod map;
mod owned;
mod parallel;
mod scalar;
mod value;

pub use access::Typed;
pub use bind::{Binder, Bound, Fields, NodeId, Slot};
pub use cache::Bindings;
pub use collection::{ListRef, RefIter, SetRef};
pub use cursor::Cursor;
pub use declare::{Declarations, DeclaredFields};
pub use encode::{Encoder, ObjectWriter, Writer};
pub use keys::{FoundBy, KeyKind, KeyNode, KeyOf, key_node};
pub use map::{MapRef, MapRefIter};
pub use owned::OwnedRef;
pub use scalar::Dedup;
pub use value::{Element, Hashed, Owning, RecordRef, RecordType, Value};
