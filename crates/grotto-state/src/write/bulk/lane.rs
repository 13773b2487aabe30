//! One type's part of a full cycle: its records, batch after batch, in the order they came.
//!
//! Owns: the stage of the type while the pipeline runs. What it does with a record depends only on
//! earlier records of the type and on the ordinals of its children, so the outcome is the same however
//! many threads there are. Never touches another type.

mod refused;

use super::parse::{Head, Rows};
use super::{Batch, Ground, NONE};
use crate::error::{StateError, StateResult};
use crate::hash::Secret;
use crate::known::TypeInfo;
use crate::write::flatkey::flat_error;
use crate::write::intern::{Cell, Row, in_stored_order};
use crate::write::stage::Stage;
use grotto_format::checksum;
use grotto_format::schema::{FieldType, TypeId, TypeKind};

/// Records whose places in the table are looked at together.
const AHEAD: usize = 32;

/// Why a lane does not go on.
enum Stop {
    Error(StateError),
    /// A child's lane has stopped at this record, and says why.
    Child,
}

impl From<StateError> for Stop {
    fn from(error: StateError) -> Self {
        Self::Error(error)
    }
}

#[derive(Debug)]
pub(super) struct Lane {
    id: TypeId,
    pub(super) stage: Stage,
    /// After an error nothing more is taken.
    stopped: bool,
    cells: Vec<Cell>,
    elements: Vec<u32>,
    list: Vec<(u64, u32, u32)>,
}

impl Lane {
    pub(super) fn new(id: TypeId, stage: Stage) -> Self {
        Self {
            id,
            stage,
            stopped: false,
            cells: Vec::new(),
            elements: Vec::new(),
            list: Vec::new(),
        }
    }

    /// Takes the type's records of a batch; gives their ordinals, and, after an error, which of the
    /// batch's records it came with. Those from there on have no ordinal then.
    pub(super) fn take(
        &mut self,
        ground: &Ground,
        batch: &Batch,
    ) -> (Vec<u32>, Option<(u32, StateError)>) {
        let rows = &batch.rows[self.id.index()];
        let mut ordinals = Vec::with_capacity(rows.heads.len());
        let mut cells = 0;
        for (at, head) in rows.heads.iter().enumerate() {
            if self.stopped {
                break;
            }
            if at % AHEAD == 0 {
                self.warm(ground, rows.heads.iter().skip(at).take(AHEAD));
            }
            match self.take_row(ground, batch, rows, head, cells) {
                Ok(ordinal) => ordinals.push(ordinal),
                Err(stop) => {
                    self.stopped = true;
                    if let Stop::Error(error) = stop {
                        return (ordinals, Some((head.given, error)));
                    }
                }
            }
            cells = head.cells;
        }
        (ordinals, None)
    }

