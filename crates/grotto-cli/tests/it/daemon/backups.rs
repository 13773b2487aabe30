//! Backups of a dataset that a daemon publishes and collects, some of them killed.

use super::kit::{Daemon, PATIENCE, configure, records};
use crate::kit::{Bench, Run};
use grotto::engine::env::Env;
use std::process::Stdio;

const BACKUP: [&str; 6] = ["backup", "--store", "store", "--to", "copy", "--json"];

/// Runs one, and gives its newest version.
fn back_up(bench: &Bench) -> u64 {
    let run = Run::of(bench.command(&BACKUP).output().unwrap());
    let told = run.values();
    assert_eq!(told[0]["faults"], serde_json::json!([]), "{told:?}");
    assert_eq!(told[0]["rebuilt"], true);
    told[0]["last_version"].as_u64().unwrap()
}

/// Starts one, and kills it without a word once the copy has so many files more.
fn kill_one(bench: &Bench, more: usize) {
    let before = bench.files("copy").len();
    let mut command = bench.command(&BACKUP);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    while child.try_wait().unwrap().is_none() && bench.files("copy").len() < before + more {
        std::thread::yield_now();
    }
    // It may have ended by itself.
    let _ = child.kill();
    child.wait().unwrap();
}

/// One that is killed, then one that is not, again and again.
fn back_up_and_kill(bench: &Bench) {
    let mut newest = 0;
    for round in 0..5 {
        kill_one(bench, 3 * round);
        let copied = back_up(bench);
        assert!(copied >= newest, "{copied} after {newest}");
        newest = copied;
        // As after the ten minutes for which the lease of one that was killed is believed.
        for lease in bench.files("store/items/consumers") {
            std::fs::remove_file(bench.path("store/items/consumers").join(lease)).unwrap();
        }
        let collected = || bench.files("store/items/collected");
        let (before, clock) = (collected(), Env::system().clock);
        while collected() == before {
            assert!(clock.monotonic() < PATIENCE, "nothing is collected");
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_dataset_is_backed_up_while_it_is_written_and_collected_and_backups_are_killed() {
    let bench = Bench::with_schema();
    configure(
        &bench,
        "  performance: {snapshot_frequency: 3}\n  \
         retention: {enabled: true, interval: 20ms, snapshots: 2, grace: 1ms}\n",
    );
    let daemon = Daemon::start(&bench);
    for id in 0..6 {
        daemon.accepted("?wait=published", &records(id..id + 1));
    }
    std::thread::scope(|scope| {
        let backups = scope.spawn(|| back_up_and_kill(&bench));
        let mut id = 6;
        while !backups.is_finished() {
            daemon.accepted("?wait=published", &records(id..id + 1));
            id += 1;
        }
        backups.join().unwrap();
    });
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), 0);
    back_up(&bench);
    bench.run("verify --store copy --dataset items").ok();
    let export = |store: &str| {
        bench
            .run(&format!("export --store {store} --dataset items"))
            .ok()
    };
    assert_eq!(export("store"), export("copy"));
}
