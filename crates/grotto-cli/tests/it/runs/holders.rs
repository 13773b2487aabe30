//! Attached readers that are killed, that stand still, or that hold one version while others arrive.

use super::child::{Plan, Reader};
use super::kit::{Host, pause, until, well};
use super::process::{Process, named, nameless};
use super::{number, tell};
use std::path::Path;
use std::time::Duration;

const ITEMS: i64 = 4_000;

/// Bytes of a state directory: with a name, without one.
fn space(state_dir: &Path, pids: &[u32]) -> (u64, u64) {
    (named(state_dir).0, nameless(state_dir, pids))
}

#[test]
fn readers_that_die_stand_still_or_hold_a_version_cost_the_sidecar_nothing() {
    let versions = number("HELD", 40);
    let still = Duration::from_secs(number("STILL_S", 0));
    let mut host = Host::new(ITEMS, "");
    let (sidecar, _) = host.serving();
    // As many refreshes as it takes until nothing grows any more.
    for _ in 0..40 {
        host.publish(&sidecar);
    }
    let state_dir = host.state_dir();
    let plan = Plan::attach(state_dir.clone(), 4, ITEMS);
    let [killed, mut stopped, mut holds] = [(); 3].map(|()| Reader::start(&plan));
    let mut killed = Some(killed);
    until(|| (super::kit::status(&sidecar)["attached_readers"] == 3).then_some(()));
    let before = (
        space(&state_dir, &[sidecar.id()]),
        Process::of(sidecar.id()),
    );
    let held = holds.hold();
    stopped.hold();
    stopped.signal("STOP");
    for number in 0..versions {
        // In the middle of its reads.
        if let Some(reader) = killed.take_if(|_| number == versions / 2) {
            reader.kill();
        }
        host.publish(&sidecar);
    }
    pause(still);
    well(&sidecar, host.publisher.version());
    let after = (
        space(&state_dir, &[sidecar.id()]),
        Process::of(sidecar.id()),
    );
    let pinned = nameless(&state_dir, &[holds.pid(), stopped.pid()]);
    tell(format_args!(
        "sidecar before {before:?}, after {versions} more versions {after:?}"
    ));
    tell(format_args!(
        "bytes without a name that two readers of version {held} hold: {pinned}"
    ));
    assert!(pinned > 0, "they hold nothing that is not in use");
    // The directory is as large as ever, and so is what the sidecar has open.
    assert!(
        after.0.0 <= before.0.0 * 2 && after.0.1 <= before.0.0,
        "{before:?} {after:?}"
    );
    assert!(
        after.1.files <= before.1.files + 4 && after.1.maps <= before.1.maps * 2,
        "{before:?} {after:?}"
    );

    assert_eq!(holds.let_go(), held);
    holds.reaches(host.publisher.edition());
    let gone = until(|| {
        let left = nameless(&state_dir, &[holds.pid()]);
        (left == 0).then_some(left)
    });
    stopped.signal("CONT");
    assert_eq!(stopped.let_go(), held);
    stopped.reaches(host.publisher.edition());
    let left = until(|| {
        let left = nameless(&state_dir, &[stopped.pid()]);
        (left == 0).then_some(left)
    });
    tell(format_args!("left once they let go: {gone}, {left}"));
    until(|| (super::kit::status(&sidecar)["attached_readers"] == 2).then_some(()));
    holds.end();
    stopped.end();
    until(|| (super::kit::status(&sidecar)["attached_readers"] == 0).then_some(()));
}
