//! Refreshing a state directory while system calls on its files fail: a clear error or the newest
//! version, then the next refresh is right, and nothing piles up.

use super::strace::{self, Call, Fault, Threads};
use super::{Share, for_each_of};
use crate::kit::{Bench, Run, copy};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Calls on files of a state directory, and what they fail with.
const KINDS: [(&str, &[&str]); 6] = [
    ("openat", &["EROFS", "ENOSPC"]),
    ("write", &["ENOSPC", "EIO"]),
    ("ftruncate", &["EIO"]),
    ("?rename,?renameat,renameat2", &["EROFS", "ENOSPC"]),
    ("?mkdir,mkdirat", &["EROFS", "ENOSPC"]),
    ("?unlink,unlinkat", &["EROFS"]),
];
/// Times that a failing refresh is tried again.
const TRIES: usize = 3;
/// Most times that a fault is tried until it hits something. `strace` counts the calls of each thread for
/// itself, and the runtime may have another thread do the second of two. It cannot be kept to one thread
/// here: where `strace` looks only at calls on some files, it does not see how threads are made.
const MOST_MISSES: usize = 60;

/// A store with a version that a state directory does not have.
struct Stage {
    bench: Bench,
    name: &'static str,
}

impl Stage {
    /// A directory that holds the version before the newest.
    fn behind() -> Self {
        let stage = Self::nothing_held("a delta behind");
        stage.bench.publish(&edition(1), "").ok();
        stage.get("base").ok();
        stage.bench.publish(&edition(2), "").ok();
        stage.get("base").ok();
        stage.bench.publish(&edition(3), "").ok();
        stage
    }

    /// A directory that is not there.
    fn new() -> Self {
        let stage = Self::nothing_held("a new directory");
        stage.bench.publish(&edition(3), "").ok();
        stage
    }

    fn nothing_held(name: &'static str) -> Self {
        let bench = Bench::with_schema();
        std::fs::create_dir(bench.path("base")).unwrap();
        Self { bench, name }
    }

    fn line(&self, case: &str) -> String {
        let state = self.bench.path(case).join("state");
        format!("get --store store --state-dir {} Item 1", state.display())
    }

    fn get(&self, case: &str) -> Run {
        self.bench.run(&self.line(case))
    }

    fn run(&self, case: &str, fault: Option<&Fault>) -> (Run, Vec<Call>) {
        let line = self.line(case);
        let command = self
            .bench
            .command(&line.split_whitespace().collect::<Vec<&str>>());
        let log = self.bench.path(&format!("{case}.trace"));
        strace::run(&command, &log, Threads::Many, fault)
    }

    fn try_share(&self, share: Share) {
        copy(&self.bench.path("base"), &self.bench.path("unharmed"));
        let (run, calls) = self.run("unharmed", None);
        assert_eq!(run.ok(), wanted());
        let faults = faults(&calls, &self.bench.path("unharmed"), share);
        let findings = for_each_of(&faults, |index, (path, fault)| {
            let case = format!("case-{index}");
            let fault = Fault {
                paths: vec![self.bench.path(&case).join(path)],
                ..fault.clone()
            };
            self.try_one(&case, &fault).err()
        });
        println!("refresh of {}: {} faults", self.name, faults.len());
        assert!(findings.is_empty(), "{}", findings.join("\n\n"));
    }

    fn try_one(&self, case: &str, fault: &Fault) -> Result<(), String> {
        let folder = self.bench.path(case);
        for _ in 0..MOST_MISSES {
            copy(&self.bench.path("base"), &folder);
            let hit = self.refresh_with(case, fault)?;
            self.refresh_unharmed(case, fault)?;
            std::fs::remove_dir_all(&folder).unwrap();
            if hit {
                return Ok(());
            }
        }
        Err(format!("{fault:?} hit nothing"))
    }

