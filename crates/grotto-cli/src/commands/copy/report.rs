//! What is told of a copy.
//!
//! Owns: the words, and when damage makes it a failure. Never: copies.

use crate::failure::{Failure, Outcome};
use crate::output::Out;
use crate::text::{bytes, things};
use grotto::store::Copied;
use serde_json::json;
use std::fmt::Display;

pub(super) struct Report<'a> {
    pub(super) what: &'a str,
    pub(super) dataset: &'a str,
    /// The store, or the archive.
    pub(super) target: &'a (dyn Display + Sync),
    pub(super) copied: &'a Copied,
    /// Of the newest version, if that was rebuilt.
    pub(super) records: Option<u64>,
}

impl Report<'_> {
    /// Prints it; a copy that is not all of its source ends as a failure.
    pub(super) fn print(&self, out: &mut Out) -> Outcome<()> {
        match out.is_json() {
            true => out.json(&self.as_json())?,
            false => self.tell(out)?,
        }
        out.flush()?;
        match self.copied.faults.first() {
            None => Ok(()),
            Some(first) => {
                let more = match self.copied.faults.len() - 1 {
                    0 => String::new(),
                    more => format!(" (and {more} more)"),
                };
                Err(Failure::new(first.kind, format!("{first}{more}")).hint(
                    "the copy holds what is intact; `grotto verify` lists all that is damaged, and a new snapshot \
                     (`grotto publish --snapshot`) leads past it",
                ))
            }
        }
    }

    fn tell(&self, out: &mut Out) -> Outcome<()> {
        let Self {
            dataset,
            target,
            copied,
            ..
        } = self;
        for fault in &copied.faults {
            out.line(format_args!("damaged: {fault}"))?;
        }
        let (first, newest) = (copied.first, copied.newest);
        out.line(format_args!(
            "{dataset}: {target} holds versions {first} to {newest}"
        ))?;
        let (versions, blobs) = (
            things(copied.versions, "version"),
            things(copied.blobs, "blob"),
        );
        let length = bytes(copied.bytes);
        let done = match (copied.versions, copied.blobs) {
            (0, 0) => "nothing new to copy".to_owned(),
            _ => format!("copied: {versions}, {blobs}, {length}"),
        };
        out.line(done)?;
        if copied.mended > 0 {
            out.line(format_args!("mended: {}", things(copied.mended, "object")))?;
        }
        if let Some(records) = self.records {
            let records = things(records, "record");
            out.line(format_args!(
                "version {newest} was rebuilt from it: {records}, as the log says"
            ))?;
        }
        Ok(())
    }

    fn as_json(&self) -> serde_json::Value {
        let copied = self.copied;
        let faults = copied.faults.iter().map(|fault| {
            json!({"version": fault.version, "kind": fault.kind.to_string(), "message": fault.message})
        });
        json!({
            "command": self.what,
            "dataset": self.dataset,
            "identity": copied.identity,
            "before": copied.before,
            "first_version": copied.first,
            "last_version": copied.newest,
            "wanted_version": copied.wanted,
            "versions": copied.versions,
            "blobs": copied.blobs,
            "bytes": copied.bytes,
            "mended": copied.mended,
            "rebuilt": self.records.is_some(),
            "records": self.records,
            "faults": faults.collect::<Vec<_>>(),
        })
    }
}
