//! The short version of the long run, in a process of its own: files and memory are counted for
//! the whole process.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says so")]

use std::process::{Command, Output};

fn soak(options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_grotto-soak"))
        .args(options)
        .output()
        .unwrap()
}

/// Budgets are as small as the dataset is: refreshes merge segments, and leave off in the middle of one.
fn assert_flat(options: &[&str]) {
    let sizes = [
        "--records=4000",
        "--churn=0.05",
        "--cycles=90",
        "--every=30",
        "--move-at-least=16384",
        "--seal-at=65536",
    ];
    let output = soak(&[&sizes, options].concat());
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{err}\n{out}");
    let samples = out.lines().filter(|line| line.contains("\"cycle\":"));
    assert_eq!(samples.count(), 3, "{out}");
    assert!(out.contains(r#""quantity":"bytes_per_record""#), "{out}");
}

#[test]
fn steady_churn_leaves_size_and_files_flat() {
    assert_flat(&["--json"]);
}

#[test]
fn records_that_go_and_come_back_leave_size_and_files_flat() {
    assert_flat(&["--json", "--tide=0.4"]);
}

#[test]
fn nested_records_leave_size_and_files_flat() {
    assert_flat(&["--json", "--workload=catalog"]);
}

#[test]
fn a_run_too_short_to_compare_is_refused() {
    let output = soak(&["--cycles=50", "--every=30"]);
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("too few to compare"), "{error}");
}
