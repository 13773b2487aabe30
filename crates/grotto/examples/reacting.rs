//! Reacting to what changed instead of reading everything again: `cargo run -p grotto --example reacting`.
#![allow(clippy::print_stdout, reason = "it is what an example has to show")]

use grotto::consumer::Refresh;
use grotto::{Consumer, Producer, Record, Store, StoreUrl};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Record)]
#[grotto(key(sku))]
struct Price {
    sku: String,
    cents: i64,
}

/// An index that Grotto does not have: how many products cost how much.
type ByPrice = BTreeMap<i64, i64>;

fn update(counts: &mut ByPrice, refresh: &Refresh) -> grotto::Result<()> {
    for change in refresh.changes::<Price>()? {
        if let Some(before) = change.before() {
            *counts.entry(before.cents()).or_default() -= 1;
        }
        if let Some(after) = change.after() {
            *counts.entry(after.cents()).or_default() += 1;
        }
    }
    Ok(())
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let folder = tempfile::tempdir()?;
    let url = StoreUrl::Local(folder.path().into());
    let producer = Producer::builder("prices", Store::open_writable(&url)?).declare::<Price>();
    let producer = producer.open().await?;
    let counts = Arc::new(Mutex::new(ByPrice::new()));
    let index = Arc::clone(&counts);
    let consumer = Consumer::builder("prices", Store::open(&url)?).wait_for_dataset(true);
    let consumer = consumer.on_refresh(move |refresh| {
        let updated = update(
            &mut index.lock().unwrap_or_else(PoisonError::into_inner),
            refresh,
        );
        println!("version {}: {updated:?}", refresh.to);
    });
    let consumer = consumer.open().await?;
    for (sku, cents) in [("tea", 450), ("cup", 450), ("tea", 470)] {
        let mut cycle = producer.begin_incremental().await?;
        let sku = sku.to_owned();
        cycle.upsert(&Price { sku, cents })?;
        cycle.commit().await?;
        consumer.refresh().await?;
    }
    let counts = counts.lock().map_err(|_| "a listener panicked")?;
    assert_eq!(*counts, ByPrice::from([(450, 1), (470, 1)]));
    Ok(())
}
