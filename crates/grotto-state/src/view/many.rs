//! Many keys in one call.
//!
//! Owns: the order of memory accesses. A single lookup waits for an index line, then for a row; a
//! group of lookups first asks for all index lines, then for all rows, and only then compares, so
//! that the waits overlap. Never answers differently from [`State::find`].

use crate::block::HEADER;
use crate::error::StateResult;
use crate::find::Finder;
use crate::key::{self, Key};
use crate::record::Record;
use crate::state::{State, TypeState};
use grotto_error::Result;
use grotto_format::schema::TypeId;
use grotto_mmap::prefetch;

/// Lookups in flight: more than memory can serve at once would only push each other out.
const GROUP: usize = 16;

impl State {
    /// The records with these primary keys, in the order of the keys. Faster than one
    /// [`find`](Self::find) after the other, the more so the larger the dataset.
    ///
    /// # Errors
    /// When the type has no primary key, or a key is not of its fields.
    pub fn find_many<K: Key>(
        &self,
        type_id: TypeId,
        keys: &[K],
    ) -> Result<Vec<Option<Record<'_>>>> {
        let mut found = Vec::with_capacity(keys.len());
        Finder::new(self, type_id).for_each(keys, |record| {
            // Whoever reads all of it waits for the texts of many records at once then.
            if let Some(record) = &record {
                record.prefetch_values();
            }
            found.push(record);
        })?;
        Ok(found)
    }

    pub(crate) fn prefetch_row(&self, ty: &TypeState, ordinal: u32) {
        let Some(loc) = ty.blocks.get((ordinal >> ty.shift) as usize) else {
            return;
        };
        let Some(segment) = self.segments.get(usize::from(loc.segment)) else {
            return;
        };
        let Some(layout) = ty.layouts.get(usize::from(loc.tag)) else {
            return;
        };
        let (position, row) = ((ordinal & layout.mask) as usize, layout.row as usize);
        let start = loc.start() + HEADER + position * row;
        prefetch(segment.bytes(), start);
        // A row may reach into the next cache line.
        prefetch(segment.bytes(), start + row);
    }
}

impl<'a> Finder<'a> {
    /// Looks keys up and gives what was found, in the order of the keys.
    pub(crate) fn for_each<K: Key>(
        &self,
        keys: &[K],
        mut take: impl FnMut(Option<Record<'a>>),
    ) -> StateResult<()> {
        let info = self.info()?;
        for group in keys.chunks(GROUP) {
            let (mut hashes, mut firsts) = ([0; GROUP], [None; GROUP]);
            for (key, hash) in group.iter().zip(&mut hashes) {
                self.check(info, key)?;
                *hash = info.secret.of_key(key);
                self.prefetch_line(*hash);
            }
            for (hash, first) in hashes.iter().zip(&mut firsts).take(group.len()) {
                *first = self.first(*hash);
                if let Some(record) = first {
                    record.prefetch();
                }
            }
            for ((key, first), hash) in group.iter().zip(firsts).zip(hashes) {
                take(match first {
                    Some(record) if key::matches(&record, info, key) => first,
                    _ => self.state().find_hashed(self.type_id(), info, key, hash),
                });
            }
        }
        Ok(())
    }
}
