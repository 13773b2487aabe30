//! Publishing while system calls fail: what was acknowledged is there after a crash; otherwise there
//! is a clear error, nothing is half there, and the next publish succeeds.

use super::disk::Disk;
use super::scenario::{
    FIRST, INCREMENTAL, NEW_FOLDER, PAST_A_LOSS, START_OVER, Scenario, WITH_SNAPSHOT, change,
    edition, lose_delta,
};
use super::strace::{self, Call, Fault, Threads};
use super::{Share, Trial, for_each_of, site, sites, trials};
use crate::kit::{Bench, Run, copy};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A scenario with its base store, and what became of its runs.
struct Stage {
    bench: Bench,
    scenario: Scenario,
    /// What an export of the version before and of the new one gives.
    old: String,
    new: String,
    hit: Mutex<BTreeSet<String>>,
    published: AtomicUsize,
    refused: AtomicUsize,
}

impl Stage {
    fn new(scenario: Scenario) -> Self {
        let bench = Bench::with_schema();
        let base = if scenario.folder {
            "base/store"
        } else {
            "base"
        };
        std::fs::create_dir_all(bench.path(base)).unwrap();
        for number in 1..=scenario.before {
            bench.write("input.ndjson", &edition(number));
            bench.run("publish --store base/store --dataset items --schema item.schema --input input.ndjson").ok();
        }
        if scenario.lost {
            lose_delta(&bench.path("base/store/items/delta"), scenario.before);
            bench.damages();
        }
        let next = scenario.before + 1;
        let incremental = scenario.more == "--incremental";
        let old = if scenario.before > 0 {
            edition(scenario.before)
        } else {
            String::new()
        };
        let (input, new) = if incremental {
            let rest = old.split_once('\n').unwrap().1;
            (change(next), format!("{}{rest}", change(next)))
        } else {
            (edition(next), edition(next))
        };
        bench.write("input.ndjson", &input);
        Self {
            bench,
            scenario,
            old,
            new,
            hit: Mutex::default(),
            published: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        }
    }

    fn publish_line(&self, store: &str) -> String {
        format!("publish --store {store} --dataset items --schema item.schema --input input.ndjson")
    }

    /// Publishes into a copy of the base store, in a folder of its own, while calls fail.
    fn run(&self, case: &str, threads: Threads, fault: Option<&Fault>) -> (Run, Vec<Call>) {
        let bench = &self.bench;
        copy(&bench.path("base"), &bench.path(case));
        let store = format!("{case}/store");
        let line = format!(
            "{} --threads 1 {}",
            self.publish_line(&store),
            self.scenario.more
        );
        let command = bench.command(&line.split_whitespace().collect::<Vec<&str>>());
        strace::run(
            &command,
            &bench.path(&format!("{case}.trace")),
            threads,
            fault,
        )
    }

    /// Tries a share of all faults. What must be hit is hit.
    fn try_share(&self, share: Share) {
        let (run, calls) = self.run("unharmed", Threads::One, None);
        run.ok();
        let root = self.bench.path("unharmed");
        self.try_all(&trials(&calls, &root, share));
        let hit = self.hit.lock().unwrap();
        let there = sites(&calls, &root);
        let missed: Vec<&String> = there.difference(&hit).collect();
        assert!(missed.is_empty(), "never failed: {missed:?}");
    }

    fn try_all(&self, trials: &[Trial]) {
        let findings = for_each_of(trials, |index, trial| {
            let case = format!("case-{index}");
            let outcome = self.try_one(&case, trial);
            for folder in [case.clone(), format!("{case}-after-crash")] {
                std::fs::remove_dir_all(self.bench.path(&folder)).unwrap();
            }
            outcome.err()
        });
        let (hit, tried) = (self.hit.lock().unwrap().len(), trials.len());
        let count = |number: &AtomicUsize| number.load(Ordering::Relaxed);
        let (published, refused) = (count(&self.published), count(&self.refused));
        let more = self.scenario.more;
        println!(
            "publish {more}: {tried} faults at {hit} places, {published} published, {refused} refused"
        );
        assert!(findings.is_empty(), "{}", findings.join("\n\n"));
        assert!(refused > 0, "no fault was of any consequence");
    }

