//! The walk through a daemon's life in `docs/operating/walk.md`, executed as written.

use crate::kit::{Bench, repository};
use crate::readme::{blocks, check_console, shell};
use std::net::TcpListener;
use std::process::Command;

/// The port of the page.
const PORT: &str = "8081";

/// One that is free, and that the system gives to nobody who asks for any.
pub(crate) fn free_port() -> String {
    let first = u32::from(u16::MAX / 4) + std::process::id() % 10_000;
    let ports = (first..first + 1_000).map(|port| u16::try_from(port).unwrap());
    let mut free = ports.filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.next().unwrap().to_string()
}

/// Ends the daemon that the page starts, should the page not get there.
pub(crate) struct Started<'a>(pub(crate) &'a Bench);

impl Drop for Started<'_> {
    fn drop(&mut self) {
        let Ok(id) = std::fs::read_to_string(self.0.path("pid")) else {
            return;
        };
        // It has ended already if all went well.
        let _ = Command::new("kill").args(["-9", id.trim()]).output();
    }
}

#[test]
fn the_walk_of_the_notes_goes_as_it_says() {
    let page = std::fs::read_to_string(repository("docs/operating/walk.md")).unwrap();
    let page = page.replace(PORT, &free_port());
    let port = page.split("127.0.0.1:").nth(1).unwrap();
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    let bench = Bench::new();
    for name in ["producer-small.yaml", "cities.schema"] {
        let text = std::fs::read_to_string(repository("configs").join(name)).unwrap();
        bench.write(name, &text.replace(PORT, &port));
    }
    let started = Started(&bench);
    let blocks = blocks(&page);
    assert!(blocks.iter().all(|(kind, _)| *kind == "console"));
    assert!(blocks.len() >= 8, "{} blocks were run", blocks.len());
    for (_, lines) in &blocks {
        check_console(&|line| shell(&bench, line), lines);
    }
    drop(started);
}
