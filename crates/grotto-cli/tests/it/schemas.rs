//! `grotto schema`, and inputs that are no plain NDJSON.

use crate::kit::Bench;
use std::io::Write as _;

const SHOPS: &str = r#"{"id":"s1","name":"North","open":true,"rating":4.5,"address":{"street":"A 1","zip":3000},"tags":["tea"],"owner":null}
{"id":"s2","name":"South","open":false,"rating":4,"address":{"street":"B 2","zip":3600},"tags":[],"owner":null}
"#;

#[test]
fn a_schema_is_inferred_from_records_and_publishes_them() {
    let bench = Bench::new();
    bench.write("shops.ndjson", SHOPS);
    let publish = "publish --store s --dataset shops --input shops.ndjson";
    let refused = bench.run(publish);
    assert_eq!(refused.code, 2);
    let hint = "`grotto schema infer shops.ndjson > shops.schema` writes one";
    assert!(refused.err.contains(hint), "{}", refused.err);

    let inferred = bench.run("schema infer shops.ndjson");
    assert_eq!(inferred.code, 0);
    let expected = "Shop @PrimaryKey(id) {\n    string id;\n    string name;\n    boolean open;\n    double rating;\n    \
                    Address address;\n    ListOfString tags;\n    string owner;\n}\n";
    assert!(inferred.out.starts_with(expected), "{}", inferred.out);
    assert_eq!(
        inferred.err,
        "note: type Shop, named after the file, from 2 records, with the primary key id, which differs in every record\n\
         note: Shop.owner is null in all records: taken for text\n"
    );
    bench.write("shops.schema", &inferred.out);
    let checked = bench.run("schema check shops.schema").ok();
    assert_eq!(
        checked,
        "Shop: 7 fields with the primary key id\nand 3 types that Shop refers to\n"
    );
    bench.run(&format!("{publish} --schema shops.schema")).ok();
    let exported = bench.run("export --store s --type Shop").ok();
    assert_eq!(
        exported,
        SHOPS
            .replace(",\"owner\":null", "")
            .replace("\"rating\":4,", "\"rating\":4.0,")
    );
    let printed = bench.run("schema print --store s").ok();
    assert_eq!(printed, inferred.out);
}

#[test]
fn what_cannot_be_one_type_is_refused_by_line_and_field() {
    let bench = Bench::new();
    for (text, expected) in [
        (
            r#"{"id":1,"a":{"b":[1]}}
{"id":2,"a":{"b":["x"]}}"#,
            "line 2: field a.b[]: expected a whole number as on line 1, found text",
        ),
        (
            r#"{"id":1}

[2]"#,
            "line 3: expected a record, such as {\"id\":1}",
        ),
        (
            r#"{"id":1,"#,
            "line 1: expected a record as JSON: EOF while parsing a value at column 8",
        ),
        (
            r#"{"id":18446744073709551615}"#,
            "line 1: expected a record as JSON: expected at most 9223372036854775807",
        ),
        (
            r#"{"first name":1}"#,
            "field In.first name: expected a name of letters, digits and _",
        ),
        (
            r#"{"id":1,"a":{}}"#,
            "field In.a: expected objects with fields, found only empty ones",
        ),
        (
            r#"{"id":1,"a":{"x":1,"x":null}}"#,
            "line 1: field a.x: expected one value, found the field a second time",
        ),
        (
            r#"{"id":1,"a":[2,null]}"#,
            "line 1: field a[]: expected a value, found null",
        ),
        ("", "expected records, found none"),
    ] {
        bench.write("in.ndjson", text);
        let refused = bench.run("schema infer in.ndjson");
        assert_eq!(refused.code, 2, "{text}");
        assert!(
            refused.err.contains(expected),
            "{expected}: {}",
            refused.err
        );
    }
    let long = "a".repeat(256);
    bench.write("in.ndjson", &format!("{{\"id\":1,\"{long}\":2}}"));
    let refused = bench.run("schema infer in.ndjson");
    assert_eq!(refused.code, 2, "{}", refused.err);
    assert!(
        refused.err.contains("at most 255 of them"),
        "{}",
        refused.err
    );
    let fields: String = (0..1_001).map(|at| format!("\"k{at}\":1,")).collect();
    bench.write("in.ndjson", &format!("{{{fields}\"id\":1}}"));
    let refused = bench.run("schema infer in.ndjson");
    assert!(
        refused
            .err
            .contains("an object of keys and values is a map"),
        "{}",
        refused.err
    );
}

