//! Rules about the text of one Rust file: it opens with its purpose, holds no
//! `unsafe` outside the one crate for it, and leaves nothing unfinished.

use super::Finding;
use super::lexer::{code_only, lines_with_word};

/// The only place where unsafe code may live.
const UNSAFE_HOME: &str = "crates/grotto-mmap/";

/// Macros that mark a place as unfinished.
const UNFINISHED: &[&str] = &["todo", "unimplemented", "dbg"];

/// The attribute every other crate carries.
const FORBID: &str = "#![forbid(unsafe_code)]";

/// Reports what is wrong in the file at `path`.
pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !text.starts_with("//!") {
        findings.push(Finding::new(
            path,
            1,
            "the file does not open with `//!`",
            "say in the first lines what the file owns and what it never does",
        ));
    }
    let code = code_only(text);
    if !path.starts_with(UNSAFE_HOME) {
        findings.extend(lines_with_word(&code, "unsafe", "").map(|line| {
            Finding::new(
                path,
                line,
                "unsafe code outside grotto-mmap",
                "write it safely, or move the smallest part to grotto-mmap with its proof",
            )
        }));
    }
    for name in UNFINISHED {
        findings.extend(lines_with_word(&code, name, "!").map(|line| {
            Finding::new(
                path,
                line,
                format!("`{name}!` marks unfinished work"),
                "finish it, or return an error that says what is missing",
            )
        }));
    }
    findings
}

/// Reports a crate's root file that does not forbid unsafe code.
pub(super) fn check_root(path: &str, text: Option<&str>) -> Option<Finding> {
    if path.starts_with(UNSAFE_HOME) {
        return None;
    }
    let forbids = code_only(text.unwrap_or_default())
        .lines()
        .any(|line| line.trim() == FORBID);
    (!forbids).then(|| {
        Finding::new(
            path,
            1,
            format!("`{FORBID}` is missing"),
            "add it below the module documentation",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ELSEWHERE: &str = "crates/grotto-state/src/lib.rs";

    fn problems(path: &str, text: &str) -> Vec<(usize, String)> {
        check(path, text)
            .into_iter()
            .map(|finding| (finding.line, finding.problem))
            .collect()
    }

    #[test]
    fn a_file_without_a_purpose_is_reported() {
        assert_eq!(problems(ELSEWHERE, "//! Owns x.\n"), vec![]);
        assert_eq!(problems(ELSEWHERE, "// Owns x.\n").len(), 1);
        assert_eq!(problems(ELSEWHERE, "").len(), 1);
    }

    #[test]
    fn unsafe_code_is_reported_outside_its_home() {
        let text = "//! Owns x.\nfn a() { unsafe { b() } }\n";
        let expected = vec![(2, "unsafe code outside grotto-mmap".to_owned())];
        assert_eq!(problems(ELSEWHERE, text), expected);
        assert_eq!(problems("crates/grotto-mmap/src/lib.rs", text), vec![]);
    }

    #[test]
    fn unfinished_work_is_reported() {
        for name in UNFINISHED {
            let text = format!("//! Owns x.\nfn a() {{\n    {name}!(1)\n}}\n");
            assert_eq!(problems(ELSEWHERE, &text).len(), 1, "{name}");
        }
    }

    #[test]
    fn a_root_that_does_not_forbid_unsafe_code_is_reported() {
        let good = "//! Owns x.\n\n#![forbid(unsafe_code)]\n";
        let hidden = "//! Owns x.\n// #![forbid(unsafe_code)]\n";
        assert_eq!(check_root(ELSEWHERE, Some(good)), None);
        assert!(check_root(ELSEWHERE, Some(hidden)).is_some());
        assert!(check_root(ELSEWHERE, None).is_some());
        assert_eq!(check_root("crates/grotto-mmap/src/lib.rs", None), None);
    }
}
