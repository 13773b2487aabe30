//! `grotto set-aside`: records that a host had acknowledged when another producer took over.
//!
//! Owns: listing, showing, sending and dropping their files. Never: writes one; the daemon does.

use crate::daemon::{self, DaemonArgs};
use crate::failure::{Failure, Outcome, one_line};
use crate::output::Out;
use crate::text::{bytes, date, things};
use grotto::engine::env::SystemFiles;
use grotto::producer::aside::{AsideFile, finish, list};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Bytes of lines that are sent at once.
const PIECE: usize = 1 << 20;

/// Shows records that were acknowledged here and overtaken by another producer, sends them again, drops them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A daemon acknowledges a record once it is on the disk of its host. When another one takes over before it is published,
the record is not published behind newer ones by itself: when the first daemon comes back, it writes such records to
files of the folder DATASET.set-aside beside its write-ahead log, and says so in its log, in /ready and in its metrics.
Send them to whoever publishes now, where they are still right, or drop them.")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the files
    #[command(after_help = "\
Example:
  grotto set-aside list --dir /var/lib/grotto/wal/cities.set-aside")]
    List {
        #[command(flatten)]
        folder: Folder,
    },
    /// Print the records, a line for each as its sender would send it
    #[command(after_help = "\
Example:
  grotto set-aside show --dir /var/lib/grotto/wal/cities.set-aside")]
    Show {
        #[command(flatten)]
        folder: Folder,
    },
    /// Send the records to the daemon that publishes now, and remove their files
    #[command(after_help = "\
Example:
  grotto set-aside submit --dir /var/lib/grotto/wal/cities.set-aside --dataset cities \\
      --producer http://other-host:8081

May be stopped at any time: what was taken in is not taken in again. Lines that the daemon refuses become its dead
letters.")]
    Submit {
        #[command(flatten)]
        folder: Folder,
        #[command(flatten)]
        at: DaemonArgs,
    },
    /// Remove the files with their records for good
    #[command(after_help = "\
Example:
  grotto set-aside drop --dir /var/lib/grotto/wal/cities.set-aside")]
    Drop {
        #[command(flatten)]
        folder: Folder,
    },
}

#[derive(Debug, clap::Args)]
struct Folder {
    /// Folder of the files: DATASET.set-aside beside the folder of the dataset's write-ahead log
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,
    /// One file of it, by its name; all of them without it
    #[arg(long, value_name = "NAME")]
    file: Option<String>,
}

impl Folder {
    fn files(&self) -> Outcome<Vec<AsideFile>> {
        let found = list(&SystemFiles, &self.dir)?;
        let Some(wanted) = &self.file else {
            return Ok(found);
        };
        let is_wanted = |file: &AsideFile| name(&file.path) == *wanted;
        let found: Vec<_> = found.into_iter().filter(is_wanted).collect();
        match found.is_empty() {
            false => Ok(found),
            true => Err(Failure::invalid(format!(
                "no file {wanted:?} in {}",
                self.dir.display()
            ))),
        }
    }
}

pub(crate) fn run(args: &Args, out: &mut Out) -> Outcome<()> {
    match &args.action {
        Action::List { folder } => {
            let files = folder.files()?;
            if files.is_empty() && !out.is_json() {
                return out.line(format_args!("nothing is set aside"));
            }
            files.iter().try_for_each(|file| tell(file, out))
        }
        Action::Show { folder } => folder.files()?.iter().try_for_each(|file| show(file, out)),
        Action::Submit { folder, at } => submit_all(&folder.files()?, at, out),
        Action::Drop { folder } => folder.files()?.iter().try_for_each(|file| {
            finish(&SystemFiles, file)?;
            out.line(format_args!("dropped {}", name(&file.path)))
        }),
    }
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> Failure {
    move |error| grotto::Error::io("read", path, error).into()
}

/// Lines of a file, each with its end.
fn pieces(path: &Path) -> Outcome<impl Iterator<Item = Outcome<Vec<u8>>>> {
    let file = File::open(path).map_err(failed(path))?;
    let (mut lines, path) = (BufReader::new(file), path.to_owned());
    Ok(std::iter::from_fn(move || {
        let mut piece = Vec::new();
        while piece.len() < PIECE {
            match lines.read_until(b'\n', &mut piece) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => return Some(Err(failed(&path)(error))),
            }
        }
        (!piece.is_empty()).then_some(Ok(piece))
    }))
}

fn tell(file: &AsideFile, out: &mut Out) -> Outcome<()> {
    let mut lines = 0_u64;
    for piece in pieces(&file.path)? {
        lines += piece?.iter().filter(|byte| **byte == b'\n').count() as u64;
    }
    let written = std::fs::metadata(&file.path).and_then(|meta| meta.modified());
    let written = written.map_err(failed(&file.path))?;
    let since = written.duration_since(UNIX_EPOCH).unwrap_or_default();
    let time_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    if out.is_json() {
        return out.json(&json!({
            "file": name(&file.path),
            "wal": file.wal,
            "first_entry": file.first,
            "last_entry": file.last,
            "changes": lines,
            "bytes": file.bytes,
            "time_ms": time_ms,
        }));
    }
    out.line(format_args!(
        "{}  {}: {}, entries {} to {} of write-ahead log {}, {}",
        date(time_ms),
        name(&file.path),
        things(lines, "change"),
        file.first,
        file.last,
        file.wal,
        bytes(file.bytes)
    ))
}

fn show(file: &AsideFile, out: &mut Out) -> Outcome<()> {
    for piece in pieces(&file.path)? {
        let piece = piece?;
        let text = std::str::from_utf8(&piece).map_err(|error| {
            let message = format!("{}: expected text: {error}", file.path.display());
            Failure::new(grotto::ErrorKind::Corrupt, message)
        })?;
        for line in text.lines() {
            out.line(format_args!("{line}"))?;
        }
    }
    Ok(())
}

fn submit_all(files: &[AsideFile], at: &DaemonArgs, out: &mut Out) -> Outcome<()> {
    let (client, path) = (at.client()?, at.path("records")?);
    for file in files {
        let (mut accepted, mut refused) = (0, 0);
        for (number, piece) in pieces(&file.path)?.enumerate() {
            let key = format!("set-aside-{}-{number}", name(&file.path));
            let told = client.post_lines(&path, &key, &piece?);
            let told: Value = told.map_err(daemon::failed)?;
            let count = |name: &str| told[name].as_u64().unwrap_or(0);
            (accepted, refused) = (
                accepted + count("accepted"),
                refused + count("refused_lines"),
            );
            let lines = told["refused"].as_array().cloned().unwrap_or_default();
            for line in &lines {
                let message = one_line(line["message"].as_str().unwrap_or_default());
                out.line(format_args!("refused, now a dead letter: {message}"))?;
            }
        }
        finish(&SystemFiles, file)?;
        let (file, accepted) = (name(&file.path), things(accepted, "change"));
        out.line(format_args!(
            "sent {file}: {accepted} taken in, {refused} refused"
        ))?;
    }
    if files.is_empty() {
        out.line(format_args!("nothing is set aside"))?;
    }
    Ok(())
}
