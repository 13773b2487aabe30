//! Segments of several schemas.

use std::sync::Arc;

use grotto_env::ForgetfulFiles;
use grotto_format::flat::FlatBuilder;
use grotto_format::json;
use grotto_format::schema::{Schema, TypeId};

use super::kit::{all, entry, numbers, open_as, small};
use crate::wal::{RejectedChange, WalChange, WalEntry, WalKeyPart};

const OLD: &str = "City @PrimaryKey(id) { long id; string name; int size; }
    Road @PrimaryKey(code, from) { string code; int from; }";
/// Types in another order, a field fewer, one more, a type fewer.
const NEW: &str = "Lake @PrimaryKey(id) { long id; }
    City @PrimaryKey(id) { string name; long id; string mayor; }";

fn upsert(schema: &Schema, name: &str, position: u64, text: &str) -> WalChange {
    let id = schema.find(name).unwrap();
    let mut flat = FlatBuilder::new();
    json::decode(schema, id, text, &mut flat).unwrap();
    WalChange::Upsert {
        type_id: id.0,
        position,
        flat: flat.bytes().to_vec(),
    }
}

fn of(atomic: bool, changes: Vec<WalChange>) -> Arc<WalEntry> {
    Arc::new(WalEntry {
        atomic,
        changes,
        ..WalEntry::clone(&entry(None, 1, 0))
    })
}

fn delete(type_id: u16, key: Vec<WalKeyPart>) -> WalChange {
    WalChange::Delete {
        type_id,
        position: 3,
        key,
    }
}

/// The record of an upsert as a sender would write it.
fn text(schema: &Schema, change: &WalChange) -> String {
    let WalChange::Upsert { type_id, flat, .. } = change else {
        panic!("{change:?}");
    };
    let mut text = String::new();
    json::encode(schema, TypeId(*type_id), flat, &mut text).unwrap();
    text
}

