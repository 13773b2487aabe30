//! What programs of the shop hear of, with a runtime and without one.

use super::{Market, PATIENCE, Product, product};
use grotto::Producer;
use std::sync::{Arc, Mutex};

/// What listeners were told, in order.
type Told = Arc<Mutex<Vec<String>>>;

fn told(what: &Told) -> Vec<String> {
    std::mem::take(&mut what.lock().expect("no listener panicked"))
}

async fn put(producer: &Producer, sku: &'static str, cents: i64) {
    let next = producer.run_incremental(move |cycle| Ok(cycle.upsert(&product(sku, cents))?));
    next.await.expect("cycle").expect("a version");
}

#[tokio::test]
async fn a_listener_reads_each_change_before_and_after() {
    let market = Market::new();
    let producer = market
        .published(&[product("tea", 450), product("cup", 900)])
        .await;
    let consumer = market.consumer().open().await.expect("consumer");
    let changes = Told::default();
    let heard = Arc::clone(&changes);
    let handle = consumer.on_refresh(move |refresh| {
        let products = refresh.changes::<Product>().expect("products");
        let cents = |change: grotto::consumer::Change<super::ProductRef<'_>>| {
            let before = change.before().map(|product| product.price().cents());
            format!(
                "{before:?} {:?}",
                change.after().map(|product| product.price().cents())
            )
        };
        heard.lock().expect("lock").extend(products.map(cents));
    });
    put(&producer, "tea", 470).await;
    put(&producer, "pot", 1_900).await;
    let mut cycle = producer.begin_incremental().await.expect("cycle");
    assert!(cycle.delete::<Product>("cup").expect("key"));
    cycle.commit().await.expect("commit").expect("a version");
    consumer.refresh().await.expect("refresh");
    let mut found = told(&changes);
    found.sort();
    assert_eq!(
        found,
        ["None Some(1900)", "Some(450) Some(470)", "Some(900) None"]
    );

    handle.remove();
    put(&producer, "tea", 490).await;
    consumer.refresh().await.expect("refresh");
    assert!(told(&changes).is_empty(), "a listener that was removed");
}

#[tokio::test]
async fn a_listener_for_errors_hears_of_a_refresh_that_fails() {
    let market = Market::new();
    let producer = market.published(&[product("tea", 450)]).await;
    let errors = Told::default();
    let heard = Arc::clone(&errors);
    let consumer = market.consumer();
    let consumer =
        consumer.on_error(move |error| heard.lock().expect("lock").push(error.to_string()));
    let consumer = consumer.open().await.expect("consumer");
    put(&producer, "tea", 470).await;
    let failed = consumer.refresh_to(99).await.expect_err("no such version");
    assert_eq!(told(&errors), [failed.to_string()]);
    consumer.refresh().await.expect("refresh");
    assert!(told(&errors).is_empty());
}

#[tokio::test]
async fn a_listener_may_ask_for_a_refresh_and_ends_with_its_consumer() {
    let market = Market::new();
    let producer = market.published(&[product("tea", 450)]).await;
    let consumer = market.consumer().state_dir(market.state_dir()).open().await;
    let consumer = Arc::new(consumer.expect("consumer"));
    let (weak, alive) = (Arc::downgrade(&consumer), Arc::new(()));
    let held = Arc::clone(&alive);
    let (runtime, refreshed) = (tokio::runtime::Handle::current(), Told::default());
    let heard = Arc::clone(&refreshed);
    consumer.on_refresh(move |_| {
        let _held = &held;
        if let Some(consumer) = weak.upgrade() {
            let again = runtime
                .block_on(consumer.refresh())
                .map(|refresh| refresh.is_some());
            heard.lock().expect("lock").push(format!("{again:?}"));
        }
    });
    put(&producer, "tea", 470).await;
    consumer.refresh().await.expect("refresh");
    assert_eq!(told(&refreshed), ["Ok(false)"], "there was nothing newer");
    drop(consumer);
    assert_eq!(Arc::strong_count(&alive), 1, "the listener is gone");
    // And nobody keeps the state directory.
    let next = market.consumer().state_dir(market.state_dir()).open().await;
    assert_eq!(next.expect("consumer").version(), 2);
}

#[test]
fn a_program_without_a_runtime_follows_the_store() {
    let market = Market::new();
    let other_program = tokio::runtime::Runtime::new().expect("runtime");
    let producer = other_program.block_on(market.published(&[product("tea", 450)]));
    let consumer = market.consumer().start_blocking().expect("consumer");
    let before = consumer.state();
    other_program.block_on(put(&producer, "tea", 470));
    let after = consumer.wait_for(2, PATIENCE).expect("version 2");
    let cents = |state: &grotto::State| {
        let tea = state.get::<Product>("tea").expect("key").expect("tea");
        tea.price().cents()
    };
    assert_eq!((cents(&before), cents(&after)), (450, 470));
    consumer.refresh_to(1).expect("back");
    assert_eq!(cents(&consumer.state()), 450);
    consumer.shutdown();
}