#[test]
fn types_of_one_name_and_another_shape_get_names_of_their_own() {
    let bench = Bench::new();
    let text = r#"{"id":1,"item":{"item":{"x":1,"y":2},"string":{"y":"a","z":true}},"items":[{"z":1,"x":"b"}],"names":[["a"]],"on":[true],"at":[0.5,1]}"#;
    bench.write("items.ndjson", text);
    let inferred = bench.run("schema infer items.ndjson");
    bench.write("items.schema", &inferred.out);
    bench
        .run("publish --store s --dataset i --schema items.schema --input items.ndjson")
        .ok();
    let exported = bench.run("export --store s --type Item").ok();
    assert_eq!(
        exported.trim_end(),
        text.replace("0.5,1]", "0.5,1.0]"),
        "{}",
        inferred.out
    );
}

/// Infers a schema for the records of a file, and publishes them under it.
fn infer_and_publish(bench: &Bench, file: &str) -> String {
    let inferred = bench.run(&format!("schema infer {file}"));
    assert_eq!(inferred.code, 0, "{}", inferred.err);
    bench.write("inferred.schema", &inferred.out);
    let publish = "publish --store s --dataset i --schema inferred.schema --input";
    bench.run(&format!("{publish} {file}")).ok();
    inferred.err
}

#[test]
fn records_as_deep_as_can_be_published_are_inferred_and_deeper_ones_refused() {
    for (open, close, most) in [("{\"child\":", "}", 64), ("[", "]", 63)] {
        let nested = |deep: usize| {
            let (open, close) = (open.repeat(deep), close.repeat(deep));
            format!("{{\"id\":1,\"child\":{open}1{close}}}")
        };
        let bench = Bench::new();
        bench.write("in.ndjson", &nested(most));
        infer_and_publish(&bench, "in.ndjson");
        bench.write("in.ndjson", &nested(most + 1));
        let refused = bench.run("schema infer in.ndjson");
        assert_eq!(refused.code, 2);
        let expected = "expected at most 64 records inside each other, found more";
        assert!(refused.err.contains(expected), "{}", refused.err);
    }
}

#[test]
fn a_column_without_a_value_is_a_field_too() {
    let bench = Bench::new();
    bench.write("items.csv", "gone,id\n,12345678901234567890\n,2\n");
    let notes = infer_and_publish(&bench, "items.csv");
    let expected = "note: Item.gone is null in all records: taken for text";
    assert!(notes.contains(expected), "{notes}");
    let exported = bench.run("export --store s").ok();
    assert_eq!(
        exported,
        "{\"id\":\"12345678901234567890\"}\n{\"id\":\"2\"}\n"
    );
}

#[test]
fn a_file_named_after_a_scalar_is_told_the_name_its_type_got() {
    let bench = Bench::new();
    bench.write("strings.ndjson", "{\"id\":1}\n");
    let notes = infer_and_publish(&bench, "strings.ndjson");
    assert!(notes.contains("type StringString, "), "{notes}");
}

