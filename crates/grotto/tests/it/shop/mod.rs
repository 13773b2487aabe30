//! A shop as a program would model it, on its way through a store.
//!
//! Owns: the records, and a producer and consumers of a folder of its own. Never asserts anything by itself.

mod changes;
mod filtered;
mod model;

use grotto::consumer::{Change, ConsumerBuilder, Refresh};
use grotto::{Consumer, Declarations, Producer, Record, RecordRef, RecordType, Store, StoreUrl};
use std::collections::BTreeSet;
use std::path::PathBuf;
use tempfile::TempDir;

#[derive(Record, Clone, Debug, PartialEq)]
#[grotto(key(sku))]
pub(crate) struct Product {
    pub(crate) sku: String,
    pub(crate) cents: i64,
    pub(crate) vendor: Option<Vendor>,
    pub(crate) sizes: BTreeSet<Size>,
}

#[derive(Record, Clone, Debug, PartialEq)]
#[grotto(key(code))]
pub(crate) struct Vendor {
    pub(crate) code: String,
    pub(crate) city: String,
}

#[derive(Record, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size {
    pub(crate) wide: i32,
    pub(crate) high: i32,
}

pub(crate) fn product(sku: &str, cents: i64) -> Product {
    let sizes = (0..cents % 4).map(|n| Size {
        wide: n as i32,
        high: (cents % 3) as i32,
    });
    Product {
        sku: sku.to_owned(),
        cents,
        vendor: None,
        sizes: sizes.collect(),
    }
}

pub(crate) struct Shop {
    folder: TempDir,
    pub(crate) producer: Producer,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let producer = Self::producer(&folder).await;
        Self { folder, producer }
    }

    fn url(folder: &TempDir) -> StoreUrl {
        StoreUrl::Local(folder.path().join("store"))
    }

    async fn producer(folder: &TempDir) -> Producer {
        let store = Store::open_writable(&Self::url(folder)).expect("store");
        let schema = Declarations::new().with::<Product>().schema();
        let builder = Producer::builder("shop", store).schema(schema.expect("schema"));
        // Blobs are files of their own, so that a test can take one away.
        let builder = builder.inline_blobs(0).snapshot_every(0);
        builder.open().await.expect("producer")
    }

    /// Has the dataset created anew.
    pub(crate) async fn anew(&mut self) {
        std::fs::remove_dir_all(self.folder.path().join("store/shop")).expect("removed");
        self.producer = Self::producer(&self.folder).await;
    }

    /// Takes the deltas away: only a snapshot leads on.
    pub(crate) fn remove_deltas(&self) {
        let folder = self.folder.path().join("store/shop/delta");
        if folder.exists() {
            std::fs::remove_dir_all(folder).expect("removed");
        }
    }

    pub(crate) fn store(&self) -> Store {
        Store::open(&Self::url(&self.folder)).expect("store")
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn consumer(&self) -> ConsumerBuilder {
        Consumer::builder("shop", self.store())
    }

    /// Publishes all of these.
    pub(crate) async fn all(&self, products: &[Product]) -> u64 {
        let products = products.to_vec();
        let published = self.producer.run_cycle(move |cycle| {
            products.iter().try_for_each(|one| cycle.add(one))?;
            Ok(())
        });
        published.await.expect("cycle").expect("a version").version
    }

    /// Publishes these beside those that are there.
    pub(crate) async fn put(&self, products: &[Product]) -> u64 {
        let products = products.to_vec();
        let published = self.producer.run_incremental(move |cycle| {
            products.iter().try_for_each(|one| cycle.upsert(one))?;
            Ok(())
        });
        published.await.expect("cycle").expect("a version").version
    }

    pub(crate) async fn delete(&self, sku: &'static str) -> u64 {
        let published = self.producer.run_incremental(move |cycle| {
            cycle.delete::<Product>(sku)?;
            Ok(())
        });
        published.await.expect("cycle").expect("a version").version
    }
}

/// What a refresh tells of records of a type, copied out and in order.
pub(crate) fn told<T>(refresh: &Refresh) -> Vec<(Option<T>, Option<T>)>
where
    T: RecordType + std::fmt::Debug,
    for<'a> T::Ref<'a>: RecordRef<'a, Owned = T>,
{
    let changes = refresh.changes::<T>().expect("changes");
    let mut told: Vec<_> = changes.map(copied).collect();
    told.sort_by_key(|change| format!("{change:?}"));
    told
}

fn copied<'a, R: RecordRef<'a>>(change: Change<R>) -> (Option<R::Owned>, Option<R::Owned>) {
    let copy = |record: R| record.to_struct().expect("a copy");
    (change.before().map(copy), change.after().map(copy))
}
