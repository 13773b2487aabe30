//! What the tests share: running the binary in a folder of its own.

use crate::stores;
use serde_json::Value;
use std::ffi::OsStr;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// Schema of the small datasets.
pub(crate) const SCHEMA: &str = "Item @PrimaryKey(id) { long id; string name; int size; }\n";
/// Editions of the real dataset, oldest first.
pub(crate) const EDITIONS: [&str; 5] = ["2020-05", "2021-11", "2022-07", "2023-04", "2023-07"];

/// A folder and the binary that runs in it.
pub(crate) struct Bench {
    dir: tempfile::TempDir,
    /// Whether the test damages its stores on purpose.
    damaged: AtomicBool,
}

/// Whatever a test did, `verify` finds nothing in the stores that it leaves behind.
impl Drop for Bench {
    fn drop(&mut self) {
        if std::thread::panicking() || self.damaged.load(Ordering::Relaxed) {
            return;
        }
        for dataset in stores::datasets_below(self.dir.path()) {
            let (store, name) = (dataset.parent().unwrap(), dataset.file_name().unwrap());
            let mut verify = self.command(&["verify", "--store"]);
            verify.arg(store).arg("--dataset").arg(name);
            let run = Run::of(verify.output().unwrap());
            assert_eq!(run.code, 0, "{}: {}{}", dataset.display(), run.out, run.err);
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The output, after making sure that all went well.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{}", self.out);
        self.out
    }

    /// The complaint, after making sure of the exit code and that nothing was printed as a result.
    #[track_caller]
    pub(crate) fn refused(self, code: i32) -> String {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{}", self.err);
        self.err
    }

    /// The output as values, one per line.
    #[track_caller]
    pub(crate) fn values(self) -> Vec<Value> {
        values(&self.ok())
    }
}

pub(crate) fn values(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            damaged: AtomicBool::new(false),
        }
    }

    /// The test damages a store: none is verified at its end.
    pub(crate) fn damages(&self) {
        self.damaged.store(true, Ordering::Relaxed);
    }

    /// With the schema of the small datasets in `item.schema`.
    pub(crate) fn with_schema() -> Self {
        let bench = Self::new();
        bench.write("item.schema", SCHEMA);
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// A run that is yet to be started, in the folder.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_grotto"));
        for variable in [
            "GROTTO_STORE",
            "GROTTO_DATASET",
            "GROTTO_STATE_DIR",
            "GROTTO_LOG",
        ] {
            command.env_remove(variable);
        }
        command
            .args(args)
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the binary; the arguments are separated by blanks.
    pub(crate) fn run(&self, line: &str) -> Run {
        let args: Vec<&str> = line.split_whitespace().collect();
        Run::of(self.command(&args).output().unwrap())
    }

    /// Publishes a small dataset to `store`.
    pub(crate) fn publish(&self, text: &str, more: &str) -> Run {
        self.write("input.ndjson", text);
        self.run(&format!(
            "publish --store store --dataset items --schema item.schema --input input.ndjson {more}"
        ))
    }

    /// Publishes an edition of the real dataset to `store`.
    pub(crate) fn publish_edition(&self, edition: &str, more: &str) -> Run {
        let (schema, input) = (
            data("cities.schema"),
            data(&format!("cities15000-{edition}.ndjson.zst")),
        );
        let mut command = self.command(&[
            "publish",
            "--store",
            "store",
            "--dataset",
            "cities",
            "--schema",
        ]);
        command
            .arg(schema)
            .arg("--input")
            .arg(input)
            .args(more.split_whitespace());
        Run::of(command.output().unwrap())
    }

    /// Files below a folder of the bench, by name under it.
    pub(crate) fn files(&self, folder: &str) -> Vec<String> {
        let mut names = Vec::new();
        let root = self.path(folder);
        if root.is_dir() {
            collect(&root, &root, &mut names);
        }
        names.sort();
        names
    }
}

fn collect(root: &Path, folder: &Path, names: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, names);
        } else {
            names.push(path.strip_prefix(root).unwrap().display().to_string());
        }
    }
}

/// Copies a folder whole.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A file of the repository, by its path from the top.
pub(crate) fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name)
}

/// A file of the real dataset.
pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("data/geonames")
        .join(name)
}

/// The text of an edition.
pub(crate) fn edition(name: &str) -> String {
    let packed = std::fs::File::open(data(&format!("cities15000-{name}.ndjson.zst"))).unwrap();
    let mut text = String::new();
    zstd::stream::read::Decoder::new(packed)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    text
}
