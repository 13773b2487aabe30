//! A shop as its programs would be written: products, vendors, prices and categories, published by one program
//! and read by many. The tests say what those who write such programs rely on.
//!
//! Owns: the records, and a producer and consumers over a folder of its own. Never asserts anything by itself.

mod evolving;
mod fields;
mod listening;
mod publishing;
mod reading;
mod refusals;
mod threads;

use grotto::consumer::ConsumerBuilder;
use grotto::{Consumer, Declarations, Producer, Record, Schema, Store, StoreUrl};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

/// Long enough for any machine; nothing waits for it to pass.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Stored and looked up as text.
#[derive(Record, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sku(pub(crate) String);

#[derive(Record, Clone, Copy, Debug, PartialEq)]
pub(crate) enum Currency {
    #[grotto(rename = "EUR")]
    Euro,
    #[grotto(other)]
    Other,
}

#[derive(Record, Clone, Copy, Debug, PartialEq)]
#[grotto(int)]
pub(crate) enum Stock {
    #[grotto(other)]
    Unknown = 0,
    Plenty = 1,
    SoldOut = 2,
}

/// Without a key: equal prices are one record, however many products have them.
#[derive(Record, Clone, Debug, PartialEq)]
pub(crate) struct Price {
    pub(crate) cents: i64,
    pub(crate) currency: Currency,
}

#[derive(Record, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[grotto(key(code))]
pub(crate) struct Vendor {
    pub(crate) code: String,
    pub(crate) city: Option<String>,
}

/// A tree: each names the one that it is in.
#[derive(Record, Clone, Debug, PartialEq)]
#[grotto(key(id))]
pub(crate) struct Category {
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) inside: Option<Box<Category>>,
}

#[derive(Record, Clone, Debug, PartialEq)]
#[grotto(key(sku))]
pub(crate) struct Product {
    pub(crate) sku: Sku,
    pub(crate) price: Price,
    pub(crate) stock: Stock,
    pub(crate) category: Category,
    pub(crate) tags: HashSet<String>,
    /// By language.
    pub(crate) titles: BTreeMap<String, String>,
    /// Found by the vendor's code; `also` holds such records too, and finds them by nothing.
    #[grotto(hash_key(code))]
    pub(crate) vendors: BTreeMap<Vendor, Price>,
    pub(crate) also: BTreeSet<Vendor>,
    #[grotto(with = "as_bytes")]
    pub(crate) id: uuid::Uuid,
    #[grotto(with = "as_bits")]
    pub(crate) views: u64,
    #[grotto(dedup)]
    pub(crate) maker: Option<String>,
    /// Of this process only.
    #[grotto(skip)]
    pub(crate) shown: u32,
}

mod as_bytes {
    pub(super) type Stored = Vec<u8>;
    pub(super) fn to_stored(id: &uuid::Uuid) -> Stored {
        id.as_bytes().to_vec()
    }
    pub(super) fn from_stored(bytes: &[u8]) -> uuid::Uuid {
        uuid::Uuid::from_slice(bytes).unwrap_or_default()
    }
}

mod as_bits {
    pub(super) type Stored = i64;
    pub(super) fn to_stored(number: &u64) -> Stored {
        number.cast_signed()
    }
    pub(super) fn from_stored(bits: i64) -> u64 {
        bits.cast_unsigned()
    }
}

pub(crate) fn euros(cents: i64) -> Price {
    let currency = Currency::Euro;
    Price { cents, currency }
}

pub(crate) fn vendor(code: &str) -> Vendor {
    Vendor {
        code: code.to_owned(),
        city: (code.len() > 1).then(|| format!("city of {code}")),
    }
}

pub(crate) fn category(id: i64) -> Category {
    Category {
        id,
        name: format!("category {id}"),
        inside: (id > 1).then(|| Box::new(category(id / 2))),
    }
}

/// One of many products that differ in all of their fields.
pub(crate) fn product(sku: &str, cents: i64) -> Product {
    let texts = |names: &[&str]| {
        names
            .iter()
            .map(|name| format!("{name} {}", cents % 5))
            .collect()
    };
    let title = |language: &str| (language.to_owned(), format!("{sku} in {language}"));
    Product {
        sku: Sku(sku.to_owned()),
        price: euros(cents),
        stock: if cents % 2 == 0 {
            Stock::Plenty
        } else {
            Stock::SoldOut
        },
        category: category(cents % 7 + 1),
        tags: texts(&["hot", "new"]),
        titles: ["de", "fr"].map(title).into(),
        vendors: [
            (vendor("chaya"), euros(cents + 10)),
            (vendor("k"), euros(cents + 20)),
        ]
        .into(),
        also: [vendor("m"), vendor("n")].into(),
        id: uuid::Uuid::from_u128(u128::from(cents.unsigned_abs()) << 64 | 7),
        views: u64::MAX - cents.unsigned_abs(),
        maker: (cents % 3 == 0).then(|| "Hario".to_owned()),
        shown: 0,
    }
}

pub(crate) fn schema() -> Schema {
    Declarations::new()
        .with::<Product>()
        .schema()
        .expect("schema")
}

/// The shop's dataset in a folder.
pub(crate) struct Market {
    folder: TempDir,
}

impl Market {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        Self { folder }
    }

    pub(crate) fn url(&self) -> StoreUrl {
        StoreUrl::Local(self.folder.path().join("store"))
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) async fn producer(&self, schema: Schema) -> grotto::Result<Producer> {
        let store = Store::open_writable(&self.url())?;
        Producer::builder("shop", store).schema(schema).open().await
    }

    pub(crate) fn consumer(&self) -> ConsumerBuilder {
        Consumer::builder("shop", Store::open(&self.url()).expect("store"))
    }

    /// A producer that has published some products, as version 1.
    pub(crate) async fn published(&self, products: &[Product]) -> Producer {
        let producer = self.producer(schema()).await.expect("producer");
        let mut cycle = producer.begin_cycle().await.expect("cycle");
        for product in products {
            cycle.add(product).expect("product");
        }
        cycle.commit().await.expect("commit").expect("a version");
        producer
    }
}
