//! Running the binary under `strace`, which counts its system calls and makes some of them fail.
//!
//! Owns: the command line of `strace` and reading its output. Never: judges an outcome.

use crate::kit::Run;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Calls that change what is on a disk, or say that it is there.
const TRACED: &str = "fsync,fdatasync,?link,linkat,?rename,?renameat,renameat2,write,pwrite64,openat,\
                      ?mkdir,mkdirat,?unlink,unlinkat,ftruncate,?clone3";
/// The first two threads belong to the allocator and to the runtime. Where no more can be had, the
/// second one does all work on files, and their calls have an order.
const ONE_THREAD: &str = "inject=?clone3:error=EAGAIN:when=3+";

/// Which calls fail, how, and from which on. `strace` counts the calls of each thread for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) calls: &'static str,
    pub(super) error: &'static str,
    /// The first one that fails, from 1.
    pub(super) from: usize,
    /// Whether all that follow fail too.
    pub(super) for_good: bool,
    /// Only calls on these files; on any if there are none.
    pub(super) paths: Vec<PathBuf>,
}

/// How many threads a command may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Threads {
    /// As many as it likes.
    Many,
    /// One for all work on files, so that the same call is the same one in each run.
    One,
}

/// A system call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) pid: u32,
    pub(super) name: String,
    /// Between the brackets.
    pub(super) args: String,
    pub(super) succeeded: bool,
    pub(super) injected: bool,
    /// Lines of the trace where it began and ended.
    pub(super) began: usize,
    pub(super) ended: usize,
}

/// Whether `strace` can be used here. Where it cannot, this is said aloud; in continuous integration
/// it is a failure.
pub(super) fn is_available() -> bool {
    let tried = Command::new("strace")
        .args(["-f", "-o", "/dev/null", "true"])
        .output();
    let reason = match tried {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => format!("it cannot be started: {error}"),
    };
    let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(!ci, "strace is needed in continuous integration: {reason}");
    // Not by a macro: those are silenced in tests that pass.
    let mut err = std::io::stderr().lock();
    writeln!(
        err,
        "WARNING: SKIPPED: no system call is made to fail, as strace: {reason}"
    )
    .unwrap();
    false
}

/// Runs a command under `strace`, which writes to `log`.
pub(super) fn run(
    command: &Command,
    log: &Path,
    threads: Threads,
    fault: Option<&Fault>,
) -> (Run, Vec<Call>) {
    let mut strace = Command::new("strace");
    strace.args([
        "-f",
        "-y",
        "-qq",
        "-s",
        "64",
        "-e",
        &format!("trace={TRACED}"),
    ]);
    strace.args(["-e", "signal=none"]).arg("-o").arg(log);
    if threads == Threads::One {
        strace.args(["-e", ONE_THREAD]);
    }
    if let Some(fault) = fault {
        let more = if fault.for_good { "+" } else { "" };
        let (calls, error, from) = (fault.calls, fault.error, fault.from);
        strace.args([
            "-e",
            &format!("inject={calls}:error={error}:when={from}{more}"),
        ]);
        for path in &fault.paths {
            strace.arg("-P").arg(path);
            // Calls that are given its folder have only its name.
            strace.arg("-P").arg(path.file_name().unwrap());
        }
    }
    strace.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        strace.current_dir(dir);
    }
    let output = strace.stdin(Stdio::null()).output().unwrap();
    (
        Run::of(output),
        parse(&std::fs::read_to_string(log).unwrap()),
    )
}

/// The calls of a trace in the order in which they ended.
fn parse(text: &str) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut open: Vec<(u32, usize, String)> = Vec::new();
    for (line_number, line) in text.lines().enumerate() {
        let Some((pid, rest)) = line.split_once(' ') else {
            continue;
        };
        let (pid, rest) = (pid.parse().unwrap(), rest.trim_start());
        let (began, whole) = if let Some(start) = rest.strip_suffix(" <unfinished ...>") {
            open.push((pid, line_number, start.to_owned()));
            continue;
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            let at = open.iter().position(|(of, _, _)| *of == pid);
            let (_, began, start) = open.remove(at.unwrap());
            let (_, end) = resumed.split_once(" resumed>").unwrap();
            (began, format!("{start}{end}"))
        } else {
            (line_number, rest.to_owned())
        };
        calls.extend(call(pid, began, line_number, &whole));
    }
    calls
}

