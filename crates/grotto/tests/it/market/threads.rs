//! The shop in programs that have threads and no runtime.

use super::{Market, PATIENCE, Product, product};
use grotto::{Consumer, State};
use std::sync::atomic::{AtomicBool, Ordering};

const PRODUCTS: i64 = 200;

/// All products at one price: whoever sees two prices sees two versions at once.
fn at(cents: i64) -> Vec<Product> {
    let product = |n: i64| {
        let mut product = product(&format!("sku {n}"), n);
        product.price.cents = cents;
        product
    };
    (0..PRODUCTS).map(product).collect()
}

/// The one price of all products.
#[track_caller]
fn the_price(state: &State, from: usize) -> i64 {
    let sku = |n: i64| format!("sku {}", (n + from as i64) % PRODUCTS);
    let cents = |n: i64| {
        let product = state
            .get::<Product>(&sku(n))
            .expect("key")
            .expect("product");
        product.price().cents()
    };
    let first = cents(0);
    assert!(
        (1..PRODUCTS).all(|n| cents(n) == first),
        "prices of two versions"
    );
    first
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_threads_see_whole_versions_and_never_an_older_one() {
    let market = Market::new();
    let producer = market.published(&at(1)).await;
    let consumer = market.consumer().start().await.expect("consumer");
    let done = AtomicBool::new(false);
    let (consumer, done) = (&consumer, &done);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..16)
            .map(|thread| {
                scope.spawn(move || {
                    let mut seen = 0;
                    loop {
                        let last = done.load(Ordering::SeqCst);
                        let price = the_price(&consumer.state(), thread);
                        assert!(price >= seen, "version {price} after {seen}");
                        seen = price;
                        if last {
                            return seen;
                        }
                    }
                })
            })
            .collect();
        let publish = async {
            for cents in 2..=6 {
                let products = at(cents);
                let next = producer.run_cycle(move |cycle| {
                    products.iter().try_for_each(|product| cycle.add(product))?;
                    Ok(())
                });
                let version = next.await.expect("cycle").expect("a version").version;
                consumer.wait_for(version, PATIENCE).await.expect("in time");
            }
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(publish));
        done.store(true, Ordering::SeqCst);
        for reader in readers {
            assert_eq!(reader.join().expect("a reader"), 6);
        }
    });
}

#[test]
fn a_program_without_a_runtime_attaches_and_waits() {
    let market = Market::new();
    let runtime = tokio::runtime::Runtime::new().expect("runtime");
    // Another process, as far as the reader can tell.
    let (producer, consumer) = runtime.block_on(async {
        let producer = market.published(&at(1)).await;
        let consumer = market.consumer().state_dir(market.state_dir());
        (producer, consumer.start().await.expect("consumer"))
    });
    let attached = Consumer::attach(market.state_dir()).expect("attached");
    assert_eq!(the_price(&attached.state(), 0), 1);
    let readers: Vec<_> = (0..16)
        .map(|thread| {
            let dir = market.state_dir();
            std::thread::spawn(move || {
                let attached = Consumer::attach(dir).expect("attached");
                let state = attached.wait_for(2, PATIENCE).expect("version 2");
                the_price(&state, thread)
            })
        })
        .collect();
    let products = at(2);
    let next = producer.run_cycle(move |cycle| {
        products.iter().try_for_each(|product| cycle.add(product))?;
        Ok(())
    });
    runtime.block_on(next).expect("cycle").expect("a version");
    for reader in readers {
        assert_eq!(reader.join().expect("a reader"), 2);
    }
    runtime.block_on(consumer.shutdown());
    // What was attached goes on, whoever followed the store.
    assert_eq!(
        the_price(&attached.wait_for(2, PATIENCE).expect("version 2"), 0),
        2
    );
}
