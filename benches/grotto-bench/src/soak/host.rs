//! What the process and its folders hold.
//!
//! Owns: reading `/proc` and counting files. Never: interprets.

use anyhow::{Context, Result};
use std::path::Path;

/// What the system counts for this process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Host {
    pub(super) open_files: f64,
    pub(super) maps: f64,
    pub(super) threads: f64,
    /// Bytes of memory that no file stands behind.
    pub(super) private: f64,
}

impl Host {
    pub(super) fn now() -> Result<Self> {
        let count = |path: &str| -> Result<f64> {
            let entries = std::fs::read_dir(path).with_context(|| path.to_owned())?;
            Ok(entries.count() as f64)
        };
        let maps = read("/proc/self/maps")?;
        Ok(Self {
            open_files: count("/proc/self/fd")?,
            threads: count("/proc/self/task")?,
            maps: maps.lines().count() as f64,
            private: private()?,
        })
    }
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| path.to_owned())
}

fn private() -> Result<f64> {
    let status = read("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
    let kilobytes: f64 = kilobytes
        .context("/proc/self/status has no RssAnon")?
        .trim()
        .parse()?;
    Ok(kilobytes * 1024.0)
}

/// Files below a folder, and their bytes.
pub(super) fn files_below(folder: &Path) -> Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                files += 1;
                bytes += entry.metadata()?.len();
            }
        }
    }
    Ok((files, bytes))
}