    fn try_one(&self, case: &str, trial: &Trial) -> Result<(), String> {
        let folder = self.bench.path(case);
        let (run, calls) = self.run(case, trial.threads, Some(&trial.fault));
        let injected = calls.iter().filter(|call| call.injected);
        let hit: Vec<String> = injected.filter_map(|call| site(call, &folder)).collect();
        let context = format!(
            "publish {}, {trial:?} at {hit:?}: exit code {}\n{}{}",
            self.scenario.more, run.code, run.out, run.err
        );
        // Threads are counted each for itself: the call of another one may be on what is to be published.
        let on_store = !hit.is_empty();
        self.hit.lock().unwrap().extend(hit);
        let acknowledged = calls
            .iter()
            .find(|call| call.args.contains("published version"));
        let mut disk = Disk::new(&folder, &self.bench.path("base"));
        disk.replay(&calls, acknowledged.map_or(usize::MAX, |call| call.began));
        let after_crash = format!("{case}-after-crash");
        disk.restore(&self.bench.path(&after_crash));
        let judged = if acknowledged.is_some() {
            self.published.fetch_add(1, Ordering::Relaxed);
            self.check_published(&run, &after_crash)
        } else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            self.check_refused(&run, on_store, case, &after_crash)
        };
        judged
            .and_then(|()| self.check_next_publish(case))
            .and_then(|()| self.check_next_publish(&after_crash))
            .map_err(|finding| format!("{finding}\n  after {context}"))
    }

    /// What was acknowledged is there after a crash.
    fn check_published(&self, run: &Run, after_crash: &str) -> Result<(), String> {
        if run.code != 0 && !run.err.contains("is published, but not its snapshot") {
            return Err("published, and then an error".to_owned());
        }
        self.check_head(after_crash, &[&self.new])
    }

    /// There is a clear error, and nothing is half there.
    fn check_refused(
        &self,
        run: &Run,
        on_store: bool,
        case: &str,
        after_crash: &str,
    ) -> Result<(), String> {
        if run.code == 0 {
            return Err("nothing was published, and nothing said".to_owned());
        }
        if on_store {
            check_complaint(run)?;
        } else if !run.err.starts_with("error: cannot read ") {
            return Err("the error does not name what could not be read".to_owned());
        }
        self.check_head(case, &[&self.old, &self.new])?;
        self.check_head(after_crash, &[&self.old, &self.new])
    }

    /// The newest version is one of these, and all of the store is whole.
    fn check_head(&self, case: &str, wanted: &[&str]) -> Result<(), String> {
        let store = format!("{case}/store");
        if is_unwritten(&self.bench.path(&store)) {
            let found = wanted.contains(&"");
            return if found {
                Ok(())
            } else {
                Err(format!("{store}: nothing is there"))
            };
        }
        let found = self.bench.run(&format!("export --store {store}"));
        if self.scenario.lost {
            return self.check_past_loss(&store, &found, wanted);
        }
        let verified = self.bench.run(&format!("verify --store {store}"));
        if verified.code != 0 {
            return Err(format!("{store}: {}{}", verified.out, verified.err));
        }
        if found.code == 0 && wanted.contains(&found.out.as_str()) {
            return Ok(());
        }
        Err(format!("{store} holds another state: {}", found.err))
    }

    /// Nothing but the lost delta is missing: the version before it is there, and the newest is either the
    /// new one or as lost as it was.
    fn check_past_loss(&self, store: &str, found: &Run, wanted: &[&str]) -> Result<(), String> {
        let first = self
            .bench
            .run(&format!("export --store {store} --version 1"));
        if (first.code, &first.out) != (0, &edition(1)) {
            return Err(format!(
                "{store}: version 1 is not what it was: {}",
                first.err
            ));
        }
        let as_before = found.code != 0
            && found.err.starts_with("error: version 2: blob delta/")
            && found.err.contains("is gone from the store");
        let fits = match found.code {
            0 => found.out == self.new,
            _ => as_before && wanted.contains(&self.old.as_str()),
        };
        if fits {
            return Ok(());
        }
        Err(format!("{store} holds another state: {}", found.err))
    }

    /// A publish without faults goes on from whatever is there.
    fn check_next_publish(&self, case: &str) -> Result<(), String> {
        let store = format!("{case}/store");
        let incremental = self.scenario.more == "--incremental";
        let more = match self.scenario {
            Scenario { lost: true, .. } => "--start-over",
            _ if incremental => "--incremental",
            _ => "",
        };
        let run = self
            .bench
            .run(&format!("{} {more}", self.publish_line(&store)));
        if (run.code, run.err.as_str()) != (0, "") {
            return Err(format!("{store}: the next publish: {}{}", run.out, run.err));
        }
        self.check_head(case, &[&self.new])
    }
}

