//! What enums and newtypes are refused, and the advice given. Owns nothing.

use syn::{Data, DeriveInput, parse_quote};

#[track_caller]
fn refused(input: DeriveInput, expected: &str) {
    let Data::Enum(data) = &input.data else {
        panic!("an enum")
    };
    let error = super::expand_enum(&input, data).expect_err("an error");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn an_enum_needs_one_variant_for_what_it_does_not_know() {
    let expected = "expected one variant with #[grotto(other)]: it stands for what a dataset \
                    holds beside the variants, and for what it does not hold";
    refused(
        parse_quote!(
            enum E {
                A,
                B,
            }
        ),
        expected,
    );
    refused(
        parse_quote!(
            enum E {
                #[grotto(other)]
                A,
                #[grotto(other)]
                B,
            }
        ),
        expected,
    );
}

#[test]
fn variants_hold_no_data_and_are_told_apart_by_what_is_stored() {
    refused(
        parse_quote!(
            enum E {
                #[grotto(other)]
                A,
                B(i32),
            }
        ),
        "a variant with data has no place in a record: use a struct with an Option for each case",
    );
    refused(
        parse_quote!(
            enum E {
                #[grotto(other)]
                A,
                #[grotto(rename = "A")]
                B,
            }
        ),
        "stored as A is already",
    );
    refused(
        parse_quote!(
            #[grotto(int)]
            enum E {
                #[grotto(other)]
                A = 1,
                B = 1,
            }
        ),
        "stored as A is already",
    );
}

#[test]
fn stored_numbers_are_written_down() {
    refused(
        parse_quote!(
            #[grotto(int)]
            enum E {
                #[grotto(other)]
                A,
            }
        ),
        "expected a number for each variant, as in Open = 1: what is stored must not depend on their order",
    );
    refused(
        parse_quote!(
            #[grotto(int)]
            enum E {
                #[grotto(other, rename = "x")]
                A = 1,
            }
        ),
        "stored as a number: expected no other name",
    );
}

#[test]
fn what_is_stored_as_a_value_has_no_key_and_no_type() {
    let expected = "an enum is stored as a value: it has no key, and no type of its own to rename";
    refused(
        parse_quote!(
            #[grotto(rename = "F")]
            enum E {
                #[grotto(other)]
                A,
            }
        ),
        expected,
    );
    let input: DeriveInput = parse_quote!(
        #[grotto(key(id))]
        struct N(i32);
    );
    let error = super::expand_newtype(&input, &parse_quote!(i32)).expect_err("an error");
    assert_eq!(
        error.to_string(),
        "a newtype is stored as the value in it: it has no key, and no type of its own"
    );
    let input: DeriveInput = parse_quote!(
        struct N(u64);
    );
    let error = super::expand_newtype(&input, &parse_quote!(u64)).expect_err("an error");
    assert_eq!(
        error.to_string(),
        "the widest number of the schema is long: use i64"
    );
}