#[test]
fn the_likeliest_key_is_chosen_among_those_that_differ() {
    let bench = Bench::new();
    for (text, expected) in [
        (
            r#"{"name":"a","code":1}
{"name":"b","code":2}"#,
            "@PrimaryKey(code)",
        ),
        (
            r#"{"name":"a","code":1}
{"name":"b","code":1}"#,
            "@PrimaryKey(name)",
        ),
        (
            r#"{"price_id":1,"price":1}
{"price_id":2,"price":2}"#,
            "@PrimaryKey(price_id)",
        ),
        (
            r#"{"id":1,"x":1}
{"id":null,"x":2}"#,
            "@PrimaryKey(x)",
        ),
        (
            r#"{"id":1.5}
{"id":2.5}"#,
            "Price {",
        ),
    ] {
        bench.write("prices.ndjson", text);
        let inferred = bench.run("schema infer prices.ndjson");
        assert!(inferred.out.contains(expected), "{text}: {}", inferred.out);
    }
    bench.write("prices.ndjson", "{\"a\":1,\"b\":null,\"c\":[]}");
    bench.write(
        "towns.ndjson",
        "{\"c\":1,\"n\":\"a\"}\n{\"c\":1,\"n\":\"b\"}\n",
    );
    let refused = bench.run("schema infer towns.ndjson --key c").refused(2);
    assert!(
        refused.contains("towns.ndjson line 2: --key c: expected another value in each record"),
        "{refused}"
    );
    assert_eq!(bench.run("schema infer towns.ndjson --key c,n").code, 0);
    for (key, expected) in [
        ("c", "--key c: expected one of a, b"),
        (
            "b",
            "--key b: expected a field with a value in every record",
        ),
        ("a,a", "--key a: expected each field once, found it twice"),
    ] {
        let refused = bench.run(&format!("schema infer prices.ndjson --key {key}"));
        assert_eq!(refused.code, 2);
        assert!(refused.err.contains(expected), "{}", refused.err);
    }
}

#[test]
fn csv_is_inferred_published_and_refused_by_line() {
    let bench = Bench::new();
    let csv = "\u{feff}id;name;price;sold\r\n1;\"Tea; green\";4.50;true\r\n2;;3;false\r\n";
    bench.write("items.csv", csv);
    let inferred = bench.run("schema infer items.csv").out;
    assert_eq!(
        inferred,
        "Item @PrimaryKey(id) {\n    long id;\n    string name;\n    double price;\n    boolean sold;\n}\n"
    );
    bench.write("items.schema", &inferred);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(csv.as_bytes()).unwrap();
    std::fs::write(bench.path("items.csv.gz"), packed.finish().unwrap()).unwrap();
    let publish = "publish --store s --dataset items --schema items.schema --input";
    let with = |input: &str| bench.run(&format!("{publish} {input}"));
    with("items.csv.gz").ok();
    let exported = bench.run("export --store s").ok();
    let expected = "{\"id\":1,\"name\":\"Tea; green\",\"price\":4.5,\"sold\":true}\n{\"id\":2,\"price\":3.0,\"sold\":false}\n";
    assert_eq!(exported, expected);
    assert!(
        with("items.csv").ok().starts_with("no change"),
        "the same, plain"
    );
    for (text, expected) in [
        (
            "id,price\n1,2\n2,cheap\n",
            "bad.csv line 3: field Item.price: expected double, found string \"cheap\"\n",
        ),
        (
            "id,prize\n1,2\n",
            "bad.csv line 1, column \"prize\": expected a field of Item: id, name, price, sold",
        ),
        (
            "id,price\n1,2,3\n",
            "bad.csv line 2: expected 2 cells as in the first line, found 3",
        ),
    ] {
        bench.write("bad.csv", text);
        let refused = with("bad.csv");
        assert_eq!(refused.code, 2);
        assert!(refused.err.contains(expected), "{}", refused.err);
    }
}

