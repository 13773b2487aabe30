//! Bad input: one clear line, the right exit code, and nothing published.

use crate::kit::{Bench, SCHEMA};

const GOOD: &str = "{\"id\":1,\"name\":\"a\",\"size\":1}\n";

/// Refused on an empty store as on one with a version; neither has changed afterwards.
#[track_caller]
fn check(input: &str, more: &str, expected: &str) {
    let bench = Bench::with_schema();
    let complaint = bench.publish(input, more).refused(2);
    assert_eq!(complaint, expected);
    assert_eq!(bench.files("store"), [""; 0], "nothing may be written");
    bench.publish(GOOD, "").ok();
    let before = bench.files("store");
    assert_eq!(bench.publish(input, more).refused(2), expected);
    assert_eq!(bench.files("store"), before, "nothing may be written");
}

#[test]
fn a_wrong_type_is_refused() {
    check(
        "{\"id\":1}\n\n{\"id\":2,\"size\":\"large\"}\n",
        "",
        "error: input.ndjson line 3: field Item.size: expected int, found string \"large\" (column 16)\n",
    );
}

#[test]
fn a_number_out_of_range_is_refused() {
    check(
        "{\"id\":1,\"size\":3000000000}\n",
        "",
        "error: input.ndjson line 1: field Item.size: expected int, found number 3000000000 (column 16)\n",
    );
}

#[test]
fn an_unknown_field_is_refused() {
    check(
        "{\"id\":1,\"nmae\":\"x\"}\n",
        "",
        "error: input.ndjson line 1: record Item: expected a field of Item, found unknown field \"nmae\" (column 9)\n",
    );
}

#[test]
fn a_missing_key_is_refused() {
    check(
        "{\"name\":\"x\"}\n",
        "",
        "error: input.ndjson line 1: field Item.id: expected long for the primary key, found null or nothing (column 1)\n",
    );
}

#[test]
fn broken_json_is_refused() {
    check(
        "{\"id\":1}\n{\"id\":2,\n",
        "",
        "error: input.ndjson line 2: record Item: expected valid json, found end of text while parsing a value (column 8)\n",
    );
}

#[test]
fn a_duplicate_key_is_refused_with_both_lines() {
    check(
        "{\"id\":7,\"name\":\"a\"}\n{\"id\":8}\n{\"id\":7,\"name\":\"b\"}\n",
        "",
        "error: type Item: duplicate key 7: input.ndjson line 1 and input.ndjson line 3\n",
    );
}

#[test]
fn a_duplicate_key_in_two_files_is_refused_with_both_files() {
    let bench = Bench::new();
    bench.write(
        "shop.schema",
        "Order @PrimaryKey(id) { long id; Customer customer; }\nCustomer @PrimaryKey(id) { long id; string name; }\n",
    );
    bench.write(
        "ord.nd",
        "{\"id\":1,\"customer\":{\"id\":7,\"name\":\"a\"}}\n",
    );
    let publish = "publish --store store --dataset shop --schema shop.schema --input Order=ord.nd --input Customer=cus.nd";
    let told = "error: type Customer: duplicate key 7: ord.nd line 1 and cus.nd line 2\n";
    for more in ["", " --incremental"] {
        bench.write("cus.nd", "{\"id\":8}\n{\"id\":7,\"name\":\"b\"}\n");
        assert_eq!(bench.run(&format!("{publish}{more}")).refused(2), told);
        // The same beside a published version.
        bench.write("cus.nd", "{\"id\":8}\n{\"id\":7,\"name\":\"a\"}\n");
        bench.run(publish).ok();
    }
}

#[test]
fn a_record_that_others_refer_to_is_not_deleted() {
    let bench = Bench::new();
    bench.write(
        "item.schema",
        "Order @PrimaryKey(id) { long id; Customer customer; }\nCustomer @PrimaryKey(id) { long id; }\n",
    );
    bench
        .publish("{\"id\":1,\"customer\":{\"id\":7}}\n", "--type Order")
        .ok();
    let complaint = bench.publish(
        "{\"op\":\"delete\",\"key\":7}\n",
        "--type Customer --incremental",
    );
    assert_eq!(
        complaint.refused(2),
        "error: type Customer: key 7 cannot be deleted: 1 record of the new version refers to it, such as Order 1\n"
    );
}

