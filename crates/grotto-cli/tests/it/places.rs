//! State directories that are shared: by commands at the same time, with whoever keeps one, with other
//! users, and with those who mean harm.

use crate::kit::{Bench, Run, values};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

const GET: &str = "get --store store --state-dir state --json Item 1";
const NOBODY: u32 = 65_534;

fn sized(size: u64) -> String {
    format!("{{\"id\":1,\"name\":\"Monte-Carlo\",\"size\":{size}}}\n")
}

/// A process that keeps the directory, once it serves the first version.
fn keeper(bench: &Bench, more: &str) -> Child {
    let line = format!("follow --store store --state-dir state --json {more}");
    let mut keeper = bench
        .command(&line.split_whitespace().collect::<Vec<&str>>())
        .spawn()
        .unwrap();
    let out = keeper.stdout.take().unwrap();
    let mut lines = BufReader::new(out).lines();
    assert!(lines.next().unwrap().unwrap().contains("\"to\":1"));
    // Nobody reads the rest; it is short.
    std::mem::forget(lines);
    keeper
}

fn end(mut keeper: Child) {
    keeper.kill().unwrap();
    keeper.wait().unwrap();
}

#[test]
fn what_is_read_right_after_a_publish_is_what_was_published() {
    let bench = Bench::with_schema();
    bench.publish(&sized(1), "").ok();
    let keeper = keeper(&bench, "--poll-interval 50ms");
    for version in 2..=20_u64 {
        bench.publish(&sized(version), "").ok();
        let found = bench.run(GET).values().remove(0);
        let expected = (version.into(), version.into());
        assert_eq!(
            (found["version"].clone(), found["record"]["size"].clone()),
            expected
        );
        assert!(found.get("newest").is_none());
    }
    end(keeper);
}

#[test]
fn whoever_keeps_the_directory_and_does_not_catch_up_is_told_of() {
    let bench = Bench::with_schema();
    bench.publish(&sized(1), "").ok();
    let keeper = keeper(&bench, "--poll-interval 1h");
    bench.publish(&sized(2), "").ok();
    let run = bench.run(GET);
    assert_eq!(run.code, 0, "{}", run.err);
    let (found, note) = (values(&run.out).remove(0), values(&run.err).remove(0));
    assert_eq!(
        (&found["version"], &found["newest"]),
        (&1.into(), &2.into())
    );
    assert_eq!(
        (&note["note"]["version"], &note["note"]["newest"]),
        (&1.into(), &2.into())
    );
    let run = bench.run("scan --store store --state-dir state Item");
    assert_eq!(
        (run.code, run.out.contains("\"size\":1")),
        (0, true),
        "{}",
        run.out
    );
    let expected = "note: serving version 1, not version 2, which is the newest: whoever keeps state directory \
                    state did not bring it within 3 s\n";
    assert_eq!(run.err, expected);
    // Asked to stay offline, the store does not matter.
    let found = bench
        .run("get --offline --state-dir state --json Item 1")
        .values()
        .remove(0);
    assert_eq!(found["version"], 1);
    end(keeper);
}

#[test]
fn of_many_first_uses_at_once_none_fails() {
    let bench = Bench::with_schema();
    // Enough to load for all to be there before the first is done.
    let lines = (1..=20_000).map(|id| sized(1).replacen(":1,", &format!(":{id},"), 1));
    bench.publish(&lines.collect::<String>(), "").ok();
    let args: Vec<&str> = GET.split(' ').collect();
    let started: Vec<Child> = (0..24)
        .map(|_| bench.command(&args).spawn().unwrap())
        .collect();
    for process in started {
        let found = Run::of(process.wait_with_output().unwrap())
            .values()
            .remove(0);
        assert_eq!(found["version"], 1);
    }
}

#[test]
fn a_directory_that_another_process_keeps_and_has_nothing_in_is_no_hindrance() {
    let bench = Bench::with_schema();
    bench.publish(&sized(1), "").ok();
    let folder = bench.path("state");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    let lock = std::fs::File::create(folder.join("LOCK")).unwrap();
    lock.lock().unwrap();
    let found = bench.run(GET).values().remove(0);
    assert_eq!(found["version"], 1);
    // Once it is let go of, it is used.
    drop(lock);
    bench.run(GET).ok();
    assert!(folder.join("CURRENT").exists());
}

