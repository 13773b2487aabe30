//! `verify` and readers on damaged stores.

use crate::kit::{Bench, copy};

/// Three commits with a snapshot at each, and blobs in files of their own.
fn three_versions() -> Bench {
    three_versions_with(0)
}

/// The same, with blobs of at most so many bytes inside the log entries.
pub(crate) fn three_versions_with(inline_blobs: u32) -> Bench {
    let bench = Bench::with_schema();
    for size in 1..=3 {
        let text: String = (0..200)
            .map(|id| format!("{{\"id\":{id},\"size\":{}}}\n", id % 7 * size))
            .collect();
        let more = format!("--snapshot-every 1 --inline-blobs {inline_blobs}");
        bench.publish(&text, &more).ok();
    }
    bench
}

pub(crate) fn blobs(bench: &Bench, store: &str, kind: &str) -> Vec<String> {
    bench
        .files(&format!("{store}/items/{kind}"))
        .into_iter()
        .map(|name| format!("{kind}/{name}"))
        .collect()
}

#[test]
fn an_intact_store_is_ok() {
    let bench = three_versions();
    let text = bench.run("verify --store store").ok();
    let expected = "OK: items, versions 1 to 3\n8 blobs of ";
    assert!(text.starts_with(expected), "{text}");
    assert!(
        text.ends_with(" read, 8 states rebuilt and compared\n"),
        "{text}"
    );
}

#[test]
fn a_flipped_byte_in_any_blob_is_found_and_named() {
    let bench = three_versions();
    bench.damages();
    for kind in ["delta", "reverse", "snapshot"] {
        for name in blobs(&bench, "store", kind) {
            let copied = format!("flipped-{}", name.replace('/', "-"));
            copy(&bench.path("store"), &bench.path(&copied));
            let file = bench.path(&format!("{copied}/items/{name}"));
            let mut bytes = std::fs::read(&file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&file, bytes).unwrap();
            let run = bench.run(&format!("verify --store {copied}"));
            assert_eq!(run.code, 5, "{}", run.err);
            assert!(
                run.err
                    .contains(&format!("error: blob {name}: checksum expected ")),
                "{}",
                run.err
            );
            assert!(run.out.contains("DAMAGED: items"), "{}", run.out);
        }
    }
}

#[test]
fn a_reader_whose_newest_version_is_lost_hears_that_older_ones_can_be_read() {
    let bench = three_versions();
    bench.damages();
    for kind in ["delta", "snapshot"] {
        for name in blobs(&bench, "store", kind).into_iter().skip(1) {
            std::fs::write(bench.path("store/items").join(name), "torn").unwrap();
        }
    }
    let refused = bench.run("export --store store").refused(5);
    assert!(
        refused.contains("older versions can be read with --version"),
        "{refused}"
    );
    assert_eq!(bench.run("export --store store --version 1").code, 0);
}

#[test]
fn a_missing_blob_is_named_and_readers_go_around_it() {
    let bench = three_versions();
    bench.damages();
    let delta = blobs(&bench, "store", "delta").remove(1);
    std::fs::remove_file(bench.path(&format!("store/items/{delta}"))).unwrap();
    let run = bench.run("verify --store store");
    assert_eq!(run.code, 6, "{}", run.err);
    assert!(
        run.err
            .contains(&format!("error: blob {delta} is gone from the store")),
        "{}",
        run.err
    );
    assert_eq!(bench.run("export --store store").ok().lines().count(), 200);
}

#[test]
fn a_missing_and_an_altered_log_entry_are_found() {
    let bench = three_versions();
    bench.damages();
    copy(&bench.path("store"), &bench.path("gap"));
    std::fs::remove_file(bench.path("gap/items/log/00000000000000000002.json")).unwrap();
    let run = bench.run("verify --store gap");
    assert_eq!(run.code, 6, "{}", run.err);
    assert!(
        run.err.contains("log entries 2 to 2 are missing"),
        "{}",
        run.err
    );
    let entry = bench.path("store/items/log/00000000000000000003.json");
    let text = std::fs::read_to_string(&entry)
        .unwrap()
        .replace("\"epoch\":3", "\"epoch\":9");
    std::fs::write(&entry, text).unwrap();
    let run = bench.run("verify --store store");
    assert_eq!(run.code, 5, "{}", run.err);
    assert!(run.err.contains("00000000000000000003.json"), "{}", run.err);
}

#[test]
fn blobs_that_nothing_refers_to_are_reported_but_are_no_fault() {
    let bench = three_versions();
    bench.write(
        "store/items/delta/00000000000000000009-1-aa.delta",
        "left over",
    );
    let found = bench.run("verify --store store --json").values().remove(0);
    assert_eq!(found["ok"], true);
    assert_eq!(
        found["orphans"],
        serde_json::json!(["delta/00000000000000000009-1-aa.delta"])
    );
    assert_eq!(found["orphan_bytes"], 9);
}

