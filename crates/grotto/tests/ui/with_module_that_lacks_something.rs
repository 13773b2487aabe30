//! The module of `with` has a type and two functions, which fit each other and the field.

use grotto::Record;

mod lacks_from {
    pub type Stored = i64;
    pub fn to_stored(number: &u64) -> i64 {
        *number as i64
    }
}

mod other_kind {
    pub type Stored = String;
    pub fn to_stored(number: &u64) -> i64 {
        *number as i64
    }
    pub fn from_stored(text: &str) -> u64 {
        text.len() as u64
    }
}

#[derive(Record)]
struct Counted {
    #[grotto(with = "lacks_from")]
    first: u64,
    #[grotto(with = "other_kind")]
    second: u64,
}

fn main() {}
