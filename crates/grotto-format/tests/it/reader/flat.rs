//! Records in flat form, nested ones included. Never reads one.

use super::{Cell, Naive};
use grotto_format::schema::{FieldType, TypeKind};
use grotto_format::{FlatBuilder, TypeId};

impl Naive {
    /// A record in flat form, nested ones included.
    pub(crate) fn flat(&self, id: TypeId, ordinal: u32, out: &mut FlatBuilder) {
        let row = &self.records[id.index()][&ordinal];
        match &self.schema.get(id).kind {
            TypeKind::Object(object) => {
                let mark = out.begin_object();
                let mut present = 0;
                for (position, (field, cell)) in object.fields.iter().zip(row).enumerate() {
                    if *cell != Cell::Null {
                        present += 1;
                        out.field(position as u16);
                        self.value(field.ty, cell, out);
                    }
                }
                out.end_object(mark, present);
            }
            TypeKind::List { element } | TypeKind::Set { element, .. } => {
                self.elements(&row[0], &[*element], out)
            }
            TypeKind::Map { key, value, .. } => self.elements(&row[0], &[*key, *value], out),
        }
    }

    fn value(&self, ty: FieldType, cell: &Cell, out: &mut FlatBuilder) {
        match (ty, cell) {
            (FieldType::Int, Cell::Word(word)) => out.int(*word as i32),
            (FieldType::Long, Cell::Word(word)) => out.long(*word as i64),
            (FieldType::Float, Cell::Word(word)) => out.float(f32::from_bits(*word as u32)),
            (FieldType::Double, Cell::Word(word)) => out.double(f64::from_bits(*word)),
            (FieldType::Boolean, Cell::Word(word)) => out.boolean(*word == 1),
            (FieldType::Reference(to), Cell::Word(word)) => self.nested(to, *word as u32, out),
            (_, Cell::Bytes(bytes)) => out.var(bytes),
            _ => panic!("{ty:?} holds {cell:?}"),
        }
    }

    fn elements(&self, cell: &Cell, of: &[TypeId], out: &mut FlatBuilder) {
        let Cell::Ordinals(list) = cell else {
            panic!("a collection holds {cell:?}")
        };
        let mark = out.begin_collection();
        for (position, ordinal) in list.iter().enumerate() {
            self.nested(of[position % of.len()], *ordinal, out);
        }
        out.end_collection(mark, (list.len() / of.len()) as u32);
    }

    fn nested(&self, id: TypeId, ordinal: u32, out: &mut FlatBuilder) {
        let mark = out.begin_nested();
        self.flat(id, ordinal, out);
        out.end_nested(mark);
    }
}