#[test]
fn inspect_shows_a_blob_by_name_and_by_file_and_refuses_a_damaged_one() {
    let bench = three_versions();
    bench.damages();
    let delta = blobs(&bench, "store", "delta").remove(0);
    let by_name = bench
        .run(&format!("inspect --store store {delta} --json"))
        .values()
        .remove(0);
    assert_eq!(
        (&by_name["kind"], &by_name["to"]),
        (&"delta".into(), &1.into())
    );
    assert_eq!(by_name["types"][0]["type"], "Item");
    let file = format!("store/items/{delta}");
    let text = bench.run(&format!("inspect {file}")).ok();
    assert!(text.starts_with("delta of items, "), "{text}");
    assert!(text.contains("Item @PrimaryKey(id)"), "{text}");
    let mut bytes = std::fs::read(bench.path(&file)).unwrap();
    bytes[20] ^= 4;
    std::fs::write(bench.path(&file), bytes).unwrap();
    let complaint = bench.run(&format!("inspect {file}")).refused(5);
    assert!(
        complaint.starts_with(&format!("error: {file}: altered: expected checksum ")),
        "{complaint}"
    );
    let complaint = bench
        .run("inspect --store store delta/none.delta")
        .refused(3);
    assert!(complaint.contains("delta/none.delta"), "{complaint}");
}

#[test]
fn an_altered_snapshot_announcement_is_found_and_named() {
    let bench = three_versions();
    bench.damages();
    let file = bench.path("store/items/snapshots/00000000000000000002.json");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"epoch\":2", "\"epoch\":9")).unwrap();
    let run = bench.run("verify --store store");
    assert_eq!(run.code, 5, "{}", run.err);
    assert!(
        run.err.contains("snapshots/00000000000000000002.json"),
        "{}",
        run.err
    );
}

#[test]
fn a_state_directory_that_cannot_reach_the_newest_version_says_so_at_once() {
    let bench = three_versions();
    bench.damages();
    bench.run("export --store store --state-dir state").ok();
    for round in 0..3 {
        let text = format!("{{\"id\":1,\"size\":{round}}}\n");
        bench.publish(&text, "").ok();
    }
    let entry = bench.path("store/items/log/00000000000000000006.json");
    let text = std::fs::read_to_string(&entry).unwrap();
    std::fs::write(&entry, text.replace("\"epoch\":6", "\"epoch\":9")).unwrap();
    let run = bench.run("export --store store --state-dir state");
    assert_eq!((run.code, run.out.lines().count()), (0, 1), "{}", run.err);
    let expected = "note: serving version 5 as it is: items/log/00000000000000000006.json";
    assert!(run.err.starts_with(expected), "{}", run.err);
}

#[test]
fn an_old_version_is_read_by_way_of_a_newer_snapshot() {
    let bench = three_versions();
    bench.damages();
    let old = bench.run("export --store store --version 1").ok();
    for kind in ["delta", "snapshot"] {
        let name = blobs(&bench, "store", kind).remove(0);
        std::fs::remove_file(bench.path(&format!("store/items/{name}"))).unwrap();
    }
    assert_eq!(bench.run("export --store store --version 1").ok(), old);
}

#[test]
fn version_0_is_empty_to_compare_with_and_nothing_to_read() {
    let bench = three_versions();
    let complaint = bench.run("export --store store --version 0").refused(3);
    assert!(
        complaint.contains("version 0 is not in the log"),
        "{complaint}"
    );
    let text = bench
        .run("diff --store store --json --summary 0 3")
        .values();
    assert_eq!(text[0]["types"][0]["added"], 200);
}

#[test]
fn publishing_begins_anew_when_the_newest_version_is_lost() {
    let bench = Bench::with_schema();
    bench.damages();
    let line = |id: i32, size: i32| format!("{{\"id\":{id},\"size\":{size}}}\n");
    bench.publish(&line(1, 1), "--inline-blobs 0").ok();
    bench.publish(&line(1, 2), "--inline-blobs 0").ok();
    let newest = blobs(&bench, "store", "delta").pop().unwrap();
    let file = bench.path(&format!("store/items/{newest}"));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[60] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let refused = bench.publish(&line(1, 3), "").refused(5);
    assert!(refused.contains("--start-over"), "{refused}");
    bench.publish(&line(1, 3), "--start-over").ok();
    assert_eq!(bench.run("export --store store").ok(), line(1, 3));
    bench.publish(&line(1, 4), "").ok();
    assert_eq!(bench.run("export --store store").ok(), line(1, 4));
}

#[test]
fn a_full_input_without_records_needs_a_word() {
    let bench = Bench::with_schema();
    bench.publish("{\"id\":1}\n", "").ok();
    let refused = bench.publish("", "").refused(2);
    assert!(refused.contains("--allow-empty"), "{refused}");
    bench.publish("", "--allow-empty").ok();
    assert_eq!(bench.run("export --store store").ok(), "");
}

