//! Taking changes at one's own pace, and going on after a restart: `cargo run -p grotto --example subscription`.
#![allow(clippy::print_stdout, reason = "it is what an example has to show")]

use grotto::consumer::{Interest, Position, Subscribe};
use grotto::{Consumer, Producer, Record, Store, StoreUrl};

#[derive(Record)]
#[grotto(key(sku))]
struct Product {
    sku: String,
    name: String,
    cents: i64,
}

async fn publish(producer: &Producer, products: [(&str, &str, i64); 2]) -> grotto::Result<()> {
    let mut cycle = producer.begin_incremental().await?;
    for (sku, name, cents) in products {
        let (sku, name) = (sku.to_owned(), name.to_owned());
        cycle.upsert(&Product { sku, name, cents })?;
    }
    cycle.commit().await.map(drop)
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let folder = tempfile::tempdir()?;
    let url = StoreUrl::Local(folder.path().into());
    let producer = Producer::builder("shop", Store::open_writable(&url)?).declare::<Product>();
    let producer = producer.open().await?;
    publish(&producer, [("tea", "Tea", 450), ("cup", "Cup", 900)]).await?;
    let consumer = Consumer::builder("shop", Store::open(&url)?).open().await?;

    // Prices only: a name that changes is passed over.
    let prices = Subscribe::named("prices").to(Interest::of("Product").field("cents"));
    let subscription = consumer.subscribe(prices.clone()).await?;
    // Kept where the work is kept, so that both survive together.
    let kept = subscription.position().to_string();
    drop(subscription);

    publish(&producer, [("tea", "Green", 450), ("cup", "Cup", 950)]).await?;
    consumer.refresh().await?;

    let prices = prices.after(kept.parse::<Position>()?);
    let mut subscription = consumer.subscribe(prices).await?;
    let update = subscription.next().await?.ok_or("the consumer ended")?;
    let changes: Vec<_> = update.changes::<Product>()?.collect();
    for change in &changes {
        println!("{:?} instead of {:?}", change.after(), change.before());
    }
    let cents = changes.iter().map(|c| c.after().map(|p| p.cents()));
    assert_eq!(cents.collect::<Vec<_>>(), [Some(950)]);
    Ok(())
}
