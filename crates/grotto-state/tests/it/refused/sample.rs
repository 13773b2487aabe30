//! The snapshot and the delta that faults are put into. Owns nothing.

use crate::hostile::Forge;
use grotto_format::batch::{
    Column, ColumnKind, MAX_CHUNK_ROWS, Value, columns_of, decode_ordinals, encode_ordinals,
};
use grotto_format::blob::{BlobKind, SectionKind};
use grotto_format::checksum;
use grotto_format::schema::{Schema, TypeSchema};
use std::collections::BTreeMap;

pub(super) const SCHEMA: &str =
    "Film @PrimaryKey(id) { long id; int year; boolean seen; Name name; Film sequel;
    Cast cast; Tags tags; Words words; Marks marks; Grades grades; }
    Name { string value; } Cast List<Name>; Tags Set<Name>; Words Set<Name> @HashKey(value);
    Marks Map<Name, Name>; Grades Map<Name, Name> @HashKey(value);";

pub(super) const FILM: u16 = 0;
pub(super) const NAME: u16 = 1;
pub(super) const CAST: u16 = 2;
pub(super) const TAGS: u16 = 3;
pub(super) const WORDS: u16 = 4;
pub(super) const MARKS: u16 = 5;
pub(super) const GRADES: u16 = 6;

pub(super) type Row<'a> = Vec<Value<'a>>;

pub(super) fn schema() -> Schema {
    Schema::parse(SCHEMA).unwrap()
}

/// The snapshot holds two films, three names and one collection of each type.
pub(super) fn snapshot() -> Forge {
    let mut forge = Forge::snapshot(SCHEMA, 9);
    forge.header.dataset = "films".into();
    fill(&mut forge, 0);
    finished(forge, &[])
}

/// The delta adds as many again behind them, and changes film 0 in place.
pub(super) fn delta() -> Forge {
    let mut forge = snapshot();
    let header = &mut forge.header;
    (header.kind, header.from, header.to) = (BlobKind::Delta, 1, 2);
    (header.from_checksum, header.from_schema_hash) = (header.to_checksum, header.schema_hash);
    header.schema_text = None;
    forge.sections.clear();
    removed(&mut forge, FILM, &[0]);
    fill(&mut forge, 1);
    let films = [0, 2, 3];
    let mut rows = films_of(1);
    rows.insert(
        0,
        film(
            0,
            0,
            [
                Value::Fixed(1999),
                Value::Fixed(1),
                Value::Fixed(3),
                Value::Fixed(2),
            ],
        ),
    );
    set_chunk(&mut forge, FILM, &films, &rows);
    finished(forge, &[snapshot()])
}

fn film<'a>(id: u64, collection: u64, [year, seen, name, sequel]: [Value<'a>; 4]) -> Row<'a> {
    let collections = [Value::Fixed(collection); 5];
    [
        &[Value::Fixed(id), year, seen, name, sequel][..],
        &collections,
    ]
    .concat()
}

fn films_of(step: u64) -> Vec<Row<'static>> {
    let (first, name) = (2 * step, Value::Fixed(3 * step));
    vec![
        film(
            first,
            step,
            [
                Value::Fixed(2001),
                Value::Fixed(0),
                name,
                Value::Fixed(first + 1),
            ],
        ),
        film(
            first + 1,
            step,
            [Value::Null, Value::Null, Value::Null, Value::Null],
        ),
    ]
}

/// Texts of the names: those of the delta follow those of the snapshot.
pub(super) const TEXTS: [&str; 6] = ["ada", "bob", "cyd", "dan", "eve", "fay"];

/// Two names in the order of the hash of their text.
pub(super) fn by_hash(first: u32) -> [u32; 2] {
    let hash = |name: u32| checksum::key_var(checksum::KEY_SEED, TEXTS[name as usize].as_bytes());
    let mut names = [first, first + 2];
    names.sort_by_key(|name| hash(*name));
    names
}

fn fill(forge: &mut Forge, step: u32) {
    let (one, name) = ([step], 3 * step);
    let [low, high] = by_hash(name);
    set_chunk(
        forge,
        FILM,
        &[2 * step, 2 * step + 1],
        &films_of(u64::from(step)),
    );
    let texts: Vec<Row<'_>> = (name..name + 3)
        .map(|name| vec![Value::Var(TEXTS[name as usize].as_bytes())])
        .collect();
    set_chunk(forge, NAME, &[name, name + 1, name + 2], &texts);
    let collections: [(u16, &[u32]); 5] = [
        (CAST, &[name + 2, name, name + 2]),
        (TAGS, &[name, name + 2]),
        (WORDS, &[low, high]),
        (MARKS, &[name, name + 1, name + 2, name]),
        (GRADES, &[low, name, high, name]),
    ];
    for (ty, elements) in collections {
        set_chunk(forge, ty, &one, &[vec![Value::Elements(elements)]]);
    }
}

