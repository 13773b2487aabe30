//! The binary `grotto`.
//!
//! Owns: the process: its runtime, its log, its exit code. Never: work that a user of the library
//! would need; that lives in the crates behind `grotto`.
#![forbid(unsafe_code)]

mod cli;
mod commands;
mod daemon;
mod failure;
mod input;
mod kept;
mod lines;
mod output;
mod place;
mod progress;
mod reader;
mod records;
mod target;
mod terminal;
mod text;

use clap::Parser as _;
use failure::Failure;
use grotto_service::LogControl;
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
    let json = cli.json;
    let log = match start_log(cli.command.is_daemon()) {
        Ok(log) => log,
        Err(failure) => return failure.report(json),
    };
    let ended = run(cli, log.clone());
    log.end();
    match ended {
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

/// One thread drives a command; libraries bring their own for heavy work. A pool of threads would only make short
/// commands slower to start; a daemon has connections to answer meanwhile.
fn run(cli: cli::Cli, log: LogControl) -> Result<(), Failure> {
    let mut runtime = match cli.command.is_daemon() {
        true => tokio::runtime::Builder::new_multi_thread(),
        false => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = runtime
        .enable_all()
        .build()
        .map_err(|e| Failure::internal(format!("cannot start the runtime: {e}")))?;
    let mut out = Out::stdout(cli.json);
    runtime.block_on(commands::run(cli.command, log, &mut out))?;
    out.flush()
}

/// Logs go to the standard error stream; `GROTTO_LOG=debug` shows more than errors. A daemon logs what its
/// configuration says unless the variable is set, and sends traces where `GROTTO_TRACES` says.
fn start_log(daemon: bool) -> Result<LogControl, Failure> {
    let variable = std::env::var("GROTTO_LOG").ok();
    if daemon {
        let traces = std::env::var("GROTTO_TRACES").ok();
        let traces = traces.as_deref().filter(|address| !address.is_empty());
        return Ok(grotto_service::start_log(variable, traces)?);
    }
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing_subscriber::filter::LevelFilter::ERROR.into())
        .parse_lossy(variable.unwrap_or_default());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    Ok(LogControl::none())
}
