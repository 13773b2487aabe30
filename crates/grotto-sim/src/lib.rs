//! Producers and consumers against each other.
//!
//! Owns: the tests that need both sides; they are in `tests/`. Never ships.
#![forbid(unsafe_code)]
