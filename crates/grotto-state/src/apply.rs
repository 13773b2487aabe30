//! Applying a blob to a state.
//!
//! Owns: the refresh step that consumers and the producer's integrity check share. Work follows the
//! change: touched blocks, bitmap pages and index pages are copied into one new segment.
//! Never changes the state it starts from; a failure leaves nothing behind but an unused segment.

mod bulk;
mod change;
mod changes;
mod content;
mod effort;
mod indexes;
mod live;
mod rebuild;
mod sections;
mod sound;
mod unit;
mod work;

use crate::error::{StateError, StateResult};
use crate::known::TypeInfo;
use crate::segment::Seal;
use crate::state::{State, TypeState};
pub use changes::{Changes, TypeChanges};
pub use effort::Effort;
use grotto_format::Limits;
use grotto_format::blob::{Blob, BlobHeader, BlobKind};
use grotto_format::schema::{Schema, TypeId};
use sections::TypeSections;
use std::sync::Arc;
pub(crate) use work::Work;

impl State {
    /// The state that a blob leads to. A snapshot applies to [`State::empty`], a delta or reverse delta
    /// to the state at its `from` version.
    ///
    /// # Errors
    /// When the blob does not belong to this state, or does not lead to what its header promises.
    pub fn apply(&self, blob: &Blob, seal: &mut dyn Seal) -> StateResult<(Self, Changes)> {
        self.apply_on(blob, seal, threads())
    }

    /// The same on this many threads.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn apply_on(
        &self,
        blob: &Blob,
        seal: &mut dyn Seal,
        threads: usize,
    ) -> StateResult<(Self, Changes)> {
        let header = &blob.header;
        self.check_from(header)?;
        let base = self.under_schema_of(header)?;
        let mut sections = sections::by_type(blob, &base.infos)?;
        for (id, sections) in base.schema.ids().zip(&mut sections) {
            if !base.keeps(id) {
                *sections = sections::TypeSections::default();
            }
        }
        let alive = live::of_blob(&base, blob, &sections)?;
        let mut work = Work::new(&base, seal)?;
        work.threads = threads;
        let mut changes = Changes::default();
        let mut types = Vec::with_capacity(base.types.len());
        let mut keys = Vec::with_capacity(base.types.len());
        let mut blocks = 0;
        for (position, sections) in sections.iter().enumerate() {
            let id = TypeId(position as u16);
            let (ty, change, loaded) =
                change::apply_type(&base, id, blob, sections, &alive, threads, &mut work)?;
            // Counted as a snapshot would have them, whatever blocks there are of other sizes.
            blocks += (ty.blocks.len() << ty.shift).div_ceil(1 << ty.span);
            let most = blob.limits().blocks;
            if blocks > most {
                let name = &base.schema.get(id).name;
                return Err(StateError::Limit(format!(
                    "expected at most {most} blocks in a state, found {blocks} up to type {name}: \
                     spread the records over several datasets"
                )));
            }
            types.push(ty);
            changes.types.push(change);
            keys.push(loaded);
        }
        let (next, effort, suspects) =
            indexes::index_phase(&base, types, &changes, keys, header.to, work)?;
        changes.effort = effort;
        check_to(&next, header)?;
        sound::check_keys(&next, &suspects)?;
        sound::check_orders(&next, &changes, threads)?;
        Ok((next.without_dropped(), changes))
    }

    fn check_from(&self, header: &BlobHeader) -> StateResult<()> {
        let direction = match header.kind {
            BlobKind::Snapshot => header.from == 0,
            BlobKind::Delta => header.to > header.from,
            BlobKind::Reverse => header.to < header.from,
            BlobKind::Header => false,
        };
        if !direction {
            return Err(mismatch(
                header,
                "expected versions in the direction of its kind".into(),
            ));
        }
        let found = format!(
            "version {}, checksum {:016x}",
            self.version,
            self.checksum()
        );
        let expected = format!(
            "version {}, checksum {:016x}",
            header.from, header.from_checksum
        );
        let version = header.from == self.version;
        // The checksum of what is left out is not known here: whoever applies compares those of the kept types
        // with the log.
        let same = self.filter().is_some() || header.from_checksum == self.checksum();
        if version && same && header.from_schema_hash == self.schema_hash() {
            return Ok(());
        }
        Err(mismatch(
            header,
            format!("expected a state at {expected}, found {found}"),
        ))
    }

    fn under_schema_of(&self, header: &BlobHeader) -> StateResult<Self> {
        let base = match &header.schema_text {
            Some(text) => {
                let schema = Schema::parse(text).map_err(|e| mismatch(header, e.to_string()))?;
                self.evolved(&Arc::new(schema))?
            }
            None => self.at_version(self.version),
        };
        if base.schema_hash() != header.schema_hash {
            let (expected, found) = (header.schema_hash, base.schema_hash());
            return Err(mismatch(
                header,
                format!("expected schema {expected:016x}, found {found:016x}"),
            ));
        }
        if header.types.len() != base.types.len() {
            let (expected, found) = (base.types.len(), header.types.len());
            return Err(mismatch(
                header,
                format!("expected {expected} types, found {found}"),
            ));
        }
        Ok(base)
    }
}

fn check_to(next: &State, header: &BlobHeader) -> StateResult<()> {
    if next.filter().is_none() && next.checksum() != header.to_checksum {
        let (expected, found) = (header.to_checksum, next.checksum());
        return Err(StateError::Checksum {
            version: header.to,
            expected,
            found,
        });
    }
    for (position, info) in header.types.iter().enumerate() {
        let id = TypeId(position as u16);
        if next.keeps(id) && next.count(id) != info.live {
            let name = &next.schema.get(id).name;
            let reason = format!(
                "expected {} records of {name}, found {}",
                info.live,
                next.count(id)
            );
            return Err(mismatch(header, reason));
        }
    }
    Ok(())
}

pub(crate) fn mismatch(header: &BlobHeader, reason: String) -> StateError {
    StateError::Mismatch {
        kind: header.kind.name(),
        from: header.from,
        to: header.to,
        reason,
    }
}

/// The sections of one type, and what its columns look like.
struct TypeWork<'a> {
    id: TypeId,
    info: &'a TypeInfo,
    /// The type as the refresh finds it, under the size of blocks that the blob says.
    old: &'a TypeState,
    sections: &'a TypeSections,
    demands: sound::Demands<'a>,
    limits: &'a Limits,
    /// Threads that a load may use, this one included.
    threads: usize,
}

/// Threads that a load may use, this one included.
fn threads() -> usize {
    std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(8)
}
