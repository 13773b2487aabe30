//! Random schemas and records for the tests of this crate.
//!
//! Owns: turning a list of random numbers into declarations and flat records, so that a failing
//! case shrinks by shrinking the list.

use proptest::prelude::*;

use super::{Declaration, DeclaredField, DeclaredKind, FieldType, Name, Schema, TypeId, TypeKind};
use crate::flat::FlatBuilder;

/// Random numbers, all zero after the end.
pub(crate) struct Choices {
    numbers: std::vec::IntoIter<u32>,
}

impl Choices {
    pub(crate) fn new(numbers: Vec<u32>) -> Self {
        Self {
            numbers: numbers.into_iter(),
        }
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.numbers.next().unwrap_or(0) as usize % bound
    }

    fn is_empty(&self) -> bool {
        self.numbers.len() == 0
    }

    fn wide(&mut self) -> u64 {
        let high = u64::from(self.numbers.next().unwrap_or(0));
        high << 32 | u64::from(self.numbers.next().unwrap_or(0))
    }
}

/// Valid schemas of up to eight types of all kinds, with keys.
pub(crate) fn schemas() -> impl Strategy<Value = Schema> {
    proptest::collection::vec(any::<u32>(), 1..120)
        .prop_map(|numbers| schema(&mut Choices::new(numbers)))
}

fn schema(choices: &mut Choices) -> Schema {
    let count = 1 + choices.below(8);
    let mut declarations: Vec<Declaration> = (0..count)
        .map(|at| declaration(choices, at, count))
        .collect();
    let bare = Schema::from_declarations(&declarations).expect("schema without keys");
    // Paths lead to later types and may only use what is their key: those get theirs first.
    let mut keys = vec![None; count];
    let is_object = |id: &TypeId| bare.get(*id).object().is_some();
    let objects = bare.ids().filter(is_object).collect::<Vec<_>>();
    let others = bare.ids().filter(|id| !is_object(id));
    for id in objects.into_iter().rev().chain(others) {
        add_key(choices, &bare, id, &mut declarations[id.index()], &mut keys);
    }
    Schema::from_declarations(&declarations).expect("schema with keys")
}

fn declaration(choices: &mut Choices, at: usize, count: usize) -> Declaration {
    let mut other = || Name::from(format!("T{}", choices.below(count)));
    let (first, second) = (other(), other());
    let kind = match choices.below(8) {
        0 => DeclaredKind::List { element: first },
        1 => DeclaredKind::Set {
            element: first,
            hash_key: None,
        },
        2 => DeclaredKind::Map {
            key: first,
            value: second,
            hash_key: None,
        },
        3 => DeclaredKind::Object {
            fields: vec![field(choices, 0, count)],
            primary_key: None,
        },
        _ => {
            let fields = (0..choices.below(6))
                .map(|f| field(choices, f, count))
                .collect();
            DeclaredKind::Object {
                fields,
                primary_key: None,
            }
        }
    };
    Declaration {
        name: Name::from(format!("T{at}")),
        kind,
    }
}

fn field(choices: &mut Choices, at: usize, count: usize) -> DeclaredField {
    const SCALARS: [&str; 7] = [
        "string", "int", "long", "float", "double", "boolean", "bytes",
    ];
    let ty = match choices.below(10) {
        scalar @ 0..7 => Name::from(SCALARS[scalar]),
        _ => Name::from(format!("T{}", choices.below(count))),
    };
    DeclaredField {
        name: Name::from(format!("f{at}")),
        ty,
    }
}

/// Paths of the primary keys that were chosen so far, by type.
type Keys = Vec<Option<Vec<String>>>;

fn add_key(
    choices: &mut Choices,
    bare: &Schema,
    id: TypeId,
    declaration: &mut Declaration,
    keys: &mut Keys,
) {
    let start = match &bare.get(id).kind {
        TypeKind::Set { element: to, .. } | TypeKind::Map { key: to, .. } => *to,
        _ => id,
    };
    let mut paths = Vec::new();
    scalar_paths(bare, keys, start, "", &mut paths);
    let wanted = choices.below(3).min(paths.len());
    let first = choices.below(paths.len().max(1));
    paths.rotate_left(first);
    paths.truncate(wanted);
    let chosen = Some(paths).filter(|paths| !paths.is_empty());
    let names = |paths: &Vec<String>| paths.iter().cloned().map(Name::from).collect();
    let key: Option<Vec<Name>> = chosen.as_ref().map(names);
    match &mut declaration.kind {
        DeclaredKind::Object { primary_key, .. } => {
            keys[id.index()] = chosen;
            *primary_key = key;
        }
        DeclaredKind::Set { hash_key, .. } | DeclaredKind::Map { hash_key, .. } => *hash_key = key,
        DeclaredKind::List { .. } => {}
    }
}

