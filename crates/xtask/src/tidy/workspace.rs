//! The workspace as `cargo metadata --no-deps` tells it: packages, where they
//! live, what they import. Never judges; the rules are in `edges` and `source`.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::process;

/// The members of the workspace.
#[derive(Debug)]
pub(super) struct Workspace {
    pub(super) packages: Vec<Package>,
}

/// One member.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: String,
    /// Folder of the manifest, relative to the workspace root.
    pub(super) folder: String,
    /// The manifest's text, to point at the line of an import.
    pub(super) manifest: String,
    pub(super) imports: Vec<Import>,
    /// Root files of libraries and binaries, relative to the workspace root.
    pub(super) roots: Vec<String>,
}

/// A dependency on another member.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Import {
    pub(super) name: String,
    /// True where only tests, examples and benches see it.
    pub(super) dev: bool,
}

impl Workspace {
    /// Asks cargo about the workspace at `root`.
    pub(super) fn load(root: &Path) -> Result<Self> {
        let json = process::output(
            root,
            "cargo",
            &["metadata", "--no-deps", "--format-version", "1"],
        )?;
        let mut workspace = Self::parse(&json, root)?;
        for package in &mut workspace.packages {
            let path = root.join(package.manifest_path());
            package.manifest = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
        }
        Ok(workspace)
    }

    /// Understands the JSON of `cargo metadata`; manifests stay empty.
    pub(super) fn parse(json: &[u8], root: &Path) -> Result<Self> {
        let value: Value =
            serde_json::from_slice(json).context("cargo metadata is not valid JSON")?;
        let packages = array(&value, "packages")?
            .iter()
            .map(|package| parse_package(package, root))
            .collect::<Result<_>>()?;
        Ok(Self { packages })
    }

    /// Names of the folders under `crates/`.
    pub(super) fn crate_folders(&self) -> impl Iterator<Item = &str> {
        self.packages
            .iter()
            .filter_map(|package| package.folder.strip_prefix("crates/"))
    }

    /// Root files of every library and binary.
    pub(super) fn target_roots(&self) -> impl Iterator<Item = &str> {
        self.packages
            .iter()
            .flat_map(|package| package.roots.iter().map(String::as_str))
    }
}

impl Package {
    /// The manifest, relative to the workspace root.
    pub(super) fn manifest_path(&self) -> String {
        format!("{}/Cargo.toml", self.folder)
    }

    /// The line that imports `name`, counted from 1; 1 where none is found.
    pub(super) fn line_of(&self, name: &str) -> usize {
        self.manifest
            .lines()
            .position(|line| {
                line.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with([' ', '.', '=']))
            })
            .map_or(1, |index| index + 1)
    }
}

fn parse_package(package: &Value, root: &Path) -> Result<Package> {
    let name = string(package, "name")?.to_owned();
    let manifest = relative(string(package, "manifest_path")?, root)?;
    let folder = manifest
        .strip_suffix("/Cargo.toml")
        .with_context(|| format!("package {name}: odd manifest path {manifest}"))?
        .to_owned();
    let mut imports = Vec::new();
    for dependency in array(package, "dependencies")? {
        // Only members of the workspace are imported by path.
        if dependency.get("path").is_some_and(Value::is_string) {
            imports.push(Import {
                name: string(dependency, "name")?.to_owned(),
                dev: dependency.get("kind").and_then(Value::as_str) == Some("dev"),
            });
        }
    }
    let mut roots = Vec::new();
    for target in array(package, "targets")? {
        if ships(target)? {
            roots.push(relative(string(target, "src_path")?, root)?);
        }
    }
    Ok(Package {
        name,
        folder,
        manifest: String::new(),
        imports,
        roots,
    })
}

/// Whether a target is a library or a binary, not a test, bench or example.
fn ships(target: &Value) -> Result<bool> {
    Ok(array(target, "kind")?
        .iter()
        .filter_map(Value::as_str)
        .any(|kind| kind == "bin" || kind == "proc-macro" || kind.ends_with("lib")))
}

fn relative(path: &str, root: &Path) -> Result<String> {
    let relative = Path::new(path)
        .strip_prefix(root)
        .with_context(|| format!("{path} lies outside the workspace at {}", root.display()))?;
    Ok(relative.to_string_lossy().into_owned())
}

fn string<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    value
        .get(key)
        .and_then(Value::as_str)
        .with_context(|| format!("cargo metadata: no text under `{key}`"))
}

fn array<'a>(value: &'a Value, key: &str) -> Result<&'a [Value]> {
    value
        .get(key)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .with_context(|| format!("cargo metadata: no list under `{key}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{"packages": [{
        "name": "upper",
        "manifest_path": "/w/crates/upper/Cargo.toml",
        "dependencies": [
            {"name": "lower", "kind": null, "path": "/w/crates/lower"},
            {"name": "helper", "kind": "dev", "path": "/w/crates/helper"},
            {"name": "serde", "kind": null}
        ],
        "targets": [
            {"kind": ["lib"], "src_path": "/w/crates/upper/src/lib.rs"},
            {"kind": ["test"], "src_path": "/w/crates/upper/tests/it/main.rs"}
        ]
    }]}"#;

    #[test]
    fn metadata_gives_members_imports_and_roots() {
        let workspace = Workspace::parse(METADATA.as_bytes(), Path::new("/w")).unwrap();
        let package = &workspace.packages[0];
        assert_eq!(package.manifest_path(), "crates/upper/Cargo.toml");
        assert_eq!(
            package.imports,
            [
                Import {
                    name: "lower".into(),
                    dev: false
                },
                Import {
                    name: "helper".into(),
                    dev: true
                },
            ]
        );
        assert_eq!(package.roots, ["crates/upper/src/lib.rs"]);
        assert_eq!(workspace.crate_folders().collect::<Vec<_>>(), ["upper"]);
    }

    #[test]
    fn metadata_without_packages_is_refused() {
        let error = Workspace::parse(b"{}", Path::new("/w")).unwrap_err();
        assert!(error.to_string().contains("`packages`"), "{error}");
    }

    #[test]
    fn the_line_of_an_import_is_found() {
        let mut workspace = Workspace::parse(METADATA.as_bytes(), Path::new("/w")).unwrap();
        let package = &mut workspace.packages[0];
        package.manifest =
            "[dependencies]\nlower-extra = \"1\"\nlower.workspace = true\n".to_owned();
        assert_eq!(package.line_of("lower"), 3);
        assert_eq!(package.line_of("absent"), 1);
    }
}
