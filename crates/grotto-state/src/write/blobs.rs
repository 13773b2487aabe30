//! The blobs of a cycle: the delta, and the reverse delta that leads back.
//!
//! Owns: what goes into either, and encoding both side by side. Never applies one: that they lead to where
//! they should is checked by whoever asked for them.

use super::cycle::Cycle;
use super::size;
use super::stage::Stage;
use crate::encode::{EncodeOptions, Job, Origin, Part, encode_all, jobs, over, type_infos};
use crate::error::{StateError, StateResult};
use crate::state::State;
use grotto_format::batch::encode_ordinals;
use grotto_format::blob::{BlobHeader, BlobKind, BlobWriter, PackedSection, SectionKind, TypeInfo};
use grotto_format::checksum;
use grotto_format::schema::TypeId;
use grotto_format::{Limits, OverLimit};

/// A blob before it is encoded.
struct Draft<'a> {
    header: BlobHeader,
    /// Ordinals that lose their record, by type.
    removed: Vec<(u16, Vec<u32>)>,
    parts: Vec<Part<'a>>,
}

impl Cycle {
    /// The delta, and the reverse delta unless the committed state has no schema to return to.
    pub(super) fn encode(
        &self,
        options: &EncodeOptions,
        limits: &Limits,
    ) -> StateResult<(Vec<u8>, Option<Vec<u8>>)> {
        let staged: Vec<Sorted> = self.stages.iter().map(Sorted::of).collect();
        let delta = self.delta(&staged, options);
        let back = self.way_back(&staged);
        let has_schema = !self.before.schema().types().is_empty();
        let reverse = has_schema.then(|| self.reverse(&delta.header, &back));
        let drafts = [Some(delta), reverse].into_iter().flatten().collect();
        let mut blobs = write_all(drafts, options, limits)?.into_iter();
        Ok((blobs.next().unwrap_or_default(), blobs.next()))
    }

    fn delta<'a>(&'a self, staged: &'a [Sorted], options: &EncodeOptions) -> Draft<'a> {
        let mut types = Vec::new();
        let mut to_checksum = 0_u64;
        let mut removed = Vec::new();
        let mut parts = Vec::new();
        for (position, (stage, sorted)) in self.stages.iter().zip(staged).enumerate() {
            let id = TypeId(position as u16);
            let ty = &self.base.types[position];
            let shift = size::of_blocks(&self.base, ty, stage);
            // Saturating: a damaged state may count fewer records than it holds.
            let new = stage.batch.rows as u64 - stage.updates.len() as u64;
            let live = (ty.live + new).saturating_sub(stage.removed.len() as u64);
            types.push(TypeInfo { shift, live });
            to_checksum = to_checksum.wrapping_add(self.checksum_after(id, stage));
            removed.push((position as u16, sorted.left.clone()));
            parts.push(Part {
                type_id: position as u16,
                name: &self.schema.get(id).name,
                kinds: &self.base.infos[position].kinds,
                shift,
                ordinals: &sorted.ordinals,
                origin: Origin::Staged(&stage.batch, &sorted.rows),
            });
        }
        let header = BlobHeader {
            kind: BlobKind::Delta,
            dataset: options.dataset.clone(),
            from: self.before.version(),
            to: options.version,
            from_checksum: self.before.checksum(),
            to_checksum,
            from_schema_hash: self.before.schema_hash(),
            schema_hash: self.base.schema_hash(),
            schema_text: schema_text(&self.before, &self.base),
            types,
            sections: Vec::new(),
        };
        Draft {
            header,
            removed,
            parts,
        }
    }

    /// State checksum of a type after the cycle, from what was staged and not from what was encoded.
    fn checksum_after(&self, id: TypeId, stage: &Stage) -> u64 {
        let mut sum = self.base.types[id.index()].checksum;
        for (ordinal, hash) in stage.ordinals.iter().zip(&stage.hashes) {
            sum = sum.wrapping_add(checksum::record(*hash, *ordinal));
        }
        for ordinal in stage.removed.iter().chain(stage.updates.keys()) {
            let content = self
                .base
                .row(id, *ordinal)
                .map_or(0, |record| record.content_hash());
            sum = sum.wrapping_sub(checksum::record(content, *ordinal));
        }
        sum
    }

    /// What goes and what comes on the way back, by type of the committed state.
    fn way_back(&self, staged: &[Sorted]) -> Vec<(Vec<u32>, Vec<u32>)> {
        let types = self.before.schema().ids();
        let back = types.map(|old| match self.new_of[old.index()] {
            Some(new) => staged
                .get(new.index())
                .map_or_else(Default::default, |sorted| {
                    (sorted.ordinals.clone(), sorted.left.clone())
                }),
            None => (Vec::new(), self.before.ordinals(old).collect()),
        });
        back.collect()
    }

