//! The binary `grotto`.
//!
//! Owns: the process: its runtime, its log, its exit code. Never: work that a user of the library
//! would need; that lives in the crates behind `grotto`.
#![forbid(unsafe_code)]

mod cli;
mod commands;
mod failure;
mod input;
mod kept;
mod output;
mod place;
mod progress;
mod reader;
mod records;
mod target;
mod text;

use clap::Parser as _;
use failure::Failure;
use output::Out;
use std::io::IsTerminal as _;
use std::process::ExitCode;

/// Gives memory back that threads free, which the allocator of glibc keeps for each of them. Set up in
/// `.cargo/config.toml`; figures in `docs/operating/memory.md`.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    start_log();
    let json = cli.json;
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(json),
    }
}

/// A command line that makes no sense, or asks for help: nothing says yet whether answers are to be
/// JSON but the arguments themselves.
fn refuse(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && std::env::args_os().any(|argument| argument == "--json") {
        let text = error.to_string();
        let mut lines = text
            .lines()
            .map(str::trim)
            .take_while(|line| !line.is_empty());
        let first = lines.next().unwrap_or_default();
        let message = lines.fold(first.replacen("error: ", "", 1), |all, line| {
            format!("{all} {line}")
        });
        return Failure::invalid(message)
            .hint("`--help` tells what is expected")
            .report(true);
    }
    // Nobody is left to tell if the stream is closed.
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// One thread drives everything; libraries bring their own for heavy work. A pool of threads would
/// only make short commands slower to start.
fn run(cli: cli::Cli) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::internal(format!("cannot start the runtime: {e}")))?;
    let mut out = Out::stdout(cli.json);
    runtime.block_on(commands::run(cli.command, &mut out))?;
    out.flush()
}

/// Logs go to the standard error stream; `GROTTO_LOG=debug` shows more than errors.
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_env_var("GROTTO_LOG")
        .with_default_directive(tracing_subscriber::filter::LevelFilter::ERROR.into())
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}
