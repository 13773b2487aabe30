//! Enums, newtypes, and types of other crates in records: an identifier, a date, a decimal, an
//! unsigned number. `cargo run -p grotto --example custom_types`.
#![allow(clippy::print_stdout, reason = "it is what an example has to show")]

use grotto::{Declarations, Encoder, Record};

#[derive(Record, Clone, Copy, Debug, PartialEq)]
pub(crate) enum Currency {
    #[grotto(rename = "EUR")]
    Euro,
    #[grotto(rename = "USD")]
    Dollar,
    /// Read for what this program does not know.
    #[grotto(other)]
    Other,
}

#[derive(Record, Clone, Copy, Debug, PartialEq)]
#[grotto(int)]
pub(crate) enum Stock {
    #[grotto(other)]
    Unknown = 0,
    Plenty = 1,
    SoldOut = 2,
}

/// Stored and read as text.
#[derive(Record, Clone, Debug, PartialEq)]
pub(crate) struct Sku(String);

#[derive(Record, Clone, Debug, PartialEq)]
#[grotto(key(id))]
pub(crate) struct Offer {
    #[grotto(with = "as_bytes")]
    id: uuid::Uuid,
    sku: Sku,
    #[grotto(with = "as_days")]
    until: Option<chrono::NaiveDate>,
    #[grotto(with = "as_text")]
    price: rust_decimal::Decimal,
    #[grotto(with = "as_bits")]
    views: u64,
    currency: Currency,
    stock: Stock,
    /// Of this process only.
    #[grotto(skip)]
    shown: u32,
}

/// 16 bytes; what is none reads as the nil identifier.
mod as_bytes {
    pub(super) type Stored = Vec<u8>;
    pub(super) fn to_stored(id: &uuid::Uuid) -> Stored {
        id.as_bytes().to_vec()
    }
    pub(super) fn from_stored(bytes: &[u8]) -> uuid::Uuid {
        uuid::Uuid::from_slice(bytes).unwrap_or_default()
    }
}

/// Days since 1970.
mod as_days {
    use chrono::{Days, NaiveDate};
    pub(super) type Stored = i32;
    pub(super) fn to_stored(date: &NaiveDate) -> Stored {
        (*date - NaiveDate::default()).num_days() as i32
    }
    pub(super) fn from_stored(days: i32) -> NaiveDate {
        let (epoch, days) = (
            NaiveDate::default(),
            (days.is_negative(), Days::new(days.unsigned_abs().into())),
        );
        let date = match days {
            (true, days) => epoch.checked_sub_days(days),
            (false, days) => epoch.checked_add_days(days),
        };
        date.unwrap_or_default()
    }
}

/// As it is written, with all its digits.
mod as_text {
    pub(super) type Stored = String;
    pub(super) fn to_stored(number: &rust_decimal::Decimal) -> Stored {
        number.to_string()
    }
    pub(super) fn from_stored(text: &str) -> rust_decimal::Decimal {
        text.parse().unwrap_or_default()
    }
}

/// The same 64 bits.
mod as_bits {
    pub(super) type Stored = i64;
    pub(super) fn to_stored(number: &u64) -> Stored {
        number.cast_signed()
    }
    pub(super) fn from_stored(bits: i64) -> u64 {
        bits.cast_unsigned()
    }
}

pub(crate) fn offer() -> Result<Offer, Box<dyn std::error::Error>> {
    Ok(Offer {
        id: "67e55044-10b1-426f-9247-bb680e5fe0c8".parse()?,
        sku: Sku("A-17".into()),
        until: Some("1969-07-20".parse()?),
        price: rust_decimal::Decimal::new(1990, 2),
        views: u64::MAX,
        currency: Currency::Euro,
        stock: Stock::SoldOut,
        shown: 3,
    })
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let schema = Declarations::new().with::<Offer>().schema()?;
    let bytes = Encoder::<Offer>::new(&schema)?
        .record(&offer()?)?
        .bytes
        .len();
    println!("{schema}\n{:?}\nin {bytes} bytes", offer()?);
    Ok(())
}
