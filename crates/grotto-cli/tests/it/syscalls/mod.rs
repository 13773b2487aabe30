//! System calls that fail, one after the other, under `strace`.
//!
//! Owns: which calls are made to fail. What must hold then is in `publish` and `refresh`. The tests
//! of every change hit each place once and a part of the rest; those that are ignored by default try
//! everything: `cargo test -p grotto-cli --test it -- --ignored syscalls`.

#![allow(clippy::print_stdout, reason = "how many faults were tried")]

mod disk;
mod publish;
mod refresh;
mod scenario;
mod strace;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use strace::{Call, Fault, Threads};

/// How many faults of a scenario are tried.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Share {
    All,
    /// One for each place and error, and some of the rest.
    Places,
}

/// Of the rest, one in so many.
const RARE: usize = 24;

/// Calls that fail together, as they ask for the same of the disk, and how.
const KINDS: [(&str, &[&str]); 7] = [
    ("fsync,fdatasync", &["EIO"]),
    ("?link,linkat", &["EROFS", "ENOSPC"]),
    ("?rename,?renameat,renameat2", &["EROFS", "ENOSPC"]),
    ("pwrite64", &["EROFS", "ENOSPC"]),
    ("?mkdir,mkdirat", &["EROFS", "ENOSPC"]),
    ("?unlink,unlinkat", &["EROFS"]),
    ("openat", &["ENOSPC", "EACCES", "EROFS"]),
];
/// All of them at once: a disk that is full.
const ALL_THAT_WRITE: &str = "?link,linkat,?rename,?renameat,renameat2,pwrite64,?mkdir,mkdirat";

/// A fault and the threads among which it strikes.
#[derive(Clone, Debug)]
struct Trial {
    fault: Fault,
    threads: Threads,
}

/// The faults to try on a command that made these calls on one thread.
fn trials(calls: &[Call], root: &Path, share: Share) -> Vec<Trial> {
    let mut trials = Vec::new();
    let mut rest = Vec::new();
    let mut places = BTreeSet::new();
    for (set, errors) in KINDS {
        for (from, call) in (1..).zip(busiest_thread(calls, set)) {
            if !call.changes() || (call.is_of("openat") && site(call, root).is_none()) {
                continue;
            }
            for error in errors {
                let fault = Fault {
                    calls: set,
                    error,
                    from,
                    for_good: false,
                    paths: Vec::new(),
                };
                let one = Trial {
                    fault,
                    threads: Threads::One,
                };
                rest.push(Trial {
                    threads: Threads::Many,
                    ..one.clone()
                });
                let new = call.succeeded && places.insert((site(call, root), error));
                if new {
                    trials.push(one)
                } else {
                    rest.push(one)
                }
            }
        }
    }
    let for_good = [
        (ALL_THAT_WRITE, "pwrite64", "ENOSPC"),
        ("fsync,fdatasync", "fsync", "EIO"),
    ];
    for (set, counted, error) in for_good {
        for from in 1..=busiest_thread(calls, counted).len() {
            let fault = Fault {
                calls: set,
                error,
                from,
                for_good: true,
                paths: Vec::new(),
            };
            rest.push(Trial {
                fault,
                threads: Threads::One,
            });
        }
    }
    let keep = |(index, _): &(usize, Trial)| share == Share::All || index % RARE == RARE / 2;
    trials.extend(
        rest.into_iter()
            .enumerate()
            .filter(keep)
            .map(|(_, trial)| trial),
    );
    trials
}

/// The calls of a set by the thread that changes most with them, in order.
fn busiest_thread<'c>(calls: &'c [Call], set: &str) -> Vec<&'c Call> {
    let mut threads: BTreeMap<u32, Vec<&Call>> = BTreeMap::new();
    for call in calls.iter().filter(|call| call.is_of(set)) {
        threads.entry(call.pid).or_default().push(call);
    }
    threads
        .into_values()
        .max_by_key(|calls| calls.iter().filter(|call| call.changes()).count())
        .unwrap_or_default()
}

/// What a call is on, without what differs from run to run: versions, nonces, and the numbers of
/// staged files.
fn site(call: &Call, root: &Path) -> Option<String> {
    let path = call.paths().into_iter().next()?;
    let path = path.strip_prefix(root).ok()?.to_str()?;
    let path = path.split_once('#').map_or(path, |(before, _)| before);
    let staged = if path.len() < call.args.len() && call.args.contains('#') {
        "#"
    } else {
        ""
    };
    let plain = |part: &&str| !is_variable(part);
    let parts: Vec<&str> = path
        .split_inclusive(['/', '-', '.'])
        .filter(plain)
        .collect();
    Some(format!("{} {}{staged}", call.name, parts.concat()))
}

/// Versions, epochs and nonces.
fn is_variable(part: &str) -> bool {
    let bare = part.trim_end_matches(['/', '-', '.']);
    let digits = bare.bytes().all(|b| b.is_ascii_digit());
    let nonce = bare.len() >= 8 && bare.bytes().all(|b| b.is_ascii_hexdigit());
    !bare.is_empty() && (digits || nonce)
}

/// The places of all calls that succeeded and could fail.
fn sites(calls: &[Call], root: &Path) -> BTreeSet<String> {
    let may_fail = |call: &&Call| {
        call.succeeded && call.changes() && KINDS.iter().any(|(set, _)| call.is_of(set))
    };
    calls
        .iter()
        .filter(may_fail)
        .filter_map(|call| site(call, root))
        .collect()
}

/// Does something with each item, as many at a time as there are processors. What it returns is put
/// together.
fn for_each_of<T: Sync>(
    items: &[T],
    work: impl Fn(usize, &T) -> Option<String> + Sync,
) -> Vec<String> {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut found = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else {
                return found;
            };
            found.extend(work(index, item));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap())
            .collect()
    })
}
