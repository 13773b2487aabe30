//! `FRESH`: when what the directory holds was last known to be the newest.
//!
//! Owns: an empty file whose modification time says so, by the wall clock of the host that all its
//! readers share. Never: decides what is served; it is for people and for health checks.

use crate::dir::files;
use std::fs::File;
use std::io;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

/// How often the file is touched, at most.
const INTERVAL: Duration = Duration::from_secs(1);

/// The file, as its writer holds it.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    file: Option<File>,
    noted_at: Option<Duration>,
}

impl Fresh {
    /// Notes the time, unless it was noted a moment ago.
    pub(crate) fn note(&mut self, path: &Path, now: Duration, wall_ms: u64) -> io::Result<()> {
        let recent = |at: Duration| now.saturating_sub(at) < INTERVAL;
        if self.noted_at.is_some_and(recent) {
            return Ok(());
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => files::options()
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)?,
        };
        file.set_modified(UNIX_EPOCH + Duration::from_millis(wall_ms))?;
        self.file = Some(file);
        self.noted_at = Some(now);
        Ok(())
    }
}

/// The time that was noted last, in milliseconds of the wall clock; `None` if there is none.
pub(crate) fn read(path: &Path) -> Option<u64> {
    let modified = std::fs::metadata(path).and_then(|found| found.modified());
    let since = modified.ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_noted_once_in_a_while_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("FRESH");
        let mut fresh = Fresh::default();
        assert_eq!(read(&path), None);
        fresh
            .note(&path, Duration::ZERO, 1_700_000_000_123)
            .unwrap();
        assert_eq!(read(&path), Some(1_700_000_000_123));
        fresh.note(&path, INTERVAL / 2, 1_700_000_000_623).unwrap();
        assert_eq!(read(&path), Some(1_700_000_000_123));
        fresh.note(&path, INTERVAL, 1_700_000_001_123).unwrap();
        assert_eq!(read(&path), Some(1_700_000_001_123));
    }
}
