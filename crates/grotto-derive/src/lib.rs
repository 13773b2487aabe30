//! `#[derive(Record)]`: a Rust struct as a record type.
//!
//! Owns: reading the struct and its attributes, and the code that implements the traits of
//! `grotto::engine::state::typed`. Never decides how a Rust type maps to the schema: the traits do, so that
//! type aliases work and an unsupported type is reported where it stands.
#![forbid(unsafe_code)]

mod attributes;
mod expand;
mod model;
mod types;
mod values;

use proc_macro::TokenStream;
use syn::{Data, DeriveInput, Fields, parse_macro_input};

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
/// - `#[grotto(hash_key(id))]`: on a set or map of records, what its elements or keys are found by.
///   Scalars are found by their value.
/// - `#[grotto(skip)]`: not stored. Copied out, it is `Default::default()`.
/// - `#[grotto(with = "module")]`: a type of one's own or of another crate, stored as one that records
///   have. The module has a type `Stored`, `fn to_stored(&T) -> Stored`, and
///   `fn from_stored(..) -> T`, which takes what reading a `Stored` gives: itself, or `&str` and
///   `&[u8]` for text and bytes. It must have an answer for every stored value: reading never fails. A
///   field that is an `Option` of the type is null for `None`.
///
/// An **enum without data** is stored as text, the names of its variants: `#[grotto(rename = "..")]`
/// on a variant gives another text, `#[grotto(int)]` on the enum stores the numbers of the variants
/// instead. The variant with `#[grotto(other)]` is read where a dataset holds anything else, or
/// nothing. The enum must be `Copy`.
///
/// A **newtype** such as `struct Sku(String)` is stored as the value in it, and read as that: accessors
/// give `&str`, `to_struct` gives a `Sku`. Sets, maps and keys are looked up by the value, too.
#[proc_macro_derive(Record, attributes(grotto))]
pub fn derive_record(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    match code(&input) {
        Ok(code) => code.into(),
        Err(error) => error.into_compile_error().into(),
    }
}

fn code(input: &DeriveInput) -> syn::Result<proc_macro2::TokenStream> {
    if let Data::Enum(data) = &input.data {
        return values::expand_enum(input, data);
    }
    if let Data::Struct(data) = &input.data
        && let Fields::Unnamed(fields) = &data.fields
        && let (Some(only), 1) = (fields.unnamed.first(), fields.unnamed.len())
        && input.generics.params.is_empty()
    {
        return values::expand_newtype(input, &only.ty);
    }
    Ok(expand::expand(&model::Model::read(input)?))
}
