//! The commit that the binary is built from, for `--version`.
//!
//! Owns: asking git, where there is a checkout. Never: fails a build; without git, the version says no commit.

use std::path::Path;
use std::process::Command;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .arg("-C")
            .arg(&root)
            .args(arguments)
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    // Of the project's own checkout: a copy of it within another one has no commit.
    let top = git(&["rev-parse", "--show-toplevel"]);
    let is_ours = top.is_some_and(|top| {
        let (top, root) = (Path::new(&top).canonicalize(), root.canonicalize());
        matches!((top, root), (Ok(top), Ok(root)) if top == root)
    });
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).filter(|_| is_ours);
    let commit = commit.unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=GROTTO_COMMIT={commit}");
    println!("cargo::rerun-if-changed=build.rs");
    if let Some(head) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|_| is_ours) {
        println!("cargo::rerun-if-changed={}", root.join(head).display());
    }
}
