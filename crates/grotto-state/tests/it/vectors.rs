//! The published blobs of `docs/format/vectors/blobs`: every build reads them, for as long as the
//! format number stays.
//!
//! Owns: making them once (`GROTTO_BLESS=1` writes what is missing and overwrites nothing) and
//! applying them. What they hold is told by `blobs.json`, which a second reader in `grotto-format`'s
//! tests derives from the bytes alone.

mod in_place;

use crate::engine::{Chain, flat};
use crate::hostile::{Forge, constant, run_of_ordinals};
use grotto_format::blob::{Blob, BlobKind, BlobWriter, SectionKind};
use grotto_format::schema::Schema;
use grotto_state::{EncodeOptions, HeapSeal, Mode, State, StateError, encode_snapshot};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::sync::Arc;

const FIRST: &str = "// The first schema of the vectors.
    Film @PrimaryKey(id, studio.name) { long id; string title; int year; float score; double budget; boolean seen;
        bytes poster; Studio studio; Cast cast; Tags tags; Grades grades; Rooms rooms; Film sequel; Old old; }
    Studio { string name; String country; }
    String { string value; }
    Person { string name; int born; }
    Cast List<Person>;
    Tags Set<String> @HashKey(value);
    Rooms Set<Room>;
    Room { long number; }
    Grades Map<String, Grade> @HashKey(value);
    Grade { double points; }
    Old { int gone; }
    Empty { }
    ";
const SECOND: &str = "String { string value; }
    Film @PrimaryKey(id, studio) { String language; long id; string title; int year; double budget; boolean seen;
        bytes poster; Studio studio; Cast cast; Tags tags; Grades grades; Rooms rooms; Film sequel; }
    Studio { string name; }
    Person { string name; int born; }
    Cast List<Person>;
    Tags Set<String> @HashKey(value);
    Rooms Set<Room>;
    Room { long number; }
    Grades Map<String, Grade> @HashKey(value);
    Grade { double points; }
    Empty { }
    Later @PrimaryKey(key) { bytes key; Later before; }
    ";

