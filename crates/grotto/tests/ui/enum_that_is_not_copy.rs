//! An enum is read by value, so it has to be `Copy`, and needs a variant for what it does not know.

use grotto::Record;

#[derive(Record)]
enum Moved {
    A,
    #[grotto(other)]
    B,
}

#[derive(Record, Clone, Copy)]
enum Closed {
    A,
    B,
}

fn main() {}