/// `name(args) = result`; `None` for what is no call, such as the end of a thread.
fn call(pid: u32, began: usize, ended: usize, text: &str) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    let (args, result) = rest.rsplit_once(" = ")?;
    Some(Call {
        pid,
        name: name.to_owned(),
        args: args.trim_end().trim_end_matches(')').to_owned(),
        succeeded: !result.starts_with('-') && !result.starts_with('?'),
        injected: result.contains("(INJECTED)"),
        began,
        ended,
    })
}

impl Call {
    /// The files it names: those of open files in `<>`, those of arguments in quotation marks, below the
    /// folder in `<>` before them. Data that is written is in quotation marks too, and comes after its
    /// file.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let named = |text: &str| {
            let (number, file) = text.trim_start_matches(", ").split_once('<')?;
            let is_file = number == "AT_FDCWD" || number.parse::<u32>().is_ok();
            let (path, after) = file.split_once('>').filter(|_| is_file)?;
            Some((number == "AT_FDCWD", PathBuf::from(path), after.to_owned()))
        };
        let names_below = self.name.ends_with("at") || self.name.ends_with("at2");
        match named(&self.args) {
            Some((false, file, _)) if !names_below => return vec![file],
            _ => {}
        }
        let mut paths = Vec::new();
        let mut parts = self.args.split('"');
        while let (Some(before), Some(name)) = (parts.next(), parts.next()) {
            let folder = named(before).map(|(_, path, _)| path).unwrap_or_default();
            paths.push(folder.join(name));
        }
        paths
    }

    /// Whether it asks for more than to read a file that is there.
    pub(super) fn changes(&self) -> bool {
        !self.is_of("openat") || self.args.contains("O_CREAT")
    }

    /// Whether it is one that `set` names; `?` marks names that not every processor has.
    pub(super) fn is_of(&self, set: &str) -> bool {
        set.split(',')
            .any(|name| name.trim_start_matches('?') == self.name)
    }
}

#[test]
fn calls_that_overlap_are_put_together() {
    let text = "1 fsync(9</s/a#1> <unfinished ...>\n\
                2 linkat(AT_FDCWD</s>, \"/s/b#1\", AT_FDCWD</s>, \"/s/b\", 0) = -1 EROFS (Read-only file system) (INJECTED)\n\
                1 <... fsync resumed>)              = 0\n\
                1 +++ exited with 0 +++\n";
    let calls = parse(text);
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].paths(), [PathBuf::from("/s/b#1"), "/s/b".into()]);
    assert!(calls[0].injected && !calls[0].succeeded);
    assert_eq!(
        (calls[1].began, calls[1].ended, calls[1].succeeded),
        (0, 2, true)
    );
    assert_eq!(calls[1].paths(), [PathBuf::from("/s/a#1")]);
    assert!(calls[1].is_of("fdatasync,fsync") && !calls[1].is_of("?link"));
}

#[test]
fn names_are_below_the_folder_that_is_given_with_them() {
    let text = "1 openat(5</s>, \"LOCK\", O_RDWR|O_CREAT|O_NOFOLLOW, 0600) = 6</s/LOCK>\n\
                1 renameat(5</s/roots>, \"a.tmp\", 5</s/roots>, \"a\") = 0\n\
                1 openat(AT_FDCWD</s>, \"b\", O_RDONLY) = 3</s/b>\n\
                1 openat(AT_FDCWD, \"/c\", O_RDONLY) = 3</c>\n\
                1 write(6</s/LOCK>, \"12\\n\", 3) = 3\n";
    let paths: Vec<_> = parse(text).iter().map(Call::paths).collect();
    let files = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
    assert_eq!(paths[0], files(&["/s/LOCK"]));
    assert_eq!(paths[1], files(&["/s/roots/a.tmp", "/s/roots/a"]));
    assert_eq!(paths[2], files(&["/s/b"]));
    assert_eq!(paths[3], files(&["/c"]));
    assert_eq!(paths[4], files(&["/s/LOCK"]));
}

#[test]
fn opening_changes_something_where_it_creates() {
    let text = "1 openat(AT_FDCWD</s>, \"/s/a\", O_RDONLY|O_CLOEXEC) = 3</s/a>\n\
                1 openat(AT_FDCWD</s>, \"/s/b#1\", O_WRONLY|O_CREAT|O_EXCL, 0666) = 4</s/b#1>\n";
    let calls = parse(text);
    assert_eq!(calls.len(), 2);
    assert!(!calls[0].changes() && calls[1].changes());
}