#[test]
fn a_lost_end_of_the_log_with_its_snapshot_announced_is_published_over() {
    let bench = three_versions();
    let lost = bench.files("store/items/log").pop().unwrap();
    std::fs::remove_file(bench.path(&format!("store/items/log/{lost}"))).unwrap();
    let verified = bench.run("verify --store store").ok();
    assert!(verified.starts_with("OK: "), "{verified}");
    assert!(
        verified.contains("the end of the log was lost once"),
        "{verified}"
    );
    for size in 4..7 {
        let text = format!("{{\"id\":1,\"size\":{size}}}\n");
        bench.publish(&text, "--snapshot-every 1").ok();
        assert_eq!(bench.run("export --store store").ok(), text);
        bench.run("verify --store store").ok();
    }
}

#[test]
fn a_damaged_newest_log_entry_leaves_older_versions_readable_and_is_published_over() {
    let bench = three_versions();
    bench.damages();
    let old = bench.run("export --store store --version 2").ok();
    let entry = bench.path("store/items/log/00000000000000000003.json");
    let mut bytes = std::fs::read(&entry).unwrap();
    bytes[60] ^= 1;
    std::fs::write(&entry, bytes).unwrap();
    assert_eq!(bench.run("export --store store --version 2").ok(), old);
    bench.run("get --store store --version 1 Item 7").ok();
    let complaint = bench.run("get --store store Item 7").refused(5);
    assert!(
        complaint.contains("00000000000000000003.json"),
        "{complaint}"
    );
    assert!(complaint.contains("--version"), "{complaint}");
    let log = bench.run("log --store store --all --json").values();
    let kinds: Vec<&serde_json::Value> = log.iter().map(|line| &line["kind"]).collect();
    assert_eq!(kinds, ["commit", "commit", "damaged"]);
    let line = "{\"id\":1,\"size\":9}\n";
    let refused = bench.publish(line, "").refused(5);
    assert!(refused.contains("--start-over"), "{refused}");
    let begun = bench
        .publish(line, "--start-over --json")
        .values()
        .remove(0);
    assert_eq!(begun["version"], 4);
    assert_eq!(bench.run("export --store store").ok(), line);
    assert_eq!(bench.run("export --store store --version 2").ok(), old);
    let line = "{\"id\":1,\"size\":10}\n";
    bench.publish(line, "").ok();
    assert_eq!(bench.run("export --store store").ok(), line);
    // What is damaged stays so, and nothing else is.
    let verified = bench.run("verify --store store --json");
    let found: serde_json::Value = serde_json::from_str(verified.out.trim()).unwrap();
    assert_eq!(found["faults"].as_array().unwrap().len(), 1, "{found}");
}

#[test]
fn a_snapshot_of_an_unchanged_dataset_is_no_version() {
    let bench = Bench::with_schema();
    let line = "{\"id\":1,\"size\":9}\n";
    bench.publish(line, "--snapshot-every 0").ok();
    let text = bench.publish(line, "--snapshot").ok();
    assert!(
        text.starts_with("no change: items stays at version 1\nsnapshot of version 1: "),
        "{text}"
    );
    bench.publish("{\"id\":1,\"size\":10}\n", "").ok();
    let log = bench.run("log --store store --all --json").values();
    let kinds: Vec<&serde_json::Value> = log.iter().map(|line| &line["kind"]).collect();
    assert_eq!(kinds, ["commit", "commit"]);
    bench.run("verify --store store").ok();
}

/// Copies a store folder by folder while versions are published, and publishes on top of the copy.
fn copied_while_in_use(order: &[&str]) {
    let bench = three_versions();
    for (round, part) in order.iter().enumerate() {
        let from = bench.path(&format!("store/items/{part}"));
        copy(&from, &bench.path(&format!("copy/items/{part}")));
        let text = format!("{{\"id\":1,\"size\":{round}}}\n");
        bench.publish(&text, "--snapshot-every 1").ok();
    }
    bench.run("verify --store copy").ok();
    bench.run("export --store copy").ok();
    for size in [100, 101] {
        bench.write("input.ndjson", &format!("{{\"id\":2,\"size\":{size}}}\n"));
        bench
            .run("publish --store copy --dataset items --input input.ndjson --snapshot-every 1")
            .ok();
        bench.run("export --store copy").ok();
        bench.run("verify --store copy").ok();
    }
}

#[test]
fn a_store_copied_while_in_use_in_the_order_of_the_operating_notes_is_whole() {
    copied_while_in_use(&[
        "snapshots",
        "log",
        "delta",
        "reverse",
        "snapshot",
        "control",
    ]);
}

#[test]
fn a_copy_with_announcements_of_versions_that_its_log_lacks_can_be_published_on() {
    copied_while_in_use(&[
        "log",
        "delta",
        "reverse",
        "snapshots",
        "snapshot",
        "control",
    ]);
}
