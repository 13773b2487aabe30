//! Blobs with valid checksums and any content. Owns nothing; never judges what it makes.

use grotto_format::blob::{Blob, BlobHeader, BlobKind, BlobWriter, Section, SectionKind, TypeInfo};
use grotto_format::schema::Schema;

/// A blob taken apart: edit anything, then [`Forge::seal`] makes every checksum right again.
#[derive(Clone, Debug)]
pub(crate) struct Forge {
    pub(crate) header: BlobHeader,
    pub(crate) sections: Vec<Piece>,
}

/// One section: where it claims to belong, and its bytes once decompressed.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) type_id: u16,
    pub(crate) chunk: u32,
    pub(crate) kind: SectionKind,
    pub(crate) raw: Vec<u8>,
}

impl Forge {
    pub(crate) fn open(bytes: &[u8]) -> Self {
        let blob = Blob::parse(bytes.to_vec().into()).unwrap();
        let piece = |(index, entry): (usize, &Section)| Piece {
            type_id: entry.type_id,
            chunk: entry.chunk,
            kind: entry.kind,
            raw: blob.section(index).unwrap().to_vec(),
        };
        let sections = blob.header.sections.iter().enumerate().map(piece).collect();
        Self {
            header: blob.header.clone(),
            sections,
        }
    }

    /// A snapshot under a schema, without records yet.
    pub(crate) fn snapshot(schema: &str, shift: u8) -> Self {
        let schema = Schema::parse(schema).unwrap();
        let header = BlobHeader {
            kind: BlobKind::Snapshot,
            dataset: "hostile".into(),
            from: 0,
            to: 1,
            from_checksum: 0,
            to_checksum: 0,
            from_schema_hash: Schema::default().hash(),
            schema_hash: schema.hash(),
            schema_text: Some(schema.to_string()),
            types: schema.ids().map(|_| TypeInfo { shift, live: 0 }).collect(),
            sections: Vec::new(),
        };
        Self {
            header,
            sections: Vec::new(),
        }
    }

    /// Adds a chunk of records: the bytes of its ordinals and of each column.
    pub(crate) fn chunk(
        &mut self,
        type_id: u16,
        chunk: u32,
        ordinals: Vec<u8>,
        columns: Vec<Vec<u8>>,
    ) {
        self.sections.push(Piece {
            type_id,
            chunk,
            kind: SectionKind::Added,
            raw: ordinals,
        });
        for (position, raw) in columns.into_iter().enumerate() {
            let kind = SectionKind::Column(position as u16);
            self.sections.push(Piece {
                type_id,
                chunk,
                kind,
                raw,
            });
        }
    }

    pub(crate) fn seal(&self) -> Blob {
        self.seal_at(None)
    }

    pub(crate) fn seal_at(&self, level: Option<i32>) -> Blob {
        let mut writer = BlobWriter::new(self.header.clone(), level);
        for piece in &self.sections {
            writer.section(piece.type_id, piece.chunk, piece.kind, piece.raw.clone());
        }
        Blob::parse(writer.finish().unwrap().into()).unwrap()
    }
}

/// Packed numbers as the format writes them: base, width, bits. Says exactly what it is told.
pub(crate) fn packed(base: i64, width: u8, bits: &[u8]) -> Vec<u8> {
    [&base.to_le_bytes()[..], &[width], bits].concat()
}

pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// Ordinals `first`, `first + 1`, … without spending a byte on each.
pub(crate) fn run_of_ordinals(first: u32, count: u64) -> Vec<u8> {
    match count {
        1 => [varint(1), packed(i64::from(first), 0, &[])].concat(),
        _ => {
            assert_eq!(first, 0, "only a run from 0 packs into nothing");
            [varint(count), packed(0, 0, &[])].concat()
        }
    }
}

/// A column without nulls that holds one word in every record.
pub(crate) fn constant(word: i64) -> Vec<u8> {
    [vec![0], packed(word, 0, &[])].concat()
}

/// A column of empty texts or of equal ones.
pub(crate) fn same_text(text: &str, rows: usize) -> Vec<u8> {
    [
        vec![0],
        packed(text.len() as i64, 0, &[]),
        text.repeat(rows).into_bytes(),
    ]
    .concat()
}
