//! Sweeping what a crash leaves behind in a local folder.
//!
//! Owns: the staged files of the folder backend (`name#1`), which its listings hide and which
//! nobody else would ever remove. Never: touches a file whose name an object could have.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use crate::dataset::Dataset;
use crate::error::{Error, Result};

impl Dataset {
    /// Removes staged files of this dataset older than `grace` and returns their paths. Does
    /// nothing on stores that are not a local folder.
    ///
    /// The grace period must be longer than any upload takes: a staged file may belong to a writer
    /// that is still at work.
    ///
    /// # Errors
    /// That of the host, naming the path; files removed before stay removed.
    pub async fn sweep_leftovers(&self, grace: Duration) -> Result<Vec<PathBuf>> {
        let Some(root) = self.store.local_root() else {
            return Ok(Vec::new());
        };
        let folder = root.join(self.name());
        let now_ms = self.store.env().clock.wall_ms();
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let oldest_ms = now_ms.saturating_sub(grace_ms);
        let shown = folder.display().to_string();
        let env = self.store.env();
        env.blocking(move || {
            let mut removed = Vec::new();
            sweep_folder(&folder, oldest_ms, &mut removed).map(|()| removed)
        })
        .await
        .map_err(|e| Error::internal("the sweep ended early").with_source(e))?
        .map_err(|e| Error::unavailable(format!("cannot sweep {shown}")).with_source(e))
    }
}

fn sweep_folder(folder: &Path, oldest_ms: u64, removed: &mut Vec<PathBuf>) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        // Links are not followed: what lies behind one is not ours.
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sweep_folder(&entry.path(), oldest_ms, removed)?;
        } else if kind.is_file() && is_staged(&entry.path()) {
            remove_if_old(entry.path(), oldest_ms, removed)?;
        }
    }
    Ok(())
}

fn remove_if_old(path: PathBuf, oldest_ms: u64, removed: &mut Vec<PathBuf>) -> io::Result<()> {
    let answer = modified_ms(&path).and_then(|modified| {
        if modified < oldest_ms {
            std::fs::remove_file(&path).map(|()| true)
        } else {
            Ok(false)
        }
    });
    match answer {
        Ok(true) => removed.push(path),
        Ok(false) => {}
        // Its writer finished meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

fn modified_ms(path: &Path) -> io::Result<u64> {
    let modified = std::fs::metadata(path)?.modified()?;
    let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// `name#<digits>`: no object of ours has a `#` in its name.
fn is_staged(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let digits = name
        .and_then(|name| name.rsplit_once('#'))
        .map(|(_, digits)| digits);
    digits.is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
}