#[test]
fn a_directory_that_is_removed_under_a_follower_is_made_again() {
    let bench = Bench::with_schema();
    bench.publish(&sized(1), "").ok();
    let keeper = keeper(&bench, "--poll-interval 5ms");
    std::fs::remove_dir_all(bench.path("state")).unwrap();
    while !bench.path("state/CURRENT").exists() {
        std::thread::yield_now();
    }
    let offline = "get --offline --state-dir state --json Item 1";
    assert_eq!(bench.run(offline).values()[0]["version"], 1);
    bench.publish(&sized(2), "").ok();
    assert_eq!(bench.run(GET).values()[0]["version"], 2);
    end(keeper);
}

/// Alters what is stored of the record, in place, as if a disk or somebody had.
fn alter(bench: &Bench) -> PathBuf {
    let mut altered = Vec::new();
    for name in bench.files("state/segments") {
        let path = bench.path("state/segments").join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        let found = bytes.windows(11).position(|text| text == b"Monte-Carlo");
        if let Some(at) = found {
            bytes[at] = b'X';
            pass(&path);
            std::fs::write(&path, bytes).unwrap();
            altered.push(path);
        }
    }
    assert_eq!(altered.len(), 1);
    altered.remove(0)
}

/// Waits until what is written now has another time than a file has.
fn pass(path: &Path) {
    let changed = |path: &Path| {
        let found = std::fs::metadata(path).unwrap();
        (found.ctime(), found.ctime_nsec())
    };
    let probe = tempfile::NamedTempFile::new_in(path.parent().unwrap()).unwrap();
    while changed(probe.path()) <= changed(path) {
        std::fs::write(probe.path(), b"x").unwrap();
    }
}

#[test]
fn an_altered_file_is_never_served() {
    let bench = Bench::with_schema();
    bench.publish(&sized(1), "").ok();
    assert_eq!(bench.run(GET).values()[0]["record"]["name"], "Monte-Carlo");
    let offline = "get --offline --state-dir state --json Item 1";
    assert_eq!(
        bench.run(offline).values()[0]["record"]["name"],
        "Monte-Carlo"
    );
    let path = alter(&bench);
    let complaint = bench
        .run("get --offline --state-dir state Item 1")
        .refused(5);
    assert!(
        complaint.contains("00001.seg: the file was altered: bytes 0 to "),
        "{complaint}"
    );
    // With the store it is loaded again, also on the way to news.
    assert_eq!(bench.run(GET).values()[0]["record"]["name"], "Monte-Carlo");
    assert!(!path.exists());
    alter(&bench);
    bench.publish(&sized(2), "").ok();
    let found = bench.run(GET).values().remove(0);
    assert_eq!(
        (&found["version"], &found["record"]["name"]),
        (&2.into(), &"Monte-Carlo".into())
    );
    assert_eq!(
        bench.run(offline).values()[0]["record"]["name"],
        "Monte-Carlo"
    );
}

#[test]
fn a_state_directory_is_verified_without_a_store_and_while_it_is_kept() {
    let bench = Bench::with_schema();
    bench.publish(&sized(1), "").ok();
    let keeper = keeper(&bench, "--poll-interval 1h");
    std::fs::rename(bench.path("store"), bench.path("away")).unwrap();
    let said = bench.run("verify --state-dir state").ok();
    assert!(
        said.starts_with("OK: state with items at version 1\n1 file of "),
        "{said}"
    );
    let path = alter(&bench);
    let run = bench.run("verify --state-dir state");
    assert_eq!(run.code, 5, "{}", run.err);
    let name = path
        .strip_prefix(bench.path(""))
        .unwrap()
        .display()
        .to_string();
    let line = format!("{name}: the file was altered: bytes 0 to ");
    assert!(
        run.out.starts_with(&format!("damaged: {line}")),
        "{}",
        run.out
    );
    assert!(
        run.out
            .contains("\nDAMAGED: state with items at version 1\n"),
        "{}",
        run.out
    );
    assert!(
        run.err.starts_with(&format!("error: {line}")),
        "{}",
        run.err
    );
    let found = values(&bench.run("verify --state-dir state --json").out).remove(0);
    assert_eq!(
        (&found["ok"], &found["version"]),
        (&false.into(), &1.into())
    );
    assert!(
        found["faults"][0].as_str().unwrap().starts_with(&line),
        "{found}"
    );
    end(keeper);
    let complaint = bench.run("verify --state-dir none").refused(2);
    assert!(
        complaint.contains("state directory none does not exist"),
        "{complaint}"
    );
}

/// Whether other users can be played; says aloud what is not tested where they cannot.
fn is_root(bench: &Bench) -> bool {
    let root = std::fs::metadata(bench.path(".")).unwrap().uid() == 0;
    if !root {
        // Not by a macro: those are silenced in tests that pass.
        let mut err = std::io::stderr().lock();
        writeln!(
            err,
            "WARNING: SKIPPED: nothing is done as another user, as this is not root"
        )
        .unwrap();
    }
    root
}

