//! Fields of a key are of the types that the struct has there, and nothing else of the same width.

use grotto::{Record, State};

#[derive(Record)]
#[grotto(key(shelf, name))]
struct Product {
    shelf: i64,
    name: String,
}

#[derive(Record)]
#[grotto(key(weight))]
struct Weighed {
    weight: f64,
}

fn look_up(state: &State) {
    let _ = state.get::<Product>((1, "a"));
    let _ = state.get::<Product>(((1_i64, 777_i64), "a"));
    let _ = state.get::<Product>((f64::from_bits(1), "a"));
    let _ = state.get::<Product>((true, "a"));
    let _ = state.get::<Product>("a");
    let _ = state.get_many::<Product>(&[("a", 1)]);
    let _ = state.get::<Weighed>(1.5_f32);
    let _ = state.get::<Weighed>(&1.5);
}

fn main() {}
