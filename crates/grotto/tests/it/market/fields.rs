//! What records hold, from the struct to the reader of another program.

use super::{Currency, Market, Product, Stock, Vendor, category, euros, product, vendor};
use grotto::{RecordRef, testing};
use std::sync::Arc;

fn shop() -> Arc<grotto::State> {
    let products = [product("tea", 450), product("cup", 901)];
    testing::state()
        .with_all(&products)
        .build()
        .expect("a state")
}

#[tokio::test]
async fn a_product_is_read_as_it_was_published() {
    let market = Market::new();
    let all: Vec<Product> = (0..50)
        .map(|n| product(&format!("sku {n}"), n * 11))
        .collect();
    let producer = market.published(&all).await;
    let state = market.consumer().open().await.expect("consumer").state();
    for product in &all {
        let found = state
            .get::<Product>(&product.sku.0)
            .expect("key")
            .expect("product");
        assert_eq!(&found.to_struct().expect("copy"), product);
    }
    producer.shutdown().await;
}

#[test]
fn enums_newtypes_and_converted_fields_are_read_as_what_they_are() {
    let shop = shop();
    let tea = shop.get::<Product>("tea").expect("key").expect("tea");
    assert_eq!(tea.sku(), "tea");
    assert_eq!(
        (tea.price().currency(), tea.stock()),
        (Currency::Euro, Stock::Plenty)
    );
    assert_eq!(
        (tea.id(), tea.views()),
        (uuid::Uuid::from_u128(450 << 64 | 7), u64::MAX - 450)
    );
    let cup = shop.get::<Product>("cup").expect("key").expect("cup");
    assert_eq!((cup.stock(), cup.maker()), (Stock::SoldOut, None));
}

#[test]
fn what_a_program_does_not_know_of_an_enum_reads_as_its_other() {
    let product = r#"{"sku":"tea","price":{"cents":1,"currency":"JPY"},"stock":77,"category":{"id":1,"name":"a"}}"#;
    let line = format!("{product}\n");
    let shop = testing::state()
        .schema(super::schema())
        .with_json("Product", &line)
        .build();
    let shop = shop.expect("a state");
    let tea = shop.get::<Product>("tea").expect("key").expect("tea");
    assert_eq!(
        (tea.price().currency(), tea.stock()),
        (Currency::Other, Stock::Unknown)
    );
    assert_eq!(tea.id(), uuid::Uuid::nil());
}

#[test]
fn a_skipped_field_is_left_out_of_schema_and_records() {
    let mut tea = product("tea", 450);
    tea.shown = 99;
    let shop = testing::state().with(&tea).build().expect("a state");
    assert!(
        !shop.schema().to_string().contains("shown"),
        "{}",
        shop.schema()
    );
    let found = shop.get::<Product>("tea").expect("key").expect("tea");
    assert_eq!(found.to_struct().expect("copy").shown, 0);
}

#[test]
fn keys_of_records_sets_and_maps_are_what_a_user_has_at_hand() {
    let shop = shop();
    let (text, key) = (String::from("tea"), "chaya");
    let tea = shop.get::<Product>(&text).expect("key").expect("tea");
    assert!(tea.tags().contains("hot 0").expect("key"));
    assert!(tea.tags().contains(&String::from("new 0")).expect("key"));
    assert_eq!(tea.titles().get("de").expect("key"), Some("tea in de"));
    let price = tea.vendors().get(key).expect("key").expect("a price");
    assert_eq!(price.cents(), 460);
    assert_eq!(
        shop.get::<Vendor>("k")
            .expect("key")
            .expect("vendor")
            .city(),
        None
    );
}

#[test]
fn two_fields_of_one_element_type_have_settings_of_their_own() {
    let shop = shop();
    let tea = shop.get::<Product>("tea").expect("key").expect("tea");
    let also: Vec<&str> = tea.also().iter().map(|vendor| vendor.code()).collect();
    assert_eq!(also, ["m", "n"]);
    // By its primary key, which the set needs no setting for.
    assert!(tea.also().contains("m").expect("key"));
    assert!(!tea.also().contains("chaya").expect("key"));
    assert!(tea.vendors().get("m").expect("key").is_none());
}

#[test]
fn equal_records_are_stored_once_however_many_refer_to_them() {
    let products: Vec<Product> = (0..100)
        .map(|n| product(&format!("sku {n}"), 450))
        .collect();
    let shop = testing::state()
        .with_all(&products)
        .build()
        .expect("a state");
    let count = |name: &str| shop.count(shop.type_id(name).expect("type"));
    assert_eq!(count("Product"), 100);
    // 450, and with each of the two vendors.
    assert_eq!(count("Price"), 3);
    assert_eq!(count("Category"), 2, "category 3 and the one that it is in");
}

#[test]
fn a_tree_is_walked_to_its_root() {
    let deep = Product {
        category: category(21),
        ..product("tea", 450)
    };
    let shop = testing::state().with(&deep).build().expect("a state");
    let mut at = Some(
        shop.get::<Product>("tea")
            .expect("key")
            .expect("tea")
            .category(),
    );
    let mut ids = Vec::new();
    while let Some(category) = at {
        ids.push(category.id());
        at = category.inside();
    }
    assert_eq!(ids, [21, 10, 5, 2, 1]);
}

#[test]
fn what_is_shown_of_a_record_are_its_fields() {
    let tea = shop();
    let tea = tea.get::<Vendor>("chaya").expect("key").expect("vendor");
    assert_eq!(
        format!("{tea:?}"),
        r#"Vendor { code: "chaya", city: "city of chaya" }"#
    );
    assert_eq!(tea.to_struct().expect("copy"), vendor("chaya"));
    assert_eq!(euros(3).cents, 3);
}
