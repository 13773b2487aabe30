//! Long runs: sidecars and readers in processes of their own while versions arrive, and while everything around them
//! goes wrong.
//!
//! Owns: how long they are. Each is short here; `cargo xtask runs` does the same with the numbers that
//! `docs/benchmarks.md` tells of, and prints figures. Never: asserts a time.

mod bucket;
mod child;
mod editions;
mod failover;
mod holders;
mod hosts;
mod kills;
mod kit;
mod net;
mod places;
mod pool;
mod process;
mod push;
mod readers;
mod refreshes;
mod stores;

pub(crate) use kit::pause;
use std::fmt::Display;
use std::io::Write as _;

/// A number that makes a run longer or shorter, such as `GROTTO_RUNS_VERSIONS`.
fn number(name: &str, short: u64) -> u64 {
    let variable = format!("GROTTO_RUNS_{name}");
    match std::env::var(&variable) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|e| panic!("{variable}: expected a number, found {text:?}: {e}")),
        Err(_) => short,
    }
}

/// Prints a figure, also where the test passes: what macros print is left out then.
fn tell(figure: impl Display) {
    let mut err = std::io::stderr().lock();
    writeln!(err, "{figure}").unwrap();
}
