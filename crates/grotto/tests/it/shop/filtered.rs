//! A program that keeps vendors only: what it left out is an error to read, never "not there".

use super::{Product, Shop, Vendor, product};
use grotto::ErrorKind;

#[tokio::test]
async fn reading_what_was_left_out_is_refused_and_the_rest_is_there() {
    let shop = Shop::open().await;
    let vendor = Vendor {
        code: "A".to_owned(),
        city: "Ulm".to_owned(),
    };
    let mut tea = product("tea", 450);
    tea.vendor = Some(vendor.clone());
    shop.all(&[tea]).await;
    // What is known of a Rust type is kept by its schema, which is the same with a filter.
    let whole = shop.consumer().open().await.expect("consumer").state();
    assert!(whole.get::<Product>("tea").expect("a type").is_some());
    let consumer = shop
        .consumer()
        .types(["Vendor"])
        .open()
        .await
        .expect("consumer");
    let state = consumer.state();
    let found = state.get::<Vendor>("A").expect("kept").expect("there");
    assert_eq!(found.city(), vendor.city);
    assert!(state.get::<Vendor>("B").expect("kept").is_none());
    let refused = [
        state.get::<Product>("tea").map(drop),
        state.get_many::<Product>(&["tea"]).map(drop),
        state.typed::<Product>().map(drop),
        state.typed_strict::<Product>().map(drop),
        state.type_id("Product").map(drop),
    ];
    for refused in refused {
        let error = refused.expect_err("left out");
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(
            error.to_string().contains("type Product is left out here"),
            "{error}"
        );
    }
    let required = shop.consumer().types(["Vendor"]).require::<Product>();
    let error = required.open().await.expect_err("required and left out");
    assert!(error.to_string().contains("left out"), "{error}");
}
