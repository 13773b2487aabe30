//! What the held states take, and who else has them mapped.
//!
//! Owns: the measures, and how often the costly one is taken. Never: decides about them, or is asked on the
//! path of a read.

use crate::place::Place;
use crate::shared::Shared;
use grotto_env::FileSystem;
use parking_lot::Mutex;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The system goes through all pages of the process for it: milliseconds for each gigabyte.
const MEASURE_INTERVAL: Duration = Duration::from_secs(10);

/// Where the files of the held states are, to be asked about without waiting for a refresh.
#[derive(Debug)]
pub(crate) struct Site {
    folder: Option<(Arc<dyn FileSystem>, PathBuf)>,
    /// When it was measured, and what was found.
    resident: Mutex<Option<(Duration, Option<u64>)>>,
}

impl Site {
    pub(crate) fn of(place: &Place) -> Self {
        Self {
            folder: place.folder(),
            resident: Mutex::default(),
        }
    }
}

impl Site {
    /// Whether states are files that others can map.
    pub(crate) fn is_folder(&self) -> bool {
        self.folder.is_some()
    }
}

impl Shared {
    /// Bytes of the segments of all held states.
    pub(crate) fn mapped_bytes(&self) -> u64 {
        self.served.segment_bytes()
    }

    /// The same with states of other versions, where these count together.
    pub(crate) fn held_bytes(&self) -> u64 {
        match self.site.is_folder() {
            true => self.mapped_bytes(),
            false => self.served.memory_with(&self.served()),
        }
    }

    /// Bytes of these that are in memory; some seconds old.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        let mapped = self.mapped_bytes();
        let Some((system, path)) = &self.site.folder else {
            return Some(mapped);
        };
        let now = self.env.clock.monotonic();
        let mut last = self.site.resident.lock();
        let fresh = last.filter(|(at, _)| now.saturating_sub(*at) < MEASURE_INTERVAL);
        let (_, found) = fresh.unwrap_or_else(|| (now, system.resident(path)));
        if fresh.is_none() {
            *last = Some((now, found));
        }
        // Readers of this process that are attached to the same files have them mapped once more.
        found.map(|bytes| bytes.min(mapped))
    }

    /// Readers that are attached to the state directory.
    pub(crate) fn attached_readers(&self) -> Option<u64> {
        let (system, path) = self.site.folder.as_ref()?;
        system.readers(path)
    }
}
