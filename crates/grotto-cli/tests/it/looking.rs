//! Finding out what is in a store: `datasets`, `log`, `scan`; and inputs whose lines name their types.

use crate::kit::Bench;
use grotto::{Producer, Store, StoreUrl};

const CITIES: &str = r#"{"id":1,"name":"San Jose","size":900,"mayor":null}
{"id":2,"name":"Bern","size":130,"mayor":"A"}
{"id":3,"name":"San Remo","size":50,"mayor":"B"}
"#;

fn cities() -> Bench {
    let bench = Bench::new();
    let schema = "City @PrimaryKey(id) { long id; string name; int size; string mayor; }";
    bench.write("city.schema", schema);
    bench.write("cities.ndjson", CITIES);
    let publish = "publish --store s --dataset cities --schema city.schema --input cities.ndjson";
    bench.run(publish).ok();
    bench
}

#[test]
fn scan_compares_and_matches() {
    let bench = cities();
    for (filter, expected) in [
        ("size>130", vec![1]),
        ("size>=130", vec![1, 2]),
        ("size<130", vec![3]),
        ("size<=130", vec![2, 3]),
        ("size!=130", vec![1, 3]),
        ("name~^San", vec![1, 3]),
        ("mayor~.", vec![2, 3]),
        ("mayor=null", vec![1]),
        ("mayor!=null", vec![2, 3]),
        ("mayor>A", vec![3]),
        ("name>=San", vec![1, 3]),
    ] {
        let line = format!("scan --store s --fields id --where {filter}");
        let found = bench.run(&line).ok();
        let expected: String = expected
            .iter()
            .map(|id| format!("{{\"id\":{id}}}\n"))
            .collect();
        assert_eq!(found, expected, "{filter}");
    }
}

#[test]
fn zero_is_zero_whatever_its_sign() {
    let bench = Bench::new();
    bench.write(
        "n.schema",
        "N @PrimaryKey(id) { long id; double v; float w; }",
    );
    bench.write(
        "n.ndjson",
        "{\"id\":1,\"v\":-0.0,\"w\":-0.0}\n{\"id\":2,\"v\":0.0,\"w\":0.0}\n",
    );
    bench
        .run("publish --store s --dataset n --schema n.schema --input n.ndjson")
        .ok();
    for filter in ["v=0", "v>=0", "w<=-0", "w=-0.0"] {
        let found = bench
            .run(&format!("scan --store s --fields id --where {filter}"))
            .ok();
        assert_eq!(found, "{\"id\":1}\n{\"id\":2}\n", "{filter}");
    }
    assert_eq!(bench.run("scan --store s --where v<0").ok(), "");
}

#[test]
fn fields_come_in_the_order_of_the_schema_everywhere() {
    let bench = cities();
    let some = bench.run("scan --store s --fields size,name --limit 1").out;
    assert_eq!(some, "{\"name\":\"San Jose\",\"size\":900}\n");
    let record = "{\"id\":2,\"name\":\"Bern\",\"size\":130,\"mayor\":\"A\"}";
    for line in [
        "get --store s City 2 --json",
        "scan --store s --where id=2 --json",
        "export --store s --json",
    ] {
        let out = bench.run(line).ok();
        assert!(out.contains(record), "{line}: {out}");
    }
    let args = [
        "scan",
        "--store",
        "s",
        "--fields",
        "id, mayor",
        "--where",
        "id = 2",
    ];
    let spaced = bench.command(&args).output().unwrap().stdout;
    assert_eq!(spaced, b"{\"id\":2,\"mayor\":\"A\"}\n");
    let refused = bench.run("scan --store s --fields id,nmae").refused(2);
    assert!(
        refused.contains("--fields nmae: expected fields of City: id, name, size, mayor"),
        "{refused}"
    );
}

#[test]
fn datasets_are_listed_with_their_newest_version() {
    let bench = cities();
    bench.write("two.ndjson", "{\"id\":1}\n");
    bench
        .run("publish --store s --dataset towns --schema city.schema --input two.ndjson")
        .ok();
    std::fs::create_dir(bench.path("s/lost+found")).unwrap();
    let text = bench.run("datasets --store s").ok();
    let rows: Vec<&str> = text.lines().map(str::trim).collect();
    assert_eq!(rows.len(), 3, "{text}");
    assert!(
        rows[1].starts_with("cities ") && rows[1].ends_with(" 3"),
        "{text}"
    );
    assert!(
        rows[2].starts_with("towns ") && rows[2].ends_with(" 1"),
        "{text}"
    );
    let values = bench.run("datasets --store s --json").values();
    assert_eq!(
        (values[0]["dataset"].as_str(), values[0]["version"].as_u64()),
        (Some("cities"), Some(1))
    );
    let only = bench
        .run("datasets --store s --dataset towns --json")
        .values();
    assert_eq!((only.len(), &only[0]["dataset"]), (1, &"towns".into()));
    for line in [
        "datasets --store s --dataset nope",
        "datasets --store s --dataset nope --json",
    ] {
        let refused = bench.run(line).refused(3);
        assert!(refused.contains("store s has no dataset nope"), "{refused}");
    }
    std::fs::create_dir(bench.path("empty")).unwrap();
    bench.run("datasets --store empty --json").refused(3);
    let refused = bench.run("datasets --store empty").refused(3);
    assert!(refused.contains("store empty has no dataset"), "{refused}");
}

