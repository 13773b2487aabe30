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

#[test]
fn null_is_what_has_no_value_at_the_end_of_a_path() {
    let bench = Bench::new();
    let schema = "Shop @PrimaryKey(id) { long id; Owner owner; Name name; }
        Owner { string first; string last; } Name { string value; }";
    bench.write("shop.schema", schema);
    let lines = [
        r#"{"id":1,"owner":{"first":"A","last":"B"},"name":"x"}"#,
        r#"{"id":2,"owner":{"first":"A"},"name":{"value":null}}"#,
        r#"{"id":3}"#,
    ];
    bench.write("shops.ndjson", &lines.join("\n"));
    let publish =
        "publish --store s --dataset shops --schema shop.schema --type Shop --input shops.ndjson";
    bench.run(publish).ok();
    for (filter, expected) in [
        ("owner.last=null", vec![2, 3]),
        ("owner.last!=null", vec![1]),
        ("owner.first=null", vec![3]),
        ("name=null", vec![2, 3]),
        ("name.value=null", vec![2, 3]),
        ("name!=null", vec![1]),
    ] {
        let line = format!("scan --store s Shop --fields id --where {filter} --json");
        let found = bench.run(&line).values();
        let found: Vec<_> = found
            .iter()
            .map(|line| line["record"]["id"].clone())
            .collect();
        assert_eq!(found, expected, "{filter}");
    }
}

#[test]
fn log_tells_what_each_version_changed() {
    let bench = Bench::new();
    bench.write(
        "two.schema",
        "A @PrimaryKey(id) { long id; string v; } B @PrimaryKey(id) { long id; }",
    );
    let publish = |lines: &[(char, u32, &str)]| {
        let of = |name: char| -> String {
            let lines = lines.iter().filter(|line| line.0 == name);
            lines
                .map(|(_, id, v)| match *v {
                    "" => format!("{{\"id\":{id}}}\n"),
                    v => format!("{{\"id\":{id},\"v\":\"{v}\"}}\n"),
                })
                .collect()
        };
        bench.write("a.ndjson", &of('A'));
        bench.write("b.ndjson", &of('B'));
        let line = "publish --store s --dataset d --schema two.schema --input A=a.ndjson --input B=b.ndjson";
        bench.run(&format!("{line} --allow-empty")).ok();
    };
    publish(&[('A', 1, "x"), ('B', 1, ""), ('B', 2, "")]);
    publish(&[('A', 1, "y"), ('B', 1, ""), ('B', 2, "")]);
    publish(&[('A', 1, "y"), ('A', 2, "y"), ('A', 3, "y"), ('B', 2, "")]);
    let log = bench.run("log --store s").ok();
    let lines: Vec<&str> = log.lines().skip(3).collect();
    for (line, expected) in lines
        .iter()
        .zip(["  B +2, A +1  ", "  A ~1  ", "  A +2, B -1  "])
    {
        assert!(line.contains(expected), "{log}");
    }
    assert_eq!(lines.len(), 3, "{log}");
    let last = bench.run("log --store s --limit 1 --json").values();
    assert_eq!(last.len(), 1);
    let changed = |name: &str| last[0]["types"][name]["changed"].clone();
    assert_eq!(
        changed("A"),
        serde_json::json!({"added": 2, "removed": 0, "modified": 0})
    );
    assert_eq!(
        changed("B"),
        serde_json::json!({"added": 0, "removed": 1, "modified": 0})
    );
}
