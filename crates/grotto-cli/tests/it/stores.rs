//! The stores that a test leaves behind.
//!
//! Owns: finding them, and having each verified. Never: decides which of them are damaged on purpose; tests say so.

use std::path::{Path, PathBuf};

/// How deep stores lie in the folder of a test.
const DEPTH: usize = 3;

/// Folders that are datasets, each in its store: those that have a log.
pub(crate) fn datasets_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    look(folder, DEPTH, &mut found);
    found
}

fn look(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let folders: Vec<PathBuf> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect();
    for inner in folders {
        if has_entry(&inner) {
            found.push(inner);
        } else if depth > 0 {
            look(&inner, depth - 1, found);
        }
    }
}

fn has_entry(dataset: &Path) -> bool {
    let log = std::fs::read_dir(dataset.join("log"));
    log.into_iter()
        .flatten()
        .flatten()
        .any(|entry| entry.path().extension().is_some_and(|end| end == "json"))
}

#[test]
fn datasets_are_found_wherever_they_lie() {
    let bench = crate::kit::Bench::with_schema();
    bench.publish("{\"id\":1}\n", "").ok();
    std::fs::create_dir_all(bench.path("some/where")).unwrap();
    std::fs::rename(bench.path("store"), bench.path("some/where/store")).unwrap();
    bench.publish("{\"id\":1}\n", "").ok();
    let mut found = datasets_below(&bench.path("."));
    found.sort();
    let expected = ["./some/where/store/items", "./store/items"].map(|name| bench.path(name));
    assert_eq!(found, expected);
}
