//! A producer that is fed by a stream of changes, such as a queue, and says with each version how far it
//! has read: `cargo run -p grotto --example stream`.

use futures::{StreamExt, stream};
use grotto::{Producer, Record, Store, StoreUrl};

#[derive(Record)]
#[grotto(key(sku))]
struct Price {
    sku: String,
    cents: i64,
}

enum Change {
    Set(Price),
    Gone(String),
}

fn queue() -> Vec<Change> {
    let set = |cents: i64| {
        let sku = format!("sku {}", cents % 200);
        Change::Set(Price { sku, cents })
    };
    let mut changes: Vec<Change> = (0..1_000).map(set).collect();
    changes.push(Change::Gone("sku 7".to_owned()));
    changes
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let folder = tempfile::tempdir()?;
    let store = Store::open_writable(&StoreUrl::Local(folder.path().into()))?;
    let producer = Producer::builder("prices", store).declare::<Price>();
    let producer = producer.open().await?;

    // After a restart the producer knows where to go on.
    let mut read = producer.positions().get("queue").copied().unwrap_or(0);
    let rest = stream::iter(queue()).skip(read as usize);
    // What is there already goes into one version, up to a bound.
    let mut batches = rest.ready_chunks(400);
    while let Some(batch) = batches.next().await {
        let mut cycle = producer.begin_incremental().await?;
        read += batch.len() as u64;
        for change in batch {
            match change {
                Change::Set(price) => cycle.upsert(&price)?,
                Change::Gone(sku) => drop(cycle.delete::<Price>(&sku)?),
            }
        }
        cycle.set_position("queue", read);
        cycle.commit().await?;
    }
    let state = producer.state();
    let count = state.typed::<Price>()?.len();
    let read = producer.positions()["queue"];
    assert_eq!((state.version(), count, read), (3, 199, 1_001));
    Ok(())
}
