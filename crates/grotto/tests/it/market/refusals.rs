//! What the shop is refused, and that nothing is worse for it.

use super::{Market, Product, product, schema};
use grotto::{ErrorKind, Record, Schema, State, testing};
use std::time::Duration;

/// The schema with one word of it changed.
fn changed(from: &str, to: &str) -> Schema {
    let text = schema().to_string();
    assert!(text.contains(from), "{text}");
    Schema::parse(&text.replace(from, to)).expect("schema")
}

#[tokio::test]
async fn a_producer_with_a_schema_that_cannot_follow_is_refused_and_fences_nobody() {
    let market = Market::new();
    let healthy = market.published(&[product("tea", 450)]).await;
    let refused = market.producer(changed("long cents", "string cents")).await;
    let error = refused.expect_err("incompatible");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("cents"), "{error}");
    let next = healthy.run_incremental(|cycle| Ok(cycle.upsert(&product("cup", 900))?));
    assert_eq!(
        next.await.expect("not fenced").expect("a version").version,
        2
    );
}

#[tokio::test]
async fn a_schema_that_cannot_follow_changes_nothing() {
    let market = Market::new();
    let producer = market.published(&[product("tea", 450)]).await;
    let refused = producer
        .set_schema(changed("long cents", "string cents"))
        .await;
    assert_eq!(
        refused.expect_err("incompatible").kind(),
        ErrorKind::Invalid
    );
    let next = producer.run_incremental(|cycle| Ok(cycle.upsert(&product("cup", 900))?));
    assert_eq!(
        next.await.expect("as before").expect("a version").version,
        2
    );
}

#[tokio::test]
async fn a_removed_field_is_named_and_needs_a_full_cycle() {
    let market = Market::new();
    let producer = market.published(&[product("tea", 450)]).await;
    producer
        .set_schema(changed("int stock;", ""))
        .await
        .expect("it can follow");
    let refused = producer.run_incremental(|_| Ok(())).await;
    let error = refused.expect_err("all records change").to_string();
    assert!(error.contains("Product.stock"), "{error}");
}

#[tokio::test]
async fn a_reader_that_requires_a_field_refuses_a_dataset_without_it() {
    #[derive(Record)]
    #[grotto(rename = "Product", key(sku))]
    struct Rated {
        sku: String,
        stars: i32,
    }
    let market = Market::new();
    let _producer = market.published(&[product("tea", 450)]).await;
    let consumer = market.consumer().open().await.expect("consumer");
    let state = consumer.state();
    // Without a word the field reads as its default.
    let tea = state.get::<Rated>("tea").expect("key").expect("tea");
    assert_eq!((tea.sku(), tea.stars()), ("tea", 0));
    let strict = state.typed_strict::<Rated>().expect_err("a field it lacks");
    assert!(strict.to_string().contains("stars"), "{strict}");
    let error = market
        .consumer()
        .require::<Rated>()
        .open()
        .await
        .expect_err("a field it lacks");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("stars"), "{error}");
}

#[tokio::test]
async fn a_name_that_nothing_was_published_under_is_told_at_the_start() {
    let market = Market::new();
    let _producer = market.published(&[product("tea", 450)]).await;
    let store = || grotto::Store::open(&market.url()).expect("store");
    let typo = grotto::Consumer::builder("shpo", store());
    let error = typo.start().await.expect_err("a typo");
    assert_eq!(error.kind(), ErrorKind::NoDataset);
    let early = grotto::Consumer::builder("soon", store()).wait_for_dataset(true);
    let early = early.start().await.expect("to wait is a choice");
    assert_eq!(early.version(), 0);
    early.shutdown().await;
}

#[test]
fn untyped_keys_of_another_kind_are_refused() {
    let state = testing::state()
        .with(&product("tea", 450))
        .build()
        .expect("a state");
    let id = state.type_id("Product").expect("type");
    assert!(state.find(id, "tea").expect("key").is_some());
    for error in [
        state.find(id, 7_i64).expect_err("a number"),
        state.find(id, true).expect_err("a flag"),
        state.find(id, ("tea", 1_i64)).expect_err("two fields"),
        state.find(id, b"tea".as_slice()).expect_err("bytes"),
    ] {
        assert!(error.to_string().contains("sku"), "{error}");
    }
    let category = state.type_id("Category").expect("type");
    assert!(
        state
            .find(category, 3_i32)
            .expect("an int is a long")
            .is_some()
    );
    assert!(state.find(category, 3.0_f64).is_err());
}

#[test]
fn duplicate_keys_are_refused_with_both_places() {
    let (tea, other) = (product("tea", 450), product("tea", 470));
    let error = testing::state()
        .with_all([&tea, &other])
        .build()
        .expect_err("two of one key");
    assert_eq!(
        error.to_string(),
        r#"type Product: duplicate key "tea": record 1 and record 2"#
    );
}

#[test]
fn opening_without_a_runtime_says_what_is_missing() {
    let market = Market::new();
    // A future that is polled by hand, as on a thread that no runtime knows.
    let opening = market.producer(schema());
    let error = futures::executor::block_on(opening).expect_err("no runtime");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("runtime"), "{error}");
}

#[tokio::test]
async fn waiting_for_a_version_that_does_not_come_ends_with_what_there_is() {
    let market = Market::new();
    let _producer = market.published(&[product("tea", 450)]).await;
    let consumer = market.consumer().start().await.expect("consumer");
    let error = consumer
        .wait_for(2, Duration::ZERO)
        .await
        .expect_err("no version 2");
    assert!(error.to_string().contains("version 1"), "{error}");
    let state: std::sync::Arc<State> = consumer.state();
    assert_eq!(state.typed::<Product>().expect("typed").len(), 1);
}
