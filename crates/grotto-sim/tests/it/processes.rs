//! Several processes: attached readers, and consumers that are killed.
//!
//! A child is this test binary again, told by an environment variable to run one test that does
//! nothing otherwise.

use crate::kit::{DATASET, Kit, assert_same, only_round, publish, rounds};
use grotto_consumer::Consumer;
use grotto_store::{Store, StoreUrl};
use std::io::{BufRead, BufReader, Lines};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

const FOLDER: &str = "GROTTO_TEST_CHILD_FOLDER";
const LONG: Duration = Duration::from_secs(120);

/// A child process and the lines it prints.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(test: &str, kit: &Kit) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                test,
                "--exact",
                "--ignored",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(FOLDER, kit.folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next version the child says it serves; `None` when it has ended.
    fn next_version(&mut self) -> Option<u64> {
        self.lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, version) = line.split_once("serving ")?;
            version.trim().parse().ok()
        })
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn end(mut self) {
        while self.next_version().is_some() {}
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A failed test must not leave its child behind; one that has ended is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

/// Reads every version it can get hold of until pair 0 is gone.
#[test]
#[ignore = "the body of a child process"]
fn child_attached() {
    let Some(folder) = folder() else { return };
    let attached = Consumer::attach(folder.join("state")).unwrap();
    let mut state = attached.state();
    loop {
        println!("serving {}", state.version());
        if rounds(&state).is_empty() {
            return;
        }
        assert_eq!(only_round(&state), state.version());
        // Reads on while versions arrive: the held one must stay what it was.
        let next = attached
            .wait_past(state.version(), LONG)
            .expect("a version");
        assert_eq!(only_round(&state), state.version());
        assert!(next.version() > state.version());
        state = next;
    }
}

#[tokio::test]
async fn another_process_sees_every_version_whole_while_they_arrive() {
    let kit = Kit::new();
    let producer = kit.producer().await;
    publish(&producer, 0..300).await;
    let consumer = kit
        .consumer()
        .state_dir(kit.state_dir())
        .poll_interval(Duration::from_millis(1))
        .start()
        .await
        .unwrap();
    let mut child = Running::start("processes::child_attached", &kit);
    assert_eq!(child.next_version(), Some(producer.version()));
    for _ in 0..25 {
        let version = publish(&producer, 0..300).await;
        assert!(consumer.version() <= version);
    }
    let last = publish(&producer, 0..300).await;
    consumer.wait_for(last, LONG).await.unwrap();
    while child.next_version() != Some(last) {}
    // Now the store goes; what the host holds stays, and stays shared.
    let removed = producer.run_incremental(|cycle| {
        for id in 0..300_i64 {
            cycle.delete_from("Left", id)?;
            cycle.delete_from("Right", id)?;
        }
        Ok(())
    });
    let empty = removed.await.unwrap().unwrap().version;
    consumer.wait_for(empty, LONG).await.unwrap();
    child.end();
    consumer.shutdown().await;
}

/// Follows the store and says what it serves, until it is killed.
#[test]
#[ignore = "the body of a child process"]
fn child_consumer() {
    let Some(folder) = folder() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Store::open(&StoreUrl::Local(folder.join("store"))).unwrap();
        let builder = Consumer::builder(DATASET, store).state_dir(folder.join("state"));
        let consumer = builder
            .poll_interval(Duration::from_millis(1))
            .start()
            .await
            .unwrap();
        loop {
            let state = consumer.state();
            assert_eq!(only_round(&state), state.version());
            println!("serving {}", state.version());
            consumer.wait_for(state.version() + 1, LONG).await.unwrap();
        }
    });
}

#[tokio::test]
async fn a_killed_consumer_leaves_a_directory_that_the_next_one_serves_from() {
    let kit = Kit::new();
    let producer = kit.producer().await;
    publish(&producer, 0..300).await;
    let mut served = 0;
    for turn in 0..8 {
        let mut child = Running::start("processes::child_consumer", &kit);
        // Between a few and many refreshes, with versions arriving while it dies.
        for _ in 0..=turn % 3 {
            let version = child.next_version().expect("a version");
            assert!(version >= served, "went back from {served} to {version}");
            served = version;
            publish(&producer, 0..300).await;
        }
        publish(&producer, 0..300).await;
        child.kill();
    }
    let attached = Consumer::attach(kit.state_dir()).unwrap();
    assert!(attached.version() >= served);
    assert_eq!(only_round(&attached.state()), attached.version());
    let consumer = kit
        .consumer()
        .state_dir(kit.state_dir())
        .open()
        .await
        .unwrap();
    assert_same(&consumer.state(), &producer.state());
    let files = std::fs::read_dir(kit.state_dir().join("segments"))
        .unwrap()
        .count();
    assert!(
        files <= 2 * consumer.state().segments().count() + 2,
        "{files} segment files"
    );
}

#[tokio::test]
async fn an_attached_process_outlives_its_writer() {
    let kit = Kit::new();
    let producer = kit.producer().await;
    publish(&producer, 0..300).await;
    let mut writer = Running::start("processes::child_consumer", &kit);
    writer.next_version().expect("a version");
    let attached = Consumer::attach(kit.state_dir()).unwrap();
    let held = attached.state();
    writer.kill();
    let version = publish(&producer, 0..300).await;
    assert_eq!(only_round(&held), held.version());
    let mut next = Running::start("processes::child_consumer", &kit);
    while next.next_version() != Some(version) {}
    let mut state = held.clone();
    while state.version() != version {
        state = attached
            .wait_past(state.version(), LONG)
            .expect("a version");
    }
    assert_eq!(only_round(&state), version);
    assert_eq!(only_round(&held), held.version());
    next.kill();
}

/// Threads and open files of this process.
#[cfg(target_os = "linux")]
fn held_by_this_process() -> (usize, usize) {
    let count = |what: &str| {
        std::fs::read_dir(format!("/proc/self/{what}"))
            .unwrap()
            .count()
    };
    (count("task"), count("fd"))
}

/// Starts, uses and ends consumers and attached readers, and says whether anything stays.
#[test]
#[ignore = "the body of a child process"]
#[cfg(target_os = "linux")]
fn child_leaks() {
    let Some(folder) = folder() else { return };
    let turn = || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let store = Store::open(&StoreUrl::Local(folder.join("store"))).unwrap();
            let builder = Consumer::builder(DATASET, store).state_dir(folder.join("state"));
            let consumer = builder.start().await.unwrap();
            let attached = Consumer::attach(folder.join("state")).unwrap();
            consumer.refresh().await.unwrap();
            attached.shutdown();
            drop(Consumer::attach(folder.join("state")).unwrap());
            consumer.shutdown().await;
        });
    };
    turn();
    let before = held_by_this_process();
    (0..20).for_each(|_| turn());
    assert_eq!(held_by_this_process(), before);
    println!("serving 1");
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn neither_threads_nor_files_stay_behind() {
    let kit = Kit::new();
    publish(&kit.producer().await, 0..300).await;
    let mut child = Running::start("processes::child_leaks", &kit);
    assert_eq!(child.next_version(), Some(1));
    child.end();
}
