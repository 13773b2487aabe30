//! A second reader of blobs and documents, written from the specification alone: slow, plain, and
//! without a line of the code it checks but the schema parser and XXH3.
//!
//! Owns: from the bytes of a chain of blobs to records and a state checksum. What is wrong panics.

mod flat;
mod frame;
mod json;
pub(crate) mod log;
mod sound;

use grotto_format::schema::{FieldType, Schema, TypeKind, TypeSchema};
use std::collections::BTreeMap;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Bytes read from front to back.
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn u8(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take(8).try_into().unwrap())
    }

    pub(crate) fn varint(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.u8();
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }

    fn text(&mut self) -> String {
        let length = self.varint() as usize;
        String::from_utf8(self.take(length).to_vec()).unwrap()
    }

    /// Bit by bit: value `i` takes bits `i * width` and on, the lowest first.
    pub(crate) fn packed(&mut self, count: usize) -> Vec<u64> {
        let (base, width) = (self.u64(), usize::from(self.u8()));
        let bits = self.take((count * width).div_ceil(8));
        let bit = |at: usize| u64::from(bits[at / 8] >> (at % 8) & 1);
        let value = |i: usize| (0..width).map(|b| bit(i * width + b) << b).sum::<u64>();
        (0..count).map(|i| base.wrapping_add(value(i))).collect()
    }

    fn end(&self) {
        assert!(self.0.is_empty(), "{} bytes are left over", self.0.len());
    }
}

/// One entry of the section table.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) ty: u64,
    pub(crate) chunk: u64,
    pub(crate) kind: u64,
    pub(crate) compressed: u8,
    pub(crate) raw: u64,
    pub(crate) stored: u64,
    pub(crate) checksum: u64,
}

/// A blob, all of it.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) kind: u8,
    pub(crate) dataset: String,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) from_checksum: u64,
    pub(crate) to_checksum: u64,
    pub(crate) from_schema_hash: u64,
    pub(crate) schema_hash: u64,
    pub(crate) schema: String,
    pub(crate) types: Vec<(u8, u64)>,
    pub(crate) sections: Vec<(Entry, Vec<u8>)>,
}

impl File {
    pub(crate) fn open(bytes: &[u8]) -> Self {
        assert_eq!(&bytes[..8], b"GROTTO\x1aB");
        let (body, footer) = bytes.split_at(bytes.len() - 16);
        let mut footer = Cursor(footer);
        assert_eq!(footer.u64(), bytes.len() as u64);
        assert_eq!(footer.u64(), xxh3_64(&bytes[..bytes.len() - 8]));
        let mut body = Cursor(&body[8..]);
        let length = body.varint() as usize;
        let mut header = Cursor(body.take(length));
        assert_eq!(header.varint(), 1, "format number");
        let (kind, dataset) = (header.u8(), header.text());
        let (from, to) = (header.varint(), header.varint());
        let sums: Vec<u64> = (0..4).map(|_| header.u64()).collect();
        let schema = header.text();
        let types = (0..header.varint())
            .map(|_| (header.u8(), header.varint()))
            .collect();
        let entries: Vec<Entry> = (0..header.varint())
            .map(|_| Entry::read(&mut header))
            .collect();
        header.end();
        let sections = entries.into_iter().map(|entry| {
            let stored = body.take(entry.stored as usize);
            assert_eq!(entry.checksum, xxh3_64(stored));
            let raw = match entry.compressed {
                0 => stored.to_vec(),
                _ if !frame::is_the_only_one(stored) => panic!("more or less than one frame"),
                _ => zstd::bulk::decompress(stored, entry.raw as usize).unwrap(),
            };
            assert_eq!(raw.len() as u64, entry.raw);
            (entry, raw)
        });
        let sections = sections.collect();
        body.end();
        let [from_checksum, to_checksum, from_schema_hash, schema_hash] = sums.try_into().unwrap();
        Self {
            kind,
            dataset,
            from,
            to,
            from_checksum,
            to_checksum,
            from_schema_hash,
            schema_hash,
            schema,
            types,
            sections,
        }
    }
}