    /// Looks for records in the table before each of them waits for it. These lookups depend on
    /// nothing, so their waits overlap: taking in five million records spent half of its time in one
    /// wait after the other.
    fn warm<'h>(&self, ground: &Ground, heads: impl Iterator<Item = &'h Head>) {
        let info = &ground.base.infos[self.id.index()];
        for head in heads {
            let hash = match info.key {
                Some(_) => head.lookup,
                None => info.secret.finish(head.lookup),
            };
            std::hint::black_box(self.stage.table.find(hash, |_| false));
        }
    }

    fn take_row(
        &mut self,
        ground: &Ground,
        batch: &Batch,
        rows: &Rows,
        head: &Head,
        first: usize,
    ) -> Result<u32, Stop> {
        let position = batch.given[head.given as usize].position;
        if head.top
            && head.base != NONE
            && let Some(earlier) = self.stage.see(head.base, position)
        {
            return Err(self.duplicate_of_base(ground, head.base, earlier, position));
        }
        if head.same {
            if let Some(first) = self.stage.changed_at(head.base) {
                return Err(self.duplicate_of_base(ground, head.base, first, position));
            }
            self.stage.kept.insert(head.base);
            return Ok(head.base);
        }
        let hashes = self.resolve(ground, batch, rows, head, first)?;
        let (cells, elements) = (
            std::mem::take(&mut self.cells),
            std::mem::take(&mut self.elements),
        );
        let row = Row {
            id: self.id,
            flat: &batch.bytes,
            cells: &cells,
            elements: &elements,
        };
        let found = self.locate(ground, row, head, hashes, position);
        (self.cells, self.elements) = (cells, elements);
        found.map_err(Stop::Error)
    }

    /// Puts the values of a row into `cells`, ordinals in place of rows.
    fn resolve(
        &mut self,
        ground: &Ground,
        batch: &Batch,
        rows: &Rows,
        head: &Head,
        first: usize,
    ) -> Result<Hashes, Stop> {
        let ordinal = |to: TypeId, row: u32| {
            let ordinals = batch.ordinals[to.index()].get();
            let found = ordinals.and_then(|ordinals| ordinals.get(row as usize));
            found.copied().ok_or(Stop::Child)
        };
        let info = &ground.base.infos[self.id.index()];
        self.cells.clear();
        self.cells.resize(info.kinds.len(), Cell::Null);
        let mut hashes = Hashes {
            content: head.content,
            lookup: head.lookup,
        };
        match &ground.schema.get(self.id).kind {
            TypeKind::Object(object) => {
                for (column, cell) in &rows.cells[first..head.cells] {
                    let at = usize::from(*column);
                    self.cells[at] = *cell;
                    if let (FieldType::Reference(to), Cell::Fixed(row)) =
                        (object.fields[at].ty, cell)
                    {
                        let word = u64::from(ordinal(to, *row as u32)?);
                        self.cells[at] = Cell::Fixed(word);
                        hashes.add(
                            checksum::fixed(info.seeds[at], word),
                            Secret::fixed(&info.fields[at], word),
                        );
                    }
                }
                return Ok(hashes.finished(info, head));
            }
            TypeKind::List { element } => {
                let children = children_of(rows, first);
                self.elements.clear();
                for row in &rows.elements[children] {
                    self.elements.push(ordinal(*element, *row)?);
                }
            }
            TypeKind::Set { element, .. } => {
                self.list.clear();
                for at in children_of(rows, first) {
                    let child = ordinal(*element, rows.elements[at])?;
                    self.list.push((rows.order[at], child, 0));
                }
                self.put_in_order(ground, false)?;
            }
            TypeKind::Map { key, value, .. } => {
                self.list.clear();
                for at in children_of(rows, first).step_by(2) {
                    let child = ordinal(*key, rows.elements[at])?;
                    let value = ordinal(*value, rows.elements[at + 1])?;
                    self.list.push((rows.order[at / 2], child, value));
                }
                self.put_in_order(ground, true)?;
            }
        }
        let length = self.elements.len();
        self.cells[0] = Cell::Elements { start: 0, length };
        let elements = || self.elements.iter().copied();
        hashes.add(
            checksum::elements(info.seeds[0], elements()),
            info.secret.elements(&info.fields[0], elements()),
        );
        Ok(hashes.finished(info, head))
    }

    fn put_in_order(&mut self, ground: &Ground, entries: bool) -> StateResult<()> {
        in_stored_order(&mut self.list).map_err(|e| flat_error(&ground.schema, self.id, e))?;
        self.elements.clear();
        for (_, ordinal, value) in &self.list {
            self.elements.push(*ordinal);
            if entries {
                self.elements.push(*value);
            }
        }
        Ok(())
    }

    /// The ordinal of a record: the committed or staged one that is equal, or a new one.
    fn locate(
        &mut self,
        ground: &Ground,
        row: Row<'_>,
        head: &Head,
        hashes: Hashes,
        position: u64,
    ) -> StateResult<u32> {
        let keyed = ground.base.infos[self.id.index()].key.is_some();
        let found = match keyed {
            true => self.find_by_key(ground, &row, head, hashes, position)?,
            false => self.find_by_content(ground, &row, hashes.lookup),
        };
        let (staged, ordinal) = match found {
            Found::Base(ordinal) => {
                if head.top {
                    self.stage.kept.insert(ordinal);
                    self.stage.resolved.insert(ordinal);
                }
                if keyed && ground.anchored[self.id.index()] {
                    self.stage.as_is.entry(ordinal).or_insert(position);
                }
                return Ok(ordinal);
            }
            Found::Staged(staged) => (staged, self.stage.ordinals[staged as usize]),
            Found::Nowhere if head.base != NONE && ground.anchored[self.id.index()] => {
                let staged = self.stage.batch.rows as u32;
                if let Some(first) = self.stage.named_as_is(head.base) {
                    return Err(self.duplicate(ground, &row, first, position));
                }
                let Hashes { content, lookup } = hashes;
                let stage = &mut self.stage;
                stage.update(row, content, lookup, position, head.base)?;
                (staged, head.base)
            }
            Found::Nowhere => {
                let staged = self.stage.batch.rows as u32;
                let Hashes { content, lookup } = hashes;
                let stage = &mut self.stage;
                let ordinal = stage.push(&ground.base, row, content, lookup, position)?;
                if head.base != NONE {
                    self.stage.replaces.push((staged, head.base));
                }
                (staged, ordinal)
            }
        };
        if head.top {
            if keyed && self.stage.named.contains(staged) {
                let first = self.stage.positions[staged as usize];
                return Err(self.duplicate(ground, &row, first, position));
            }
            self.stage.named.insert(staged);
        }
        Ok(ordinal)
    }

    fn find_by_content(&self, ground: &Ground, row: &Row<'_>, lookup: u64) -> Found {
        let old = ground.old_of[self.id.index()];
        let children = old.and_then(|old| ground.children.get(old));
        if let Some(ordinal) = children.and_then(|c| c.find(&ground.base, row, lookup)) {
            return Found::Base(ordinal);
        }
        let staged = self.stage.find(row, lookup);
        staged.map_or(Found::Nowhere, Found::Staged)
    }

    fn find_by_key(
        &self,
        ground: &Ground,
        row: &Row<'_>,
        head: &Head,
        hashes: Hashes,
        position: u64,
    ) -> StateResult<Found> {
        let stage = &self.stage;
        let columns = &ground.base.infos[self.id.index()].first;
        let same_key = |staged: &u32| {
            stage.lookups[*staged as usize] == hashes.lookup
                && columns.iter().all(|column| {
                    let column = usize::from(*column);
                    stage.batch.columns[column].value(*staged as usize) == row.value(column)
                })
        };
        if let Some(staged) = stage.table.find(hashes.lookup, same_key).copied() {
            if stage.hashes[staged as usize] == hashes.content && stage.equals(row, staged) {
                return Ok(Found::Staged(staged));
            }
            let first = stage.positions[staged as usize];
            return Err(self.duplicate(ground, row, first, position));
        }
        let base = match head.base {
            NONE => None,
            ordinal => ground.base.row(self.id, ordinal),
        };
        let same = base.is_some_and(|record| row.equals(&record));
        Ok(if same {
            Found::Base(head.base)
        } else {
            Found::Nowhere
        })
    }
}

/// What a record hashes to.
#[derive(Clone, Copy)]
struct Hashes {
    content: u64,
    /// As [`Stage::lookups`].
    lookup: u64,
}

impl Hashes {
    /// Adds the shares of a value whose ordinals are known now.
    fn add(&mut self, content: u64, share: u64) {
        self.content = self.content.wrapping_add(content);
        self.lookup = self.lookup.wrapping_add(share);
    }

    /// All shares are there. Of a keyed type, only the hash of the key is of use.
    fn finished(self, info: &TypeInfo, head: &Head) -> Self {
        let lookup = match info.key {
            Some(_) => head.lookup,
            None => info.secret.finish(self.lookup),
        };
        Self { lookup, ..self }
    }
}

/// Where a record is.
enum Found {
    Base(u32),
    Staged(u32),
    Nowhere,
}

/// Where the elements of a collection are.
fn children_of(rows: &Rows, cell: usize) -> std::ops::Range<usize> {
    match rows.cells.get(cell) {
        Some((_, Cell::Elements { start, length })) => *start..start + length,
        _ => 0..0,
    }
}