#[test]
fn schemas_are_compared_with_what_a_dataset_can_follow() {
    let bench = Bench::new();
    bench.write(
        "old.schema",
        "City @PrimaryKey(id) { long id; string name; int size; }",
    );
    for (new, code, expected) in [
        (
            "City @PrimaryKey(id) { long id; string name; int size; }",
            0,
            "no change\n",
        ),
        (
            "City @PrimaryKey(id) { string name; long id; int size; }",
            0,
            "only the order changes: a dataset can follow with any cycle\n",
        ),
        (
            "City @PrimaryKey(id) { long id; string name; int size; Mayor mayor; } Mayor { string name; }",
            0,
            "+ type Mayor\n+ field City.mayor\na dataset can follow with any cycle\n",
        ),
        (
            "City @PrimaryKey(id) { long id; string name; }",
            0,
            "- field City.size\na dataset can follow with a full cycle, as a removed field changes every record\n",
        ),
        (
            "City @PrimaryKey(id) { long id; long name; int size; }",
            2,
            "",
        ),
    ] {
        bench.write("new.schema", new);
        let run = bench.run("schema diff old.schema new.schema");
        assert_eq!(
            (run.code, run.out.as_str()),
            (code, expected),
            "{}",
            run.err
        );
    }
    let refused = bench.run("schema diff old.schema new.schema").err;
    assert!(
        refused
            .contains("no dataset can follow: type City: field name changes from string to long"),
        "{refused}"
    );
}

#[test]
fn whole_numbers_that_a_double_rounds_are_told_of() {
    let bench = Bench::new();
    let (exact, rounded) = (1_u64 << 53, (1_u64 << 53) + 1);
    for (whole, is_told) in [
        (exact, false),
        (rounded, true),
        (i64::MAX.unsigned_abs(), true),
    ] {
        let lines = format!(
            "{{\"id\":1,\"n\":0.5,\"l\":[1.5]}}\n{{\"id\":2,\"n\":{whole},\"l\":[{whole}]}}\n"
        );
        bench.write("in.ndjson", &lines);
        let inferred = bench.run("schema infer in.ndjson --type T");
        assert!(inferred.out.contains("double n;"), "{}", inferred.out);
        let note = |path: &str| {
            format!(
                "note: T.{path} has fractions, and on line 2 a whole number that a double rounds: text would keep it\n"
            )
        };
        for path in ["n", "l[]"] {
            assert_eq!(
                inferred.err.contains(&note(path)),
                is_told,
                "{whole}: {}",
                inferred.err
            );
        }
    }
    // Without a fraction nothing is rounded.
    bench.write("in.ndjson", &format!("{{\"id\":1,\"n\":{rounded}}}\n"));
    let inferred = bench.run("schema infer in.ndjson --type T");
    assert!(inferred.out.contains("long n;"), "{}", inferred.out);
    assert_eq!(inferred.err.lines().count(), 1, "{}", inferred.err);
}

#[test]
fn a_name_that_no_schema_has_is_refused_with_one_that_would_do() {
    let bench = Bench::new();
    bench.write("in.ndjson", "{\"id\":1,\"$ref\":2}\n");
    let refused = bench.run("schema infer in.ndjson --type T").refused(2);
    assert!(
        refused.starts_with(
            "error: in.ndjson: field T.$ref: expected a name of letters, digits and _, at most "
        ),
        "{refused}"
    );
    assert!(
        refused.ends_with("rename it in the input, such as to _ref\n"),
        "{refused}"
    );
}

#[test]
fn input_of_a_type_that_gained_a_second_field_says_why_it_is_refused() {
    let bench = Bench::new();
    bench.write(
        "one.schema",
        "Item @PrimaryKey(id) { long id; Tag tag; } Tag { string name; }",
    );
    bench.write(
        "two.schema",
        "Item @PrimaryKey(id) { long id; Tag tag; } Tag { string name; int rank; }",
    );
    bench.write("in.ndjson", "{\"id\":1,\"tag\":\"new\"}\n");
    let publish = "publish --store s --dataset d --input in.ndjson --type Item --schema";
    bench.run(&format!("{publish} one.schema")).ok();
    let refused = bench.run(&format!("{publish} two.schema")).refused(2);
    assert!(
        refused.contains(
            "field Item.tag: expected an object of type Tag, such as {\"name\":…}, as only records of a single \
             field may stand as its value, found string \"new\""
        ),
        "{refused}"
    );
    bench.write("in.ndjson", "{\"id\":1,\"tag\":{\"name\":\"new\"}}\n");
    bench.run(&format!("{publish} two.schema")).ok();
}
