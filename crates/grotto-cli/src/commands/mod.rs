//! The commands, one module each.
//!
//! Owns: which code runs for which command. Never: the work itself.

pub(crate) mod accept;
pub(crate) mod channel;
pub(crate) mod config;
pub(crate) mod copy;
pub(crate) mod datasets;
pub(crate) mod dead_letters;
pub(crate) mod demo;
pub(crate) mod diff;
pub(crate) mod export;
mod filter;
pub(crate) mod follow;
pub(crate) mod gc;
pub(crate) mod get;
pub(crate) mod hand_over;
pub(crate) mod health;
pub(crate) mod inspect;
pub(crate) mod log;
pub(crate) mod manual;
pub(crate) mod pin;
mod pointing;
pub(crate) mod producer;
pub(crate) mod publish;
pub(crate) mod rollout;
pub(crate) mod scan;
pub(crate) mod schema;
pub(crate) mod set_aside;
pub(crate) mod sidecar;
pub(crate) mod status;
pub(crate) mod top;
pub(crate) mod verify;

use crate::cli::Command;
use crate::failure::Outcome;
use crate::output::Out;
use grotto_service::LogControl;

/// Runs a command.
pub(crate) async fn run(command: Command, log: LogControl, out: &mut Out) -> Outcome<()> {
    match command {
        Command::Demo(args) => demo::run(&args, out).await,
        Command::Datasets(args) => datasets::run(&args, out).await,
        Command::DeadLetters(args) => dead_letters::run(&args, out),
        Command::HandOver(args) => hand_over::run(&args, out),
        Command::SetAside(args) => set_aside::run(&args, out),
        Command::Health(args) => health::run(&args, out),
        Command::Top(args) => top::run(&args, out).await,
        Command::Producer(args) => producer::run(&args, log, out).await,
        Command::Sidecar(args) => sidecar::run(&args, log, out).await,
        Command::Publish(args) => publish::run(&args, out).await,
        Command::Get(args) => get::run(&args, out).await,
        Command::Scan(args) => scan::run(&args, out).await,
        Command::Import(args) => copy::archive::import(&args, out).await,
        Command::Export(args) => export::run(&args, out).await,
        Command::Log(args) => log::run(&args, out).await,
        Command::Follow(args) => follow::run(&args, out).await,
        Command::Status(args) => status::run(&args, out).await,
        Command::Inspect(args) => inspect::run(&args, out).await,
        Command::Verify(args) => verify::run(&args, out).await,
        Command::Diff(args) => diff::run(&args, out).await,
        Command::Accept(args) => accept::run(&args, out).await,
        Command::Backup(args) => copy::backup::run(&args, out).await,
        Command::Restore(args) => copy::restore::run(&args, out).await,
        Command::Pin(args) => pin::run(&args, out).await,
        Command::Unpin(args) => pin::unpin(&args, out).await,
        Command::Channel(args) => channel::run(&args, out).await,
        Command::Rollout(args) => rollout::run(&args, out).await,
        Command::Gc(args) => gc::run(&args, out).await,
        Command::Schema(args) => schema::run(&args, out).await,
        Command::Config(args) => config::run(&args, out),
        Command::Completions(args) => manual::completions(&args, out),
        Command::Man(args) => manual::pages(&args, out),
    }
}
