//! Nulls read as zero, false or empty by structs that expect a value, however a state came to be.
//!
//! Rows store numbers relative to the smallest one of their block, so a null beside values far from
//! zero is where a reader that forgets to ask is found out.

use grotto::consumer::Consumer;
use grotto::producer::Producer;
use grotto::store::{Store, StoreUrl};
use grotto::{Record, RecordRef, Schema, State};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const SCHEMA: &str = "
Row @PrimaryKey(id) {
    long id; int int; long long; float float; double double; boolean flag; string text; bytes blob;
    Wrapped wrapped; Wrapped missing; Plain plain;
    ListOfInteger ints; ListOfLong longs; ListOfFloat floats; ListOfDouble doubles;
    ListOfBoolean flags; ListOfString texts; ListOfBytes blobs; ListOfPlain plains;
    SetOfInteger int_set; SetOfLong long_set; SetOfBoolean flag_set; SetOfString text_set;
    SetOfBytes blob_set;
    MapOfIntegerToFloat int_map; MapOfLongToDouble long_map; MapOfBooleanToBoolean flag_map;
    MapOfStringToString text_map; MapOfBytesToInteger blob_map; MapOfStringToLong named;
}
Wrapped { Integer int; Long long; Float float; Double double; Boolean flag; String text; Bytes blob; }
Plain { int int; long long; float float; double double; boolean flag; string text; bytes blob; }
Integer { int value; } Long { long value; } Float { float value; } Double { double value; }
Boolean { boolean value; } String { string value; } Bytes { bytes value; }
ListOfInteger List<Integer>; ListOfLong List<Long>; ListOfFloat List<Float>;
ListOfDouble List<Double>; ListOfBoolean List<Boolean>; ListOfString List<String>;
ListOfBytes List<Bytes>; ListOfPlain List<Plain>;
SetOfInteger Set<Integer>; SetOfLong Set<Long>; SetOfBoolean Set<Boolean>; SetOfString Set<String>;
SetOfBytes Set<Bytes>;
MapOfIntegerToFloat Map<Integer, Float> @HashKey(value); MapOfLongToDouble Map<Long, Double>;
MapOfBooleanToBoolean Map<Boolean, Boolean>; MapOfStringToString Map<String, String>;
MapOfBytesToInteger Map<Bytes, Integer>; MapOfStringToLong Map<String, Long>;
";

/// One value of each kind, in fields or in wrappers.
#[derive(Record, Clone, Debug, PartialEq, Default)]
struct Plain {
    int: i32,
    long: i64,
    float: f32,
    double: f64,
    flag: bool,
    text: String,
    blob: Vec<u8>,
}

#[derive(Record, Clone, Debug, PartialEq, Default)]
struct Wrapped {
    int: i32,
    long: i64,
    float: f32,
    double: f64,
    flag: bool,
    text: String,
    blob: Vec<u8>,
}

#[derive(Record, Clone, Debug, PartialEq, Default)]
#[grotto(key(id))]
struct Row {
    id: i64,
    int: i32,
    long: i64,
    float: f32,
    double: f64,
    flag: bool,
    text: String,
    blob: Vec<u8>,
    wrapped: Wrapped,
    missing: Wrapped,
    plain: Plain,
    ints: Vec<i32>,
    longs: Vec<i64>,
    floats: Vec<f32>,
    doubles: Vec<f64>,
    flags: Vec<bool>,
    texts: Vec<String>,
    blobs: Vec<Vec<u8>>,
    plains: Vec<Plain>,
    int_set: BTreeSet<i32>,
    long_set: BTreeSet<i64>,
    flag_set: BTreeSet<bool>,
    text_set: BTreeSet<String>,
    blob_set: BTreeSet<Vec<u8>>,
    int_map: BTreeMap<i32, f32>,
    long_map: BTreeMap<i64, f64>,
    flag_map: BTreeMap<bool, bool>,
    text_map: BTreeMap<String, String>,
    blob_map: BTreeMap<Vec<u8>, i32>,
    named: BTreeMap<String, i64>,
}