const FIRST_RECORDS: &[(&str, &str)] = &[
    (
        "Film",
        r#"{"id":1,"title":"Metropolis","year":1927,"score":8.25,"budget":5.3e6,"seen":true,"poster":"AAH/","studio":{"name":"UFA","country":"Germany"},"cast":[{"name":"Brigitte Helm","born":1908},{"name":"Gustav Fröhlich","born":1902},{"name":"Brigitte Helm","born":1908}],"tags":["silent","city","silent"],"grades":{"critics":{"points":9.5},"public":{"points":8.0}},"rooms":[{"number":3},{"number":-9223372036854775808},{"number":9223372036854775807}],"old":{"gone":1}}"#,
    ),
    (
        "Film",
        r#"{"id":-7,"title":"","year":-2147483648,"score":"NaN","budget":"-Infinity","seen":false,"poster":"","studio":{"name":"","country":{"value":null}},"cast":[],"tags":[],"grades":{},"rooms":[],"sequel":{"id":8,"title":"日本","studio":{"name":"UFA","country":"Germany"}}}"#,
    ),
    (
        "Film",
        r#"{"id":2147483648,"studio":{"name":"UFA","country":"Germany"},"score":-0.0,"budget":-0.0,"tags":["city"],"cast":[{"name":"Brigitte Helm"}],"old":{}}"#,
    ),
    ("Empty", r"{}"),
];
const SECOND_RECORDS: &[(&str, &str)] = &[
    (
        "Film",
        r#"{"id":1,"title":"Metropolis","year":1927,"budget":5.3e6,"seen":true,"poster":"AAH/","language":"de","studio":{"name":"UFA"},"cast":[{"name":"Brigitte Helm","born":1908}],"tags":["city","silent","new"],"grades":{"critics":{"points":9.5},"public":{"points":8.5}},"rooms":[{"number":3}]}"#,
    ),
    ("Film", r#"{"id":8,"title":"日本","studio":{"name":"UFA"}}"#),
    ("Later", r#"{"key":"AQI=","before":{"key":"AA=="}}"#),
];

/// A published file of a folder; made only if it is missing and that is wanted.
pub(crate) fn published(folder: &str, name: &str, make: &dyn Fn() -> Vec<u8>) -> Vec<u8> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs/format/vectors")
        .join(folder);
    let path = folder.join(name);
    if let Ok(bytes) = std::fs::read(&path) {
        return bytes;
    }
    assert_eq!(
        std::env::var("GROTTO_BLESS").as_deref(),
        Ok("1"),
        "{} is missing",
        path.display()
    );
    std::fs::create_dir_all(folder).unwrap();
    let bytes = make();
    std::fs::write(path, &bytes).unwrap();
    bytes
}

fn options(version: u64, level: Option<i32>) -> EncodeOptions {
    EncodeOptions {
        dataset: "films".into(),
        version,
        level,
        threads: 1,
    }
}

/// The two versions, made anew by this build.
fn chain() -> Chain {
    let mut chain = Chain::new();
    for (version, schema, records) in [(3, FIRST, FIRST_RECORDS), (4, SECOND, SECOND_RECORDS)] {
        let schema = Arc::new(Schema::parse(schema).unwrap());
        let mut cycle = chain.write.begin(&schema, Mode::Full).unwrap();
        for (line, (ty, text)) in records.iter().enumerate() {
            let id = schema.find(ty).unwrap();
            cycle
                .add(id, &flat(&schema, id, text), line as u64)
                .unwrap();
        }
        chain.commit(cycle.finish(&options(version, None)).unwrap());
    }
    chain
}

fn header_blob(state: &State) -> Vec<u8> {
    let snapshot = Blob::parse(encode_snapshot(state, &options(4, None)).unwrap().into()).unwrap();
    let mut header = snapshot.header.clone();
    header.kind = BlobKind::Header;
    BlobWriter::new(header, None).finish().unwrap()
}

/// A type of two blocks in two chunks; no small state of this build would come out like this.
fn two_chunks() -> Vec<u8> {
    let mut forge = Forge::snapshot("Counter { int x; }", 9);
    forge.header.dataset = "films".into();
    forge.header.types[0].live = 3;
    forge.chunk(0, 0, run_of_ordinals(0, 2), vec![constant(-1)]);
    forge.chunk(0, 1, run_of_ordinals(600, 1), vec![constant(5)]);
    if let Err(StateError::Checksum { found, .. }) =
        crate::engine::empty().apply(&forge.seal(), &mut HeapSeal::default())
    {
        forge.header.to_checksum = found;
    }
    forge.seal().bytes().to_vec()
}

/// Sections that pay to be compressed. Only ever decoded: other releases of zstd write other bytes.
fn compressed() -> Vec<u8> {
    let schema =
        Arc::new(Schema::parse("Line @PrimaryKey(number) { int number; string text; }").unwrap());
    let id = schema.find("Line").unwrap();
    let mut chain = Chain::new();
    let mut cycle = chain.write.begin(&schema, Mode::Full).unwrap();
    for number in 0..24 {
        let text = format!(
            r#"{{"number":{number},"text":"a line that every other line repeats, {number}"}}"#
        );
        cycle.add(id, &flat(&schema, id, &text), number).unwrap();
    }
    chain.commit(cycle.finish(&options(1, None)).unwrap());
    encode_snapshot(chain.write.state(), &options(1, Some(19))).unwrap()
}

struct Published {
    name: &'static str,
    /// State it applies to and state it leads to; none for a blob that is not applied.
    path: Option<(&'static str, &'static str)>,
    bytes: Vec<u8>,
}

fn all() -> Vec<Published> {
    let chain = std::cell::LazyCell::new(chain);
    let snapshot = |at: usize, level| {
        let state = &chain.states[at];
        encode_snapshot(state, &options(state.version(), level)).unwrap()
    };
    let blob = |name, path, make: &dyn Fn() -> Vec<u8>| Published {
        name,
        path,
        bytes: published("blobs", name, make),
    };
    vec![
        blob("3.delta", Some(("empty", "3")), &|| chain.deltas[0].clone()),
        blob("3.snapshot", Some(("empty", "3")), &|| snapshot(1, None)),
        blob("4.delta", Some(("3", "4")), &|| chain.deltas[1].clone()),
        blob("4.reverse", Some(("4", "3")), &|| {
            chain.reverses[1].clone().unwrap()
        }),
        blob("4.snapshot", Some(("empty", "4")), &|| snapshot(2, None)),
        blob(
            "compressed.snapshot",
            Some(("empty", "compressed")),
            &compressed,
        ),
        blob("4.header", None, &|| header_blob(&chain.states[2])),
        blob(
            "two-chunks.snapshot",
            Some(("empty", "two chunks")),
            &two_chunks,
        ),
    ]
}

fn hex(word: u64) -> Value {
    json!(format!("{word:016x}"))
}

fn header_json(blob: &Blob) -> Value {
    let header = &blob.header;
    // As in the table of the specification, one line each.
    let section = |s: &grotto_format::blob::Section| {
        let kind = match s.kind {
            SectionKind::Removed => 0,
            SectionKind::Added => 1,
            SectionKind::Column(column) => u32::from(column) + 2,
        };
        let (ty, chunk, compressed) = (s.type_id, s.chunk, u8::from(s.compressed));
        json!(format!(
            "{ty} {chunk} {kind} {compressed} {} {} {:016x}",
            s.raw, s.stored, s.checksum
        ))
    };
    json!({
        "kind": header.kind.name(),
        "dataset": header.dataset,
        "from": header.from,
        "to": header.to,
        "from_checksum": hex(header.from_checksum),
        "to_checksum": hex(header.to_checksum),
        "from_schema_hash": hex(header.from_schema_hash),
        "schema_hash": hex(header.schema_hash),
        "schema": header.schema_text,
        "types": header.types.iter().map(|t| json!(format!("{} {}", t.shift, t.live))).collect::<Vec<_>>(),
        "sections": header.sections.iter().map(section).collect::<Vec<_>>(),
    })
}

fn state_json(state: &State) -> Value {
    let mut types = Map::new();
    for ((ty, ordinal), text) in crate::engine::dump(state) {
        let records = types.entry(ty).or_insert_with(|| json!({}));
        // The text itself: the order of fields and entries counts.
        records[ordinal.to_string()] = json!(text);
    }
    json!({ "version": state.version(), "checksum": hex(state.checksum()), "records": types })
}

/// Applies every blob; what each leads to must not depend on the way.
fn story(all: Vec<Published>) -> Value {
    let mut states = Map::new();
    let mut held: Vec<(&str, State)> = vec![("empty", crate::engine::empty())];
    let mut blobs = Map::new();
    for published in all {
        let blob = Blob::parse(published.bytes.into()).unwrap();
        blobs.insert(
            published.name.into(),
            json!({ "applies_to": published.path.map(|p| p.0),
            "leads_to": published.path.map(|p| p.1), "header": header_json(&blob) }),
        );
        let Some((from, to)) = published.path else {
            continue;
        };
        let base = &held.iter().find(|(name, _)| *name == from).unwrap().1;
        let state = base.apply(&blob, &mut HeapSeal::default()).unwrap().0;
        let told = state_json(&state);
        assert_eq!(
            states.entry(to).or_insert_with(|| told.clone()),
            &told,
            "{}",
            published.name
        );
        held.push((to, state));
    }
    json!({ "blobs": blobs, "states": states })
}

/// Whether what blobs hold now is what was told when they were published.
#[track_caller]
fn tell(folder: &str, name: &str, all: &dyn Fn() -> Vec<Published>) {
    let told = published(folder, name, &|| {
        let mut text = serde_json::to_vec_pretty(&story(all())).unwrap();
        text.push(b'\n');
        text
    });
    assert_eq!(
        serde_json::from_slice::<Value>(&told).unwrap(),
        story(all())
    );
}

#[test]
fn published_blobs_apply_and_hold_what_they_held() {
    tell("blobs", "blobs.json", &all);
}

#[test]
fn a_published_snapshot_is_encoded_again_to_the_same_bytes() {
    for name in ["3.snapshot", "4.snapshot"] {
        let bytes = all().into_iter().find(|p| p.name == name).unwrap().bytes;
        let blob = Blob::parse(bytes.clone().into()).unwrap();
        let state = crate::engine::empty()
            .apply(&blob, &mut HeapSeal::default())
            .unwrap()
            .0;
        assert_eq!(
            encode_snapshot(&state, &options(state.version(), None)).unwrap(),
            bytes,
            "{name}"
        );
    }
}

#[test]
fn a_published_header_applies_to_nothing() {
    let header = all().into_iter().find(|p| p.path.is_none()).unwrap();
    let blob = Blob::parse(header.bytes.into()).unwrap();
    assert!(
        crate::engine::empty()
            .apply(&blob, &mut HeapSeal::default())
            .is_err()
    );
}
