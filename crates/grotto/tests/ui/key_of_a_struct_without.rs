//! A struct that declares no key has nothing to be looked up by.

use grotto::{Record, State};

#[derive(Record)]
struct Reading {
    celsius: f64,
}

fn look_up(state: &State) {
    let _ = state.get::<Reading>(1.5);
}

fn main() {}
