//! Readers in a process of their own.
//!
//! Owns: starting them and talking with them: one line of JSON each way. Never: decides what is right.
//!
//! A child is this test binary again, told by an environment variable to run one test that does nothing otherwise.

use super::editions::check_all;
use super::pool::{Pool, Source};
use crate::daemon::kit::PATIENCE;
use grotto::consumer::Consumer;
use grotto::{Store, StoreUrl};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

const VARIABLE: &str = "GROTTO_RUNS_CHILD";
/// Before each line of a child that is not of the test harness.
const SIGN: &str = "@ ";

/// Where a child reads, and how.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    /// A state directory that another process keeps.
    pub(super) attach: Option<PathBuf>,
    /// A store that it follows by itself, and where it keeps the state.
    pub(super) follow: Option<(PathBuf, PathBuf)>,
    /// Tasks that read.
    pub(super) readers: usize,
    /// Items that there are.
    pub(super) items: i64,
    /// Microseconds from one read of a task to the next.
    pub(super) pause_us: u64,
}

impl Plan {
    pub(super) fn attach(state_dir: PathBuf, readers: usize, items: i64) -> Self {
        Self {
            attach: Some(state_dir),
            follow: None,
            readers,
            items,
            pause_us: 1_000,
        }
    }

    pub(super) fn follow(store: PathBuf, state_dir: PathBuf, readers: usize, items: i64) -> Self {
        Self {
            attach: None,
            follow: Some((store, state_dir)),
            readers,
            items,
            pause_us: 1_000,
        }
    }
}

/// A child; killed when the test ends.
#[derive(Debug)]
pub(super) struct Reader {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Reader {
    /// Starts a child and waits until each of its tasks has read.
    pub(super) fn start(plan: &Plan) -> Self {
        let mut reader = Self::spawn(plan);
        let told = reader.told();
        assert!(told["ready"].is_i64(), "{told}");
        reader
    }

    /// Starts one that must not be able to read; what it says.
    pub(super) fn refused(plan: &Plan) -> String {
        let told = Self::spawn(plan).told();
        told["refused"]
            .as_str()
            .unwrap_or_else(|| panic!("{told}"))
            .to_owned()
    }

    fn spawn(plan: &Plan) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["runs::child::reads", "--exact", "--ignored", "--nocapture"]);
        command.env(VARIABLE, serde_json::to_string(plan).unwrap());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let Some(line) = line.split_once(SIGN) else {
                    continue;
                };
                if sender.send(line.1.to_owned()).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            stdin,
            lines,
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line of the child.
    #[track_caller]
    fn told(&mut self) -> Value {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => serde_json::from_str(&line).unwrap(),
            Err(error) => panic!("a reader ended, or is blocked: {error}"),
        }
    }

    /// Tells a child to do something; its answer.
    #[track_caller]
    pub(super) fn ask(&mut self, what: Value) -> Value {
        self.say(&what);
        self.told()
    }

    fn say(&mut self, what: &Value) {
        writeln!(self.stdin, "{what}").unwrap();
        self.stdin.flush().unwrap();
    }

    /// Waits until each task has read this edition or a later one, without an error.
    #[track_caller]
    pub(super) fn reaches(&mut self, edition: i64) {
        let told = self.ask(json!({ "reach": edition }));
        assert!(told["reached"].as_i64() >= Some(edition), "{told}");
    }

    /// Has it hold the state that is served now, until it is told to let go.
    #[track_caller]
    pub(super) fn hold(&mut self) -> i64 {
        self.ask(json!("hold"))["held"].as_i64().unwrap()
    }

    /// Has it let go of what it held, after it made sure that all of it is still what it was; the edition.
    #[track_caller]
    pub(super) fn let_go(&mut self) -> i64 {
        self.ask(json!("let_go"))["let_go"].as_i64().unwrap()
    }

    /// What it did so far.
    #[track_caller]
    pub(super) fn figures(&mut self) -> Value {
        self.ask(json!("figures"))
    }

    /// Ends it; an error of any task would have ended it before.
    #[track_caller]
    pub(super) fn end(mut self) {
        let told = self.ask(json!("end"));
        assert_eq!(told, json!("ended"));
        assert!(self.child.wait().unwrap().success());
    }

    pub(super) fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        let sent = kill.arg(format!("-{name}")).arg(self.pid().to_string());
        assert!(sent.status().unwrap().success());
    }

    /// Ends it without a word.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn say(what: &Value) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{SIGN}{what}").unwrap();
    out.flush().unwrap();
}

#[test]
#[ignore = "the body of a child process"]
fn reads() {
    let Ok(plan) = std::env::var(VARIABLE) else {
        return;
    };
    let plan: Plan = serde_json::from_str(&plan).unwrap();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build().unwrap();
    let source = match runtime.block_on(source(&plan)) {
        Ok(source) => Arc::new(source),
        Err(error) => return say(&json!({ "refused": error.to_string() })),
    };
    let pause = Duration::from_micros(plan.pause_us);
    let pool = Pool::start(
        &runtime,
        Arc::clone(&source),
        plan.readers,
        plan.items,
        pause,
    );
    say(&json!({ "ready": runtime.block_on(pool.reach(1)) }));
    let mut held = None;
    for line in std::io::stdin().lines() {
        let told: Value = serde_json::from_str(&line.unwrap()).unwrap();
        let answer = match told.as_str() {
            Some("hold") => {
                let state = source.state();
                let (edition, _) = check_all(&state).unwrap();
                held = Some(state);
                json!({ "held": edition })
            }
            Some("let_go") => {
                let (edition, _) = check_all(&held.take().unwrap()).unwrap();
                json!({ "let_go": edition })
            }
            Some("figures") => {
                let mut figures = pool.figures();
                figures["trouble"] = source.trouble().into();
                figures["series"] = source.series().into();
                figures
            }
            Some("end") => break,
            _ => {
                let edition = told["reach"].as_i64().unwrap();
                json!({ "reached": runtime.block_on(pool.reach(edition)) })
            }
        };
        say(&answer);
    }
    runtime.block_on(pool.end());
    say(&json!("ended"));
}

async fn source(plan: &Plan) -> grotto::Result<Source> {
    if let Some(state_dir) = &plan.attach {
        return Ok(Source::Attached(Consumer::attach(state_dir)?));
    }
    let (store, state_dir) = plan.follow.as_ref().unwrap();
    let store = Store::open(&StoreUrl::Local(store.clone()))?;
    let consumer = Consumer::builder("items", store)
        .state_dir(state_dir)
        .poll_interval(Duration::from_millis(1))
        .max_backoff(Duration::from_millis(10))
        .lease("embedded")
        .start()
        .await?;
    consumer.wait_for(1, PATIENCE).await?;
    Ok(Source::Consumer(consumer))
}
