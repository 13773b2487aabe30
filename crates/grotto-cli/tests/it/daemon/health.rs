//! `grotto health` beside a daemon that runs, and one that does not.

use super::kit::{Daemon, configure};
use crate::kit::Bench;

#[test]
fn a_daemon_that_is_ready_is_told_from_one_that_is_not() {
    let bench = Bench::with_schema();
    configure(&bench, "");
    let daemon = Daemon::start(&bench);
    let line = format!("health --url http://{}", daemon.address);
    let told = bench.run(&line).ok();
    // The dataset may be opening yet.
    assert!(["ready\n", "degraded\n"].contains(&told.as_str()), "{told}");
    let [told] = &bench.run(&format!("{line} --json")).values()[..] else {
        panic!("expected one value")
    };
    assert_eq!(told["datasets"][0]["dataset"], "items");
    daemon.kill();
    let gone = bench.run(&line).refused(4);
    assert!(gone.contains("no daemon answers at 127.0.0.1:"), "{gone}");
    assert!(gone.contains("hint: `--url` names the daemon"), "{gone}");
    bench.run("health --url https://127.0.0.1").refused(2);
}
