//! Enums and newtypes in records: `cargo run -p grotto --example enums`.
#![allow(clippy::print_stdout, reason = "it is what an example has to show")]

use grotto::{Declarations, Record, RecordRef, testing};

/// Stored as text, which people read.
#[derive(Record, Clone, Copy, Debug, PartialEq)]
enum Currency {
    #[grotto(rename = "EUR")]
    Euro,
    /// Read for what this program does not know.
    #[grotto(other)]
    Other,
}

/// Stored as a number.
#[derive(Record, Clone, Copy, Debug, PartialEq)]
#[grotto(int)]
enum Stock {
    #[grotto(other)]
    Unknown = 0,
    SoldOut = 1,
}

/// Stored and read as text.
#[derive(Record, Clone, Debug, PartialEq)]
struct Sku(String);

#[derive(Record, Clone, Debug, PartialEq)]
#[grotto(key(sku))]
struct Offer {
    sku: Sku,
    currency: Currency,
    stock: Option<Stock>,
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (currency, stock) = (Currency::Euro, Some(Stock::SoldOut));
    let offer = Offer {
        sku: Sku("A-17".to_owned()),
        currency,
        stock,
    };
    let state = testing::state().with(&offer).build()?;
    let found = state.get::<Offer>("A-17")?.ok_or("no offer A-17")?;
    println!("{found:?}");
    assert_eq!((found.currency(), found.stock()), (currency, stock));
    assert_eq!(found.to_struct()?, offer);

    // A newer program has a currency that this one does not know.
    let schema = Declarations::new().with::<Offer>().schema()?;
    let line = r#"{"sku":"B-2","currency":"JPY","stock":99}"#;
    let newer = testing::state().schema(schema);
    let newer = newer.with_json("Offer", line).build()?;
    let found = newer.get::<Offer>("B-2")?.ok_or("no offer B-2")?;
    let unknown = (Currency::Other, Some(Stock::Unknown));
    assert_eq!((found.currency(), found.stock()), unknown);
    Ok(())
}
