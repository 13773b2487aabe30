//! Starting other programs: what is run is printed, and a failure names the
//! command. Never interprets what a program prints.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How often a running child is asked whether it is done.
const POLL: Duration = Duration::from_millis(100);

/// Runs `program` in `root` with inherited output; fails unless it exits with 0.
pub(crate) fn run(root: &Path, program: &str, arguments: &[&str]) -> Result<()> {
    run_with(root, program, arguments, &[])
}

/// As [`run`], with environment variables added.
pub(crate) fn run_with(
    root: &Path,
    program: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Result<()> {
    let line = command_line(program, arguments);
    eprintln!("+ {line}");
    let status = command(root, program, arguments)
        .envs(environment.iter().copied())
        .status()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !status.success() {
        bail!("`{line}` failed: {status}");
    }
    Ok(())
}

/// Runs `program` quietly and returns what it wrote to standard output.
pub(crate) fn output(root: &Path, program: &str, arguments: &[&str]) -> Result<Vec<u8>> {
    let line = command_line(program, arguments);
    let output = command(root, program, arguments)
        .output()
        .with_context(|| format!("cannot start `{line}`"))?;
    if !output.status.success() {
        bail!(
            "`{line}` failed: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
    }
    Ok(output.stdout)
}

/// Runs `program` and says whether it exited with 0 within `limit`; a child that
/// takes longer is ended.
pub(crate) fn succeeds_within(
    root: &Path,
    program: &str,
    arguments: &[&str],
    limit: Duration,
) -> Result<bool> {
    let line = command_line(program, arguments);
    eprintln!("+ {line}");
    let mut child = command(root, program, arguments)
        .spawn()
        .with_context(|| format!("cannot start `{line}`"))?;
    let mut waited = Duration::ZERO;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if waited >= limit {
            child
                .kill()
                .with_context(|| format!("cannot end `{line}`"))?;
            child.wait()?;
            return Ok(false);
        }
        // The child is the only thing to wait for, and the standard library
        // cannot wait for it with a limit.
        std::thread::park_timeout(POLL);
        waited += POLL;
    }
}

fn command(root: &Path, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(root)
        .stdin(Stdio::null());
    command
}

fn command_line(program: &str, arguments: &[&str]) -> String {
    let mut line = program.to_owned();
    for argument in arguments {
        line.push(' ');
        line.push_str(argument);
    }
    line
}
