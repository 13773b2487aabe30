//! What the daemon measures, as Prometheus sees it.

use super::kit::{Daemon, configure, records};
use crate::kit::Bench;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Whether `promtool` is there. Where it is not, this is said aloud; in continuous integration it is a failure.
fn promtool_is_available() -> bool {
    let tried = Command::new("promtool").arg("--version").output();
    let reason = match tried {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => format!("it cannot be started: {error}"),
    };
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(
        !ci,
        "promtool is needed in continuous integration: {reason}"
    );
    // Not by a macro: those are silenced in tests that pass.
    let mut err = std::io::stderr().lock();
    writeln!(
        err,
        "WARNING: SKIPPED: metrics are not checked by promtool: {reason}"
    )
    .unwrap();
    false
}

/// What `promtool check metrics` says of a text.
fn complaints(metrics: &str) -> String {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    promtool.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut run = promtool.spawn().unwrap();
    let mut stdin = run.stdin.take().unwrap();
    stdin.write_all(metrics.as_bytes()).unwrap();
    drop(stdin);
    let output = run.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    match output.status.success() {
        true => String::new(),
        false => format!("promtool: {said}"),
    }
}

#[test]
fn prometheus_accepts_the_metrics_of_a_daemon_that_has_worked() {
    if !promtool_is_available() {
        return;
    }
    let bench = Bench::with_schema();
    configure(&bench, "  batching: {batch_timeout: 10ms}\n");
    let daemon = Daemon::start(&bench);
    daemon.accepted("?wait=published", &records(0..10));
    let metrics = daemon.get("/metrics").body;
    assert_eq!(complaints(&metrics), "");
    for family in [
        "acknowledged_records_total counter",
        "breaker_trips_total counter",
        "submission_to_published_seconds histogram",
        "wal_size_bytes gauge",
        "process_memory_bytes gauge",
    ] {
        let line = format!("# TYPE grotto_producer_{family}\n");
        assert!(metrics.contains(&line), "{family}: {metrics}");
    }
    // It would say so.
    let wrong = metrics.replace("breaker_trips_total", "breaker_trips");
    assert!(complaints(&wrong).contains("breaker_trips"));
}
