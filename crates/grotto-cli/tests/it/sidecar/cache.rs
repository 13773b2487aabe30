//! A sidecar that keeps the blobs that it fetched.

use super::kit::{configure, publish, served, serving, start};
use crate::daemon::kit::Daemon;
use crate::kit::Bench;

/// What the sidecar counts of its cache under this name.
#[track_caller]
fn counted(sidecar: &Daemon, name: &str) -> u64 {
    let text = sidecar.get("/metrics").body;
    let start = format!("grotto_consumer_cache_{name}{{");
    let line = text.lines().find(|line| line.starts_with(&start));
    let line = line.unwrap_or_else(|| panic!("no {start} in {text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

fn blobs(bench: &Bench) -> usize {
    let found = std::fs::read_dir(bench.path("blobs"));
    found.map_or(0, Iterator::count)
}

#[test]
fn blobs_are_kept_where_the_key_says_and_spare_the_next_start_the_store() {
    let bench = Bench::with_schema();
    // More than rides in a log entry.
    publish(&bench, 0..20_000);
    configure(
        &bench,
        "  blob_cache: {folder: blobs, size: 100MB, age: 2d}\n",
    );
    let sidecar = serving(&bench);
    let kept = blobs(&bench) as u64;
    assert!(kept > 0);
    let hits_and_misses =
        |sidecar: &Daemon| ["hits_total", "misses_total"].map(|n| counted(sidecar, n));
    assert_eq!(hits_and_misses(&sidecar), [0, kept]);
    assert!(counted(&sidecar, "bytes") > 0);
    sidecar.signal("TERM");
    assert_eq!(sidecar.ended(), 0);

    std::fs::remove_dir_all(bench.path("state")).unwrap();
    let sidecar = start(&bench);
    served(&sidecar, 0);
    assert_eq!(hits_and_misses(&sidecar), [kept, 0]);
    sidecar.signal("TERM");
    assert_eq!(sidecar.ended(), 0);
}

#[test]
fn the_check_of_a_configuration_says_where_blobs_cannot_be_kept() {
    let bench = Bench::with_schema();
    publish(&bench, 0..10);
    bench.write("file", "x");
    configure(&bench, "  blob_cache: {folder: file}\n");
    let run = bench.run("config check s.yaml");
    let told = format!("{run:?}");
    assert!(
        told.contains("cannot use consumer.blob_cache.folder"),
        "{told}"
    );
}