impl Entry {
    fn read(header: &mut Cursor<'_>) -> Self {
        let (ty, chunk, kind) = (header.varint(), header.varint(), header.varint());
        let (compressed, raw) = (header.u8(), header.varint());
        let stored = if compressed == 1 {
            header.varint()
        } else {
            raw
        };
        Self {
            ty,
            chunk,
            kind,
            compressed,
            raw,
            stored,
            checksum: header.u64(),
        }
    }
}

/// One value of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    Null,
    Word(u64),
    Bytes(Vec<u8>),
    Ordinals(Vec<u32>),
}

/// Ordinals, rising: a count, then gaps.
pub(crate) fn ordinals(bytes: &[u8]) -> Vec<u32> {
    let mut cursor = Cursor(bytes);
    let count = cursor.varint() as usize;
    let mut next = 0;
    let list = cursor.packed(count).into_iter().map(|gap| {
        let ordinal = next + gap;
        next = ordinal + 1;
        u32::try_from(ordinal).unwrap()
    });
    let list = list.collect();
    cursor.end();
    list
}

/// A column of `rows` values; `None` is the column of a collection.
pub(crate) fn column(bytes: &[u8], ty: Option<FieldType>, rows: usize) -> Vec<Cell> {
    let mut cursor = Cursor(bytes);
    let nulls = match cursor.u8() {
        0 => vec![0; rows.div_ceil(8)],
        flag => {
            assert_eq!(flag, 1);
            cursor.take(rows.div_ceil(8)).to_vec()
        }
    };
    let mut cells: Vec<Cell> = match ty {
        Some(FieldType::Float) => planes(&mut cursor, rows, 4),
        Some(FieldType::Double) => planes(&mut cursor, rows, 8),
        Some(FieldType::String | FieldType::Bytes) => {
            let lengths = cursor.packed(rows);
            lengths
                .iter()
                .map(|length| Cell::Bytes(cursor.take(*length as usize).to_vec()))
                .collect()
        }
        Some(_) => cursor.packed(rows).into_iter().map(Cell::Word).collect(),
        None => {
            let lengths = cursor.packed(rows);
            let mut all = cursor
                .packed(lengths.iter().sum::<u64>() as usize)
                .into_iter();
            let mut list = |length: &u64| {
                all.by_ref()
                    .take(*length as usize)
                    .map(|o| o as u32)
                    .collect()
            };
            lengths
                .iter()
                .map(|length| Cell::Ordinals(list(length)))
                .collect()
        }
    };
    cursor.end();
    for (row, cell) in cells.iter_mut().enumerate() {
        if nulls[row / 8] >> (row % 8) & 1 == 1 {
            *cell = Cell::Null;
        }
    }
    cells
}

/// Byte 0 of all values, then byte 1 of all values, and so on.
fn planes(cursor: &mut Cursor<'_>, rows: usize, width: usize) -> Vec<Cell> {
    let bytes = cursor.take(rows * width);
    let word = |row: usize| {
        (0..width)
            .map(|plane| u64::from(bytes[plane * rows + row]) << (8 * plane))
            .sum()
    };
    (0..rows).map(|row| Cell::Word(word(row))).collect()
}

/// Field types of an object; a single `None` for a collection.
fn columns(ty: &TypeSchema) -> Vec<(String, Option<FieldType>)> {
    match &ty.kind {
        TypeKind::Object(object) => object
            .fields
            .iter()
            .map(|f| (f.name.clone(), Some(f.ty)))
            .collect(),
        _ => vec![(String::new(), None)],
    }
}

/// A state: records by type and ordinal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Naive {
    pub(crate) version: u64,
    pub(crate) schema: Schema,
    pub(crate) records: Vec<BTreeMap<u32, Vec<Cell>>>,
}