/// What a row holds besides its key.
#[derive(Clone, Copy, Debug)]
enum Content {
    /// No value in any field.
    Nothing,
    /// Wrappers of null in every field that is a reference, as elements, keys and values.
    WrappedNulls,
    /// Values that follow from a number, and beside them in collections wrappers of null.
    Values(i32),
}
use Content::{Nothing, Values, WrappedNulls};

fn plain(n: i32) -> Plain {
    Plain {
        int: n,
        long: i64::from(n) << 20,
        float: n as f32,
        double: f64::from(n) / 4.0,
        flag: true,
        text: format!("text {n}"),
        blob: vec![1, 2, 3],
    }
}

impl Row {
    /// What a reader is to find.
    fn expected(id: i64, content: Content) -> Self {
        let some = match content {
            Nothing => {
                return Self {
                    id,
                    ..Self::default()
                };
            }
            WrappedNulls => Plain::default(),
            Values(n) => plain(n),
        };
        let of = some.clone();
        let Plain {
            int,
            long,
            float,
            double,
            flag,
            text,
            blob,
        } = some;
        let own = match content {
            Values(n) => plain(n),
            _ => Plain::default(),
        };
        Self {
            id,
            int: own.int,
            long: own.long,
            float: own.float,
            double: own.double,
            flag: own.flag,
            text: own.text,
            blob: own.blob,
            wrapped: Wrapped {
                int,
                long,
                float,
                double,
                flag,
                text: text.clone(),
                blob: blob.clone(),
            },
            missing: Wrapped::default(),
            plain: of.clone(),
            ints: vec![0, int],
            longs: vec![0, long],
            floats: vec![0.0, float],
            doubles: vec![0.0, double],
            flags: vec![false, flag],
            texts: vec![String::new(), text.clone()],
            blobs: vec![Vec::new(), blob.clone()],
            plains: vec![Plain::default(), of],
            int_set: [0, int].into(),
            long_set: [0, long].into(),
            flag_set: [false, flag].into(),
            text_set: [String::new(), text.clone()].into(),
            blob_set: [Vec::new(), blob.clone()].into(),
            int_map: [(0, 0.0), (int, float)].into(),
            long_map: [(0, 0.0), (long, double)].into(),
            flag_map: [(false, false), (flag, flag)].into(),
            text_map: [(String::new(), String::new()), (text.clone(), text)].into(),
            blob_map: [(Vec::new(), 0), (blob, int)].into(),
            named: [("null".to_owned(), 0), ("some".to_owned(), long)].into(),
        }
    }