    /// A few times, as whoever polls does. Tells whether a call failed.
    fn refresh_with(&self, case: &str, fault: &Fault) -> Result<bool, String> {
        let folder = self.bench.path(case);
        let mut hit = false;
        for turn in 1..=TRIES {
            let (run, calls) = self.run(case, Some(fault));
            hit |= calls.iter().any(|call| call.injected);
            let judged = check(&run, &folder).and_then(|()| self.check_files(case));
            judged.map_err(|finding| {
                let (out, err) = (&run.out, &run.err);
                format!(
                    "{finding}\n  in try {turn} of {}, {fault:?}: exit code {}\n{out}{err}",
                    self.name, run.code
                )
            })?;
        }
        Ok(hit)
    }

    fn refresh_unharmed(&self, case: &str, fault: &Fault) -> Result<(), String> {
        let next = self.get(case);
        if (next.code, next.out.as_str(), next.err.as_str()) != (0, &wanted(), "") {
            return Err(format!(
                "the next refresh after {fault:?}: {}{}",
                next.out, next.err
            ));
        }
        self.check_files(case)
    }

    /// There are not more files than a refresh leaves that nothing happened to, but for what the next
    /// one removes.
    fn check_files(&self, case: &str) -> Result<(), String> {
        let files = self.bench.files(case);
        let most = self.bench.files("unharmed").len() + 2;
        if files.len() <= most {
            return Ok(());
        }
        Err(format!("more than {most} files: {files:?}"))
    }
}

fn edition(number: u64) -> String {
    let line = |id: u64| format!("{{\"id\":{id},\"name\":\"name {id}\",\"size\":{number}}}\n");
    (1..=500).map(line).collect()
}

/// What the newest version answers.
fn wanted() -> String {
    edition(3).lines().next().unwrap().to_owned() + "\n"
}

/// Each call on each file of the state directory fails in each way.
fn faults(calls: &[Call], case: &Path, share: Share) -> Vec<(PathBuf, Fault)> {
    let state = case.join("state");
    let mut faults = Vec::new();
    for (set, errors) in KINDS {
        let mut seen: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for call in calls.iter().filter(|call| call.is_of(set)) {
            let Some(path) = call
                .paths()
                .into_iter()
                .find(|path| path.starts_with(&state))
            else {
                continue;
            };
            let path = path.strip_prefix(case).unwrap().to_owned();
            let turn = seen.entry(path.clone()).or_default();
            *turn += 1;
            if *turn > 1 && share == Share::Places {
                continue;
            }
            let errors = if share == Share::Places {
                &errors[..1]
            } else {
                errors
            };
            faults.extend(errors.iter().map(|error| {
                let paths = Vec::new();
                (
                    path.clone(),
                    Fault {
                        calls: set,
                        error,
                        from: *turn,
                        for_good: false,
                        paths,
                    },
                )
            }));
        }
    }
    faults
}

/// The newest version, or one line that names what was done to which file.
fn check(run: &Run, case: &Path) -> Result<(), String> {
    if run.code == 0 {
        let right =
            run.out == wanted() || run.err.starts_with("note: serving version 2 as it is: ");
        return if right {
            Ok(())
        } else {
            Err("another answer than the newest version's".to_owned())
        };
    }
    let said: Vec<&str> = run
        .err
        .lines()
        .filter(|line| !line.starts_with("hint: "))
        .collect();
    let file = case.join("state").display().to_string();
    match said.as_slice() {
        [line]
            if line.starts_with("error: ")
                && ["cannot ", "could not "]
                    .iter()
                    .any(|word| line.contains(word))
                && line.contains(&file) =>
        {
            Ok(())
        }
        [_] => Err("the error does not name what could not be done to which file".to_owned()),
        _ => Err("expected one line of error".to_owned()),
    }
}

#[test]
fn a_refresh_survives_failing_calls() {
    if strace::is_available() {
        Stage::behind().try_share(Share::Places);
    }
}

#[test]
fn a_new_state_directory_survives_failing_calls() {
    if strace::is_available() {
        Stage::new().try_share(Share::Places);
    }
}

#[test]
#[ignore = "takes minutes: a part of it runs always"]
fn every_call_of_a_refresh_may_fail() {
    assert!(strace::is_available(), "strace is needed");
    Stage::behind().try_share(Share::All);
    Stage::new().try_share(Share::All);
}