    /// Leads from where the delta does to where it starts.
    fn reverse<'a>(&'a self, delta: &BlobHeader, back: &'a [(Vec<u32>, Vec<u32>)]) -> Draft<'a> {
        let before = &self.before;
        let (mut removed, mut parts) = (Vec::new(), Vec::new());
        for (old, (gone, added)) in before.schema().ids().zip(back) {
            let position = old.index();
            removed.push((old.0, gone.clone()));
            parts.push(Part {
                type_id: old.0,
                name: &before.schema().get(old).name,
                kinds: &before.infos[position].kinds,
                shift: before.types[position].span,
                ordinals: added,
                origin: Origin::Stored(before, old),
            });
        }
        let header = BlobHeader {
            kind: BlobKind::Reverse,
            dataset: delta.dataset.clone(),
            from: delta.to,
            to: delta.from,
            from_checksum: delta.to_checksum,
            to_checksum: delta.from_checksum,
            from_schema_hash: delta.schema_hash,
            schema_hash: delta.from_schema_hash,
            schema_text: schema_text(&self.base, before),
            types: type_infos(before),
            sections: Vec::new(),
        };
        Draft {
            header,
            removed,
            parts,
        }
    }
}

fn schema_text(from: &State, to: &State) -> Option<String> {
    (from.schema_hash() != to.schema_hash()).then(|| to.schema().to_string())
}

/// What was staged of one type, by rising ordinal.
struct Sorted {
    ordinals: Vec<u32>,
    rows: Vec<u32>,
    /// Ordinals that lose their record.
    left: Vec<u32>,
}

impl Sorted {
    fn of(stage: &Stage) -> Self {
        let mut rows: Vec<u32> = (0..stage.ordinals.len() as u32).collect();
        if !stage.ordinals.is_sorted() {
            rows.sort_unstable_by_key(|row| stage.ordinals[*row as usize]);
        }
        let ordinals = rows
            .iter()
            .map(|row| stage.ordinals[*row as usize])
            .collect();
        Self {
            ordinals,
            rows,
            left: stage.left(),
        }
    }
}

/// Encodes blobs; chunks of all of them side by side.
fn write_all(
    drafts: Vec<Draft<'_>>,
    options: &EncodeOptions,
    limits: &Limits,
) -> StateResult<Vec<Vec<u8>>> {
    let (mut all, mut ends) = (Vec::new(), Vec::new());
    for draft in &drafts {
        let removed = draft.removed.iter().filter(|(_, o)| !o.is_empty());
        all.append(&mut jobs(&draft.parts, removed.count() as u64, limits)?);
        ends.push(all.len());
    }
    let mut sections = encode_all(&all, options, limits)?.into_iter();
    let (mut blobs, mut start) = (Vec::new(), 0);
    for (draft, end) in drafts.into_iter().zip(ends) {
        blobs.push(write(
            draft,
            &all[start..end],
            &mut sections,
            options,
            limits,
        )?);
        start = end;
    }
    Ok(blobs)
}

/// Puts a blob together; `sections` begin with those of its jobs.
fn write(
    draft: Draft<'_>,
    jobs: &[Job<'_>],
    sections: &mut impl Iterator<Item = PackedSection>,
    options: &EncodeOptions,
    limits: &Limits,
) -> StateResult<Vec<u8>> {
    let mut writer = BlobWriter::new(draft.header, options.level).within(limits);
    let mut jobs = jobs.iter().peekable();
    for (part, (type_id, ordinals)) in draft.parts.iter().zip(draft.removed) {
        if !ordinals.is_empty() {
            let mut raw = Vec::new();
            encode_ordinals(&ordinals, &mut raw);
            OverLimit::check("bytes", raw.len() as u64, limits.section).map_err(|over| {
                let (name, count) = (part.name, ordinals.len());
                StateError::Limit(format!(
                    "type {name}, the list of {count} removed records: {over}: remove them in several cycles"
                ))
            })?;
            writer.section(type_id, 0, SectionKind::Removed, raw);
        }
        while let Some(job) = jobs.next_if(|job| job.type_id == type_id) {
            sections
                .by_ref()
                .take(1 + job.kinds.len())
                .for_each(|section| writer.packed(section));
        }
    }
    writer.finish().map_err(over)
}
