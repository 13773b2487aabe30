//! Edits of honest blobs, chosen by the fuzzer's bytes.
//!
//! Owns: what an edit does. Never seals: that comes after all of them.

use crate::hostile::forge::{Forge, Piece};
use crate::hostile::provoke::provoke;
use crate::original::originals;
use arbitrary::Arbitrary;
use grotto_format::blob::{BlobKind, SectionKind, TypeInfo};

/// One of the honest blobs, and what happens to it.
#[derive(Arbitrary, Debug)]
pub struct Edits {
    which: u8,
    edits: Vec<Edit>,
}

#[derive(Arbitrary, Debug)]
enum Edit {
    Raw(u8, Vec<u8>),
    Flip(u8, u16, u8),
    Splice(u8, u16, Vec<u8>),
    Word(u8, u16, u64),
    Cut(u8, u16),
    CopyRaw(u8, u8),
    Swap(u8, u8),
    Drop(u8),
    Twice(u8),
    Retype(u8, u16),
    Rechunk(u8, u32),
    Rekind(u8, u16),
    Shift(u8, u8),
    Live(u8, u64),
    FewerTypes,
    MoreTypes,
    Kind(u8),
    SchemaOf(u8),
}

impl Edits {
    /// Does them, seals the blob, applies it and uses what comes out.
    pub fn provoke(&self) {
        let originals = originals();
        let (base, original) = &originals[usize::from(self.which) % originals.len()];
        let mut forge = original.clone();
        self.edits
            .iter()
            .take(8)
            .for_each(|edit| perform(edit, &mut forge));
        if forge.sections.len() < 200 {
            let _ = provoke(base, &forge);
        }
    }
}

fn piece(sections: &mut [Piece], at: u8) -> &mut Piece {
    let at = usize::from(at) % sections.len();
    &mut sections[at]
}

fn perform(edit: &Edit, forge: &mut Forge) {
    if forge.sections.is_empty() || forge.header.types.is_empty() {
        return;
    }
    match edit {
        Edit::Raw(..) | Edit::Flip(..) | Edit::Splice(..) | Edit::Word(..) | Edit::Cut(..) => {
            change_bytes(edit, &mut forge.sections);
        }
        Edit::Shift(..)
        | Edit::Live(..)
        | Edit::FewerTypes
        | Edit::MoreTypes
        | Edit::Kind(_)
        | Edit::SchemaOf(_) => change_header(edit, forge),
        _ => change_sections(edit, &mut forge.sections),
    }
}

fn change_bytes(edit: &Edit, sections: &mut [Piece]) {
    match edit {
        Edit::Raw(s, bytes) => piece(sections, *s).raw.clone_from(bytes),
        Edit::Flip(s, at, mask) => {
            let raw = &mut piece(sections, *s).raw;
            if !raw.is_empty() {
                let at = usize::from(*at) % raw.len();
                raw[at] ^= mask;
            }
        }
        Edit::Splice(s, at, bytes) => {
            let raw = &mut piece(sections, *s).raw;
            let start = usize::from(*at) % (raw.len() + 1);
            let end = (start + bytes.len()).min(raw.len());
            raw.splice(start..end, bytes.iter().copied());
        }
        Edit::Word(s, at, word) => {
            let raw = &mut piece(sections, *s).raw;
            let start = usize::from(*at) % (raw.len() + 1);
            let end = (start + 8).min(raw.len());
            raw.splice(start..end, word.to_le_bytes());
        }
        Edit::Cut(s, at) => {
            let raw = &mut piece(sections, *s).raw;
            raw.truncate(usize::from(*at) % (raw.len() + 1));
        }
        _ => {}
    }
}

fn change_sections(edit: &Edit, sections: &mut Vec<Piece>) {
    let count = sections.len();
    let at = |s: u8| usize::from(s) % count;
    match edit {
        Edit::CopyRaw(from, to) => {
            let raw = sections[at(*from)].raw.clone();
            sections[at(*to)].raw = raw;
        }
        Edit::Swap(a, b) => sections.swap(at(*a), at(*b)),
        Edit::Drop(s) => drop(sections.remove(at(*s))),
        Edit::Twice(s) => sections.push(sections[at(*s)].clone()),
        Edit::Retype(s, ty) => sections[at(*s)].type_id = *ty,
        Edit::Rechunk(s, chunk) => sections[at(*s)].chunk = *chunk,
        Edit::Rekind(s, kind) => {
            sections[at(*s)].kind = match kind {
                0 => SectionKind::Removed,
                1 => SectionKind::Added,
                column => SectionKind::Column(column - 2),
            };
        }
        _ => {}
    }
}

fn change_header(edit: &Edit, forge: &mut Forge) {
    let header = &mut forge.header;
    let count = header.types.len();
    match edit {
        Edit::Shift(t, shift) => header.types[usize::from(*t) % count].shift = 9 + shift % 8,
        Edit::Live(t, live) => header.types[usize::from(*t) % count].live = *live,
        Edit::FewerTypes => drop(header.types.pop()),
        Edit::MoreTypes => header.types.push(TypeInfo { shift: 11, live: 0 }),
        Edit::Kind(kind) => {
            header.kind = [
                BlobKind::Snapshot,
                BlobKind::Delta,
                BlobKind::Reverse,
                BlobKind::Header,
            ][usize::from(*kind) % 4];
        }
        Edit::SchemaOf(other) => {
            let originals = originals();
            let other = &originals[usize::from(*other) % originals.len()].1.header;
            header.schema_text.clone_from(&other.schema_text);
            header.schema_hash = other.schema_hash;
        }
        _ => {}
    }
}
