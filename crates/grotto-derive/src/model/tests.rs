//! What is refused, and the advice given. Where it is reported is for `syn` to get right: each error
//! is made from the tokens it is about.

use super::*;

#[track_caller]
fn refused(input: DeriveInput, expected: &str) {
    let error = Model::read(&input).err().expect("an error");
    let messages: Vec<String> = error.into_iter().map(|error| error.to_string()).collect();
    assert_eq!(messages.join(" | "), expected);
}

fn accepted(input: DeriveInput) -> Model {
    Model::read(&input).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn only_structs_with_named_fields_are_accepted() {
    refused(
        parse_quote!(
            union U {
                a: i32,
            }
        ),
        "expected a struct or an enum, found a union",
    );
    refused(
        parse_quote!(
            struct S(i32, i32);
        ),
        "expected a struct with named fields, or one around a single value",
    );
    refused(
        parse_quote!(
            #[grotto(int)]
            struct S {
                a: i32,
            }
        ),
        "int is for enums",
    );
    let expected = "a record type has no type parameters and no lifetimes: it owns its data";
    refused(
        parse_quote!(
            struct S<T> {
                a: T,
            }
        ),
        expected,
    );
    refused(
        parse_quote!(
            struct S<'a> {
                a: &'a str,
            }
        ),
        expected,
    );
}

#[test]
fn types_that_no_record_holds_are_refused_with_advice_and_all_at_once() {
    refused(
        parse_quote!(
            struct S {
                a: u64,
                b: &'static str,
                c: (i32, i32),
                d: [i32; 3],
                e: u16,
                f: i32,
            }
        ),
        "the widest number of the schema is long: use i64 \
         | a record owns its data: use String instead of &str, Vec<u8> instead of &[u8] \
         | use a struct with #[derive(Record)] instead of a tuple \
         | use Vec<T> instead of an array \
         | the schema has int and long: use i32",
    );
    refused(
        parse_quote!(
            struct S {
                a: Vec<u32>,
            }
        ),
        "the schema has no unsigned numbers: use i64",
    );
    refused(
        parse_quote!(
            struct S {
                a: Vec<Option<i32>>,
            }
        ),
        "elements, keys and values cannot be null",
    );
    refused(
        parse_quote!(
            struct S {
                a: Option<Option<i32>>,
            }
        ),
        "null has one level: remove one Option",
    );
    accepted(parse_quote!(
        struct S {
            a: Option<Vec<u8>>,
            b: Vec<Vec<u8>>,
            c: std::vec::Vec<u8>,
        }
    ));
}

#[test]
fn attributes_are_checked() {
    refused(
        parse_quote!(
            #[grotto(kee(a))]
            struct S {
                a: i32,
            }
        ),
        "expected key(..), rename = \"..\", int or crate = \"..\"",
    );
    refused(
        parse_quote!(
            #[grotto(key(b))]
            struct S {
                a: i32,
            }
        ),
        "expected a field of this struct, one of a",
    );
    refused(
        parse_quote!(
            #[grotto(key())]
            struct S {
                a: i32,
            }
        ),
        "expected at least one path of fields, such as (id) or (country.code, name)",
    );
    refused(
        parse_quote!(
            #[grotto(key(a), key(a))]
            struct S {
                a: i32,
            }
        ),
        "expected once, found again",
    );
    refused(
        parse_quote!(
            struct S {
                #[grotto(rename = "9 lives")]
                a: i32,
            }
        ),
        "expected a name of letters, digits, _ or $, not starting with a digit",
    );
    refused(
        parse_quote!(
            struct S {
                #[grotto(unique)]
                a: i32,
            }
        ),
        "expected dedup, hash_key(..), skip, with = \"..\" or rename = \"..\"",
    );
    refused(
        parse_quote!(
            struct S {
                #[grotto(dedup, hash_key(b))]
                a: String,
            }
        ),
        "dedup is for text and bytes, hash_key for sets and maps: expected one of them",
    );
}

#[test]
fn two_fields_of_one_name_are_refused() {
    refused(
        parse_quote!(
            struct S {
                a: i32,
                #[grotto(rename = "a")]
                b: i32,
            }
        ),
        "a second field named a in the schema",
    );
}

#[test]
fn key_paths_begin_with_the_name_of_the_schema() {
    let model = accepted(parse_quote! {
        #[grotto(key(country.code, r#type), rename = "Place")]
        struct City { #[grotto(rename = "in")] country: Country, r#type: i32 }
    });
    let key: Vec<&str> = model.key.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(key, ["in.code", "type"]);
    assert_eq!(model.type_name, "Place");
}
