//! What a state takes, before it is built and after.
//!
//! Owns: the memory limit, and the figures it is held against. Never: builds anything.
//!
//! A state takes its segments: blocks, indexes, and what is dead in them. With a state directory each state
//! stands for itself: the one before is on disk, and its pages can be dropped. On the heap all states that are
//! held count together, as they are in memory together, those of other versions too that somebody asked for. With a
//! state directory these count by themselves.

use crate::shared::Shared;
use grotto_format::blob::{BlobHeader, SectionKind};
use grotto_state::State;

impl Shared {
    /// Why a state that a blob leads to cannot fit, by what the blob holds; `None` if it may.
    pub(crate) fn forecast(&self, base: &State, header: &BlobHeader) -> Option<String> {
        let limit = self.holding.memory_limit?;
        // Which sections are kept is known once they are read.
        if base.filter().is_some() {
            return None;
        }
        let kept = match self.site.is_folder() {
            // How much of the state before a delta leaves as it is shows once it is built.
            true => 0,
            false => self.served.memory_with(base),
        };
        self.refuse(kept.saturating_add(raw_bytes(header)), limit)
    }

    /// The same of a state of another version, which is built in memory beside what is served.
    pub(crate) fn forecast_visit(&self, base: &State, header: &BlobHeader) -> Option<String> {
        let limit = self.holding.memory_limit?;
        if base.filter().is_some() {
            return None;
        }
        let kept = self.memory_of_visits(base);
        let needs = kept.saturating_add(raw_bytes(header));
        refuse(needs, limit, self.memory_of_visits(&self.served()))
    }

    /// The same of one that was built.
    pub(crate) fn measure_visit(&self, built: &State) -> Option<String> {
        let limit = self.holding.memory_limit?;
        let used = self.memory_of_visits(&self.served());
        refuse(self.memory_of_visits(built), limit, used)
    }

    /// What counts with states of other versions that are held: on the heap the served ones, too.
    fn memory_of_visits(&self, built: &State) -> u64 {
        match self.site.is_folder() {
            true => self.served.visited_bytes_with(built),
            false => self.served.memory_with(built),
        }
    }

    /// The same of a state that was built.
    pub(crate) fn measure(&self, built: &State) -> Option<String> {
        let limit = self.holding.memory_limit?;
        let needs = match self.site.is_folder() {
            true => taken(built),
            false => self.served.memory_with(built),
        };
        self.refuse(needs, limit)
    }

    /// With what older versions take of the limit, where all count together.
    fn refuse(&self, needs: u64, limit: u64) -> Option<String> {
        let used = self.held_bytes();
        let told = refuse(needs, limit, used)?;
        match used.saturating_sub(taken(&self.served())) {
            0 => Some(told),
            _ if self.site.is_folder() => Some(told),
            older => {
                let older = amount(older);
                Some(format!(
                    "{told}, {older} of it by older versions that somebody still reads"
                ))
            }
        }
    }
}

fn refuse(needs: u64, limit: u64, used: u64) -> Option<String> {
    (needs > limit).then(|| {
        let (needs, limit, used) = (amount(needs), amount(limit), amount(used));
        format!("needs about {needs}, limit {limit}, used now {used}")
    })
}

/// Bytes of a state's segments.
fn taken(state: &State) -> u64 {
    let segments = state.segments();
    segments.map(|segment| segment.bytes().len() as u64).sum()
}

/// Bytes of the records in a blob once they are decompressed: fixed parts and texts, close to what their blocks
/// take. Indexes come on top, so that what is past a limit by this is past it.
fn raw_bytes(header: &BlobHeader) -> u64 {
    let columns = header.sections.iter();
    let columns = columns.filter(|section| matches!(section.kind, SectionKind::Column(_)));
    columns.fold(0, |sum, section| sum.saturating_add(section.raw))
}

/// Bytes for people: `21527 bytes`, `48.2 MB`.
pub(super) fn amount(bytes: u64) -> String {
    if bytes < 1_000_000 {
        return format!("{bytes} bytes");
    }
    format!("{:.1} MB", bytes as f64 / 1e6)
}
