//! What a producer of the shop relies on.

use super::{Market, Product, Vendor, euros, product, schema};
use futures::{StreamExt, stream};
use grotto::ErrorKind;

/// An error of the program's own.
#[derive(Debug)]
struct Jammed(u32);

impl std::fmt::Display for Jammed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the till is jammed at product {}", self.0)
    }
}

impl std::error::Error for Jammed {}

#[tokio::test]
async fn a_closure_ends_with_an_error_of_ones_own_and_publishes_nothing() {
    let market = Market::new();
    let producer = market.published(&[product("tea", 450)]).await;
    let failed = producer.run_incremental(|cycle| {
        cycle.upsert(&product("tea", 470))?;
        Err(Jammed(7))?;
        let _: u32 = "not a number".parse()?;
        Ok(())
    });
    let error = failed.await.expect_err("the closure's");
    assert_eq!(error.kind(), ErrorKind::UserError);
    let source = std::error::Error::source(&error).expect("a source");
    let jammed = source.downcast_ref::<Jammed>().expect("as it was");
    assert_eq!(jammed.0, 7);
    assert_eq!(producer.version(), 1);
    let state = producer.state();
    let tea = state.get::<Product>("tea").expect("key").expect("tea");
    assert_eq!(tea.price().cents(), 450);
}

#[tokio::test]
async fn a_panic_in_a_closure_is_told_as_one_of_the_users() {
    let market = Market::new();
    let producer = market.published(&[product("tea", 450)]).await;
    let failed = producer.run_incremental(|_| panic!("the till fell over"));
    let error = failed.await.expect_err("the closure's");
    assert_eq!(error.kind(), ErrorKind::UserPanic);
    assert!(error.to_string().contains("the till fell over"), "{error}");
    // And the next cycle is as good as ever.
    let next = producer.run_incremental(|cycle| Ok(cycle.upsert(&product("cup", 900))?));
    assert_eq!(next.await.expect("cycle").expect("a version").version, 2);
}

#[tokio::test]
async fn a_handle_is_fed_from_what_is_borrowed_and_from_a_stream() {
    let market = Market::new();
    let producer = market.published(&[product("tea", 450)]).await;
    let (new, prefix) = (
        [product("cup", 900), product("pot", 1_900)],
        String::from("sku"),
    );
    let mut cycle = producer.begin_incremental().await.expect("cycle");
    new.iter()
        .try_for_each(|product| cycle.upsert(product))
        .expect("products");
    let mut stream = stream::iter(0..10).map(|n| (format!("{prefix} {n}"), n));
    while let Some((sku, cents)) = stream.next().await {
        cycle.upsert(&product(&sku, cents)).expect("product");
    }
    let published = cycle.commit().await.expect("commit").expect("a version");
    let count = producer.state().typed::<Product>().expect("typed").len();
    assert_eq!((published.version, count), (2, 13));
}

#[tokio::test]
async fn a_handle_that_is_dropped_publishes_nothing() {
    let market = Market::new();
    let producer = market.published(&[product("tea", 450)]).await;
    let mut cycle = producer.begin_incremental().await.expect("cycle");
    cycle.upsert(&product("cup", 900)).expect("product");
    drop(cycle);
    let cycle = producer.begin_incremental().await.expect("cycle");
    assert!(cycle.commit().await.expect("commit").is_none());
    assert_eq!(producer.version(), 1);
}

#[tokio::test]
async fn a_delete_takes_the_key_and_tells_whether_there_was_a_record() {
    let market = Market::new();
    let producer = market
        .published(&[product("tea", 450), product("cup", 900)])
        .await;
    let sku = String::from("tea");
    let mut cycle = producer.begin_incremental().await.expect("cycle");
    assert!(cycle.delete::<Product>(&sku).expect("key"));
    assert!(!cycle.delete::<Product>("gin").expect("key"));
    assert!(
        !cycle.delete::<Product>("tea").expect("key"),
        "it is gone in this cycle"
    );
    cycle.commit().await.expect("commit").expect("a version");
    let state = producer.state();
    assert!(state.get::<Product>("tea").expect("key").is_none());
    assert!(state.get::<Product>("cup").expect("key").is_some());
}

#[tokio::test]
async fn a_keyed_record_changes_for_all_that_refer_to_it() {
    let market = Market::new();
    let producer = market
        .published(&[product("tea", 450), product("cup", 900)])
        .await;
    let moved = Vendor {
        code: "chaya".to_owned(),
        city: Some("Uji".to_owned()),
    };
    let next = producer.run_incremental(move |cycle| Ok(cycle.upsert(&moved)?));
    next.await.expect("cycle").expect("a version");
    let state = producer.state();
    for sku in ["tea", "cup"] {
        let product = state.get::<Product>(sku).expect("key").expect("product");
        let cities = product.vendors().iter().map(|(vendor, _)| vendor.city());
        assert!(cities.flatten().any(|city| city == "Uji"), "{sku}");
    }
}

#[tokio::test]
async fn a_run_that_is_dropped_leaves_a_producer_that_goes_on() {
    let market = Market::new();
    let producer = market.published(&[product("tea", 450)]).await;
    let (sender, began) = tokio::sync::oneshot::channel();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let run = producer.run_incremental(move |cycle| {
        sender.send(()).map_err(|()| "nobody waits")?;
        wait.recv()?;
        Ok(cycle.upsert(&product("cup", 900))?)
    });
    let mut run = Box::pin(run);
    // Polled until the closure is at work on its thread, then dropped.
    tokio::select! {
        _ = &mut run => panic!("the closure waits"),
        began = began => began.expect("it began"),
    }
    drop(run);
    go_on.send(()).expect("the closure is still there");
    let next = producer.run_incremental(|cycle| Ok(cycle.upsert(&product("pot", 1_900))?));
    assert_eq!(next.await.expect("cycle").expect("a version").version, 2);
    let state = producer.state();
    assert!(
        state.get::<Product>("cup").expect("key").is_none(),
        "nothing of the dropped run"
    );
    assert!(state.get::<Product>("pot").expect("key").is_some());
}

#[tokio::test]
async fn equal_records_publish_no_version() {
    let market = Market::new();
    let all = [product("tea", 450), product("cup", 900)];
    let producer = market.published(&all).await;
    let again = producer.run_cycle(move |cycle| {
        all.iter().try_for_each(|product| cycle.add(product))?;
        Ok(())
    });
    assert!(again.await.expect("cycle").is_none());
    assert_eq!(
        (producer.version(), producer.state().schema().hash()),
        (1, schema().hash())
    );
    assert_eq!(euros(450).cents, 450);
}
