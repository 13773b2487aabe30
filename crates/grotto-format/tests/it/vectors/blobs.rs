//! Whole blobs, by the second reader and by the first. Owns nothing.

use super::{folder, text};
use crate::reader::{Cell, Entry, File, Naive, column, ordinals};
use grotto_format::batch::{Column, Value as Item, columns_of, decode_ordinals, encode_ordinals};
use grotto_format::blob::{Blob, BlobWriter, SectionKind};
use grotto_format::{FlatBuilder, Schema, json};
use serde_json::{Map, Value, json};

/// Folders of blobs; a table of the same name tells what they hold.
const FOLDERS: [&str; 2] = ["blobs", "in-place"];

fn told(of: &str) -> Value {
    let table = folder().join(of).join(format!("{of}.json"));
    serde_json::from_slice(&std::fs::read(table).unwrap()).unwrap()
}

fn bytes(of: &str, name: &str) -> Vec<u8> {
    std::fs::read(folder().join(of).join(name)).unwrap()
}

fn names(told: &Value) -> Vec<String> {
    told["blobs"].as_object().unwrap().keys().cloned().collect()
}

fn hex(word: u64) -> Value {
    json!(format!("{word:016x}"))
}

fn header(file: &File) -> Value {
    let kinds = ["", "snapshot", "delta", "reverse", "header"];
    let entry = |(e, _): &(Entry, Vec<u8>)| {
        format!(
            "{} {} {} {} {} {} {:016x}",
            e.ty, e.chunk, e.kind, e.compressed, e.raw, e.stored, e.checksum
        )
    };
    json!({
        "kind": kinds[usize::from(file.kind)],
        "dataset": file.dataset,
        "from": file.from,
        "to": file.to,
        "from_checksum": hex(file.from_checksum),
        "to_checksum": hex(file.to_checksum),
        "from_schema_hash": hex(file.from_schema_hash),
        "schema_hash": hex(file.schema_hash),
        "schema": if file.schema.is_empty() { Value::Null } else { json!(file.schema) },
        "types": file.types.iter().map(|(shift, live)| format!("{shift} {live}")).collect::<Vec<_>>(),
        "sections": file.sections.iter().map(entry).collect::<Vec<_>>(),
    })
}

fn state(naive: &Naive) -> Value {
    let mut types = Map::new();
    for (id, records) in naive.schema.ids().zip(&naive.records) {
        for ordinal in records.keys() {
            let mut flat = FlatBuilder::new();
            naive.flat(id, *ordinal, &mut flat);
            let mut text = String::new();
            json::encode(&naive.schema, id, flat.bytes(), &mut text).unwrap();
            let of_type = types
                .entry(naive.schema.get(id).name.clone())
                .or_insert_with(|| json!({}));
            of_type[ordinal.to_string()] = json!(text);
        }
    }
    json!({ "version": naive.version, "checksum": hex(naive.checksum()), "records": types })
}

/// Calls `visit` with every blob and the state it applies to.
fn walk(of: &str, visit: &mut dyn FnMut(&str, &File, Option<&Naive>)) {
    let (folder, told) = (of, told(of));
    let mut states = vec![("empty".to_owned(), Naive::default())];
    for name in names(&told) {
        let file = File::open(&bytes(folder, &name));
        let of = &told["blobs"][&name];
        let base = of["applies_to"]
            .as_str()
            .map(|base| &states.iter().find(|s| s.0 == base).unwrap().1);
        visit(&name, &file, base);
        if let Some(base) = base {
            let next = base.apply(&file);
            let leads_to = text(&of["leads_to"]);
            assert_eq!(state(&next), told["states"][leads_to], "{name}");
            states.push((leads_to.to_owned(), next));
        }
    }
}

#[test]
fn a_reader_written_from_the_specification_finds_what_is_told() {
    let mut count = 0;
    for of in FOLDERS {
        let told = told(of);
        walk(of, &mut |name, file, _| {
            assert_eq!(header(file), told["blobs"][name]["header"], "{name}");
            count += 1;
        });
    }
    assert!(count >= 12, "{count} blobs");
}

#[test]
fn every_uncompressed_blob_is_written_again_to_the_same_bytes() {
    for (of, name) in FOLDERS
        .iter()
        .flat_map(|of| names(&told(of)).into_iter().map(move |name| (of, name)))
        .filter(|(_, name)| !name.contains("compressed"))
    {
        let blob = Blob::parse(bytes(of, &name).into()).unwrap();
        let mut writer = BlobWriter::new(blob.header.clone(), None);
        for (index, section) in blob.header.sections.iter().enumerate() {
            writer.section(
                section.type_id,
                section.chunk,
                section.kind,
                blob.section(index).unwrap().to_vec(),
            );
        }
        assert_eq!(writer.finish().unwrap(), blob.bytes().as_ref(), "{name}");
    }
}

#[test]
fn every_section_is_decoded_alike_by_both_readers_and_encoded_again() {
    for of in FOLDERS {
        decode_sections(of);
    }
}

fn decode_sections(of: &str) {
    walk(of, &mut |name, file, base| {
        let blob = Blob::parse(bytes(of, name).into()).unwrap();
        let schema = match (&blob.header.schema_text, base) {
            (Some(text), _) => Schema::parse(text).unwrap(),
            (None, base) => base.unwrap().schema.clone(),
        };
        let mut rows = 0;
        for (index, (entry, section)) in blob.header.sections.iter().zip(&file.sections).enumerate()
        {
            let raw = blob.section(index).unwrap();
            assert_eq!(raw, section.1);
            let SectionKind::Column(position) = entry.kind else {
                let list = decode_ordinals(&raw, 1 << 20).unwrap();
                let mut again = Vec::new();
                encode_ordinals(&list, &mut again);
                assert_eq!((again, &list), (section.1.clone(), &ordinals(&raw)));
                rows = list.len();
                continue;
            };
            let ty = &schema.types()[usize::from(entry.type_id)];
            let kind = columns_of(ty)[usize::from(position)];
            let decoded = Column::decode(kind, rows, &raw).unwrap();
            let field = ty
                .object()
                .map(|object| object.fields[usize::from(position)].ty);
            let cells: Vec<Cell> = (0..rows).map(|row| cell(decoded.value(row))).collect();
            assert_eq!(cells, column(&raw, field, rows), "{name}, section {index}");
            let mut again = Vec::new();
            decoded.encode(kind, &(0..rows as u32).collect::<Vec<_>>(), &mut again);
            assert_eq!(again, raw, "{name}, section {index}");
        }
    });
}

fn cell(item: Item<'_>) -> Cell {
    match item {
        Item::Null => Cell::Null,
        Item::Fixed(word) => Cell::Word(word),
        Item::Var(bytes) => Cell::Bytes(bytes.to_vec()),
        Item::Elements(list) => Cell::Ordinals(list.to_vec()),
    }
}

#[test]
fn a_reader_written_from_the_specification_refuses_what_is_told_to_be_refused() {
    let folder = folder().join("refused");
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let base = Naive::default().apply(&File::open(&read("base.snapshot")));
    base.apply(&File::open(&read("base.delta")));
    let told: Value = serde_json::from_slice(&read("refused.json")).unwrap();
    let told = told.as_array().unwrap();
    assert!(told.len() > 40, "{} blobs", told.len());
    for case in told {
        let name = text(&case["blob"]);
        let from = match text(&case["applies_to"]) {
            "empty" => &Naive::default(),
            _ => &base,
        };
        let bytes = read(name);
        let refused = std::panic::catch_unwind(|| from.apply(&File::open(&bytes)));
        assert!(refused.is_err(), "{name} is accepted");
    }
}
