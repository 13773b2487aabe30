//! Netflix Hollow: its program is built by Maven and runs in a JVM of its own.
//!
//! Owns: how it is built and called. Without Maven or Java it is left out, and that is said.

use crate::Settings;
use crate::figures::Figures;
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Where Maven builds to.
const OUTPUT: &str = "../../target/hollow";

/// Options of the JVM: the collector and the heap that its figures are quoted with, and the one
/// setting that lets its key index follow a delta instead of being built anew.
const JVM: &[&str] = &[
    "-XX:+UseG1GC",
    "-Xms8g",
    "-Xmx16g",
    "-Dcom.netflix.hollow.core.index.HollowPrimaryKeyIndex.allowDeltaUpdate=true",
];

fn works(program: &str) -> bool {
    let mut command = Command::new(program);
    command
        .arg("-version")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Builds the program; `false` when it is to be left out.
pub(crate) fn build(settings: &Settings) -> Result<bool> {
    if settings.no_hollow {
        eprintln!("Hollow is left out, as asked");
        return Ok(false);
    }
    for program in ["mvn", "java"] {
        if !works(program) {
            eprintln!("Hollow is left out: {program} does not run here");
            return Ok(false);
        }
    }
    let mut maven = Command::new("mvn");
    maven
        .args(["-q", "-B", "-f", "hollow/pom.xml", "package"])
        .stdout(Stdio::null());
    let status = maven.status().context("cannot run mvn")?;
    ensure!(
        status.success(),
        "mvn ended with {status}: `mvn -f benches/peers/hollow/pom.xml package` says why"
    );
    Ok(true)
}

/// Everything that is measured of it.
pub(crate) fn measure(settings: &Settings, workload: &str, figures: &mut Figures) -> Result<()> {
    let folder = match &settings.folder {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let mut java = Command::new("java");
    java.args(JVM).args([
        "-cp",
        &format!("{OUTPUT}/hollow-bench.jar:{OUTPUT}/lib/*"),
        "grotto.bench.Main",
    ]);
    java.args([
        workload,
        &settings.n.to_string(),
        &settings.changes.to_string(),
    ]);
    java.args([&settings.runs.to_string(), &settings.lookups.to_string()])
        .arg(folder.path());
    figures.run(&mut java)?;
    for kind in ["snapshot", "delta"] {
        let path: PathBuf = folder.path().join(format!("hollow-{workload}.{kind}"));
        let bytes = std::fs::read(&path).with_context(|| format!("{}", path.display()))?;
        let packed = zstd::bulk::compress(&bytes, 3)?.len();
        let (n, k) = (
            settings.n,
            if kind == "delta" { settings.changes } else { 0 },
        );
        let line = format!(
            r#"{{"engine":"hollow","workload":"{workload}","n":{n},"k":{k},"metric":"{kind}_zstd_bytes","unit":"bytes","median":{packed},"min":{packed},"max":{packed},"runs":1}}"#
        );
        figures.add(&line)?;
    }
    Ok(())
}
