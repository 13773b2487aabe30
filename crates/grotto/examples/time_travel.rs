//! Going back to an older version, and what lies between two: `cargo run -p grotto --example time_travel`.
#![allow(clippy::print_stdout, reason = "it is what an example has to show")]

use grotto::{Consumer, Producer, Record, Store, StoreUrl};

#[derive(Record)]
#[grotto(key(sku))]
struct Price {
    sku: String,
    cents: i64,
}

fn cents(consumer: &Consumer) -> grotto::Result<Option<i64>> {
    let state = consumer.state();
    let tea = state.get::<Price>("tea")?;
    Ok(tea.map(|tea| tea.cents()))
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let folder = tempfile::tempdir()?;
    let url = StoreUrl::Local(folder.path().into());
    let producer = Producer::builder("prices", Store::open_writable(&url)?).declare::<Price>();
    let producer = producer.open().await?;
    for cents in [450, 470, 490] {
        let mut cycle = producer.begin_incremental().await?;
        let sku = "tea".to_owned();
        cycle.upsert(&Price { sku, cents })?;
        cycle.commit().await?;
    }
    let consumer = Consumer::builder("prices", Store::open(&url)?);
    let consumer = consumer.start().await?;
    let newest = consumer.state();

    // Pinned: a consumer stays at the version that it was told to go to.
    let back = consumer.refresh_to(1).await?.ok_or("nothing to do")?;
    for change in back.changes::<Price>()? {
        println!("{:?} instead of {:?}", change.after(), change.before());
    }
    assert_eq!(back.changes::<Price>()?.count(), 1);
    consumer.refresh().await?;
    assert_eq!((consumer.version(), cents(&consumer)?), (1, Some(450)));

    // Who holds a state keeps it, and who follows again gets to the newest.
    assert_eq!(
        newest.get::<Price>("tea")?.map(|tea| tea.cents()),
        Some(490)
    );
    consumer.follow().await?;
    assert_eq!((consumer.version(), cents(&consumer)?), (3, Some(490)));

    // One version, for a program that wants no other.
    let second = Consumer::builder("prices", Store::open(&url)?);
    assert_eq!(cents(&second.open_at(2).await?)?, Some(470));
    Ok(())
}