impl Naive {
    pub(crate) fn apply(&self, file: &File) -> Self {
        match file.kind {
            1 => assert_eq!((file.from, file.from_checksum), (0, 0)),
            2 => assert!(file.to > file.from),
            3 => assert!(file.to < file.from),
            kind => panic!("kind {kind} applies to nothing"),
        }
        assert_eq!(
            (self.version, self.checksum()),
            (file.from, file.from_checksum)
        );
        assert_eq!(
            xxh3_64(self.schema.to_string().as_bytes()),
            file.from_schema_hash
        );
        let before = self.under(file);
        assert_eq!(
            xxh3_64(before.schema.to_string().as_bytes()),
            file.schema_hash
        );
        let mut next = before.clone();
        next.take_sections(&before, file);
        let live: Vec<u64> = next
            .records
            .iter()
            .map(|records| records.len() as u64)
            .collect();
        assert_eq!(live, file.types.iter().map(|t| t.1).collect::<Vec<_>>());
        assert_eq!(next.checksum(), file.to_checksum);
        sound::check(&before, &next, file);
        next
    }

    /// Removes and adds what the sections say, which are in order for each type.
    fn take_sections(&mut self, before: &Self, file: &File) {
        sound::check_order_of_sections(&self.schema, file);
        let mut chunk = Vec::new();
        for (entry, raw) in &file.sections {
            let ty = entry.ty as usize;
            let fields = columns(&self.schema.types()[ty]);
            let keyed = self.schema.types()[ty].key().is_some();
            let records = &mut self.records[ty];
            match entry.kind {
                0 => ordinals(raw)
                    .iter()
                    .for_each(|o| assert!(records.remove(o).is_some())),
                1 => {
                    chunk = ordinals(raw);
                    for ordinal in &chunk {
                        assert!(records.insert(*ordinal, Vec::new()).is_none());
                        assert!(keyed || !before.records[ty].contains_key(ordinal));
                    }
                }
                kind => {
                    let cells = column(raw, fields[kind as usize - 2].1, chunk.len());
                    for (ordinal, cell) in chunk.iter().zip(cells) {
                        records.get_mut(ordinal).unwrap().push(cell);
                    }
                }
            }
        }
    }

    /// The same records under the schema of a blob: types and fields go by their names.
    fn under(&self, file: &File) -> Self {
        let schema = match file.schema.as_str() {
            "" => self.schema.clone(),
            text => Schema::parse(text).unwrap(),
        };
        let records = schema.types().iter().map(|ty| {
            let Some(old) = self.schema.find(&ty.name) else {
                return BTreeMap::new();
            };
            let old_columns = columns(self.schema.get(old));
            let moved = |row: &Vec<Cell>| {
                let place = |name: &str| old_columns.iter().position(|(old, _)| old == name);
                columns(ty)
                    .iter()
                    .map(|(name, _)| place(name).map_or(Cell::Null, |at| row[at].clone()))
                    .collect()
            };
            self.records[old.index()]
                .iter()
                .map(|(ordinal, row)| (*ordinal, moved(row)))
                .collect()
        });
        Self {
            version: file.to,
            records: records.collect(),
            schema: schema.clone(),
        }
    }

    pub(crate) fn checksum(&self) -> u64 {
        let mut sum = 0_u64;
        for (ty, records) in self.schema.types().iter().zip(&self.records) {
            for (ordinal, row) in records {
                let content = content_hash(ty, row);
                let share = [&content.to_le_bytes()[..], &ordinal.to_le_bytes()].concat();
                sum = sum.wrapping_add(xxh3_64(&share));
            }
        }
        sum
    }
}

fn content_hash(ty: &TypeSchema, row: &[Cell]) -> u64 {
    let seed = |field: &str| xxh3_64_with_seed(field.as_bytes(), xxh3_64(ty.name.as_bytes()));
    let mut sum = 0_u64;
    for ((name, _), cell) in columns(ty).iter().zip(row) {
        let with_length = |hash: u64, length: usize| hash.wrapping_add(length as u64 + 1);
        sum = sum.wrapping_add(match cell {
            Cell::Null => 0,
            Cell::Word(word) => xxh3_64_with_seed(&word.to_le_bytes(), seed(name)),
            Cell::Bytes(bytes) => with_length(xxh3_64_with_seed(bytes, seed(name)), bytes.len()),
            Cell::Ordinals(list) => {
                let bytes: Vec<u8> = list
                    .iter()
                    .flat_map(|ordinal| ordinal.to_le_bytes())
                    .collect();
                with_length(xxh3_64_with_seed(&bytes, seed(name)), list.len())
            }
        });
    }
    sum
}
