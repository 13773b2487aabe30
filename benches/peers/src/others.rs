//! The programs that measure: Grotto's own, and this one for reads.
//!
//! Owns: how they are called.

use crate::Settings;
use crate::figures::Figures;
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;
use std::process::Command;

/// The folder of the project, seen from where this program is started.
const ROOT: &str = "../..";

/// Builds Grotto's own program.
pub(crate) fn build() -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(ROOT)
        .args(["build", "--release", "--quiet", "--package", "grotto-bench"]);
    let status = cargo.status().context("cannot run cargo")?;
    ensure!(status.success(), "cargo ended with {status}");
    Ok(())
}

/// Everything that Grotto's own program measures.
pub(crate) fn grotto(settings: &Settings, workload: &str, figures: &mut Figures) -> Result<()> {
    let program = PathBuf::from(ROOT).join("target/release/grotto-bench");
    let command = || {
        let mut command = Command::new(&program);
        command.arg(workload).args(["--n", &settings.n.to_string()]);
        command
    };
    figures.run(command().arg("--digest"))?;
    let mut measure = command();
    measure.args(["--changes", &settings.changes.to_string()]);
    measure.args(["--runs", &settings.runs.to_string()]);
    measure.args(["--lookups", &settings.lookups.to_string()]);
    if let Some(folder) = &settings.folder {
        measure.arg("--folder").arg(folder);
    }
    figures.run(&mut measure)?;
    if workload == "flat" && settings.n > 100_000 {
        figures.run(command().args(["--only", "apply_scaling"]))?;
    }
    Ok(())
}

/// Reads of the engines that run in one process, in turns; the maps once more on huge pages.
pub(crate) fn reads(settings: &Settings, figures: &mut Figures) -> Result<()> {
    let command = |engines: &str, tag: &str| -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["reads", "--engines", engines, "--tag", tag]);
        command.args(["--n", &settings.n.to_string()]);
        command.args(["--runs", &settings.runs.to_string()]);
        command.args(["--lookups", &settings.lookups.to_string()]);
        if let Some(folder) = &settings.folder {
            command.arg("--folder").arg(folder);
        }
        Ok(command)
    };
    figures.run(&mut command("", "")?)?;
    let mut huge = command("grotto_in_turn,hashmap,hashbrown", "+huge")?;
    // Grotto asks for huge pages by itself; this asks for them in glibc's allocator.
    figures.run(huge.env("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"))
}
