//! `grotto verify`: which options go together, and what it tells of leftovers.

use crate::kit::Bench;

fn published() -> Bench {
    let bench = Bench::with_schema();
    bench
        .publish("{\"id\":1,\"name\":\"a\",\"size\":1}\n", "")
        .ok();
    bench.run("get --store store --state-dir state Item 1").ok();
    bench
}

#[test]
fn a_state_directory_is_verified_alone_or_as_that_of_a_dataset() {
    let bench = published();
    for line in ["", " --dataset items"] {
        let said = bench.run(&format!("verify --state-dir state{line}")).ok();
        assert!(
            said.starts_with("OK: state with items at version 1\n"),
            "{said}"
        );
    }
    let other = bench
        .run("verify --state-dir state --dataset towns")
        .refused(2);
    assert_eq!(
        other,
        "error: state directory state: expected dataset towns, found items\n"
    );
    bench.write(
        "config.yaml",
        "consumer:\n  dataset: items\n  store: store\n",
    );
    for both in [
        "--store store",
        "--config config.yaml",
        "--store store --dataset items",
    ] {
        let refused = bench
            .run(&format!("verify --state-dir state {both}"))
            .refused(2);
        assert_eq!(
            refused,
            "error: --state-dir checks a folder without its store: expected no --store and no --config\n\
             hint: to check the store, leave --state-dir out\n"
        );
    }
}

#[test]
fn defaults_from_the_environment_contradict_no_state_directory() {
    let bench = published();
    let mut command = bench.command(&["verify", "--state-dir", "state"]);
    command
        .env("GROTTO_STORE", "elsewhere")
        .env("GROTTO_DATASET", "towns");
    let run = crate::kit::Run::of(command.output().unwrap());
    assert!(run.ok().starts_with("OK: state with items at version 1\n"));
}

#[test]
fn files_that_were_not_finished_are_listed_and_no_fault() {
    let bench = published();
    let version = "00000000000000000009";
    for folder in ["control", "delta"] {
        std::fs::create_dir_all(bench.path(&format!("store/items/{folder}"))).unwrap();
    }
    for (name, text) in [
        (format!("log/{version}.json#1"), "abc"),
        (format!("delta/{version}-1-ab.delta#2"), "abcd"),
        ("control/head.json#17".to_owned(), "abcde"),
        (format!("delta/{version}-1-cd.delta"), "abcdef"),
    ] {
        bench.write(&format!("store/items/{name}"), text);
    }
    let said = bench.run("verify --store store").ok();
    assert!(
        said.ends_with(&format!(
            "\n1 blob of 6 B that no version refers to (left by writers that died):\n\
             \x20 delta/{version}-1-cd.delta\n\
             3 unfinished files of 12 B (left by writers that died, or still being written):\n\
             \x20 control/head.json#17\n\
             \x20 delta/{version}-1-ab.delta#2\n\
             \x20 log/{version}.json#1\n"
        )),
        "{said}"
    );
    let found = bench.run("verify --store store --json").values().remove(0);
    assert_eq!(found["ok"], true);
    assert_eq!(
        (&found["unfinished_bytes"], &found["orphan_bytes"]),
        (&12.into(), &6.into())
    );
    assert_eq!(found["unfinished"].as_array().unwrap().len(), 3);
}