/// Paths to scalars that only go to later types: with them every keyed type has finite records.
fn scalar_paths(schema: &Schema, keys: &Keys, id: TypeId, prefix: &str, paths: &mut Vec<String>) {
    if let Some(key) = &keys[id.index()] {
        paths.extend(key.iter().map(|path| format!("{prefix}{path}")));
        return;
    }
    for field in schema.get(id).fields() {
        match field.ty {
            FieldType::Reference(to) if to > id && paths.len() < 20 => {
                scalar_paths(schema, keys, to, &format!("{prefix}{}.", field.name), paths);
            }
            FieldType::Reference(_) => {}
            _ => paths.push(format!("{prefix}{}", field.name)),
        }
    }
}

/// Appends a random record in the order of the schema, map keys distinct, NaN always the same.
pub(crate) fn record(
    choices: &mut Choices,
    schema: &Schema,
    id: TypeId,
    builder: &mut FlatBuilder,
) {
    Writer {
        choices,
        schema,
        builder,
    }
    .record(id, &[], 0);
}

struct Writer<'a> {
    choices: &'a mut Choices,
    schema: &'a Schema,
    builder: &'a mut FlatBuilder,
}

impl Writer<'_> {
    /// `forced` are the paths that may not be null.
    fn record(&mut self, id: TypeId, forced: &[&[u16]], depth: usize) {
        let schema = self.schema;
        match &schema.get(id).kind {
            TypeKind::Object(object) => {
                let own = object.primary_key.iter().flat_map(|key| &key.paths);
                let forced: Vec<&[u16]> = own
                    .map(|p| p.steps.as_slice())
                    .chain(forced.iter().copied())
                    .collect();
                let mark = self.builder.begin_object();
                let mut count = 0;
                for (at, field) in (0_u16..).zip(&object.fields) {
                    let below: Vec<&[u16]> = forced
                        .iter()
                        .filter(|p| p.first() == Some(&at))
                        .map(|p| &p[1..])
                        .collect();
                    if below.is_empty() && (self.stop(depth) || self.choices.below(4) == 0) {
                        continue;
                    }
                    count += 1;
                    self.builder.field(at);
                    self.value(field.ty, &below, depth);
                }
                self.builder.end_object(mark, count);
            }
            TypeKind::List { element } | TypeKind::Set { element, .. } => {
                let mark = self.builder.begin_collection();
                let count = self.count(depth);
                for _ in 0..count {
                    self.value(FieldType::Reference(*element), &[], depth);
                }
                self.builder.end_collection(mark, count);
            }
            TypeKind::Map { key, value, .. } => self.map(*key, *value, depth),
        }
    }

    fn stop(&self, depth: usize) -> bool {
        depth > 6 || self.choices.is_empty()
    }

    fn count(&mut self, depth: usize) -> u32 {
        if self.stop(depth) {
            0
        } else {
            self.choices.below(4) as u32
        }
    }

    fn map(&mut self, key: TypeId, value: TypeId, depth: usize) {
        let mark = self.builder.begin_collection();
        let mut keys: Vec<Vec<u8>> = Vec::new();
        for _ in 0..self.count(depth) {
            let start = self.builder.bytes().len();
            self.value(FieldType::Reference(key), &[], depth);
            let bytes = self.builder.bytes()[start..].to_vec();
            if keys.contains(&bytes) {
                self.builder.truncate(start);
                continue;
            }
            keys.push(bytes);
            self.value(FieldType::Reference(value), &[], depth);
        }
        self.builder.end_collection(mark, keys.len() as u32);
    }

    fn value(&mut self, ty: FieldType, forced: &[&[u16]], depth: usize) {
        let kind = self.choices.below(6);
        let bits = self.choices.wide();
        match ty {
            FieldType::Int => self
                .builder
                .int([i32::MIN, i32::MAX, 0, bits as i32][kind.min(3)]),
            FieldType::Long => self
                .builder
                .long([i64::MIN, i64::MAX, 0, bits as i64][kind.min(3)]),
            FieldType::Float => {
                let random = Some(f32::from_bits(bits as u32))
                    .filter(|f| !f.is_nan())
                    .unwrap_or(1.5);
                self.builder
                    .float([f32::NAN, f32::NEG_INFINITY, -0.0, f32::MAX, random][kind.min(4)]);
            }
            FieldType::Double => {
                let random = Some(f64::from_bits(bits))
                    .filter(|f| !f.is_nan())
                    .unwrap_or(1.5);
                self.builder
                    .double([f64::NAN, f64::INFINITY, -0.0, 36.0, random][kind.min(4)]);
            }
            FieldType::Boolean => self.builder.boolean(bits & 1 == 1),
            FieldType::String => {
                let random = char::from_u32(bits as u32 % 0x11_0000)
                    .unwrap_or('\u{0}')
                    .to_string();
                self.builder
                    .var(["", "key", "a\"b\\c\n", "日本", &random][kind.min(4)].as_bytes());
            }
            FieldType::Bytes => self.builder.var(&bits.to_le_bytes()[..kind]),
            FieldType::Reference(to) => {
                let mark = self.builder.begin_nested();
                self.record(to, forced, depth + 1);
                self.builder.end_nested(mark);
            }
        }
    }
}
