//! `cargo xtask tidy`: the rules of this repository that no compiler checks.
//!
//! Owns the order of the checks and how a finding is printed. Each check is a pure
//! function from text to findings in a module of its own; only this file and
//! `tree` touch the disk.

mod edges;
mod lexer;
mod machine_paths;
mod map;
mod size;
mod source;
mod tree;
mod workspace;

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};

use tree::Tree;
use workspace::Workspace;

/// Where the crates are described for readers; checked against `crates/`.
const MAP_PATH: &str = "ARCHITECTURE.md";
/// Files that are longer than they should be, and may only shrink.
const RATCHET_PATH: &str = "crates/xtask/tidy-ratchet.txt";

/// One broken rule: where, what, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    /// Relative to the workspace root.
    path: String,
    /// Counted from 1.
    line: usize,
    problem: String,
    remedy: String,
}

impl Finding {
    fn new(path: &str, line: usize, problem: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            line,
            problem,
            remedy,
        } = self;
        write!(f, "{path}:{line}: {problem}\n    to do: {remedy}")
    }
}

/// Runs every check and prints what is broken; fails if anything is.
pub(crate) fn run(root: &Path) -> Result<()> {
    let tree = Tree::load(root)?;
    let workspace = Workspace::load(root)?;
    let mut findings = check(&tree, &workspace);
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("tidy: {} broken rules", findings.len());
    }
    println!(
        "tidy: {} files, {} crates, nothing to do",
        tree.files.len(),
        workspace.packages.len()
    );
    Ok(())
}

fn check(tree: &Tree, workspace: &Workspace) -> Vec<Finding> {
    let mut findings = edges::check(workspace);
    let crates: Vec<&str> = workspace.crate_folders().collect();
    findings.extend(map::check(MAP_PATH, tree.text(MAP_PATH), &crates));
    for (path, text) in tree.rust_files() {
        findings.extend(source::check(path, text));
    }
    for root_file in workspace.target_roots() {
        findings.extend(source::check_root(root_file, tree.text(root_file)));
    }
    let sizes = tree
        .rust_files()
        .map(|(path, text)| (path, text.lines().count()));
    let ratchet = tree.text(RATCHET_PATH).unwrap_or_default();
    findings.extend(size::check(sizes, RATCHET_PATH, ratchet));
    for (path, text) in tree.text_files() {
        findings.extend(machine_paths::check(path, text));
    }
    findings
}
