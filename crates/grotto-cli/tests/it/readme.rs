//! The README's commands, executed as written.
//!
//! `sh` blocks are run, except those that begin with cargo or git. In `console` blocks, lines that
//! begin with `$` are run and the others are what they print; `…` stands for anything, also for
//! whole lines when it stands alone.

use crate::kit::{Bench, repository};
use std::path::Path;
use std::process::Command;

/// Blocks of a kind, in order, with the kind.
pub(crate) fn blocks(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut blocks: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut open = false;
    for line in text.lines() {
        match (line.strip_prefix("```"), open) {
            (Some(_), true) => open = false,
            (Some(kind), false) => {
                open = true;
                blocks.push((kind, Vec::new()));
            }
            (None, true) => blocks.last_mut().unwrap().1.push(line),
            (None, false) => {}
        }
    }
    blocks
}

/// Runs a line in the shell, with the binary on the path.
pub(crate) fn shell(bench: &Bench, line: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_grotto")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command
        .args(["-euc", line])
        .current_dir(bench.path(""))
        .env("PATH", path)
        .env_remove("GROTTO_STORE");
    let output = command.output().unwrap();
    let shown = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {shown}");
    String::from_utf8(output.stdout).unwrap() + &shown
}

/// Runs the commands of a block by `run`, which gives what they print.
pub(crate) fn check_console(run: &dyn Fn(&str) -> String, lines: &[&str]) {
    let mut rest = lines;
    while let Some((command, after)) = rest.split_first() {
        let command = command
            .strip_prefix("$ ")
            .unwrap_or_else(|| panic!("expected a command: {command}"));
        let end = after
            .iter()
            .position(|line| line.starts_with("$ "))
            .unwrap_or(after.len());
        let printed = run(command);
        let printed: Vec<&str> = printed.lines().collect();
        assert!(
            matches(&after[..end], &printed),
            "{command}\nexpected {:#?}\nfound {printed:#?}",
            &after[..end]
        );
        rest = &after[end..];
    }
}

fn matches(expected: &[&str], printed: &[&str]) -> bool {
    match (expected.split_first(), printed.split_first()) {
        (None, None) => true,
        (Some((&"…", rest)), _) => {
            (0..=printed.len()).any(|skip| matches(rest, &printed[skip..]))
        }
        (Some((line, rest)), Some((found, others))) => {
            line_matches(line, found) && matches(rest, others)
        }
        _ => false,
    }
}

/// Blanks count as one; `…` stands for any text.
fn line_matches(expected: &str, found: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<&str>>().join(" ");
    let (expected, found) = (words(expected), words(found));
    let mut parts = expected.split('…');
    let Some(mut rest) = parts.next().and_then(|first| found.strip_prefix(first)) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    rest.is_empty() || last == Some("")
}

#[test]
fn the_commands_of_the_readme_do_what_it_says() {
    let readme = std::fs::read_to_string(repository("README.md")).unwrap();
    let bench = Bench::new();
    let mut ran = 0;
    for (kind, lines) in blocks(&readme) {
        let of_repository = lines
            .first()
            .is_some_and(|line| line.starts_with("cargo ") || line.starts_with("git "));
        match kind {
            "sh" if !of_repository => _ = shell(&bench, &lines.join("\n")),
            "console" => check_console(&|line| shell(&bench, line), &lines),
            _ => continue,
        }
        ran += 1;
    }
    assert!(ran >= 3, "{ran} blocks were run");
}

#[test]
fn dots_stand_for_anything() {
    assert!(line_matches("a … c", "a  b  c"));
    assert!(line_matches("in …", "in 3 ms"));
    assert!(!line_matches("a … c", "a b c d"));
    assert!(!line_matches("b", "a b"));
    assert!(matches(&["a", "…", "d"], &["a", "b", "c", "d"]));
    assert!(!matches(&["a"], &["a", "b"]));
}
