//! Single columns and lists of ordinals, and the hashes of values. Owns nothing.

use super::{from_hex, published_json, text, to_hex};
use crate::reader;
use grotto_format::FieldType;
use grotto_format::batch::{Column, ColumnKind, Value as Item, decode_ordinals, encode_ordinals};
use grotto_format::checksum;
use serde_json::{Value, json};

/// Name of a column in the vectors, its kind, and a field type that has it; none for collections.
const KINDS: [(&str, ColumnKind, Option<FieldType>); 7] = [
    ("integers", ColumnKind::Fixed(0), Some(FieldType::Long)),
    ("floats", ColumnKind::Fixed(4), Some(FieldType::Float)),
    ("doubles", ColumnKind::Fixed(8), Some(FieldType::Double)),
    ("texts", ColumnKind::Var(true), Some(FieldType::String)),
    ("bytes", ColumnKind::Var(false), Some(FieldType::Bytes)),
    ("elements", ColumnKind::Elements(1), None),
    ("entries", ColumnKind::Elements(2), None),
];

/// Values as they stand in the vectors: integers as decimals, floats as their bits in hexadecimal,
/// bytes in hexadecimal, elements as lists.
fn cases() -> Vec<(&'static str, Value)> {
    let long = "x".repeat(300);
    vec![
        ("integers", json!([])),
        ("integers", json!(["0"])),
        ("integers", json!(["5", "5", "5"])),
        ("integers", json!(["-1", "0", "1", null, "6"])),
        ("integers", json!([null, null])),
        (
            "integers",
            json!(["-9223372036854775808", "9223372036854775807", "0"]),
        ),
        (
            "integers",
            json!(
                (0..70)
                    .map(|i| (i * i - 100).to_string())
                    .collect::<Vec<_>>()
            ),
        ),
        (
            "integers",
            json!((0..9).map(|i| (i % 2).to_string()).collect::<Vec<_>>()),
        ),
        ("floats", json!(["3f800000", null, "80000000", "7fc00000"])),
        (
            "doubles",
            json!([
                "3ff0000000000000",
                "7ff8000000000000",
                null,
                "0000000000000001"
            ]),
        ),
        ("texts", json!([])),
        ("texts", json!(["", null, "ü", "日本", long])),
        ("bytes", json!(["", "00ff", null, "c3"])),
        (
            "elements",
            json!([[], [7, 7, 0], null, [4_294_901_759_u32]]),
        ),
        ("elements", json!([[1], [1], [1, 1]])),
        ("entries", json!([[1, 2, 3, 4], [], [0, 0]])),
    ]
}

fn kind_of(name: &str) -> (ColumnKind, Option<FieldType>) {
    let (_, kind, ty) = KINDS
        .into_iter()
        .find(|(known, ..)| *known == name)
        .unwrap();
    (kind, ty)
}

fn push(column: &mut Column, kind: ColumnKind, value: &Value) {
    match (kind, value) {
        (_, Value::Null) => column.push(Item::Null),
        (ColumnKind::Fixed(0), value) => {
            column.push(Item::Fixed(text(value).parse::<i64>().unwrap() as u64))
        }
        (ColumnKind::Fixed(_), value) => {
            column.push(Item::Fixed(u64::from_str_radix(text(value), 16).unwrap()))
        }
        (ColumnKind::Var(true), value) => column.push(Item::Var(text(value).as_bytes())),
        (ColumnKind::Var(false), value) => column.push(Item::Var(&from_hex(text(value)))),
        (ColumnKind::Elements(_), value) => {
            let list = value.as_array().unwrap();
            let list: Vec<u32> = list.iter().map(|o| o.as_u64().unwrap() as u32).collect();
            column.push(Item::Elements(&list));
        }
    }
}

