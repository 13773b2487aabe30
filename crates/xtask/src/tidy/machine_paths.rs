//! Paths that exist on one machine only: a file that names one works for its
//! author and nobody else.

use super::Finding;

/// What must not be named. Put together from parts, so that this file does not
/// find itself.
const FORBIDDEN: &[&str] = &[concat!("/wo", "rk/"), concat!("../sha", "red")];

/// Reports every line of the file at `path` that names a path of one machine.
pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for needle in FORBIDDEN {
            if names(line, needle) {
                findings.push(Finding::new(
                    path,
                    index + 1,
                    format!("`{needle}` exists on one machine only"),
                    "use a path relative to the repository, or one from the configuration",
                ));
            }
        }
    }
    findings
}

/// Whether `needle` stands in `line` as the start of a path and not within a
/// longer one, such as an address on the web.
fn names(line: &str, needle: &str) -> bool {
    line.match_indices(needle).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + needle.len()..].chars().next();
        let inside = before.is_some_and(|c| c.is_alphanumeric() || "._-}/".contains(c));
        let longer = !needle.ends_with('/')
            && after.is_some_and(|c| c.is_alphanumeric() || "._-".contains(c));
        !longer && (!inside || needle.starts_with(".."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        check("a.md", text)
            .into_iter()
            .map(|finding| finding.line)
            .collect()
    }

    #[test]
    fn a_path_of_one_machine_is_reported_with_its_line() {
        for needle in FORBIDDEN {
            let text = format!("fine\nsee `{needle}/notes.md`\n");
            assert_eq!(lines(&text), [2], "{needle}");
        }
    }

    #[test]
    fn a_longer_path_that_contains_one_is_fine() {
        let [absolute, _] = FORBIDDEN else {
            panic!("two paths are forbidden");
        };
        assert_eq!(lines(&format!("https://example.org{absolute}x")), [0; 0]);
        assert_eq!(lines(&format!("$HOME{absolute}x")), [0; 0]);
    }

    #[test]
    fn a_longer_name_is_fine() {
        let [_, relative] = FORBIDDEN else {
            panic!("two paths are forbidden");
        };
        assert_eq!(lines(&format!("mod at {relative}_state/mod.rs")), [0; 0]);
        assert_eq!(lines(&format!("see ../{relative}")), [1]);
    }
}
