//! `cargo xtask mutants`: changes the code in small ways and looks whether a test notices.
//!
//! Owns: which files belong to a set, and which tests are asked. Never judges a survivor:
//! `docs/mutants.md` lists those that no test can tell from the code as it is.
//!
//! Not part of the continuous integration: every mutant is compiled, and there are many hundreds.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::process::{output, run_with};

/// Files that are tried together, and the crate whose tests have to notice.
struct Set {
    name: &'static str,
    package: &'static str,
    /// Within the sources of the crate; a star stands for all files of a folder.
    files: &'static [&'static str],
}

const SETS: [Set; 2] = [
    Set {
        name: "state",
        package: "grotto-state",
        files: &[
            "block.rs",
            "block/*.rs",
            "compact.rs",
            "compact/policy.rs",
            "find.rs",
            "index.rs",
            "index/*.rs",
            "layout.rs",
            "layout/*.rs",
            "segment/items.rs",
            "view/lookup.rs",
        ],
    },
    Set {
        name: "protocol",
        package: "grotto-store",
        files: &[
            "dataset.rs",
            "head.rs",
            "plan.rs",
            "plan/*.rs",
            "route.rs",
            "writer/*.rs",
        ],
    },
];

/// Seconds that tests get, however fast they are without a mutant.
const LEAST_TIMEOUT: &str = "60";
/// Compiling is most of the work, and nobody looks at a backtrace.
const QUICK: [(&str, &str); 2] = [
    ("CARGO_PROFILE_DEV_DEBUG", "0"),
    ("CARGO_PROFILE_TEST_DEBUG", "0"),
];

/// What to try, and by which tests.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    set: &'static str,
    shard: Option<String>,
    names: Option<String>,
    unit_tests_only: bool,
}

impl Plan {
    fn parse(options: &[String]) -> Result<Self> {
        let known = SETS.map(|set| set.name).join(" or ");
        let [set, options @ ..] = options else {
            bail!("name a set of mutants: expected {known}");
        };
        let set = SETS.iter().find(|known| known.name == set);
        let set = set.with_context(|| format!("there is no such set: expected {known}"))?;
        let mut plan = Self {
            set: set.name,
            shard: None,
            names: None,
            unit_tests_only: false,
        };
        let mut options = options.iter();
        while let Some(option) = options.next() {
            let mut value = || {
                options
                    .next()
                    .with_context(|| format!("{option} needs a value"))
            };
            match option.as_str() {
                "--shard" => plan.shard = Some(shard(value()?)?),
                "--re" => plan.names = Some(value()?.clone()),
                "--lib" => plan.unit_tests_only = true,
                unknown => bail!("expected --shard K/N, --re NAME or --lib, found `{unknown}`"),
            }
        }
        Ok(plan)
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = [
            "mutants",
            "--output",
            "target",
            "--jobs",
            "1",
            "--minimum-test-timeout",
            LEAST_TIMEOUT,
        ]
        .map(str::to_owned)
        .to_vec();
        for set in SETS.iter().filter(|set| set.name == self.set) {
            arguments.extend(["--package".to_owned(), set.package.to_owned()]);
            for file in set.files {
                let file = format!("crates/{}/src/{file}", set.package);
                arguments.extend(["--file".to_owned(), file]);
            }
        }
        for (option, value) in [("--shard", &self.shard), ("--re", &self.names)] {
            if let Some(value) = value {
                arguments.extend([option.to_owned(), value.clone()]);
            }
        }
        if self.unit_tests_only {
            arguments.extend(["--", "--lib"].map(str::to_owned));
        }
        arguments
    }
}

/// A part of all mutants, such as `0/20`.
fn shard(text: &str) -> Result<String> {
    let parts = text.split_once('/');
    let numbers = parts.and_then(|(k, n)| Some((k.parse::<u32>().ok()?, n.parse::<u32>().ok()?)));
    ensure!(
        numbers.is_some_and(|(k, n)| k < n),
        "--shard: expected K/N with K below N, found `{text}`"
    );
    Ok(text.to_owned())
}

/// Tries the mutants of a set; one that no test notices fails.
pub(crate) fn run(root: &Path, options: &[String]) -> Result<()> {
    let plan = Plan::parse(options)?;
    if output(root, "cargo", &["mutants", "--version"]).is_err() {
        bail!("cargo-mutants is not installed: run `cargo install cargo-mutants --locked`");
    }
    let arguments = plan.arguments();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    run_with(root, "cargo", &arguments, &QUICK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[&str]) -> Result<Plan> {
        Plan::parse(&options.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn a_set_a_shard_and_the_tests_are_passed_on() {
        let plan = parse(&["protocol", "--shard", "3/20", "--lib", "--re", "Plan::"]).unwrap();
        let line = plan.arguments().join(" ");
        for part in [
            "--package grotto-store",
            "--file crates/grotto-store/src/plan.rs",
            "--shard 3/20",
            "--re Plan::",
            "-- --lib",
        ] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
        assert!(!line.contains("grotto-state"), "{line}");
        let all = parse(&["state"]).unwrap().arguments().join(" ");
        assert!(!all.contains("--shard") && !all.contains(" -- "), "{all}");
    }

    #[test]
    fn anything_else_is_refused() {
        for options in [
            &[][..],
            &["stat"],
            &["state", "--shard"],
            &["state", "--shard", "20/20"],
            &["state", "--shard", "1"],
            &["state", "--jobs", "2"],
        ] {
            assert!(parse(options).is_err(), "{options:?}");
        }
    }

    #[test]
    fn every_file_of_a_set_is_there() {
        for set in &SETS {
            let sources = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("..")
                .join(set.package)
                .join("src");
            for file in set.files {
                let path = sources.join(file.trim_end_matches("/*.rs"));
                assert!(path.exists(), "{}", path.display());
            }
        }
    }
}