/// Puts records in the place of the first chunk of a type, or behind all others.
pub(super) fn set_chunk(forge: &mut Forge, ty: u16, ordinals: &[u32], rows: &[Row<'_>]) {
    let kinds = columns_of(&schema().types()[usize::from(ty)]);
    let place = forge
        .sections
        .iter()
        .position(|s| s.type_id == ty && s.kind == SectionKind::Added);
    let place = place.unwrap_or(forge.sections.len());
    forge
        .sections
        .retain(|s| s.type_id != ty || s.chunk != 0 || s.kind == SectionKind::Removed);
    let behind = forge.sections.split_off(place);
    let columns = columns_bytes(&kinds, rows);
    forge.chunk(ty, 0, ordinals_bytes(ordinals), columns);
    forge.sections.extend(behind);
}

fn columns_bytes(kinds: &[ColumnKind], rows: &[Row<'_>]) -> Vec<Vec<u8>> {
    let all: Vec<u32> = (0..rows.len() as u32).collect();
    let columns = kinds.iter().enumerate().map(|(at, kind)| {
        let (mut column, mut out) = (Column::new(*kind), Vec::new());
        rows.iter().for_each(|row| column.push(row[at]));
        column.encode(*kind, &all, &mut out);
        out
    });
    columns.collect()
}

pub(super) fn ordinals_bytes(ordinals: &[u32]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_ordinals(ordinals, &mut out);
    out
}

/// Puts removed ordinals, if any, before everything else of a type.
pub(super) fn removed(forge: &mut Forge, ty: u16, ordinals: &[u32]) {
    forge
        .sections
        .retain(|s| s.type_id != ty || s.kind != SectionKind::Removed);
    if ordinals.is_empty() {
        return;
    }
    let place = forge.sections.iter().position(|s| s.type_id >= ty);
    let mut section = forge.clone();
    section.sections.clear();
    section.chunk(ty, 0, ordinals_bytes(ordinals), Vec::new());
    let mut piece = section.sections.remove(0);
    piece.kind = SectionKind::Removed;
    forge
        .sections
        .insert(place.unwrap_or(forge.sections.len()), piece);
}

/// With counts and checksum of the state that it leads to. `before` are the blobs that lead to the state
/// it applies to.
pub(super) fn finished(mut forge: Forge, before: &[Forge]) -> Forge {
    let schema = schema();
    let mut shares = BTreeMap::new();
    for blob in before.iter().chain([&forge]) {
        replay(&schema, blob, &mut shares);
    }
    for (position, info) in (0_u16..).zip(&mut forge.header.types) {
        info.live = shares.keys().filter(|(ty, _)| *ty == position).count() as u64;
    }
    forge.header.to_checksum = shares
        .values()
        .fold(0, |sum: u64, share| sum.wrapping_add(*share));
    forge
}

/// Takes and adds the share in the state checksum of every record that a blob removes and adds.
fn replay(schema: &Schema, forge: &Forge, shares: &mut BTreeMap<(u16, u32), u64>) {
    let mut sections = forge.sections.iter().peekable();
    while let Some(piece) = sections.next() {
        let list = decode_ordinals(&piece.raw, MAX_CHUNK_ROWS).unwrap();
        if piece.kind == SectionKind::Removed {
            list.iter()
                .for_each(|ordinal| _ = shares.remove(&(piece.type_id, *ordinal)));
            continue;
        }
        let ty = &schema.types()[usize::from(piece.type_id)];
        let mut contents = vec![0_u64; list.len()];
        for (kind, seed) in columns_of(ty).into_iter().zip(seeds(ty)) {
            let column = Column::decode(kind, list.len(), &sections.next().unwrap().raw).unwrap();
            for (row, content) in contents.iter_mut().enumerate() {
                *content = content.wrapping_add(hash_of(seed, column.value(row)));
            }
        }
        for (ordinal, content) in list.iter().zip(contents) {
            shares.insert(
                (piece.type_id, *ordinal),
                checksum::record(content, *ordinal),
            );
        }
    }
}

fn seeds(ty: &TypeSchema) -> Vec<u64> {
    match ty.object() {
        Some(object) => {
            let names = object.fields.iter().map(|field| &field.name);
            names
                .map(|name| checksum::field_seed(&ty.name, name))
                .collect()
        }
        None => vec![checksum::field_seed(&ty.name, "")],
    }
}

fn hash_of(seed: u64, value: Value<'_>) -> u64 {
    match value {
        Value::Null => 0,
        Value::Fixed(word) => checksum::fixed(seed, word),
        Value::Var(bytes) => checksum::var(seed, bytes),
        Value::Elements(list) => checksum::elements(seed, list.iter().copied()),
    }
}

/// The same with a second chunk for every type, in a block of its own, so that a load takes the chunks
/// of a type side by side.
pub(super) fn with_chunks_behind(forge: &Forge) -> Forge {
    let mut many = forge.clone();
    many.sections.clear();
    let far = 600;
    for ty in FILM..=GRADES {
        many.sections
            .extend(forge.sections.iter().filter(|s| s.type_id == ty).cloned());
        let kinds = columns_of(&schema().types()[usize::from(ty)]);
        let row = match ty {
            FILM => [vec![Value::Fixed(600)], vec![Value::Null; 9]].concat(),
            NAME => vec![Value::Var(b"zoe")],
            _ => vec![Value::Elements(&[])],
        };
        many.chunk(ty, 1, ordinals_bytes(&[far]), columns_bytes(&kinds, &[row]));
    }
    finished(many, &[])
}
