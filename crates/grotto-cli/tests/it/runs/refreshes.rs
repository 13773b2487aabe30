//! Refreshes by the thousand: what a sidecar and a program that follows by itself have open, and take, afterwards.

use super::child::{Plan, Reader};
use super::kit::{Host, reach, until};
use super::pool::series;
use super::process::{Process, named};
use super::{number, tell};
use crate::daemon::kit::Daemon;
use std::path::{Path, PathBuf};

const ITEMS: i64 = 500;
/// A type keeps some hundred layouts that its blocks once had, and each root lists them: bytes that two roots grow by until
/// there are as many.
const LAYOUTS: u64 = 256 << 10;

/// The most of everything over some refreshes: files are merged now and then, so no single look is like another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Most {
    process: Process,
    /// The fewest files that were open: others are read for a moment.
    open: u64,
    series: u64,
    /// In the state directory.
    files: u64,
    bytes: u64,
}

impl Most {
    fn note(&mut self, pid: u32, state_dir: &Path, series: u64) {
        let (bytes, files) = named(state_dir);
        let process = Process::of(pid);
        let open = match self.open {
            0 => process.files,
            open => open.min(process.files),
        };
        *self = Self {
            process: self.process.most(process),
            open,
            series: self.series.max(series),
            files: self.files.max(files),
            bytes: self.bytes.max(bytes),
        };
    }

    fn assert_flat(&self, later: &Self) {
        let (before, after) = (self.process, later.process);
        // Work that waits for the system has threads of its own, which come and go; each has a stack, one for signals,
        // and may have memory of its own: two maps for each of them, as a guard lies beside each.
        assert!(after.threads <= before.threads + 4, "{self:?} {later:?}");
        assert!(after.maps <= before.maps + 4 * 6, "{self:?} {later:?}");
        assert!(later.open <= self.open, "{self:?} {later:?}");
        assert!(later.series == self.series, "{self:?} {later:?}");
        assert!(later.files <= self.files, "{self:?} {later:?}");
        assert!(later.bytes <= self.bytes + LAYOUTS, "{self:?} {later:?}");
        // Allocators keep some of what is free.
        let most = before.private_kb * 5 / 4 + 4096;
        assert!(after.private_kb <= most, "{self:?} {later:?}");
    }
}

struct Followers {
    sidecar: Daemon,
    embedded: Reader,
    dirs: [PathBuf; 2],
}

impl Followers {
    fn look(&mut self, most: &mut [Most; 2]) {
        let metrics = self.sidecar.get("/metrics").body;
        let of_sidecar = series(&metrics) as u64;
        let of_embedded = self.embedded.figures()["series"].as_u64().unwrap();
        most[0].note(self.sidecar.id(), &self.dirs[0], of_sidecar);
        most[1].note(self.embedded.pid(), &self.dirs[1], of_embedded);
    }
}

/// The most of everything in the last refreshes of so many.
fn refresh(host: &mut Host, followers: &mut Followers, count: u64, window: u64) -> [Most; 2] {
    let mut most = [Most::default(); 2];
    for number in 1..=count {
        let version = host.publisher.publish();
        reach(&followers.sidecar, version);
        followers.embedded.reaches(host.publisher.edition());
        if number + window > count {
            followers.look(&mut most);
        }
    }
    most
}

/// Waits until nothing but the leases of both lies there: one may just be renewed, beside the one before.
#[track_caller]
fn two_leases(host: &Host) {
    let found = || host.bench.files("store/items/consumers");
    until(|| {
        (found().len() == 2 && found().iter().all(|name| name.ends_with(".json"))).then_some(())
    });
}

#[test]
fn refreshes_by_the_hundred_leave_everything_as_it_was() {
    let refreshes = number("REFRESHES", 300);
    let first = (refreshes / 10).max(120);
    let window = number("WINDOW", 60);
    let mut host = Host::new(ITEMS, "");
    let text = std::fs::read_to_string(host.bench.path("s.yaml")).unwrap();
    let text = text.replace("10ms", "1ms").replace("20ms", "4ms");
    host.bench.write("s.yaml", &text);
    let (sidecar, _) = host.serving();
    let own = host.bench.path("own");
    let mut followers = Followers {
        sidecar,
        embedded: Reader::start(&Plan::follow(host.store(), own.clone(), 4, ITEMS)),
        dirs: [host.state_dir(), own],
    };
    let before = refresh(&mut host, &mut followers, first, window);
    two_leases(&host);
    let after = refresh(&mut host, &mut followers, refreshes - first, window);
    for (who, (before, after)) in ["sidecar", "embedded"]
        .iter()
        .zip(before.iter().zip(&after))
    {
        tell(format_args!(
            "{who} at {first}: {before:?}\n{who} at {refreshes}: {after:?}"
        ));
        before.assert_flat(after);
    }
    two_leases(&host);
    followers.embedded.end();
}
