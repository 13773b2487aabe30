//! A thousand readers in each of two processes, and readers over HTTP, while versions arrive.

use super::child::{Plan, Reader};
use super::kit::{Connection, Host, reach};
use super::process::Process;
use super::{number, tell};
use grotto::engine::env::Env;
use serde_json::Value;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Readers over HTTP, each with a connection.
const CLIENTS: u64 = 4;

/// Memory of a process, in kilobytes.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    first: u64,
    last: u64,
    most: u64,
}

impl Memory {
    fn note(&mut self, pid: u32) {
        let now = Process::of(pid).private_kb;
        if self.first == 0 {
            self.first = now;
        }
        self.last = now;
        self.most = self.most.max(now);
    }
}

#[test]
fn thousands_of_readers_see_whole_versions_while_they_arrive() {
    let versions = number("VERSIONS", 25);
    let interval = Duration::from_millis(number("INTERVAL_MS", 0));
    let readers = usize::try_from(number("READERS", 1_000)).unwrap();
    let items = i64::try_from(number("ITEMS", 2_000)).unwrap();
    let mut host = Host::new(items, "");
    let (sidecar, _) = host.serving();
    let pause_us = number("PAUSE_US", 10_000);
    let plans = [
        Plan::attach(host.state_dir(), readers, items),
        Plan::follow(host.store(), host.bench.path("own"), readers, items),
    ];
    let mut children = plans.map(|plan| Reader::start(&Plan { pause_us, ..plan }));
    let offset = host.publisher.version() - u64::try_from(host.publisher.edition()).unwrap();
    let (stop, asked) = (AtomicBool::new(false), AtomicU64::new(0));
    let pids = [sidecar.id(), children[0].pid(), children[1].pid()];
    let mut memory = [Memory::default(); 3];
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (connection, stop, asked) = (Connection::new(&sidecar), &stop, &asked);
            scope.spawn(move || read_over_http(connection, number, items, offset, stop, asked));
        }
        // Also where one of them fails.
        let _stop = Stop(&stop);
        let clock = Env::system().clock;
        let begun = clock.monotonic();
        for number in 1..=versions {
            let due = begun + interval * u32::try_from(number).unwrap();
            host.publisher.sleep(due.saturating_sub(clock.monotonic()));
            host.publisher.publish();
            if number * 10 >= versions {
                memory
                    .iter_mut()
                    .zip(pids)
                    .for_each(|(memory, pid)| memory.note(pid));
            }
        }
        let seconds = (clock.monotonic() - begun).as_secs_f64();
        reach(&sidecar, host.publisher.version());
        for child in &mut children {
            child.reaches(host.publisher.edition());
        }
        tell(format_args!(
            "{versions} versions of {items} items in {seconds:.1} s"
        ));
    });
    let figures = children.each_mut().map(Reader::figures);
    show(&figures, &memory, asked.into_inner());
    for figures in figures {
        assert!(
            figures["reads"].as_u64().unwrap() >= 2 * readers as u64,
            "{figures}"
        );
    }
    children.into_iter().for_each(Reader::end);
}

/// Ends those who read over HTTP.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn read_over_http(
    mut connection: Connection,
    number: u64,
    items: i64,
    offset: u64,
    stop: &AtomicBool,
    asked: &AtomicU64,
) {
    let (mut at, mut last) = (i64::try_from(number).unwrap(), 0);
    while !stop.load(Ordering::Relaxed) {
        let ids: Vec<i64> = (0..16).map(|step| (at + step * 37) % items).collect();
        let version = connection.check(&ids, offset);
        assert!(version >= last, "version {version} after {last}");
        (at, last) = ((at + 101) % items, version);
        asked.fetch_add(1, Ordering::Relaxed);
    }
}

fn show(figures: &[Value; 2], memory: &[Memory; 3], asked: u64) {
    for (who, figures) in ["attached", "embedded"].iter().zip(figures) {
        tell(format_args!("{who}: {figures}"));
    }
    tell(format_args!(
        "over HTTP: {asked} reads of 16 items and 2 marks"
    ));
    for (who, memory) in ["sidecar", "attached", "embedded"].iter().zip(memory) {
        let Memory { first, last, most } = memory;
        tell(format_args!(
            "private kB of {who}: first {first}, last {last}, most {most}"
        ));
    }
}
