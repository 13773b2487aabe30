//! Paths to fields that a caller names, such as `country.code`.
//!
//! Owns: following them, and what is said of one that leads nowhere. Never: reads a value.

use super::{FieldPath, FieldType, Schema, TypeId, TypeSchema};

/// Why a path leads to no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoSuchField(String);

impl Schema {
    /// The field at the end of a path that begins at a type. A reference at its end to a type of one plain field is
    /// followed.
    ///
    /// # Errors
    /// When a field is not there, or the path does not end at a plain value.
    pub fn field_path(&self, start: TypeId, text: &str) -> Result<FieldPath, NoSuchField> {
        let (mut steps, mut at) = (Vec::new(), start);
        let mut names = text.split('.').peekable();
        let done = |steps, leaf| FieldPath {
            text: text.to_owned(),
            steps,
            leaf,
        };
        while let Some(name) = names.next() {
            let ty = self.get(at);
            let position = ty.object().and_then(|object| object.position(name));
            let position = position.ok_or_else(|| no_field(ty, name))?;
            steps.push(position as u16);
            match (ty.fields()[position].ty, names.peek()) {
                (FieldType::Reference(to), Some(_)) => at = to,
                (FieldType::Reference(to), None) => {
                    let leaf = self
                        .get(to)
                        .wrapped()
                        .ok_or_else(|| no_value(self.get(to), text))?;
                    steps.push(0);
                    return Ok(done(steps, leaf));
                }
                (leaf, None) => return Ok(done(steps, leaf)),
                (leaf, Some(_)) => {
                    let leaf = leaf.keyword();
                    return Err(NoSuchField(format!("{name} is {leaf} and has no fields")));
                }
            }
        }
        Err(NoSuchField("expected a field, found none".to_owned()))
    }
}

fn no_field(ty: &TypeSchema, name: &str) -> NoSuchField {
    if ty.leaves_out(name) {
        let of = &ty.name;
        return NoSuchField(format!("field {of}.{name} is left out here"));
    }
    let fields: Vec<&str> = ty
        .fields()
        .iter()
        .map(|field| field.name.as_str())
        .collect();
    let expected = match fields.as_slice() {
        [] => "no field".to_owned(),
        fields => format!("one of {}", fields.join(", ")),
    };
    let (kind, of) = (ty.kind_name(), &ty.name);
    NoSuchField(format!(
        "{kind} {of} has no field {name:?}, expected {expected}"
    ))
}

fn no_value(ty: &TypeSchema, path: &str) -> NoSuchField {
    let instead = ty.fields().first().map_or_else(String::new, |field| {
        format!(": name one of its fields, such as {path}.{}", field.name)
    });
    let (kind, name) = (ty.kind_name(), &ty.name);
    NoSuchField(format!(
        "expected a plain value, found {kind} {name}{instead}"
    ))
}
