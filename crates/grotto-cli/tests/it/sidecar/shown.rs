//! The sidecar at a terminal.

use super::kit::{configure, publish, published, served};
use crate::daemon::kit::Daemon;
use crate::kit::Bench;
use std::io::{BufReader, Read as _, Write as _};
use std::process::{ChildStdout, Command};

/// Gives the program of its arguments a terminal to print to. A child of it reads what is printed, or, told to stand
/// `still`, stops the terminal.
const TERMINAL: &str = r#"
import fcntl, os, pty, struct, sys, termios
master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 120, 0, 0))
still = sys.argv[1] == "still"
if still:
    termios.tcflow(slave, termios.TCOOFF)
if os.fork() == 0:
    os.close(slave)
    while still:
        if os.getppid() == 1:
            sys.exit()
        import time
        time.sleep(0.1)
    try:
        while True:
            os.write(1, os.read(master, 65536))
    except OSError:
        os._exit(0)
os.dup2(slave, 1)
os.close(master)
os.execv(sys.argv[2], sys.argv[2:])
"#;

fn at_terminal(bench: &Bench, how: &str) -> Option<(Daemon, ChildStdout)> {
    if Command::new("python3").arg("--version").output().is_err() {
        let mut err = std::io::stderr().lock();
        writeln!(err, "WARNING: SKIPPED: python3 is not installed").unwrap();
        return None;
    }
    let sidecar = bench.command(&["sidecar", "--config", "s.yaml"]);
    let mut command = Command::new("python3");
    command
        .args(["-c", TERMINAL, how])
        .arg(sidecar.get_program())
        .args(sidecar.get_args());
    command.current_dir(bench.path("."));
    command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    Some(Daemon::spawn_shown(&mut command))
}

/// Looks as they are shown, each from the upper left corner.
struct Looks(BufReader<ChildStdout>, String);

impl Looks {
    /// The next look that has this.
    fn with(&mut self, part: &str) -> String {
        loop {
            if let Some((look, rest)) = self
                .1
                .split_once("\x1b[H")
                .filter(|(_, rest)| rest.contains("\x1b[H"))
            {
                let look = look.to_owned();
                self.1 = rest.to_owned();
                if look.contains(part) {
                    return look;
                }
                continue;
            }
            let mut bytes = [0; 4096];
            let count = self.0.read(&mut bytes).unwrap();
            assert!(count > 0, "no look has {part:?}: {:?}", self.1);
            self.1.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }
}

#[test]
fn a_terminal_shows_version_lag_refreshes_records_and_readers_in_place() {
    let bench = published(1..4);
    configure(&bench, "");
    let Some((sidecar, shown)) = at_terminal(&bench, "read") else {
        return;
    };
    let mut looks = Looks(BufReader::new(shown), String::new());
    served(&sidecar, 0);
    let columns = "dataset  condition  version  behind";
    let look = looks.with("serving          1");
    assert!(
        look.contains(columns) && look.contains("memory"),
        "{look:?}"
    );
    assert!(
        look.starts_with(&format!("http://{}/  up ", sidecar.address)),
        "{look:?}"
    );
    let attached = grotto::Consumer::attach(bench.path("state")).unwrap();
    publish(&bench, 1..6);
    let mut row = || -> Vec<String> {
        let look = looks.with("serving          2");
        let row = look.lines().find(|line| line.contains("items")).unwrap();
        let cells = row.replace("\x1b[K", "");
        // The name, condition, version, behind, lag with its unit, refreshes, records, readers.
        cells.split_whitespace().map(str::to_owned).collect()
    };
    let mut cells = row();
    // Programs that other tests are just starting count, too, until they are.
    for _ in 0..30 {
        if cells[8] == "1" {
            break;
        }
        cells = row();
    }
    assert_eq!(
        (&*cells[3], &*cells[7], &*cells[8]),
        ("no", "5", "1"),
        "{cells:?}"
    );
    drop(attached);
    std::fs::rename(bench.path("store"), bench.path("away")).unwrap();
    looks.with("the last refresh failed: store folder");
    std::fs::rename(bench.path("away"), bench.path("store")).unwrap();
    sidecar.signal("INT");
    assert_eq!(sidecar.ended(), 0);
}

#[test]
fn a_terminal_that_stands_still_holds_up_neither_versions_nor_the_end() {
    let bench = published(1..4);
    configure(&bench, "");
    let Some((sidecar, _shown)) = at_terminal(&bench, "still") else {
        return;
    };
    let mut version = served(&sidecar, 0);
    // Looks go on meanwhile: one a second.
    let uptime = || sidecar.get("/health").ok()["uptime_seconds"].as_u64();
    while uptime() < Some(3) {
        publish(&bench, 1..5 + version);
        version = served(&sidecar, version);
    }
    sidecar.signal("TERM");
    assert_eq!(sidecar.ended(), 0);
}