/// Whether no version was ever written to a store.
fn is_unwritten(store: &Path) -> bool {
    let log: PathBuf = store.join("items/log");
    let mut entries = std::fs::read_dir(log).into_iter().flatten();
    !entries.any(|entry| {
        entry
            .unwrap()
            .path()
            .extension()
            .is_some_and(|ending| ending == "json")
    })
}

/// One line that names what was done to which file, and maybe a hint.
pub(super) fn check_complaint(run: &Run) -> Result<(), String> {
    let said = run.err.lines().filter(|line| !line.starts_with("hint: "));
    let said: Vec<&str> = said.collect();
    let names_file = |line: &str| line.contains("items/") || line.contains("/store");
    match said.as_slice() {
        [line] if line.starts_with("error: ") && line.contains("cannot ") && names_file(line) => {
            Ok(())
        }
        [_] => Err("the error does not name what could not be done to which file".to_owned()),
        _ => Err("expected one line of error".to_owned()),
    }
}

#[test]
fn a_first_publish_survives_failing_calls() {
    if strace::is_available() {
        Stage::new(FIRST).try_share(Share::Places);
    }
}

/// The first call of the process is that of the folder.
#[test]
fn the_making_of_a_store_folder_may_fail() {
    if strace::is_available() {
        let trial = |calls, error| Trial {
            fault: Fault {
                calls,
                error,
                from: 1,
                for_good: false,
                paths: Vec::new(),
            },
            threads: Threads::Many,
        };
        let mkdir = "?mkdir,mkdirat";
        let stage = Stage::new(NEW_FOLDER);
        stage.try_all(&[
            trial(mkdir, "EROFS"),
            trial(mkdir, "ENOSPC"),
            trial("fsync", "EIO"),
        ]);
    }
}

#[test]
fn an_incremental_publish_survives_failing_calls() {
    if strace::is_available() {
        Stage::new(INCREMENTAL).try_share(Share::Places);
    }
}

#[test]
fn a_publish_with_a_snapshot_survives_failing_calls() {
    if strace::is_available() {
        Stage::new(WITH_SNAPSHOT).try_share(Share::Places);
    }
}

#[test]
fn a_new_start_survives_failing_calls() {
    if strace::is_available() {
        Stage::new(START_OVER).try_share(Share::Places);
    }
}

#[test]
fn a_new_start_past_a_lost_delta_survives_failing_calls() {
    if strace::is_available() {
        Stage::new(PAST_A_LOSS).try_share(Share::Places);
    }
}

#[test]
#[ignore = "takes minutes: a part of it runs always"]
fn every_call_of_every_publish_may_fail() {
    assert!(strace::is_available(), "strace is needed");
    for scenario in [FIRST, INCREMENTAL, WITH_SNAPSHOT, START_OVER, PAST_A_LOSS] {
        Stage::new(scenario).try_share(Share::All);
    }
}