fn shown(kind: ColumnKind, cell: &reader::Cell) -> Value {
    match (kind, cell) {
        (_, reader::Cell::Null) => Value::Null,
        (ColumnKind::Fixed(0), reader::Cell::Word(word)) => json!((*word as i64).to_string()),
        (ColumnKind::Fixed(4), reader::Cell::Word(word)) => json!(format!("{word:08x}")),
        (_, reader::Cell::Word(word)) => json!(format!("{word:016x}")),
        (ColumnKind::Var(true), reader::Cell::Bytes(bytes)) => {
            json!(std::str::from_utf8(bytes).unwrap())
        }
        (_, reader::Cell::Bytes(bytes)) => json!(to_hex(bytes)),
        (_, reader::Cell::Ordinals(list)) => json!(list),
    }
}

fn encoded(kind: ColumnKind, values: &Value) -> String {
    let mut column = Column::new(kind);
    let values = values.as_array().unwrap();
    values
        .iter()
        .for_each(|value| push(&mut column, kind, value));
    let mut out = Vec::new();
    column.encode(
        kind,
        &(0..values.len() as u32).collect::<Vec<_>>(),
        &mut out,
    );
    to_hex(&out)
}

#[test]
fn columns_are_written_and_read_as_published() {
    let made = cases().into_iter().map(|(name, values)| {
        let hex = encoded(kind_of(name).0, &values);
        json!({ "column": name, "values": values, "hex": hex })
    });
    for case in published_json("columns.json", &made.collect())
        .as_array()
        .unwrap()
    {
        let (kind, ty) = kind_of(text(&case["column"]));
        let (bytes, values) = (
            from_hex(text(&case["hex"])),
            case["values"].as_array().unwrap(),
        );
        let cells = reader::column(&bytes, ty, values.len());
        assert_eq!(
            &cells
                .iter()
                .map(|cell| shown(kind, cell))
                .collect::<Vec<_>>(),
            values
        );
        let decoded = Column::decode(kind, values.len(), &bytes).unwrap();
        let mut again = Vec::new();
        decoded.encode(
            kind,
            &(0..values.len() as u32).collect::<Vec<_>>(),
            &mut again,
        );
        assert_eq!(again, bytes);
    }
}

#[test]
fn ordinals_are_written_and_read_as_published() {
    let lists: [&[u32]; 6] = [
        &[],
        &[0],
        &[0, 1, 2, 3],
        &[5, 700],
        &[4_294_901_759],
        &[0, 4_294_901_759],
    ];
    let made = lists.iter().map(|list| {
        let mut out = Vec::new();
        encode_ordinals(list, &mut out);
        json!({ "ordinals": list, "hex": to_hex(&out) })
    });
    for case in published_json("ordinals.json", &made.collect())
        .as_array()
        .unwrap()
    {
        let bytes = from_hex(text(&case["hex"]));
        assert_eq!(json!(reader::ordinals(&bytes)), case["ordinals"]);
        assert_eq!(
            json!(decode_ordinals(&bytes, 1000).unwrap()),
            case["ordinals"]
        );
    }
}

#[test]
fn hashes_are_as_published() {
    let hex = |word: u64| format!("{word:016x}");
    let seed = checksum::field_seed("City", "name");
    let keys = checksum::key_var(checksum::key_fixed(checksum::KEY_SEED, 42), b"Kyiv");
    let made = json!({
        "of_bytes": { "": hex(checksum::of_bytes(b"")), "grotto": hex(checksum::of_bytes(b"grotto")) },
        "field_seed": { "City.name": hex(seed), "Cities.": hex(checksum::field_seed("Cities", "")) },
        "fixed": { "City.name 0": hex(checksum::fixed(seed, 0)), "City.name -1": hex(checksum::fixed(seed, u64::MAX)) },
        "var": { "City.name ''": hex(checksum::var(seed, b"")), "City.name 'Kyiv'": hex(checksum::var(seed, b"Kyiv")) },
        "elements": {
            "City.name []": hex(checksum::elements(seed, [].into_iter())),
            "City.name [3, 1, 3]": hex(checksum::elements(seed, [3, 1, 3].into_iter())),
        },
        "record": { "content 0, ordinal 0": hex(checksum::record(0, 0)), "content 1, ordinal 7": hex(checksum::record(1, 7)) },
        "key": { "(42, 'Kyiv')": hex(keys), "()": hex(checksum::KEY_SEED) },
    });
    published_json("hashes.json", &made);
}
