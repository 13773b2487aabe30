//! Programs of several ages over one dataset of the shop.

use super::{Market, PATIENCE};
use grotto::{Consumer, Declarations, ErrorKind, Producer, Record, RecordType, Schema};

/// What the first program knew of a product.
#[derive(Record, Clone)]
#[grotto(rename = "Product", key(sku))]
struct First {
    sku: String,
    cents: i64,
    weight: i32,
}

/// The second adds a vendor and a list, and no longer weighs anything.
#[derive(Record, Clone)]
#[grotto(rename = "Product", key(sku))]
struct Second {
    sku: String,
    cents: i64,
    vendor: Option<Vendor>,
    tags: Vec<String>,
}

#[derive(Record, Clone)]
#[grotto(key(code))]
struct Vendor {
    code: String,
}

fn schema<T: RecordType>() -> Schema {
    Declarations::new().with::<T>().schema().expect("schema")
}

fn first(sku: &str, cents: i64) -> First {
    let (sku, weight) = (sku.to_owned(), 7);
    First { sku, cents, weight }
}

fn second(sku: &str, cents: i64) -> Second {
    Second {
        sku: sku.to_owned(),
        cents,
        vendor: Some(Vendor {
            code: "chaya".to_owned(),
        }),
        tags: vec!["hot".to_owned()],
    }
}

/// Version 1 as the first program published it.
async fn published(market: &Market) -> Producer {
    let producer = market.producer(schema::<First>()).await.expect("producer");
    let mut cycle = producer.begin_cycle().await.expect("cycle");
    for (sku, cents) in [("tea", 450), ("cup", 900)] {
        cycle.add(&first(sku, cents)).expect("product");
    }
    cycle.commit().await.expect("commit").expect("a version");
    producer
}

#[tokio::test]
async fn a_newer_program_reads_what_an_older_one_published() {
    let market = Market::new();
    let _producer = published(&market).await;
    let state = market.consumer().open().await.expect("consumer").state();
    let tea = state.get::<Second>("tea").expect("key").expect("tea");
    assert_eq!(
        (tea.cents(), tea.vendor().is_none(), tea.tags().len()),
        (450, true, 0)
    );
}

#[tokio::test]
async fn an_older_program_goes_on_while_a_newer_one_publishes() {
    let market = Market::new();
    let older = published(&market).await;
    let consumer = market
        .consumer()
        .state_dir(market.state_dir())
        .start()
        .await;
    let consumer = consumer.expect("consumer");
    let attached = Consumer::attach(market.state_dir()).expect("attached");
    let held = attached.state();

    // A deployment: the newer program takes over, with its own schema.
    let newer = market
        .producer(schema::<Second>())
        .await
        .expect("it can follow");
    let mut cycle = newer.begin_cycle().await.expect("cycle");
    for (sku, cents) in [("tea", 470), ("pot", 1_900)] {
        cycle.add(&second(sku, cents)).expect("product");
    }
    cycle.commit().await.expect("commit").expect("a version");

    consumer.wait_for(2, PATIENCE).await.expect("version 2");
    let seen = attached.wait_for(2, PATIENCE).expect("version 2");
    let tea = seen.get::<First>("tea").expect("key").expect("tea");
    assert_eq!(
        (tea.cents(), tea.weight()),
        (470, 0),
        "what is gone reads as its default"
    );
    assert!(seen.get::<First>("cup").expect("key").is_none());
    let tea = seen.get::<Second>("tea").expect("key").expect("tea");
    let vendor = tea.vendor().map(|vendor| vendor.code());
    assert_eq!((vendor, tea.tags().get(0)), (Some("chaya"), Some("hot")));
    // Whoever holds the version before reads it as it was.
    let tea = held.get::<First>("tea").expect("key").expect("tea");
    assert_eq!((tea.cents(), tea.weight()), (450, 7));

    // The older program has been taken over from, and says so.
    let refused = older
        .run_incremental(|cycle| Ok(cycle.upsert(&first("gin", 1))?))
        .await;
    assert_eq!(refused.expect_err("fenced").kind(), ErrorKind::Fenced);
    consumer.shutdown().await;
}

#[tokio::test]
async fn a_program_that_needs_what_went_stays_at_the_last_version_that_has_it() {
    let market = Market::new();
    let producer = published(&market).await;
    let consumer = market
        .consumer()
        .require::<First>()
        .open()
        .await
        .expect("consumer");
    producer
        .set_schema(schema::<Second>())
        .await
        .expect("it can follow");
    let next = producer.run_cycle(|cycle| Ok(cycle.add(&second("tea", 470))?));
    next.await.expect("cycle").expect("a version");
    let error = consumer.refresh().await.expect_err("no weight").to_string();
    assert!(error.contains("weight"), "{error}");
    let state = consumer.state();
    let tea = state.get::<First>("tea").expect("key").expect("tea");
    assert_eq!((state.version(), tea.cents(), tea.weight()), (1, 450, 7));
}