#[test]
fn a_type_that_the_schema_does_not_have_is_refused() {
    check(
        GOOD,
        "--type Itm",
        "error: type Itm is not in the schema: expected Item\n",
    );
}

#[test]
fn an_operation_without_a_key_is_refused() {
    check(
        "{\"op\":\"delete\"}\n",
        "--incremental",
        "error: input.ndjson line 1: op delete: expected a key and no record\n",
    );
}

#[test]
fn a_missing_input_leaves_no_trace() {
    let bench = Bench::with_schema();
    let line = "publish --store store --dataset items --schema item.schema --input none.ndjson";
    let complaint = bench.run(line).refused(2);
    assert_eq!(
        complaint,
        "error: cannot read input none.ndjson: it does not exist\n"
    );
    assert!(!bench.path("store").exists());
}

#[test]
fn a_folder_as_input_is_refused() {
    let bench = Bench::with_schema();
    std::fs::create_dir(bench.path("folder")).unwrap();
    let line = "publish --store store --dataset items --schema item.schema --input folder";
    let complaint = bench.run(line).refused(2);
    assert_eq!(
        complaint,
        "error: cannot read input folder: expected a file, found a folder\n"
    );
    assert!(!bench.path("store").exists());
}

#[test]
fn a_compressed_input_that_ends_early_is_refused() {
    let bench = Bench::with_schema();
    let text: String = (0..5000)
        .map(|id| format!("{{\"id\":{id},\"name\":\"n{}\"}}\n", id * 7919 % 4999))
        .collect();
    let packed = zstd::bulk::compress(text.as_bytes(), 3).unwrap();
    std::fs::write(bench.path("torn.zst"), &packed[..packed.len() / 2]).unwrap();
    let line = "publish --store store --dataset items --schema item.schema --input torn.zst";
    let complaint = bench.run(line).refused(2);
    assert!(
        complaint.starts_with("error: cannot read input torn.zst: incomplete frame"),
        "{complaint}"
    );
    assert_eq!(complaint.lines().count(), 1);
    assert_eq!(bench.files("store"), [""; 0]);
}

#[test]
fn a_broken_schema_is_refused_with_line_and_column() {
    let bench = Bench::new();
    bench.write(
        "item.schema",
        "Item @PrimaryKey(id) {\n  long id;\n  strng name;\n}\n",
    );
    let complaint = bench.publish(GOOD, "").refused(2);
    assert!(
        complaint.starts_with("error: item.schema: schema line 3, column 3: "),
        "{complaint}"
    );
    assert!(complaint.contains("strng"), "{complaint}");
    assert_eq!(complaint.lines().count(), 1);
    assert!(!bench.path("store").exists());
}

#[test]
fn an_empty_schema_and_a_missing_one_are_refused() {
    let bench = Bench::new();
    bench.write("item.schema", "// nothing yet\n");
    let complaint = bench.publish(GOOD, "").refused(2);
    assert_eq!(
        complaint,
        "error: item.schema: schema line 2, column 1: expected a type declaration, found end of text\n"
    );
    let complaint = bench
        .run("publish --store store --dataset items --input input.ndjson")
        .refused(2);
    assert_eq!(
        complaint,
        "error: no schema given, and dataset items has no version yet to take one from\n\
         hint: `grotto schema infer input.ndjson > items.schema` writes one; read it, then give it with --schema \
         items.schema\n"
    );
}

#[test]
fn an_incompatible_schema_is_refused_and_says_what_to_do() {
    let bench = Bench::with_schema();
    bench.publish(GOOD, "").ok();
    let before = bench.files("store");
    bench.write("item.schema", &SCHEMA.replace("int size", "string size"));
    let complaint = bench.publish("{\"id\":1,\"size\":\"1\"}\n", "").refused(2);
    assert!(
        complaint.contains("type Item: field size changes from int to string"),
        "{complaint}"
    );
    assert_eq!(bench.files("store"), before);
}

