//! Prints a schema in the schema language.
//!
//! Owns: the canonical text, of which the schema's identity is the hash. Parsing it gives an equal
//! schema. Spec: `docs/format/spec.md`, section "Schema".

use std::fmt::{Display, Formatter, Result};

use super::{Field, FieldPath, FieldType, Schema, TypeId, TypeKind};

impl Display for Schema {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (at, id) in self.ids().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            self.print_type(f, id)?;
        }
        Ok(())
    }
}

impl Schema {
    fn print_type(&self, f: &mut Formatter<'_>, id: TypeId) -> Result {
        let ty = self.get(id);
        let name = |id: &TypeId| &self.get(*id).name;
        f.write_str(&ty.name)?;
        match &ty.kind {
            TypeKind::Object(object) => {
                let paths = object
                    .primary_key
                    .as_ref()
                    .map_or(&[][..], |key| &key.paths);
                print_key(f, "PrimaryKey", paths)?;
                f.write_str(" {\n")?;
                for field in &object.fields {
                    self.print_field(f, field)?;
                }
                f.write_str("}\n")
            }
            TypeKind::List { element } => writeln!(f, " List<{}>;", name(element)),
            TypeKind::Set { element, hash_key } => {
                write!(f, " Set<{}>", name(element))?;
                print_key(f, "HashKey", hash_key)?;
                f.write_str(";\n")
            }
            TypeKind::Map {
                key,
                value,
                hash_key,
            } => {
                write!(f, " Map<{}, {}>", name(key), name(value))?;
                print_key(f, "HashKey", hash_key)?;
                f.write_str(";\n")
            }
        }
    }

    fn print_field(&self, f: &mut Formatter<'_>, field: &Field) -> Result {
        let ty = match field.ty {
            FieldType::Reference(to) => &self.get(to).name,
            scalar => scalar.keyword(),
        };
        writeln!(f, "    {ty} {};", field.name)
    }
}

fn print_key(f: &mut Formatter<'_>, annotation: &str, paths: &[FieldPath]) -> Result {
    for (at, path) in paths.iter().enumerate() {
        if at == 0 {
            write!(f, " @{annotation}({}", path.text)?;
        } else {
            write!(f, ", {}", path.text)?;
        }
    }
    if paths.is_empty() {
        Ok(())
    } else {
        f.write_str(")")
    }
}
