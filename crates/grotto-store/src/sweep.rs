//! What a crash leaves behind in a local folder: listing and sweeping it.
//!
//! Owns: the staged files of the folder backend (`name#1`), which its listings hide and which
//! nobody else would ever remove. Never: touches a file whose name an object could have.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use crate::dataset::Dataset;
use crate::error::{Error, Result};

/// A file that a writer did not finish, or not yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Its name in the dataset's folder.
    pub name: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// When it was last written to, in milliseconds since 1970.
    modified_ms: u64,
}

impl Dataset {
    /// The staged files of this dataset, by name: of writers that are at work, and of those that were
    /// killed. None on stores that are not a local folder.
    ///
    /// # Errors
    /// That of the host, naming the dataset's folder.
    pub async fn leftovers(&self) -> Result<Vec<Leftover>> {
        self.in_folder("list", |folder| list(&folder)).await
    }

    /// Removes staged files of this dataset older than `grace` and returns their paths. Does
    /// nothing on stores that are not a local folder.
    ///
    /// The grace period must be longer than any upload takes: a staged file may belong to a writer
    /// that is still at work.
    ///
    /// # Errors
    /// That of the host, naming the path; files removed before stay removed.
    pub async fn sweep_leftovers(&self, grace: Duration) -> Result<Vec<PathBuf>> {
        let now_ms = self.store.env().clock.wall_ms();
        self.sweep_as_of(now_ms, grace).await
    }

    /// The same where the time is known, in milliseconds since 1970.
    pub(crate) async fn sweep_as_of(&self, now_ms: u64, grace: Duration) -> Result<Vec<PathBuf>> {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        let oldest_ms = now_ms.saturating_sub(grace_ms);
        self.in_folder("sweep", move |folder| remove_old(&folder, oldest_ms))
            .await
    }

    /// Does something in the dataset's folder if there is one, away from the runtime.
    async fn in_folder<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(PathBuf) -> io::Result<Vec<T>> + Send + 'static,
    ) -> Result<Vec<T>> {
        let Some(root) = self.store.local_root() else {
            return Ok(Vec::new());
        };
        let folder = root.join(self.name());
        let shown = folder.display().to_string();
        let done = self.store.env().blocking(move || work(folder)).await;
        done.map_err(|e| Error::internal(format!("the {action} ended early")).with_source(e))?
            .map_err(|e| Error::unavailable(format!("cannot {action} {shown}")).with_source(e))
    }
}

fn list(folder: &Path) -> io::Result<Vec<Leftover>> {
    let mut found = Vec::new();
    list_below(folder, Path::new(""), &mut found)?;
    found.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

fn list_below(root: &Path, folder: &Path, found: &mut Vec<Leftover>) -> io::Result<()> {
    let entries = match std::fs::read_dir(root.join(folder)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        // Links are not followed: what lies behind one is not ours.
        let (kind, name) = (entry.file_type()?, folder.join(entry.file_name()));
        if kind.is_dir() {
            list_below(root, &name, found)?;
        } else if kind.is_file() && is_staged(&name) {
            found.extend(unless_finished(measure(root, name))?);
        }
    }
    Ok(())
}

fn measure(root: &Path, name: PathBuf) -> io::Result<Leftover> {
    let metadata = std::fs::metadata(root.join(&name))?;
    let since = metadata.modified()?.duration_since(UNIX_EPOCH);
    let modified = since.unwrap_or_default().as_millis();
    Ok(Leftover {
        name,
        bytes: metadata.len(),
        modified_ms: u64::try_from(modified).unwrap_or(u64::MAX),
    })
}

fn remove_old(folder: &Path, oldest_ms: u64) -> io::Result<Vec<PathBuf>> {
    let mut removed = Vec::new();
    for leftover in list(folder)? {
        if leftover.modified_ms < oldest_ms {
            let path = folder.join(leftover.name);
            let gone = std::fs::remove_file(&path);
            removed.extend(unless_finished(gone)?.map(|()| path));
        }
    }
    Ok(removed)
}

/// Nothing where the writer of a file finished it meanwhile.
fn unless_finished<T>(done: io::Result<T>) -> io::Result<Option<T>> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// `name#<digits>`: no object of ours has a `#` in its name.
fn is_staged(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let digits = name
        .and_then(|name| name.rsplit_once('#'))
        .map(|(_, digits)| digits);
    digits.is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
}
