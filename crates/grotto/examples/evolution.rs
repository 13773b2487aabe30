//! Programs of two ages and one dataset: `cargo run -p grotto --example evolution`.

use grotto::{Consumer, Declarations, Producer, Record, Schema, Store, StoreUrl};

#[derive(Record)]
#[grotto(rename = "Product", key(sku))]
struct Old {
    sku: String,
    cents: i64,
}

#[derive(Record)]
#[grotto(rename = "Product", key(sku))]
struct New {
    sku: String,
    cents: i64,
    vendor: Option<String>,
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let folder = tempfile::tempdir()?;
    let url = StoreUrl::Local(folder.path().into());
    let schema = Declarations::new().with::<Old>().schema()?;
    let producer = Producer::builder("shop", Store::open_writable(&url)?).schema(schema);
    let producer = producer.open().await?;
    let mut cycle = producer.begin_cycle().await?;
    cycle.add_json("Product", r#"{"sku":"tea","cents":450}"#, 1)?;
    cycle.commit().await?;

    // New programs read what old ones published: the field that was not there is null.
    let consumer = Consumer::builder("shop", Store::open(&url)?).open().await?;
    let before = consumer.state();
    let tea = before.get::<New>("tea")?.ok_or("no tea")?;
    assert_eq!((tea.cents(), tea.vendor()), (450, None));
    // Unless they need it.
    let strict = Consumer::builder("shop", Store::open(&url)?).require::<New>();
    assert!(strict.open().await.is_err());

    // The producer adds the field; records that do not change are not published again.
    let schema = Declarations::new().with::<New>().schema()?;
    producer.set_schema(schema).await?;
    let mut cycle = producer.begin_incremental().await?;
    let cup = r#"{"sku":"cup","cents":900,"vendor":"Chaya"}"#;
    cycle.upsert_json("Product", cup, 1)?;
    cycle.commit().await?;
    consumer.refresh().await?;
    // Old programs go on reading what they know.
    let after = consumer.state();
    let cup = after.get::<Old>("cup")?.ok_or("no cup")?;
    assert_eq!(cup.cents(), 900);

    // What no reader could read is refused.
    let other = Schema::parse("Product @PrimaryKey(sku) { string sku; string cents; }")?;
    assert!(producer.set_schema(other).await.is_err());
    Ok(())
}
