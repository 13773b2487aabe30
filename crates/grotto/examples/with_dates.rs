//! A date stored as days and a decimal stored as text: `cargo run -p grotto --example with_dates`.
#![allow(clippy::print_stdout, reason = "it is what an example has to show")]

use chrono::NaiveDate;
use grotto::{Record, RecordRef, testing};
use rust_decimal::Decimal;

#[derive(Record, Debug, PartialEq)]
#[grotto(key(id))]
struct Offer {
    id: i64,
    #[grotto(with = "as_days")]
    until: Option<NaiveDate>,
    #[grotto(with = "as_text")]
    price: Decimal,
}

/// Days since 1970; those outside of the calendar read as 1970.
mod as_days {
    use chrono::{NaiveDate, TimeDelta};
    pub(super) type Stored = i32;
    pub(super) fn to_stored(date: &NaiveDate) -> Stored {
        (*date - NaiveDate::default()).num_days() as i32
    }
    pub(super) fn from_stored(days: i32) -> NaiveDate {
        let days = TimeDelta::days(days.into());
        NaiveDate::default()
            .checked_add_signed(days)
            .unwrap_or_default()
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

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let until = Some("1969-07-20".parse()?);
    let price = Decimal::new(1990, 2);
    let offer = Offer {
        id: 1,
        until,
        price,
    };
    let state = testing::state().with(&offer).build()?;
    let found = state.get::<Offer>(1)?.ok_or("no offer 1")?;
    println!("{} until {:?}", found.price(), found.until());
    assert_eq!(found.price().to_string(), "19.90");
    assert_eq!(found.to_struct()?, offer);
    Ok(())
}
