//! How long a file may be: 400 lines, and those already longer may only shrink
//! (a ratchet), 800 at the very most. Files of tests are free.

use std::collections::BTreeMap;

use super::Finding;

/// Lines a file should stay within.
const GOAL: usize = 400;
/// Lines no file may exceed, listed or not.
const LIMIT: usize = 800;

const SPLIT: &str = "split the file by what its parts own";

/// A line of the ratchet: `<lines> <path>`.
struct Exception {
    /// Where in the ratchet file, counted from 1.
    at: usize,
    lines: usize,
}

/// Compares the `sizes` (path, lines) with the limits and the ratchet's text.
pub(super) fn check<'a>(
    sizes: impl Iterator<Item = (&'a str, usize)>,
    ratchet_path: &str,
    ratchet: &str,
) -> Vec<Finding> {
    let (mut exceptions, mut findings) = parse(ratchet_path, ratchet);
    for (path, lines) in sizes.filter(|(path, _)| !is_test(path)) {
        let exception = exceptions.remove(path);
        findings.extend(check_one(path, lines, exception, ratchet_path));
    }
    findings.extend(exceptions.into_iter().map(|(path, exception)| {
        Finding::new(
            ratchet_path,
            exception.at,
            format!("there is no file {path} to make an exception for"),
            "remove the line",
        )
    }));
    findings
}

fn check_one(
    path: &str,
    lines: usize,
    exception: Option<Exception>,
    ratchet_path: &str,
) -> Option<Finding> {
    if lines > LIMIT {
        let problem = format!("{lines} lines; no file may exceed {LIMIT}");
        return Some(Finding::new(path, LIMIT + 1, problem, SPLIT));
    }
    let Some(exception) = exception else {
        let problem = format!("{lines} lines; a file should stay within {GOAL}");
        return (lines > GOAL).then(|| Finding::new(path, GOAL + 1, problem, SPLIT));
    };
    if lines > exception.lines {
        let problem = format!(
            "{lines} lines; it had {} and may only shrink",
            exception.lines
        );
        return Some(Finding::new(path, exception.lines + 1, problem, SPLIT));
    }
    let ratchet = |remedy: String| {
        let problem = format!(
            "{path} has shrunk from {} to {lines} lines",
            exception.lines
        );
        Some(Finding::new(ratchet_path, exception.at, problem, remedy))
    };
    if lines <= GOAL {
        return ratchet("remove the line".to_owned());
    }
    if lines < exception.lines {
        return ratchet(format!("write {lines} in the line"));
    }
    None
}

fn is_test(path: &str) -> bool {
    path.split('/')
        .any(|part| part == "tests" || part == "tests.rs")
}

fn parse(path: &str, text: &str) -> (BTreeMap<String, Exception>, Vec<Finding>) {
    let mut exceptions = BTreeMap::new();
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let at = index + 1;
        let parsed = line
            .split_once(' ')
            .and_then(|(lines, file)| Some((lines.parse().ok()?, file.trim())));
        let Some((lines, file)) = parsed else {
            findings.push(Finding::new(
                path,
                at,
                format!("`{line}` is not `<lines> <path>`"),
                "write the number of lines, a space, and the path",
            ));
            continue;
        };
        exceptions.insert(file.to_owned(), Exception { at, lines });
    }
    (exceptions, findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_file(lines: usize, ratchet: &str) -> Vec<String> {
        check([("a.rs", lines)].into_iter(), "ratchet.txt", ratchet)
            .into_iter()
            .map(|finding| format!("{}:{} {}", finding.path, finding.line, finding.remedy))
            .collect()
    }

    #[test]
    fn a_file_within_the_goal_is_fine() {
        assert_eq!(check_file(GOAL, ""), [""; 0]);
    }

    #[test]
    fn a_long_file_needs_an_exception() {
        assert_eq!(check_file(401, ""), [format!("a.rs:401 {SPLIT}")]);
        assert_eq!(check_file(500, "# why\n500 a.rs\n"), [""; 0]);
    }

    #[test]
    fn an_exception_may_only_shrink() {
        assert_eq!(check_file(501, "500 a.rs"), [format!("a.rs:501 {SPLIT}")]);
        assert_eq!(
            check_file(450, "500 a.rs"),
            ["ratchet.txt:1 write 450 in the line"]
        );
        assert_eq!(
            check_file(400, "500 a.rs"),
            ["ratchet.txt:1 remove the line"]
        );
    }

    #[test]
    fn no_exception_lifts_the_limit() {
        assert_eq!(check_file(801, "900 a.rs"), [format!("a.rs:801 {SPLIT}")]);
    }

    #[test]
    fn an_exception_for_a_missing_file_is_reported() {
        assert_eq!(
            check_file(10, "\n500 gone.rs"),
            ["ratchet.txt:2 remove the line"]
        );
    }

    #[test]
    fn a_line_that_cannot_be_read_is_reported() {
        assert_eq!(check_file(10, "many a.rs").len(), 1);
        assert_eq!(check_file(10, "500").len(), 1);
    }

    #[test]
    fn files_of_tests_are_free() {
        let sizes = [("crates/x/tests/it/main.rs", 900), ("src/y/tests.rs", 900)];
        assert_eq!(check(sizes.into_iter(), "ratchet.txt", ""), vec![]);
    }
}
