//! The room that a state directory takes.
//!
//! Owns: which files there may be for what is served. Never: removes one.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use super::Reader;

/// Files of a directory whose number does not depend on what is served.
const SINGLE: [&str; 3] = ["LOCK", "FRESH", "CURRENT"];
/// Roots that are kept: the newest, and the one before for those who have just read its name.
const ROOTS: usize = 2;

impl Reader {
    /// Names of the segments of what is served.
    pub(crate) fn segments(&self) -> BTreeSet<u64> {
        let state = self.life.as_ref().map(|life| life.consumer.state());
        let segments = state.iter().flat_map(|state| state.segments());
        segments.map(|segment| segment.name()).collect()
    }

    pub(crate) fn serves(&self, version: u64) -> bool {
        let life = self.life.as_ref();
        life.is_some_and(|life| life.consumer.version() == version)
    }

    /// A directory holds what the served version needs and what the one before it needed, with the segments
    /// `before`, and nothing of what failed on the way.
    pub(crate) fn check_room(&self, before: &BTreeSet<u64>) {
        let mount = self.life.as_ref().and_then(|life| life.mount.as_ref());
        let (Some(disk), Some(false)) = (&self.disk, mount.map(|mount| mount.is_dead())) else {
            return;
        };
        let segments: BTreeSet<u64> = self.segments().union(before).copied().collect();
        let mut roots = 0;
        for path in disk.paths() {
            let name = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
            let known = match path.extension().and_then(OsStr::to_str) {
                Some("root") => {
                    roots += 1;
                    roots <= ROOTS
                }
                Some("seg") => name.parse().is_ok_and(|name| segments.contains(&name)),
                _ => SINGLE.contains(&name) && path.extension().is_none(),
            };
            if !known {
                let what = format!("{} is kept and of no use any more", path.display());
                self.violation(&what);
            }
        }
    }
}