    /// The same as it is published.
    fn line(id: i64, content: Content) -> String {
        let null = r#"{"value":null}"#;
        let some = match content {
            Nothing => return format!(r#"{{"id":{id}}}"#),
            WrappedNulls => [null; 7].map(str::to_owned),
            Values(n) => {
                let of = plain(n);
                let number = |n: f64| format!("{n:.2}");
                [
                    of.int.to_string(),
                    of.long.to_string(),
                    number(f64::from(of.float)),
                    number(of.double),
                    of.flag.to_string(),
                    format!("{:?}", of.text),
                    r#""AQID""#.to_owned(),
                ]
            }
        };
        let names = ["int", "long", "float", "double", "flag", "text", "blob"];
        let fields = |values: &[String; 7]| -> String {
            let pairs = names.iter().zip(values);
            let pairs: Vec<String> = pairs.map(|(k, v)| format!(r#""{k}":{v}"#)).collect();
            pairs.join(",")
        };
        let (own, wrapped) = match content {
            Values(_) => (format!("{},", fields(&some)), fields(&some)),
            _ => (String::new(), fields(&some)),
        };
        let plain = own.trim_end_matches(',');
        let [int, long, float, double, flag, text, blob] = &some;
        let map = |key: &str, value: &str| {
            // A null beside a null would be the same key twice.
            let entry = |key: &str, value: &str| format!(r#"{{"key":{key},"value":{value}}}"#);
            match key == null {
                true => format!("[{}]", entry(null, null)),
                false => format!("[{},{}]", entry(null, null), entry(key, value)),
            }
        };
        let set = |value: &str| match value == null {
            true => format!("[{null}]"),
            false => format!("[{null},{value}]"),
        };
        let mut line = format!(r#"{{"id":{id},{own}"wrapped":{{{wrapped}}},"missing":{{}},"#);
        line += &format!(r#""plain":{{{plain}}},"plains":[{{}},{{{plain}}}],"#);
        let lists = [
            "ints", "longs", "floats", "doubles", "flags", "texts", "blobs",
        ];
        for (name, value) in lists.iter().zip(&some) {
            line += &format!(r#""{name}":[{null},{value}],"#);
        }
        let sets = [
            ("int", int),
            ("long", long),
            ("flag", flag),
            ("text", text),
            ("blob", blob),
        ];
        for (name, value) in sets {
            line += &format!(r#""{name}_set":{},"#, set(value));
        }
        let maps = [
            ("int", int, float),
            ("long", long, double),
            ("flag", flag, flag),
            ("text", text, text),
            ("blob", blob, int),
        ];
        for (name, key, value) in maps {
            line += &format!(r#""{name}_map":{},"#, map(key, value));
        }
        line + &format!(r#""named":{{"null":{null},"some":{long}}}}}"#)
    }
}

/// Columns of `Row` that hold numbers.
const NUMBERS: std::ops::RangeInclusive<usize> = 1..=5;

/// Every read of every row gives what was published, and zero, false or empty for nulls.
#[track_caller]
fn check(state: &State, rows: &BTreeMap<i64, Content>, how: &str) {
    state.check_invariants().expect("a sound state");
    let typed = state.typed::<Row>().expect("typed");
    assert_eq!(typed.len(), rows.len() as u64, "{how}");
    let ids: Vec<i64> = rows.keys().copied().collect();
    let many = typed.get_many(&ids).expect("keys");
    for ((id, content), many) in rows.iter().zip(many) {
        let expected = Row::expected(*id, *content);
        let found = typed.get(*id).expect("key").expect("record");
        let copied = found.to_struct().expect("copy");
        assert_eq!(copied, expected, "{how}: {content:?}");
        let many = many.expect("record").to_struct().expect("copy");
        assert_eq!(many, expected, "{how}: {content:?}");
        assert_eq!(
            (found.int(), found.long(), found.flag(), found.text()),
            (expected.int, expected.long, expected.flag, &*expected.text)
        );
        assert_eq!(
            (found.wrapped().int(), found.plain().long()),
            (expected.wrapped.int, expected.plain.long)
        );
        let record = found.record().expect("a record");
        for column in 0..record_columns(state) {
            let null = record.is_null(column);
            assert!(!null || record.word(column) == 0, "{how}: column {column}");
            assert!(!null || record.var(column).is_empty() && record.text(column).is_empty());
            assert!(!null || record.elements(column).len() == 0);
        }
        let nothing = !matches!(content, Values(_));
        assert!(
            NUMBERS
                .into_iter()
                .all(|column| record.is_null(column) == nothing)
        );
    }
    let scanned: i64 = typed.iter().map(|row| row.long()).sum();
    let expected = rows
        .iter()
        .map(|(id, content)| Row::expected(*id, *content).long);
    assert_eq!(scanned, expected.sum::<i64>(), "{how}");
}

fn record_columns(state: &State) -> usize {
    let id = state.type_id("Row").expect("type");
    state.schema().get(id).fields().len()
}

/// A dataset with a producer and a consumer of each kind.
struct Kit {
    _folder: tempfile::TempDir,
    producer: Producer,
    mapped: Consumer,
    heap: Consumer,
    attached: Arc<grotto::consumer::Attached>,
    url: StoreUrl,
    rows: BTreeMap<i64, Content>,
}

async fn kit(rows: &[(i64, Content)]) -> Kit {
    let folder = tempfile::tempdir().expect("folder");
    let url = StoreUrl::parse(&folder.path().join("store").to_string_lossy()).expect("url");
    let store = Store::open_writable(&url).expect("store");
    let builder = Producer::builder("rows", store).schema(Schema::parse(SCHEMA).expect("schema"));
    let producer = builder.open().await.expect("producer");
    let lines: Vec<String> = rows.iter().map(|(id, c)| Row::line(*id, *c)).collect();
    let first = producer.run_cycle(move |cycle| {
        let mut lines = lines.iter().zip(0..);
        lines.try_for_each(|(line, at)| cycle.add_json("Row", line, at))?;
        Ok(())
    });
    first.await.expect("cycle").expect("a version");
    let state_dir = folder.path().join("state");
    let open = || Store::open(&url).expect("store");
    let mapped = Consumer::builder("rows", open()).state_dir(&state_dir);
    let mapped = mapped.open().await.expect("consumer");
    let heap = Consumer::builder("rows", open())
        .open()
        .await
        .expect("consumer");
    let attached = Arc::new(Consumer::attach(&state_dir).expect("attached"));
    Kit {
        _folder: folder,
        producer,
        mapped,
        heap,
        attached,
        url,
        rows: rows.iter().copied().collect(),
    }
}

impl Kit {
    async fn change(&mut self, changes: &[(i64, Content)]) {
        self.rows.extend(changes.iter().copied());
        let lines: Vec<String> = changes.iter().map(|(id, c)| Row::line(*id, *c)).collect();
        let changed = self.producer.run_incremental(move |cycle| {
            let mut lines = lines.iter().zip(0..);
            lines.try_for_each(|(line, at)| cycle.upsert_json("Row", line, at))?;
            Ok(())
        });
        changed.await.expect("cycle").expect("a version");
        self.mapped.refresh().await.expect("refresh");
        self.heap.refresh().await.expect("refresh");
    }

    async fn check(&self, how: &str) {
        let version = self.producer.version();
        let attached = self
            .attached
            .wait_past(version - 1, std::time::Duration::from_secs(60));
        let snapshot = self.producer.snapshot().await.expect("snapshot");
        assert_eq!(snapshot.version, version);
        let store = Store::open(&self.url).expect("store");
        let loaded = Consumer::builder("rows", store)
            .open()
            .await
            .expect("consumer");
        let states = [
            ("written", self.producer.state()),
            ("mapped", self.mapped.state()),
            ("heap", self.heap.state()),
            ("attached", attached.expect("attached")),
            ("loaded", loaded.state()),
        ];
        for (place, state) in states {
            assert_eq!(state.version(), version, "{how}, {place}");
            check(&state, &self.rows, &format!("{how}, {place}"));
        }
    }
}

/// Nulls beside values that begin at `far`: after a load, in blocks that were patched, and in blocks
/// that were built anew because a value did not fit them.
async fn nulls_beside(far: i32) {
    let rows: Vec<(i64, Content)> = (0..700)
        .map(|id| match id % 4 {
            0 => (id, Nothing),
            1 => (id, WrappedNulls),
            _ => (id, Values(far + id as i32)),
        })
        .collect();
    let mut kit = kit(&rows).await;
    kit.check("after a load").await;
    kit.change(&[(0, Values(far + 300)), (2, Nothing), (3, WrappedNulls)])
        .await;
    kit.check("after a change").await;
    kit.change(&[(0, Nothing), (6, Nothing), (2, Values(far + 17))])
        .await;
    kit.check("after a change of what changed").await;
    kit.change(&[
        (7, Values(far * 1000 + 9)),
        (10, Nothing),
        (11, WrappedNulls),
    ])
    .await;
    kit.check("after an outlier").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nulls_beside_large_values_read_as_defaults() {
    nulls_beside(2000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nulls_beside_values_below_zero_read_as_defaults() {
    nulls_beside(-3000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nulls_beside_values_around_zero_read_as_defaults() {
    nulls_beside(-350).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nulls_alone_read_as_defaults_also_when_values_join_them() {
    let rows: Vec<(i64, Content)> = (0..40)
        .map(|id| (id, if id % 2 == 0 { Nothing } else { WrappedNulls }))
        .collect();
    let mut kit = kit(&rows).await;
    kit.check("nulls alone").await;
    kit.change(&[(0, WrappedNulls), (1, Nothing)]).await;
    kit.check("nulls alone, changed").await;
    kit.change(&[(5, Values(2001))]).await;
    kit.check("one value among nulls").await;
    kit.change(&[(5, Nothing)]).await;
    kit.check("nulls again").await;
}