/// The binary as another user runs it, in a folder that all may enter.
fn as_nobody(bench: &Bench, line: &str) -> Run {
    let binary = bench.path("grotto");
    if !binary.exists() {
        // Not by this process: a test beside that starts a program while the copy is written would hand it the open
        // file, and nobody can run a program that is open for writing.
        let mut copy = Command::new("cp");
        copy.arg(env!("CARGO_BIN_EXE_grotto")).arg(&binary);
        assert!(copy.status().unwrap().success());
    }
    for path in [bench.path("."), binary.clone()] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(binary);
    command
        .args(line.split_whitespace())
        .current_dir(bench.path("."));
    for (name, value) in bench.command(&[""]).get_envs() {
        assert!(value.is_none());
        command.env_remove(name);
    }
    Run::of(command.output().unwrap())
}

#[test]
fn a_group_that_is_let_in_reads_and_others_do_not() {
    let bench = Bench::with_schema();
    if !is_root(&bench) {
        return;
    }
    bench.publish(&sized(1), "").ok();
    bench.run(GET).ok();
    let offline = "get --offline --state-dir state --json Item 1";
    let complaint = as_nobody(&bench, offline).refused(2);
    assert!(complaint.contains("permission denied"), "{complaint}");
    let shared = GET.replace("--json", "--state-group 65534 --json");
    bench.run(&shared).ok();
    assert_eq!(as_nobody(&bench, offline).values()[0]["version"], 1);
    // Also once there is another version, which comes without being told.
    bench.publish(&sized(2), "").ok();
    bench.run(&shared).ok();
    assert_eq!(as_nobody(&bench, offline).values()[0]["version"], 2);
    let closed = GET.replace("--json", "--state-mode 700 --json");
    bench.run(&closed).ok();
    as_nobody(&bench, offline).refused(2);
}

#[test]
fn a_user_who_may_not_write_reads_what_another_keeps() {
    let bench = Bench::with_schema();
    if !is_root(&bench) {
        return;
    }
    bench.publish(&sized(1), "").ok();
    let keeper = keeper(&bench, "--poll-interval 50ms --state-mode 755");
    for version in 2..=5_u64 {
        bench.publish(&sized(version), "").ok();
        assert_eq!(as_nobody(&bench, GET).values()[0]["version"], version);
    }
    end(keeper);
}

#[test]
fn a_planted_link_in_a_folder_of_another_user_is_not_followed_by_root() {
    let bench = Bench::with_schema();
    if !is_root(&bench) {
        return;
    }
    bench.publish(&sized(1), "").ok();
    bench.write("victim", "what root must not write over");
    for (name, owner) in [("of-nobody", NOBODY), ("of-root", 0)] {
        let folder = bench.path(name);
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        symlink(bench.path("victim"), folder.join("LOCK")).unwrap();
        chown(&folder, Some(owner), None).unwrap();
        let complaint = bench
            .run(&format!("get --store store --state-dir {name} Item 1"))
            .refused(2);
        let expected = if owner == 0 {
            "LOCK is a symbolic link"
        } else {
            "user 65534 owns"
        };
        assert!(complaint.contains(expected), "{complaint}");
        let victim = std::fs::read_to_string(bench.path("victim")).unwrap();
        assert_eq!(victim, "what root must not write over");
    }
}

#[test]
fn modes_that_let_others_write_are_refused() {
    let bench = Bench::with_schema();
    bench.publish(&sized(1), "").ok();
    let complaint = bench
        .run(&GET.replace("--json", "--state-mode 770"))
        .refused(2);
    assert!(
        complaint.contains("its owner alone may write to"),
        "{complaint}"
    );
    let complaint = bench
        .run("get --store store --state-mode 750 Item 1")
        .refused(2);
    assert!(
        complaint.contains("expected --state-dir as well"),
        "{complaint}"
    );
    bench.write(
        "c.yaml",
        "consumer:\n  store: store\n  state_dir: state\n  state_mode: 750\n",
    );
    bench.run("get --config c.yaml Item 1").ok();
    let mode = std::fs::metadata(bench.path("state")).unwrap().mode() & 0o777;
    assert_eq!(mode, 0o750);
    let shown = bench.run("config check c.yaml").ok();
    assert!(shown.contains("consumer.state_mode = 750"), "{shown}");
    bench.write(
        "c.yaml",
        "consumer:\n  store: store\n  state_mode: \"0777\"\n",
    );
    let complaint = bench.run("config check c.yaml").refused(2);
    assert!(
        complaint.contains("line 3") && complaint.contains("\"0777\""),
        "{complaint}"
    );
}
