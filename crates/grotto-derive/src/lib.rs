//! `#[derive(Record)]`: a Rust struct as a record type.
//!
//! Owns: reading the struct and its attributes, and the code that implements the traits of
//! `grotto::state::typed`. Never decides how a Rust type maps to the schema: the traits do, so that
//! type aliases work and an unsupported type is reported where it stands.
#![forbid(unsafe_code)]

mod attributes;
mod expand;
mod model;
mod types;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct a record type, and generates its accessor: `CityRef` for `City`, with one method
/// per field that reads in place.
///
/// On the struct:
///
/// - `#[grotto(key(id))]`, `#[grotto(key(country.code, name))]`: the primary key, by paths of
///   fields.
/// - `#[grotto(rename = "Town")]`: the name of the type in the schema, otherwise that of the struct.
/// - `#[grotto(crate = "path")]`: where the crate `grotto` is, if not at `::grotto`.
///
/// On a field:
///
/// - `#[grotto(rename = "countryCode")]`: its name in the schema.
/// - `#[grotto(dedup)]`: text or bytes that repeat a lot become records of their own, each stored
///   once.
/// - `#[grotto(hash_key(id))]`: on a set or map, what its elements or keys are found by.
#[proc_macro_derive(Record, attributes(grotto))]
pub fn derive_record(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    match model::Model::read(&input) {
        Ok(model) => expand::expand(&model).into(),
        Err(error) => error.into_compile_error().into(),
    }
}
