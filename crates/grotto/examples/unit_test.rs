//! Testing code that reads a dataset, on records made up for the test: `cargo run -p grotto --example unit_test`.
#![allow(clippy::print_stdout, reason = "it is what an example has to show")]

use grotto::{Record, State};

#[derive(Record)]
#[grotto(key(sku))]
struct Product {
    sku: String,
    cents: i64,
    tags: Vec<String>,
}

/// The code: the cheapest product with a tag.
fn cheapest(shop: &State, tag: &str) -> grotto::Result<Option<String>> {
    let products = shop.typed::<Product>()?;
    let tagged = products
        .iter()
        .filter(|product| product.tags().iter().any(|found| found == tag));
    let cheapest = tagged.min_by_key(|product| product.cents());
    Ok(cheapest.map(|product| product.sku().to_owned()))
}

fn product(sku: &str, cents: i64, tags: &[&str]) -> Product {
    let (sku, tags) = (
        sku.to_owned(),
        tags.iter().map(|&tag| tag.to_owned()).collect(),
    );
    Product { sku, cents, tags }
}

/// In a program: `#[test]`, in a module with `#[cfg(test)]`.
fn the_cheapest_of_a_tag_is_found() -> grotto::Result<()> {
    let products = [
        product("tea", 450, &["hot", "drink"]),
        product("water", 100, &["drink"]),
        product("soup", 300, &["hot"]),
    ];
    let shop = grotto::testing::state().with_all(&products).build()?;
    assert_eq!(cheapest(&shop, "hot")?.as_deref(), Some("soup"));
    assert_eq!(cheapest(&shop, "cold")?, None);
    Ok(())
}

fn a_shop_without_products_has_no_cheapest_one() -> grotto::Result<()> {
    let shop = grotto::testing::state().with_type::<Product>().build()?;
    assert_eq!(cheapest(&shop, "hot")?, None);
    Ok(())
}

pub(crate) fn main() -> grotto::Result<()> {
    the_cheapest_of_a_tag_is_found()?;
    a_shop_without_products_has_no_cheapest_one()?;
    println!("both tests pass");
    Ok(())
}
