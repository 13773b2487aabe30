//! A program with threads and without an async runtime: `cargo run -p grotto --example blocking`.
#![allow(clippy::print_stdout, reason = "it is what an example has to show")]

use grotto::{Consumer, Producer, Record, Store, StoreUrl};
use std::time::Duration;

#[derive(Record)]
#[grotto(key(sku))]
struct Price {
    sku: String,
    cents: i64,
}

/// The producer, which is another program and async.
async fn publish(url: &StoreUrl, cents: i64) -> grotto::Result<()> {
    let producer = Producer::builder("prices", Store::open_writable(url)?).declare::<Price>();
    let producer = producer.open().await?;
    let mut cycle = producer.begin_cycle().await?;
    let sku = "tea".to_owned();
    cycle.add(&Price { sku, cents })?;
    cycle.commit().await?;
    producer.shutdown().await;
    Ok(())
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let folder = tempfile::tempdir()?;
    let url = StoreUrl::Local(folder.path().into());
    let producer = tokio::runtime::Runtime::new()?;
    producer.block_on(publish(&url, 450))?;

    // From here on nothing is async.
    let prices = Consumer::builder("prices", Store::open(&url)?).start_blocking()?;
    let before = prices.state();
    let listener = prices.on_refresh(|refresh| println!("version {}", refresh.to));
    producer.block_on(publish(&url, 470))?;
    prices.wait_for(2, Duration::from_secs(30))?;
    listener.remove();

    // Readers are threads; none waits for another one or for a refresh.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let state = prices.state();
                let tea = state
                    .get::<Price>("tea")
                    .map(|tea| tea.map(|tea| tea.cents()));
                assert_eq!(tea.ok().flatten(), Some(470));
            });
        }
    });
    assert_eq!(
        before.get::<Price>("tea")?.map(|tea| tea.cents()),
        Some(450)
    );
    prices.shutdown();
    Ok(())
}
