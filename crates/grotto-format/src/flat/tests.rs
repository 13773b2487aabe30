//! Tests of the flat form: whatever the bytes, an error or a record, never a panic.

use proptest::prelude::*;

use super::*;
use crate::schema::arbitrary::{Choices, record, schemas};

fn schema() -> Schema {
    Schema::parse("A { int i; boolean b; string s; A next; L list; } L List<A>;").expect("schema")
}

fn built(write: impl FnOnce(&mut FlatBuilder) -> u16) -> Vec<u8> {
    let mut builder = FlatBuilder::new();
    let mark = builder.begin_object();
    let present = write(&mut builder);
    builder.end_object(mark, present);
    builder.finish(TypeId(0)).bytes
}

#[track_caller]
fn refused(bytes: &[u8], at: usize, what: &'static str) {
    assert_eq!(
        validate(&schema(), TypeId(0), bytes),
        Err(FlatError { at, what })
    );
}

#[test]
fn values_read_back_as_written() {
    let bytes = built(|b| {
        b.field(2);
        b.var("é".as_bytes());
        b.field(0);
        b.int(-5);
        2
    });
    let mut reader = FlatReader::new(&bytes);
    assert_eq!(reader.object(), Ok(2));
    assert_eq!(reader.field(), Ok(2));
    assert!(
        matches!(reader.value(FieldType::String), Ok(FlatValue::Var(text)) if text == "é".as_bytes())
    );
    assert_eq!(reader.field(), Ok(0));
    assert!(
        matches!(reader.value(FieldType::Int), Ok(FlatValue::Fixed(word)) if word as i64 == -5)
    );
    assert_eq!(reader.end(), Ok(()));
    assert_eq!(validate(&schema(), TypeId(0), &bytes), Ok(()));
}

#[test]
fn a_record_without_fields_is_valid_and_bytes_after_it_are_refused() {
    assert_eq!(validate(&schema(), TypeId(0), &[0, 0]), Ok(()));
    refused(&[0, 0, 0], 2, "end of the record");
    refused(&[0], 0, "number of fields");
}

#[test]
fn a_field_that_is_unknown_or_comes_twice_is_refused() {
    let what = "each field of the type at most once";
    refused(&[1, 0, 9, 0], 2, what);
    let twice = built(|b| {
        for _ in 0..2 {
            b.field(0);
            b.int(1);
        }
        2
    });
    refused(&twice, 8, what);
}

#[test]
fn a_boolean_of_two_and_text_that_is_not_utf8_are_refused() {
    refused(&[1, 0, 1, 0, 2], 4, "boolean of 0 or 1");
    refused(&[1, 0, 2, 0, 1, 0, 0, 0, 0xFF], 4, "text in UTF-8");
}

#[test]
fn a_length_beyond_the_end_is_refused() {
    refused(
        &[1, 0, 2, 0, 0xFF, 0xFF, 0xFF, 0xFF, b'a'],
        8,
        "nested record",
    );
    let reader = FlatReader::new(&[0xFF, 0xFF, 0xFF, 0xFF]).collection();
    assert_eq!(
        reader,
        Err(FlatError {
            at: 0,
            what: "number of elements that fits the record"
        })
    );
}

#[test]
fn nesting_ends_at_the_limit() {
    let nested = |levels: usize| {
        let mut bytes = vec![0, 0];
        for _ in 0..levels {
            let inner = bytes;
            bytes = built(|b| {
                b.field(3);
                b.var(&inner);
                1
            });
        }
        bytes
    };
    assert_eq!(validate(&schema(), TypeId(0), &nested(MAX_DEPTH)), Ok(()));
    refused(&nested(MAX_DEPTH + 1), 0, "nesting of at most 64 records");
}

#[test]
fn truncate_takes_back_a_half_written_record() {
    let mut builder = FlatBuilder::new();
    builder.long(1);
    let start = builder.bytes().len();
    let _half = builder.begin_object();
    builder.field(0);
    builder.truncate(start);
    assert_eq!(builder.bytes(), 1_i64.to_le_bytes());
    builder.clear();
    assert!(builder.bytes().is_empty());
}

proptest! {
    #[test]
    fn random_records_are_valid(schema in schemas(), numbers in proptest::collection::vec(any::<u32>(), 0..200)) {
        let mut choices = Choices::new(numbers);
        for id in schema.ids() {
            let mut builder = FlatBuilder::new();
            record(&mut choices, &schema, id, &mut builder);
            prop_assert_eq!(validate(&schema, id, builder.bytes()), Ok(()));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(schema in schemas(), bytes in proptest::collection::vec(any::<u8>(), 0..64), small in proptest::collection::vec(0_u8..4, 0..64)) {
        for id in schema.ids() {
            let _ = validate(&schema, id, &bytes);
            let _ = validate(&schema, id, &small);
        }
    }
}
