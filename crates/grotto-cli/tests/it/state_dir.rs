//! State directories: reused, shared, and good without the store.

use crate::kit::{Bench, Run, values};
use std::io::{BufRead as _, BufReader};

const GET: &str = "get --store store --state-dir state --json Item 1";

#[test]
fn a_second_command_starts_from_the_first_ones_state_and_still_sees_news() {
    let bench = Bench::with_schema();
    bench.damages();
    bench
        .publish("{\"id\":1,\"size\":1}\n", "--inline-blobs 0")
        .ok();
    let get = || bench.run(GET).values().remove(0);
    assert_eq!(
        (get()["version"].clone(), get()["record"]["size"].clone()),
        (1.into(), 1.into())
    );
    // Without the blobs that the first command fetched, only its state directory leads on.
    for kind in ["delta", "snapshot", "snapshots"] {
        std::fs::remove_dir_all(bench.path(&format!("store/items/{kind}"))).unwrap();
    }
    assert_eq!(get()["version"], 1);
    let run = bench.run("get --store store Item 1");
    assert_eq!(run.code, 6, "{}", run.err);
}

#[test]
fn news_is_fetched_by_delta_and_an_old_version_leaves_the_directory_alone() {
    let bench = Bench::with_schema();
    bench.publish("{\"id\":1,\"size\":1}\n", "").ok();
    bench.run(GET).ok();
    bench.publish("{\"id\":1,\"size\":2}\n", "").ok();
    assert_eq!(bench.run(GET).values()[0]["record"]["size"], 2);
    let old = bench.run(&format!("{GET} --version 1")).values().remove(0);
    assert_eq!(
        (&old["version"], &old["record"]["size"]),
        (&1.into(), &1.into())
    );
    let held = bench
        .run("get --offline --state-dir state --json Item 1")
        .values()
        .remove(0);
    assert_eq!(held["version"], 2);
}

#[test]
fn without_the_store_the_directory_is_served_and_says_so() {
    let bench = Bench::with_schema();
    bench.publish("{\"id\":1,\"size\":1}\n", "").ok();
    bench.run(GET).ok();
    std::fs::rename(bench.path("store"), bench.path("away")).unwrap();
    let reason = "serving version 1 as it is: store folder store does not exist";
    let run = bench.run("get --store store --state-dir state Item 1");
    assert_eq!(run.code, 0);
    assert!(
        run.err.starts_with(&format!("note: {reason}")),
        "{}",
        run.err
    );
    assert!(run.out.contains("\"size\":1"), "{}", run.out);
    let run = bench.run(GET);
    let note = &values(&run.err)[0]["note"];
    assert!(
        note["message"].as_str().unwrap().starts_with(reason),
        "{note}"
    );
    assert_eq!(
        (&note["version"], &note["newest"]),
        (&1.into(), &serde_json::Value::Null)
    );
    // Asked to stay offline, there is nothing to remark.
    bench.run("get --offline --state-dir state Item 1").ok();
    let complaint = bench
        .run("get --offline --state-dir state --version 9 Item 1")
        .refused(3);
    assert!(
        complaint.contains("expected version 9, found 1"),
        "{complaint}"
    );
    let complaint = bench
        .run("get --offline --state-dir none Item 1")
        .refused(2);
    assert!(
        complaint.contains("state directory none does not exist"),
        "{complaint}"
    );
}

#[test]
fn a_directory_kept_by_another_process_is_read_while_it_is_kept() {
    let bench = Bench::with_schema();
    bench.publish("{\"id\":1,\"size\":1}\n", "").ok();
    let line = "follow --store store --state-dir state --poll-interval 5ms --until 2 --json";
    let mut keeper = bench
        .command(&line.split(' ').collect::<Vec<&str>>())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(keeper.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().contains("\"to\":1"));
    assert_eq!(bench.run(GET).values()[0]["version"], 1);
    bench.publish("{\"id\":1,\"size\":2}\n", "").ok();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(rest.last().unwrap().contains("\"to\":2"), "{rest:?}");
    Run::of(keeper.wait_with_output().unwrap()).ok();
    assert_eq!(
        bench
            .run("get --offline --state-dir state --json Item 1")
            .values()[0]["record"]["size"],
        2
    );
}

#[test]
fn following_a_name_that_nobody_published_under_is_a_choice() {
    let bench = Bench::with_schema();
    let line = "follow --store store --dataset items --state-dir state --until 1 --json";
    std::fs::create_dir_all(bench.path("store")).unwrap();
    let complaint = bench.run(line).refused(3);
    assert!(
        complaint.contains("dataset items has no version"),
        "{complaint}"
    );
    let line = format!("{line} --poll-interval 5ms --wait");
    let follower = bench.command(&line.split(' ').collect::<Vec<&str>>());
    let follower = { follower }.spawn().unwrap();
    bench.publish("{\"id\":1,\"size\":1}\n", "").ok();
    let run = Run::of(follower.wait_with_output().unwrap());
    assert!(run.code == 0 && run.out.contains("\"to\":1"), "{run:?}");
}

#[test]
fn a_directory_of_another_dataset_is_refused() {
    let bench = Bench::with_schema();
    bench.publish("{\"id\":1}\n", "").ok();
    bench.run(GET).ok();
    bench.write("input.ndjson", "{\"id\":1}\n");
    bench
        .run("publish --store store --dataset other --schema item.schema --input input.ndjson")
        .ok();
    let complaint = bench
        .run("get --store store --dataset other --state-dir state Item 1")
        .refused(2);
    assert!(complaint.contains("items"), "{complaint}");
}

#[test]
fn without_any_blob_a_new_state_directory_serves_nothing() {
    let bench = Bench::with_schema();
    bench.damages();
    bench
        .publish("{\"id\":1,\"size\":1}\n", "--inline-blobs 0")
        .ok();
    for kind in ["delta", "snapshot", "snapshots"] {
        // Not every kind is written for so little.
        let _ = std::fs::remove_dir_all(bench.path(&format!("store/items/{kind}")));
    }
    for _ in 0..2 {
        let run = bench.run(GET);
        assert_eq!(run.code, 6, "{}", run.err);
        assert!(run.out.is_empty(), "{}", run.out);
    }
}
