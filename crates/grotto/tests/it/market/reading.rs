//! What readers of the shop rely on.

use super::{Market, PATIENCE, Product, ProductRef, euros, product};
use grotto::{Field, OwnedRef, RecordRef, testing};
use std::collections::HashMap;

fn products(count: i64) -> Vec<Product> {
    (0..count)
        .map(|n| product(&format!("sku {n}"), n))
        .collect()
}

#[test]
fn a_record_is_found_by_the_state_and_by_a_binding_alike() {
    let all = products(300);
    let shop = testing::state().with_all(&all).build().expect("a state");
    let bound = shop.typed::<Product>().expect("typed");
    for product in &all {
        let by_state = shop
            .get::<Product>(&product.sku.0)
            .expect("key")
            .expect("product");
        let by_binding = bound.get(&product.sku.0).expect("key").expect("product");
        assert_eq!(by_state.views(), by_binding.views());
        assert_eq!(&by_state.to_struct().expect("copy"), product);
    }
    let keys = ["sku 7", "sku 3000", "sku 11"];
    let many = shop.get_many::<Product>(&keys).expect("keys");
    let found: Vec<bool> = many.iter().map(Option::is_some).collect();
    assert_eq!(found, [true, false, true]);
}

#[tokio::test]
async fn a_state_that_is_held_stays_the_version_that_it_is() {
    let market = Market::new();
    let producer = market.published(&[product("tea", 450)]).await;
    let consumer = market.consumer().start().await.expect("consumer");
    let before = consumer.state();
    let tea = before.get::<Product>("tea").expect("key").expect("tea");
    let next = producer.run_incremental(|cycle| Ok(cycle.upsert(&product("tea", 470))?));
    next.await.expect("cycle").expect("a version");
    let after = consumer.wait_for(2, PATIENCE).await.expect("version 2");
    assert_eq!(tea.price().cents(), 450);
    let dearer = after.get::<Product>("tea").expect("key").expect("tea");
    assert_eq!(dearer.price().cents(), 470);
}

/// A cache of records, as a program keeps it in a struct of its own.
struct Basket {
    products: HashMap<String, OwnedRef<Product>>,
}

#[tokio::test]
async fn an_owned_record_lives_in_a_struct_and_moves_to_a_task() {
    let market = Market::new();
    let _producer = market
        .published(&[product("tea", 450), product("cup", 900)])
        .await;
    let mut basket = Basket {
        products: HashMap::new(),
    };
    {
        let state = market.consumer().open().await.expect("consumer").state();
        for sku in ["tea", "cup"] {
            let found = state
                .get_owned::<Product>(sku)
                .expect("key")
                .expect("product");
            basket.products.insert(sku.to_owned(), found);
        }
    }
    let total = tokio::spawn(async move {
        let cents = |product: &OwnedRef<Product>| product.get().price().cents();
        basket.products.values().map(cents).sum::<i64>()
    });
    assert_eq!(total.await.expect("task"), 1_350);
}

#[test]
fn a_scan_of_all_products_runs_on_many_threads() {
    let all = products(9_000);
    let shop = testing::state().with_all(&all).build().expect("a state");
    let bound = shop.typed::<Product>().expect("typed");
    let add = |sum: i64, product: ProductRef<'_>| sum + product.price().cents();
    let total = bound.par_fold(4, || 0, add, |a, b| a + b);
    assert_eq!(total, (0..9_000).sum::<i64>());
    assert!(bound.split(4).len() > 1);
    let joined = bound
        .split(4)
        .into_iter()
        .flatten()
        .map(|product| product.views());
    assert!(joined.eq(bound.iter().map(|product| product.views())));
}

#[tokio::test]
async fn an_older_version_is_returned_to_and_left_again() {
    let market = Market::new();
    let producer = market.published(&[product("tea", 450)]).await;
    for cents in [470, 490] {
        let next = producer.run_incremental(move |cycle| Ok(cycle.upsert(&product("tea", cents))?));
        next.await.expect("cycle").expect("a version");
    }
    let consumer = market.consumer().open().await.expect("consumer");
    let cents = || {
        let state = consumer.state();
        let tea = state.get::<Product>("tea").expect("key").expect("tea");
        (state.version(), tea.price().cents())
    };
    assert_eq!(cents(), (3, 490));
    consumer.refresh_to(1).await.expect("back");
    assert_eq!(cents(), (1, 450));
    consumer.refresh().await.expect("pinned");
    assert_eq!(cents(), (1, 450), "pinned until it follows again");
    consumer.follow().await.expect("on");
    assert_eq!(cents(), (3, 490));
    let second = market
        .consumer()
        .open_at(2)
        .await
        .expect("version 2")
        .state();
    let tea = second.get::<Product>("tea").expect("key").expect("tea");
    assert_eq!(tea.price().cents(), 470);
}

#[test]
fn a_program_without_the_structs_reads_by_name() {
    let shop = testing::state()
        .with(&product("tea", 450))
        .build()
        .expect("a state");
    let id = shop.type_id("Product").expect("type");
    let tea = shop.find(id, "tea").expect("key").expect("tea").view();
    let Field::Object(tea) = tea else {
        panic!("a product has fields");
    };
    let Field::Object(price) = tea.get("price").expect("field") else {
        panic!("a price has fields");
    };
    assert_eq!(price.get("cents").expect("field").as_long(), Some(450));
    assert_eq!(price.get("currency").expect("field").as_str(), Some("EUR"));
    let error = tea.get("prize").expect_err("a typo").to_string();
    assert!(error.contains("expected one of sku, price,"), "{error}");
    assert_eq!(euros(1).cents, 1);
}