#[test]
fn a_damaged_dataset_hides_no_other() {
    let bench = cities();
    bench.damages();
    std::fs::create_dir_all(bench.path("s/bad/log")).unwrap();
    std::fs::write(bench.path("s/bad/log/00000000000000000001.json"), "torn").unwrap();
    let text = bench.run("datasets --store s").ok();
    assert!(
        text.contains("bad") && text.contains("damaged") && text.contains("cities"),
        "{text}"
    );
}

#[test]
fn fences_are_listed_only_when_asked_for() {
    let bench = cities();
    let url = StoreUrl::parse(bench.path("s").to_str().unwrap()).unwrap();
    let opened = async {
        let store = Store::open_writable(&url)?;
        Producer::builder("cities", store).open().await
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    // Takes over, and writes nothing else.
    drop(runtime.unwrap().block_on(opened).unwrap());
    let log = bench.run("log --store s").ok();
    assert!(
        log.starts_with("cities: 1 version, newest 2, 1 fence left out (--all)\n"),
        "{log}"
    );
    let kinds = |line: &str| -> Vec<String> {
        let lines = bench.run(line).values().into_iter();
        lines
            .map(|line| line["kind"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(kinds("log --store s --json"), ["commit"]);
    assert_eq!(kinds("log --store s --all --json"), ["commit", "fence"]);
}

#[test]
fn lines_that_name_their_types_need_no_type() {
    let bench = Bench::new();
    bench.write(
        "two.schema",
        "City @PrimaryKey(id) { long id; string name; } Mayor @PrimaryKey(id) { long id; string city; }",
    );
    let lines = "{\"op\":\"upsert\",\"type\":\"City\",\"record\":{\"id\":1,\"name\":\"Bern\"}}\n\
                 {\"op\":\"upsert\",\"type\":\"Mayor\",\"record\":{\"id\":7,\"city\":\"Bern\"}}\n";
    bench.write("a.ndjson", lines);
    let publish = "publish --store s --dataset both --schema two.schema --incremental --input";
    bench.run(&format!("{publish} a.ndjson")).ok();
    assert_eq!(
        bench
            .run("export --store s --type Mayor")
            .ok()
            .lines()
            .count(),
        1
    );
    // The last record of a type, and then of all.
    for key in [
        "{\"op\":\"delete\",\"type\":\"Mayor\",\"key\":7}",
        "{\"op\":\"delete\",\"type\":\"City\",\"key\":1}",
    ] {
        bench.write("d.ndjson", key);
        bench.run(&format!("{publish} d.ndjson")).ok();
    }
    assert_eq!(bench.run("export --store s --type City").ok(), "");
    // Operations in several inputs of one cycle.
    bench.write(
        "b.ndjson",
        "{\"op\":\"upsert\",\"type\":\"City\",\"record\":{\"id\":2}}",
    );
    bench
        .run(&format!("{publish} a.ndjson --input b.ndjson"))
        .ok();
    assert_eq!(
        bench
            .run("export --store s --type City")
            .ok()
            .lines()
            .count(),
        2
    );
    bench.write("c.ndjson", "{\"id\":3}");
    let refused = bench.run(&format!("{publish} c.ndjson")).refused(2);
    let expected = "c.ndjson line 1: expected a line that names its type";
    assert!(
        refused.contains(expected) && refused.contains("one of City, Mayor"),
        "{refused}"
    );
}

#[test]
fn two_inputs_cannot_share_the_standard_input() {
    let bench = Bench::new();
    let schema = "A @PrimaryKey(id) { long id; } B @PrimaryKey(id) { long id; }";
    bench.write("ab.schema", schema);
    let publish = "publish --store s --dataset ab --schema ab.schema --input A=- --input B=-";
    let refused = bench.run(publish).refused(2);
    let expected = "--input: expected the standard input once, found it more often";
    assert!(refused.contains(expected), "{refused}");
}
