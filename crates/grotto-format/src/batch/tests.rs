//! Tests of the columnar form. Owns nothing.

use super::*;
use proptest::prelude::*;

fn round_trip(kind: ColumnKind, values: &[Value<'_>]) {
    let mut column = Column::new(kind);
    values.iter().for_each(|value| column.push(*value));
    let rows: Vec<u32> = (0..values.len() as u32).rev().collect();
    let mut out = Vec::new();
    column.encode(kind, &rows, &mut out);
    let back = Column::decode(kind, values.len(), &out).unwrap();
    for (i, value) in values.iter().rev().enumerate() {
        assert_eq!(back.value(i), *value);
    }
}

#[test]
fn nulls_and_extremes_come_back() {
    round_trip(
        ColumnKind::Fixed(0),
        &[
            Value::Fixed(i64::MIN as u64),
            Value::Null,
            Value::Fixed(i64::MAX as u64),
            Value::Fixed(0),
        ],
    );
    round_trip(
        ColumnKind::Fixed(4),
        &[Value::Fixed(u64::from(f32::NAN.to_bits())), Value::Null],
    );
    round_trip(
        ColumnKind::Var(true),
        &[Value::Var(b""), Value::Null, Value::Var("ü".as_bytes())],
    );
    round_trip(
        ColumnKind::Elements(1),
        &[Value::Elements(&[]), Value::Elements(&[7, 7, 0])],
    );
}

#[test]
fn a_column_decoded_in_the_place_of_another_holds_nothing_of_it() {
    let columns: [(ColumnKind, &[Value<'_>]); 9] = [
        (
            ColumnKind::Fixed(0),
            &[Value::Fixed(1), Value::Null, Value::Fixed(900)],
        ),
        (ColumnKind::Fixed(0), &[Value::Fixed(7)]),
        (
            ColumnKind::Fixed(4),
            &[Value::Null, Value::Fixed(0xffff_ffff)],
        ),
        (
            ColumnKind::Var(true),
            &[Value::Var(b"longer"), Value::Null, Value::Var(b"text")],
        ),
        (ColumnKind::Var(true), &[Value::Var(b"short")]),
        (ColumnKind::Var(true), &[]),
        (
            ColumnKind::Elements(1),
            &[Value::Elements(&[7, 0, 9]), Value::Null],
        ),
        (ColumnKind::Elements(1), &[Value::Elements(&[3])]),
        (ColumnKind::Elements(1), &[Value::Elements(&[])]),
    ];
    let encoded = |(kind, values): (ColumnKind, &[Value<'_>])| {
        let mut column = Column::new(kind);
        values.iter().for_each(|value| column.push(*value));
        let rows: Vec<u32> = (0..values.len() as u32).collect();
        let mut out = Vec::new();
        column.encode(kind, &rows, &mut out);
        (kind, values.len(), out)
    };
    for before in columns.map(encoded) {
        for (kind, rows, bytes) in columns.map(encoded) {
            let mut column = Column::decode(before.0, before.1, &before.2).unwrap();
            column
                .refill(kind, rows, &bytes, &crate::limits::Limits::FORMAT)
                .unwrap();
            let fresh = Column::decode(kind, rows, &bytes).unwrap();
            assert_eq!(
                format!("{column:?}"),
                format!("{fresh:?}"),
                "after {before:?}"
            );
        }
    }
}

#[test]
fn text_that_splits_a_character_is_refused() {
    let mut column = Column::new(ColumnKind::Var(false));
    column.push(Value::Var(&"ü".as_bytes()[..1]));
    column.push(Value::Var(&"ü".as_bytes()[1..]));
    let mut out = Vec::new();
    column.encode(ColumnKind::Var(false), &[0, 1], &mut out);
    assert!(Column::decode(ColumnKind::Var(false), 2, &out).is_ok());
    assert!(Column::decode(ColumnKind::Var(true), 2, &out).is_err());
}

proptest! {
    #[test]
    fn ordinals_come_back(set in proptest::collection::btree_set(0_u32..MAX_ORDINAL, 0..100)) {
        let ordinals: Vec<u32> = set.into_iter().collect();
        let mut out = Vec::new();
        encode_ordinals(&ordinals, &mut out);
        prop_assert_eq!(decode_ordinals(&out, 100).unwrap(), ordinals);
    }

    #[test]
    fn any_bytes_decode_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80), rows in 0_usize..50) {
        for kind in [ColumnKind::Fixed(0), ColumnKind::Fixed(8), ColumnKind::Var(true), ColumnKind::Elements(2)] {
            if let Ok(column) = Column::decode(kind, rows, &bytes) {
                prop_assert_eq!(column.len(), rows);
            }
        }
        let _ = decode_ordinals(&bytes, 1000);
    }
}
