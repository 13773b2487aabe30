//! A producer, a consumer and an attached reader, usually in different processes and on different hosts:
//! nothing but the folder connects them here either. `cargo run -p grotto --example quickstart`.
#![allow(clippy::print_stdout, reason = "it is what an example has to show")]

use grotto::{Consumer, Producer, Record, Store, StoreUrl};
use std::time::Duration;

#[derive(Record)]
#[grotto(key(id))]
struct City {
    id: i64,
    people: i64,
    /// Stored once per country, however many cities it has.
    #[grotto(dedup)]
    country: Option<String>,
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (folder, limit) = (tempfile::tempdir()?, Duration::from_secs(30));
    let url = StoreUrl::Local(folder.path().join("store"));
    let state_dir = folder.path().join("state");

    // Publish everything there is.
    let producer = Producer::builder("cities", Store::open_writable(&url)?).declare::<City>();
    let producer = producer.open().await?;
    let mut cycle = producer.begin_cycle().await?;
    let mut paris = City {
        id: 2_988_507,
        people: 2_138_551,
        country: Some("FR".to_owned()),
    };
    cycle.add(&paris)?;
    cycle.commit().await?;

    // Follow it. A state stays the same version for as long as it is held.
    let consumer = Consumer::builder("cities", Store::open(&url)?).state_dir(&state_dir);
    let consumer = consumer.start().await?;
    let before = consumer.state();

    // Publish one change; the consumer applies just that.
    let mut cycle = producer.begin_incremental().await?;
    paris.people += 7_355;
    cycle.upsert(&paris)?;
    cycle.commit().await?;
    let after = consumer.wait_for(2, limit).await?;

    // Any number of processes map the same state, without network and without a copy.
    let attached = Consumer::attach(&state_dir)?.wait_for(2, limit)?;
    let (old, new) = (2_138_551, paris.people);
    for (state, people) in [(before, old), (after, new), (attached, new)] {
        let paris = state.get::<City>(2_988_507)?.ok_or("no Paris")?;
        println!("version {}: {paris:?}", state.version());
        assert_eq!(paris.people(), people);
    }
    Ok(())
}
