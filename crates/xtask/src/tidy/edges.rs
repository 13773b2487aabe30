//! Which crate may import which: layers that each know less than the one above.
//!
//! The table below is the rule; `ARCHITECTURE.md` repeats it for readers and `map`
//! compares the two. Imports from outside the workspace are cargo-deny's matter.

use super::Finding;
use super::workspace::{Import, Package, Workspace};

/// Which members a crate may import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Allowed {
    /// Everything: nothing ships from here.
    Any,
    /// Only these.
    Only(&'static [&'static str]),
}

/// The crates from the lowest row to the highest.
pub(super) const LAYERS: &[(&str, Allowed)] = &[
    ("grotto-error", Allowed::Only(&[])),
    ("grotto-format", Allowed::Only(&["grotto-error"])),
    ("grotto-env", Allowed::Only(&[])),
    ("grotto-mmap", Allowed::Only(&[])),
    (
        "grotto-state",
        Allowed::Only(&["grotto-error", "grotto-format", "grotto-mmap"]),
    ),
    (
        "grotto-store",
        Allowed::Only(&["grotto-env", "grotto-error", "grotto-format", "grotto-mmap"]),
    ),
    (
        "grotto-producer",
        Allowed::Only(&[
            "grotto-env",
            "grotto-error",
            "grotto-format",
            "grotto-mmap",
            "grotto-state",
            "grotto-store",
        ]),
    ),
    (
        "grotto-consumer",
        Allowed::Only(&[
            "grotto-env",
            "grotto-error",
            "grotto-format",
            "grotto-mmap",
            "grotto-state",
            "grotto-store",
        ]),
    ),
    (
        "grotto-push",
        Allowed::Only(&["grotto-env", "grotto-error", "grotto-store"]),
    ),
    ("grotto-derive", Allowed::Only(&[])),
    (
        "grotto",
        Allowed::Only(&[
            "grotto-consumer",
            "grotto-derive",
            "grotto-env",
            "grotto-error",
            "grotto-format",
            "grotto-producer",
            "grotto-push",
            "grotto-state",
            "grotto-store",
        ]),
    ),
    ("grotto-service", Allowed::Only(&["grotto"])),
    ("grotto-cli", Allowed::Only(&["grotto", "grotto-service"])),
    ("grotto-sim", Allowed::Any),
    ("xtask", Allowed::Only(&[])),
];

/// What a workload under `benches/` may import.
const BENCHES: &[&str] = &[
    "grotto",
    "grotto-consumer",
    "grotto-format",
    "grotto-producer",
    "grotto-state",
    "grotto-store",
];

/// The crate whose tests drive the whole system, and so may import all of it.
const END_TO_END: &str = "grotto-cli";

/// Reports every import the table does not allow.
pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    workspace.packages.iter().flat_map(check_package).collect()
}

fn check_package(package: &Package) -> Vec<Finding> {
    let Some(allowed) = allowed(package) else {
        return vec![Finding::new(
            &package.manifest_path(),
            1,
            format!("`{}` is in no row of the layer table", package.name),
            "add it to LAYERS in crates/xtask/src/tidy/edges.rs and to ARCHITECTURE.md",
        )];
    };
    package
        .imports
        .iter()
        .filter(|import| !permits(package, allowed, import))
        .map(|import| refused(package, import))
        .collect()
}

fn allowed(package: &Package) -> Option<Allowed> {
    if package.folder.starts_with("benches/") {
        return Some(Allowed::Only(BENCHES));
    }
    LAYERS
        .iter()
        .find(|(name, _)| *name == package.name)
        .map(|(_, allowed)| *allowed)
}

fn permits(package: &Package, allowed: Allowed, import: &Import) -> bool {
    let Allowed::Only(names) = allowed else {
        return true;
    };
    if names.contains(&import.name.as_str()) {
        return true;
    }
    import.dev && (package.name == END_TO_END || is_below(&import.name, &package.name))
}

/// Tests see more than the crate they test, but never a higher row: that would
/// build the crate twice and let a lower layer learn from a higher one.
fn is_below(lower: &str, upper: &str) -> bool {
    let row = |name: &str| LAYERS.iter().position(|(layer, _)| *layer == name);
    matches!((row(lower), row(upper)), (Some(lower), Some(upper)) if lower < upper)
}

fn refused(package: &Package, import: &Import) -> Finding {
    let kind = if import.dev {
        "import in tests"
    } else {
        "import"
    };
    Finding::new(
        &package.manifest_path(),
        package.line_of(&import.name),
        format!("`{}` may not {kind} `{}`", package.name, import.name),
        "move the shared part to a lower crate, or hand it in from above",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, folder: &str, import: &str, dev: bool) -> Workspace {
        Workspace {
            packages: vec![Package {
                name: name.into(),
                folder: folder.into(),
                manifest: format!("[dependencies]\n{import}.workspace = true\n"),
                imports: vec![Import {
                    name: import.into(),
                    dev,
                }],
                roots: Vec::new(),
            }],
        }
    }

    fn crate_importing(name: &str, import: &str, dev: bool) -> Vec<Finding> {
        check(&package(name, &format!("crates/{name}"), import, dev))
    }

    #[test]
    fn an_import_of_the_table_is_allowed() {
        assert_eq!(
            crate_importing("grotto-state", "grotto-format", false),
            vec![]
        );
        assert_eq!(crate_importing("grotto-sim", "grotto-cli", false), vec![]);
    }

    #[test]
    fn an_import_of_a_higher_row_is_refused_with_its_line() {
        let findings = crate_importing("grotto-format", "grotto-state", false);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].path, "crates/grotto-format/Cargo.toml");
        assert_eq!(findings[0].line, 2);
    }

    #[test]
    fn producer_and_consumer_do_not_know_each_other() {
        assert_eq!(
            crate_importing("grotto-producer", "grotto-consumer", false).len(),
            1
        );
        assert_eq!(
            crate_importing("grotto-consumer", "grotto-producer", false).len(),
            1
        );
    }

    #[test]
    fn tests_may_import_lower_rows_only() {
        assert_eq!(
            crate_importing("grotto-store", "grotto-state", true),
            vec![]
        );
        assert_eq!(crate_importing("grotto-store", "grotto", true).len(), 1);
        assert_eq!(crate_importing("grotto-cli", "grotto-sim", true), vec![]);
    }

    #[test]
    fn a_crate_without_a_row_is_reported() {
        let findings = crate_importing("grotto-new", "grotto-format", false);
        assert!(findings[0].problem.contains("no row"), "{findings:?}");
    }

    #[test]
    fn a_workload_may_import_the_engine_but_not_the_binary() {
        let bench = |import| check(&package("lookups", "benches/lookups", import, false));
        assert_eq!(bench("grotto-state"), vec![]);
        assert_eq!(bench("grotto-cli").len(), 1);
    }

    #[test]
    fn every_row_imports_lower_rows_only() {
        for (name, allowed) in LAYERS {
            if let Allowed::Only(imports) = allowed {
                for import in *imports {
                    assert!(is_below(import, name), "{name} imports {import}");
                }
            }
        }
    }
}
