//! Several processes of a host, one copy of the dataset: one follows the store, the others map its state
//! directory. `cargo run -p grotto --example attached`.

use grotto::{Consumer, Producer, Record, Store, StoreUrl};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Record)]
#[grotto(key(sku))]
struct Price {
    sku: String,
    cents: i64,
}

/// What any other process does: no runtime, no network, no store.
fn reader(state_dir: &std::path::Path) -> grotto::Result<i64> {
    let prices = Consumer::attach(state_dir)?;
    let state = prices.wait_for(2, PATIENCE)?;
    let tea = state.get::<Price>("tea")?;
    Ok(tea.map_or(0, |tea| tea.cents()))
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let folder = tempfile::tempdir()?;
    let url = StoreUrl::Local(folder.path().join("store"));
    let state_dir = folder.path().join("state");
    let producer = Producer::builder("prices", Store::open_writable(&url)?).declare::<Price>();
    let producer = producer.open().await?;
    let sku = "tea".to_owned();
    let mut tea = Price { sku, cents: 450 };
    let mut cycle = producer.begin_cycle().await?;
    cycle.add(&tea)?;
    cycle.commit().await?;

    // One process follows, usually the sidecar of the host.
    let consumer = Consumer::builder("prices", Store::open(&url)?).state_dir(&state_dir);
    let consumer = consumer.start().await?;
    let dir = state_dir.clone();
    let other = std::thread::spawn(move || reader(&dir));
    tea.cents = 470;
    let mut cycle = producer.begin_incremental().await?;
    cycle.upsert(&tea)?;
    cycle.commit().await?;
    consumer.wait_for(2, PATIENCE).await?;
    let seen = other.join().map_err(|_| "the reader panicked")??;
    assert_eq!(seen, 470);

    // Whoever follows may go away: readers keep what they have, and attach to it anew.
    consumer.shutdown().await;
    assert_eq!(reader(&state_dir)?, 470);
    Ok(())
}