#[test]
fn a_store_that_cannot_be_written_is_refused() {
    let bench = Bench::with_schema();
    bench.write("file", "");
    bench.write("input.ndjson", GOOD);
    let publish = "publish --dataset items --schema item.schema --input input.ndjson --store";
    let complaint = bench.run(&format!("{publish} file")).refused(2);
    assert!(
        complaint.starts_with("error: store file: expected a folder, found a file"),
        "{complaint}"
    );
    let complaint = bench.run(&format!("{publish} file/below")).refused(2);
    assert!(
        complaint.starts_with("error: cannot create store folder file/below: "),
        "{complaint}"
    );
    // The one folder that not even root may write to.
    let complaint = bench
        .run(&format!("{publish} /proc/grotto-store"))
        .refused(2);
    assert!(
        complaint.starts_with("error: cannot create store folder /proc/grotto-store: "),
        "{complaint}"
    );
    assert_eq!(complaint.lines().count(), 1);
}

#[test]
fn addresses_of_stores_with_a_secret_are_refused_without_it() {
    let bench = Bench::new();
    let complaint = bench.run("log --store s3://key:secret@bucket").refused(2);
    assert!(
        complaint.contains("credentials come from the environment"),
        "{complaint}"
    );
    assert!(!complaint.contains("secret"), "{complaint}");
    let complaint = bench.run("log").refused(2);
    assert!(complaint.contains("expected --store URL"), "{complaint}");
}

#[test]
fn names_that_do_not_exist_are_answered_with_those_that_do() {
    let bench = Bench::with_schema();
    bench.publish(GOOD, "").ok();
    let complaint = bench
        .run("get --store store --dataset itms Item 1")
        .refused(3);
    assert_eq!(
        complaint,
        "error: dataset itms has no version in store store\nhint: the store has items\n"
    );
    let complaint = bench.run("get --store store Itm 1").refused(2);
    assert_eq!(
        complaint,
        "error: type Itm is not in the schema: expected Item\n"
    );
    let complaint = bench.run("get --store store Item x").refused(2);
    assert_eq!(
        complaint,
        "error: key Item.id: expected long, found \"x\"\n"
    );
    let complaint = bench.run("export --store store --version 9").refused(3);
    assert_eq!(
        complaint,
        "error: dataset items: version 9 is not in the log\n"
    );
    for line in ["diff --store store 1 9", "diff --store store 9 1"] {
        let complaint = bench.run(line).refused(3);
        assert_eq!(
            complaint,
            "error: dataset items: version 9 is not in the log\n"
        );
    }
    let complaint = bench
        .run("get --store . --dataset ../items Item 1")
        .refused(2);
    assert!(
        complaint.starts_with("error: dataset name \"../items\": expected "),
        "{complaint}"
    );
}

#[test]
fn an_empty_file_is_no_zstd_input() {
    let bench = Bench::with_schema();
    bench.write("none.zst", "");
    let line = "publish --store store --dataset items --schema item.schema --input none.zst";
    let complaint = bench.run(line).refused(2);
    let expected = "error: cannot read input none.zst: expected zstd, found an empty file\n";
    assert_eq!(complaint, expected);
    assert!(!bench.path("store").exists());
}

#[cfg(unix)]
#[test]
fn a_schema_without_an_end_is_refused() {
    let bench = Bench::new();
    bench.write("in.ndjson", "{}");
    let line = "publish --store store --dataset items --schema /dev/zero --input in.ndjson";
    let complaint = bench.run(line).refused(2);
    let expected =
        "error: cannot read schema /dev/zero: expected at most 1048576 bytes, found more\n";
    assert_eq!(complaint, expected);
}

#[test]
fn a_schema_that_is_no_text_is_refused_with_its_line() {
    let bench = Bench::new();
    bench.write("in.ndjson", "{}");
    std::fs::write(bench.path("x.schema"), b"A {\n  int \xff;\n}").unwrap();
    let line = "publish --store store --dataset items --schema x.schema --input in.ndjson";
    let complaint = bench.run(line).refused(2);
    let expected =
        "error: cannot read schema x.schema: line 2: expected utf-8 text, found other bytes\n";
    assert_eq!(complaint, expected);
}