fn changes(old: &Schema) -> Vec<WalChange> {
    let road = vec![WalKeyPart::String("A 1".to_owned()), WalKeyPart::Int(-7)];
    vec![
        upsert(old, "City", 1, r#"{"id":7,"name":"Bern","size":3}"#),
        upsert(old, "Road", 2, r#"{"code":"A 1","from":-7}"#),
        delete(0, vec![WalKeyPart::Long(8)]),
        delete(1, road),
    ]
}

fn rejected() -> Vec<RejectedChange> {
    let reject = |position, text: &str| RejectedChange {
        is_delete: text.contains("delete"),
        type_name: "Road".to_owned(),
        position,
        reason: "the schema has no type Road any more".to_owned(),
        text: text.to_owned(),
    };
    vec![
        reject(2, r#"{"code":"A 1","from":-7}"#),
        reject(3, r#"{"op":"delete","type":"Road","key":["A 1",-7]}"#),
    ]
}

#[test]
fn entries_of_an_older_schema_are_turned_over_and_what_does_not_fit_comes_back_with_its_reason() {
    let (old, new) = (Schema::parse(OLD).unwrap(), Schema::parse(NEW).unwrap());
    let files = ForgetfulFiles::new(1);
    let (wal, _) = open_as(&files, small(), &old).unwrap();
    wal.append(&[of(false, changes(&old))]).unwrap();
    let before = all(&wal);
    assert_eq!(before[0].rejected, []);
    let check = |wal: &crate::wal::Wal| {
        let read = wal.read(1, usize::MAX).unwrap().swap_remove(0);
        assert_eq!(read.rejected, rejected());
        let [city, gone] = read.entry.changes.as_slice() else {
            panic!("{read:?}");
        };
        assert_eq!(text(&new, city), r#"{"name":"Bern","id":7}"#);
        assert_eq!(*gone, delete(1, vec![WalKeyPart::Long(8)]));
    };
    wal.use_schema(&new).unwrap();
    check(&wal);
    wal.append(&[of(false, vec![upsert(&new, "Lake", 1, r#"{"id":1}"#)])])
        .unwrap();
    assert_eq!(wal.segments(), 2);
    drop(wal);
    files.reboot();
    // Also after a new start under any of them.
    let (wal, _) = open_as(&files, small(), &new).unwrap();
    check(&wal);
    drop(wal);
    files.restart();
    let (wal, _) = open_as(&files, small(), &old).unwrap();
    assert_eq!(wal.read(1, 0).unwrap(), before);
    let lake = wal.read(2, 0).unwrap().swap_remove(0);
    assert_eq!(lake.entry.changes, []);
    assert_eq!(
        lake.rejected[0].reason,
        "the schema has no type Lake any more"
    );
    wal.use_schema(&old).unwrap();
    assert_eq!(wal.append(&[entry(None, 1, 1)]).unwrap(), 3..=3);
}

#[test]
fn the_last_group_of_a_process_keeps_its_schema_when_the_next_one_has_another() {
    let (old, new) = (Schema::parse(OLD).unwrap(), Schema::parse(NEW).unwrap());
    let files = ForgetfulFiles::new(1);
    let (wal, _) = open_as(&files, small(), &old).unwrap();
    wal.append(&[entry(None, 1, 1)]).unwrap();
    wal.append(&[of(false, changes(&old))]).unwrap();
    drop(wal);
    files.restart();
    let (wal, _) = open_as(&files, small(), &new).unwrap();
    assert_eq!(wal.read(2, 0).unwrap()[0].rejected, rejected());
    wal.append(&[of(false, vec![upsert(&new, "Lake", 1, r#"{"id":1}"#)])])
        .unwrap();
    drop(wal);
    files.reboot();
    let (wal, _) = open_as(&files, small(), &new).unwrap();
    assert_eq!(numbers(&wal), [1, 2, 3]);
    assert_eq!(wal.read(2, 0).unwrap()[0].rejected, rejected());
    assert_eq!(wal.read(3, 0).unwrap()[0].rejected, []);
}

#[test]
fn an_atomic_entry_fits_whole_or_not_at_all() {
    let (old, new) = (Schema::parse(OLD).unwrap(), Schema::parse(NEW).unwrap());
    let files = ForgetfulFiles::new(1);
    let (wal, _) = open_as(&files, small(), &old).unwrap();
    wal.append(&[of(true, changes(&old))]).unwrap();
    wal.use_schema(&new).unwrap();
    let read = all(&wal).swap_remove(0);
    assert_eq!(read.entry.changes, []);
    let reasons: Vec<&str> = read.rejected.iter().map(|r| r.reason.as_str()).collect();
    let other = "another change of its atomic batch does not fit the schema";
    let road = "the schema has no type Road any more";
    assert_eq!(reasons, [other, road, other, road]);
    assert_eq!(
        read.rejected[2].text,
        r#"{"op":"delete","type":"City","key":8}"#
    );
}

#[test]
fn keys_of_every_kind_are_turned_over() {
    let text = "K @PrimaryKey(a, b, c, d, e, f, g) \
        { int a; long b; float c; double d; boolean e; string f; bytes g; }";
    let old = Schema::parse(text).unwrap();
    let new = Schema::parse(&format!("{text} Other {{ int x; }}")).unwrap();
    for special in [1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let key = vec![
            WalKeyPart::Int(i32::MIN),
            WalKeyPart::Long(i64::MAX),
            WalKeyPart::Float(special as f32),
            WalKeyPart::Double(special),
            WalKeyPart::Boolean(true),
            WalKeyPart::String("\"é".to_owned()),
            WalKeyPart::Bytes(vec![0, 255]),
        ];
        let files = ForgetfulFiles::new(1);
        let (wal, _) = open_as(&files, small(), &old).unwrap();
        wal.append(&[of(false, vec![delete(0, key.clone())])])
            .unwrap();
        wal.use_schema(&new).unwrap();
        let read = all(&wal).swap_remove(0);
        let same = format!("{:?}", delete(0, key));
        assert_eq!(format!("{:?}", read.entry.changes[0]), same);
    }
}

#[test]
fn fields_that_are_gone_are_left_out_wherever_they_are() {
    let old = "A @PrimaryKey(id) { long id; Box box; Boxes many; ByName named; float f; double d; boolean b; bytes y; int gone; }
        Box { int keep; String gone; string text; }
        Boxes List<Box>;
        ByName Map<String, Box>;
        String { string value; }";
    let new = old.replace("int gone;", "").replace("String gone;", "");
    let (old, new) = (Schema::parse(old).unwrap(), Schema::parse(&new).unwrap());
    let inner = |gone: &str| format!(r#"{{"keep":-5{gone},"text":"t"}}"#);
    let record = |gone: &str, inner: &str| {
        format!(
            r#"{{"id":-1,"box":{inner},"many":[{inner},{inner}],"named":{{"k":{inner}}},"f":1.5,"d":"NaN","b":true,"y":"AP8="{gone}}}"#
        )
    };
    let whole = record(r#","gone":7"#, &inner(r#","gone":"x""#));
    let files = ForgetfulFiles::new(1);
    let (wal, _) = open_as(&files, small(), &old).unwrap();
    wal.append(&[of(false, vec![upsert(&old, "A", 1, &whole)])])
        .unwrap();
    wal.use_schema(&new).unwrap();
    let read = all(&wal).swap_remove(0);
    assert_eq!(read.rejected, []);
    assert_eq!(text(&new, &read.entry.changes[0]), record("", &inner("")));
}
