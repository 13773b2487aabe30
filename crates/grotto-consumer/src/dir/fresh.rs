//! `FRESH`: when what the directory holds was last known to be the newest.
//!
//! Owns: an empty file whose modification time says so, by the wall clock of the host that all its
//! readers share. Never: decides what is served; it is for people and for health checks.

use grotto_env::FileSystem;
use std::io;
use std::path::Path;
use std::time::Duration;

/// How often the file is touched, at most.
const INTERVAL: Duration = Duration::from_secs(1);

/// When it was touched last.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    noted_at: Option<Duration>,
}

impl Fresh {
    /// Whether the time was not noted a moment ago.
    pub(crate) fn is_due(&self, now: Duration) -> bool {
        self.noted_at
            .is_none_or(|at| now.saturating_sub(at) >= INTERVAL)
    }

    /// Notes the time.
    pub(crate) fn note(
        &mut self,
        system: &dyn FileSystem,
        path: &Path,
        now: Duration,
        wall_ms: u64,
    ) -> io::Result<()> {
        system.touch(path, wall_ms)?;
        self.noted_at = Some(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dir::host::HostFiles;

    #[test]
    fn the_time_is_noted_and_read_back_and_due_again_after_a_while() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("FRESH");
        let mut fresh = Fresh::default();
        assert!(fresh.is_due(Duration::ZERO));
        assert_eq!(HostFiles::default().touched(&path), None);
        for (now, wall_ms) in [
            (Duration::ZERO, 1_700_000_000_123),
            (INTERVAL, 1_700_000_001_123),
        ] {
            fresh
                .note(&HostFiles::default(), &path, now, wall_ms)
                .unwrap();
            assert_eq!(HostFiles::default().touched(&path), Some(wall_ms));
            assert!(!fresh.is_due(now + INTERVAL / 2));
            assert!(fresh.is_due(now + INTERVAL));
        }
    }
}
