//! What a command prints on the standard output.
//!
//! Owns: buffering, the choice between text and JSON, and what happens when the reader leaves.
//! Never: writes to the standard error stream; notes and failures go there.

use crate::failure::{Failure, Outcome};
use serde::Serialize;
use std::fmt::Display;
use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Bytes gathered before they are written.
const BUFFER: usize = 256 << 10;

/// Where a command prints.
pub(crate) struct Out {
    to: BufWriter<Box<dyn Write>>,
    json: bool,
    /// The file that takes its name only once it is complete.
    file: Option<Unfinished>,
}

/// The standard output for a thread that may be kept waiting there. Whoever uses that of the process while another thread
/// is in the middle of a write waits with it, which the end of the process would.
pub(crate) fn apart() -> Box<dyn Write + Send> {
    #[cfg(unix)]
    if let Ok(own) = std::os::fd::AsFd::as_fd(&std::io::stdout()).try_clone_to_owned() {
        return Box::new(File::from(own));
    }
    Box::new(std::io::stdout())
}

/// A file under its temporary name; removed unless it is finished.
struct Unfinished {
    temporary: PathBuf,
    path: PathBuf,
    done: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.done {
            // What cannot be removed is only clutter under a name that says so.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

impl Out {
    /// The standard output of the process.
    pub(crate) fn stdout(json: bool) -> Self {
        Self::new(Box::new(std::io::stdout()), json, None)
    }

    /// A file, replaced in one step by [`Out::finish`]; what was there stays until then.
    ///
    /// A device or a pipe is written as it is: nothing may take its place. Links are followed.
    pub(crate) fn file(path: &Path, json: bool) -> Outcome<Self> {
        let action = format!("write {}", path.display());
        let refused = |e: std::io::Error| Failure::io(&action, &e);
        let path = match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => return Err(refused(ErrorKind::IsADirectory.into())),
            Ok(found) if !found.is_file() => {
                let opened = File::options().write(true).open(path).map_err(refused)?;
                return Ok(Self::new(Box::new(opened), json, None));
            }
            Ok(_) => path.canonicalize().map_err(refused)?,
            Err(_) => path.to_owned(),
        };
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = path.with_file_name(name);
        let created = File::create(&temporary).map_err(refused)?;
        let file = Unfinished {
            temporary,
            path,
            done: false,
        };
        Ok(Self::new(Box::new(created), json, Some(file)))
    }

    fn new(to: Box<dyn Write>, json: bool, file: Option<Unfinished>) -> Self {
        let to = BufWriter::with_capacity(BUFFER, to);
        Self { to, json, file }
    }

    /// Whether the user asked for JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a line.
    pub(crate) fn line(&mut self, text: impl Display) -> Outcome<()> {
        writeln!(self.to, "{text}").map_err(|e| Failure::io("write the output", &e))
    }

    /// Prints a value as one line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Outcome<()> {
        match serde_json::to_writer(&mut self.to, value) {
            Ok(()) => self.line(""),
            Err(error) => Err(Failure::io("write the output", &error.into())),
        }
    }

    /// Hands everything printed so far to the reader.
    pub(crate) fn flush(&mut self) -> Outcome<()> {
        self.to
            .flush()
            .map_err(|e| Failure::io("write the output", &e))
    }

    /// Completes the output; a file takes its name.
    pub(crate) fn finish(mut self) -> Outcome<()> {
        self.flush()?;
        if let Some(mut file) = self.file.take() {
            std::fs::rename(&file.temporary, &file.path)
                .map_err(|e| Failure::io(&format!("write {}", file.path.display()), &e))?;
            file.done = true;
        }
        Ok(())
    }
}

/// A remark for the person at the terminal, beside the output.
pub(crate) fn note(text: impl Display) {
    // A closed stream means that nobody wants remarks.
    let _ = writeln!(std::io::stderr().lock(), "note: {text}");
}

/// The same for a program: one line, told from others by its only field.
pub(crate) fn note_as_json(note: &serde_json::Value) {
    let line = serde_json::json!({ "note": note });
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
