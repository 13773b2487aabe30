//! Clients of the sidecar as they are shipped and documented, by TCP and by the Unix socket.

use super::kit::{configure, publish, published, serving};
use crate::kit::{Bench, Run, repository};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};

/// What the Python client is asked for; it tells the versions that it sees.
const PROGRAM: &str = r#"
import sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
from sidecar import Sidecar, SidecarError

sidecar = Sidecar(sys.argv[2])
assert sidecar.get("items", "Item", 3)["id"] == 3
assert sidecar.get("items", "Item", 99) is None
found = sidecar.get_many("items", "Item", [4, 99, 1])
assert [record and record["id"] for record in found] == [4, None, 1], found
for ask in (lambda: sidecar.get("films", "Film", 1), lambda: sidecar.get_many("items", "Film", [1])):
    try:
        ask()
    except SidecarError as error:
        assert error.status == 404 and error.code.startswith("no_"), error
    else:
        sys.exit("asked for something that is not there, and got it")
for number in range(50):
    assert sidecar.get("items", "Item", number % 5)["id"] == number % 5
for version in sidecar.versions("items", wait=20):
    print(version, flush=True)
    if version == 2:
        break
assert sidecar.get("items", "Item", 5)["id"] == 5
"#;

/// Killed when the test ends.
struct Python(Child);

impl Drop for Python {
    fn drop(&mut self) {
        // It has ended already where the test succeeded.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a program is there; without it, says aloud that a test is skipped.
fn is_there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        // Not by a macro: those are silenced in tests that pass.
        let mut err = std::io::stderr().lock();
        writeln!(err, "WARNING: SKIPPED: {program} is not installed").unwrap();
    }
    found
}

/// A sidecar of five records that listens on `s.sock`, too.
fn with_socket() -> Bench {
    let bench = published(0..5);
    configure(&bench, "  listeners: {socket: s.sock}\n");
    bench
}

#[test]
fn the_python_client_reads_records_and_waits_for_versions() {
    if !is_there("python3") {
        return;
    }
    let bench = with_socket();
    let sidecar = serving(&bench);
    let tcp = format!("http://{}", sidecar.address);
    let unix = format!("unix:{}", bench.path("s.sock").display());
    let mut clients = [tcp, unix].map(|address| {
        let mut python = Command::new("python3");
        python
            .args(["-c", PROGRAM])
            .arg(repository("examples/clients"))
            .arg(address);
        Python(
            python
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap(),
        )
    });
    let mut told = clients.each_mut().map(|client| {
        let out = client.0.stdout.take().unwrap();
        BufReader::new(out).lines().map(Result::unwrap)
    });
    assert_eq!(
        told.each_mut().map(Iterator::next),
        [Some("1".to_owned()), Some("1".to_owned())]
    );
    publish(&bench, 0..6);
    assert_eq!(
        told.each_mut().map(Iterator::next),
        [Some("2".to_owned()), Some("2".to_owned())]
    );
    for client in &mut clients {
        let mut err = String::new();
        std::io::Read::read_to_string(&mut client.0.stderr.take().unwrap(), &mut err).unwrap();
        assert!(client.0.wait().unwrap().success(), "{err}");
    }
}

#[test]
fn the_python_client_is_a_program_too_and_outlives_a_restart_of_the_sidecar() {
    if !is_there("python3") {
        return;
    }
    let bench = with_socket();
    let sidecar = serving(&bench);
    let unix = format!("unix:{}", bench.path("s.sock").display());
    let print = |key: &str| {
        let mut python = Command::new("python3");
        python.env("PYTHONDONTWRITEBYTECODE", "1");
        python.arg(repository("examples/clients/sidecar.py"));
        Run::of(python.args([&unix, "items", "Item", key]).output().unwrap())
    };
    assert!(print("3").ok().starts_with("{\"id\": 3"));
    let missing = print("99").refused(1);
    assert_eq!(missing, "no record Item 99\n");
    let program = r#"
import sys
sys.path.insert(0, sys.argv[1])
sys.dont_write_bytecode = True
from sidecar import Sidecar
sidecar = Sidecar(sys.argv[2])
for line in sys.stdin:
    print(sidecar.get("items", "Item", int(line))["id"], flush=True)
"#;
    let mut python = Command::new("python3");
    python
        .args(["-c", program])
        .arg(repository("examples/clients"))
        .arg(&unix);
    let mut python = Python(
        python
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut keys = python.0.stdin.take().unwrap();
    let mut told = BufReader::new(python.0.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    writeln!(keys, "1").unwrap();
    assert_eq!(told.next().as_deref(), Some("1"));
    sidecar.kill();
    let _sidecar = serving(&bench);
    writeln!(keys, "2").unwrap();
    assert_eq!(told.next().as_deref(), Some("2"));
}

/// The commands of the documents that ask by the socket, with the paths of a test.
#[test]
fn the_one_liner_of_the_documents_works() {
    if !is_there("curl") {
        return;
    }
    let page = std::fs::read_to_string(repository("docs/operating/sidecar.md")).unwrap();
    let bench = with_socket();
    let _sidecar = serving(&bench);
    let lines = page
        .lines()
        .filter(|line| line.contains("curl") && line.contains("--unix-socket"));
    let mut run = 0;
    for line in lines {
        let line = line
            .trim()
            .replace("/run/grotto/cities/sidecar.sock", "s.sock");
        let line = line
            .replace("/datasets/cities", "/datasets/items")
            .replace("/City/", "/Item/");
        let line = line.replace("3117735", "3").replace("2950159", "1");
        let mut shell = Command::new("sh");
        let output = shell
            .args(["-c", &line])
            .current_dir(bench.path(""))
            .output();
        let told = Run::of(output.unwrap());
        assert_eq!(told.code, 0, "{line}: {}", told.err);
        let told: serde_json::Value = serde_json::from_str(&told.out).unwrap();
        assert!(
            told["id"] == 3 || told["records"][0]["id"] == 3 || told["version"] == 1,
            "{told}"
        );
        run += 1;
    }
    assert_eq!(run, 3);
}
