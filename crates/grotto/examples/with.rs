//! Types that records do not have, stored as others: an identifier and an unsigned number. `with_dates.rs` has
//! a date and a decimal. `cargo run -p grotto --example with`.
#![allow(clippy::print_stdout, reason = "it is what an example has to show")]

use grotto::{Record, RecordRef, testing};
use uuid::Uuid;

#[derive(Record, Debug, PartialEq)]
#[grotto(key(id))]
struct Offer {
    #[grotto(with = "as_bytes")]
    id: Uuid,
    #[grotto(with = "as_bits")]
    views: u64,
    /// Of this process only.
    #[grotto(skip)]
    shown: u32,
}

/// 16 bytes. Reading never fails: what is no identifier reads as that of zeros.
mod as_bytes {
    pub(super) type Stored = Vec<u8>;
    pub(super) fn to_stored(id: &uuid::Uuid) -> Stored {
        id.as_bytes().to_vec()
    }
    pub(super) fn from_stored(bytes: &[u8]) -> uuid::Uuid {
        uuid::Uuid::from_slice(bytes).unwrap_or_default()
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

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let id: Uuid = "67e55044-10b1-426f-9247-bb680e5fe0c8".parse()?;
    let (views, shown) = (u64::MAX, 3);
    let state = testing::state().with(&Offer { id, views, shown }).build()?;
    // Looked up by what is stored, read as what it is.
    let found = state.get::<Offer>(id.as_bytes())?.ok_or("no such offer")?;
    println!("{} was seen {} times", found.id(), found.views());
    assert_eq!(
        found.to_struct()?,
        Offer {
            id,
            views,
            shown: 0
        }
    );
    assert!(state.get::<Offer>(Uuid::nil().as_bytes())?.is_none());
    Ok(())
}
