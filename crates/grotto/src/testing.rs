//! States for unit tests: made of records, without store, runtime or folder.
//!
//! ```
//! use grotto::{Record, State};
//!
//! #[derive(Record)]
//! #[grotto(key(sku))]
//! struct Product { sku: String, cents: i64, vendor: Vendor }
//!
//! #[derive(Record, Clone)]
//! #[grotto(key(name))]
//! struct Vendor { name: String }
//!
//! /// What is to be tested.
//! fn dearest(shop: &State) -> grotto::Result<Option<String>> {
//!     let dearest = shop.typed::<Product>()?.iter().max_by_key(|product| product.cents());
//!     Ok(dearest.map(|product| product.sku().to_owned()))
//! }
//!
//! # fn main() -> grotto::Result<()> {
//! let chaya = Vendor { name: "Chaya".into() };
//! let products = [
//!     Product { sku: "tea".into(), cents: 450, vendor: chaya.clone() },
//!     Product { sku: "cup".into(), cents: 900, vendor: chaya },
//! ];
//! let shop = grotto::testing::state().with_all(&products).build()?;
//! assert_eq!(dearest(&shop)?.as_deref(), Some("cup"));
//!
//! // The version after it: the tea is gone.
//! let later = grotto::testing::state().with(&products[1]).after(&shop).build()?;
//! assert_eq!((later.version(), later.typed::<Product>()?.len()), (2, 1));
//! # Ok(())
//! # }
//! ```
//!
//! For code that reads without types, records come as JSON:
//!
//! ```
//! # use grotto::{Schema, testing};
//! # fn main() -> grotto::Result<()> {
//! let schema = Schema::parse("Price @PrimaryKey(sku) { string sku; long cents; }").expect("a schema");
//! let prices = testing::state()
//!     .schema(schema)
//!     .with_json("Price", r#"{ "sku": "tea", "cents": 450 }"#)
//!     .build()?;
//! let tea = prices.find(prices.type_id("Price")?, "tea")?.expect("it is there");
//! assert_eq!(format!("{:?}", tea.view()), r#"Object(Price { sku: "tea", cents: 450 })"#);
//! # Ok(())
//! # }
//! ```
pub use grotto_state::testing::{StateBuilder, state};
