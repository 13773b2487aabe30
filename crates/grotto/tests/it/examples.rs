//! The examples: each runs, is short, and is told of in the README.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Most lines of an example: more is not read.
const LINES: usize = 59;

macro_rules! examples {
    ($($path:literal $name:ident)*) => {
        $(#[path = $path] mod $name;)*

        const RUN: &[&str] = &[$($path),*];

        mod runs {
            $(#[test] fn $name() { super::$name::main().expect("the example runs"); })*
        }
    };
}

examples! {
    "../../examples/attached.rs" attached
    "../../examples/axum_service.rs" axum_service
    "../../examples/blocking.rs" blocking
    "../../examples/enums.rs" enums
    "../../examples/evolution.rs" evolution
    "../../examples/nested.rs" nested
    "../../examples/quickstart.rs" quickstart
    "../../examples/reacting.rs" reacting
    "../../examples/stream.rs" stream
    "../../examples/subscription.rs" subscription
    "../../examples/time_travel.rs" time_travel
    "../../examples/unit_test.rs" unit_test
    "../../examples/untyped.rs" untyped
    "../../examples/validator.rs" validator
    "../../examples/with.rs" with
    "../../examples/with_dates.rs" with_dates
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Names of the files in the folder of examples, and what is in them.
fn files() -> Vec<(String, String)> {
    let folder = std::fs::read_dir(root().join("crates/grotto/examples")).expect("the folder");
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        (name, std::fs::read_to_string(path).expect("a text"))
    };
    folder.map(read).collect()
}

#[test]
fn every_example_of_the_folder_is_run() {
    let there: BTreeSet<String> = files().into_iter().map(|(name, _)| name).collect();
    let run = RUN
        .iter()
        .filter_map(|path| path.strip_prefix("../../examples/"));
    assert_eq!(run.map(str::to_owned).collect::<BTreeSet<_>>(), there);
}

#[test]
fn every_example_is_short() {
    for (name, text) in files() {
        let lines = text.lines().count();
        assert!(
            lines <= LINES,
            "{name}: at most {LINES} lines, found {lines}"
        );
    }
}

#[test]
fn the_readme_tells_of_every_example_and_of_no_other() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("the README");
    let links = readme.split("(crates/grotto/examples/").skip(1);
    let told: BTreeSet<&str> = links.filter_map(|rest| rest.split(')').next()).collect();
    let files = files();
    assert_eq!(told, files.iter().map(|(name, _)| name.as_str()).collect());
}
