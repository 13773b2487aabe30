//! What may change between two versions of a schema.
//!
//! Owns: the rules of evolution and the correspondence of old and new positions. Types and fields
//! may come, go and move; what stays keeps its meaning. Never touches data.
//! Spec: `docs/format/spec.md`, section "Schema".

use std::collections::HashMap;

use super::{FieldPath, FieldType, Schema, TypeId, TypeKind, TypeSchema};

/// How a new schema follows from an old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evolution {
    /// The schemas are equal: every position means the same in both.
    pub unchanged: bool,
    /// One per type of the new schema, in its order.
    pub types: Vec<TypeChange>,
    /// Types of the old schema that the new one lacks, as positions in the old one.
    pub removed_types: Vec<TypeId>,
    /// Types of the new schema that the old one lacks, as positions in the new one.
    pub added_types: Vec<TypeId>,
    /// Fields that types which stay lose, as `Type.field`: records that differed only there become equal.
    pub removed_fields: Vec<String>,
}

/// Where a type of the new schema comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeChange {
    /// The type of the same name in the old schema; `None` for a new type.
    pub old: Option<TypeId>,
    /// Per field of the new type: its position in the old one; `None` for a new field.
    pub fields: Vec<Option<usize>>,
}

/// Why a schema cannot follow another one, and what to do instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incompatible {
    /// Every change that is refused, in order of the new types; at least one.
    pub reasons: Vec<String>,
}

impl std::error::Error for Incompatible {}

impl std::fmt::Display for Incompatible {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            self.reasons
                .first()
                .map_or("incompatible schema", String::as_str),
        )?;
        match self.reasons.len().saturating_sub(1) {
            0 => Ok(()),
            more => write!(f, " (and {more} more)"),
        }
    }
}

/// Compares two schemas, types matched by name.
///
/// # Errors
/// When a type changes its kind, its key or what it contains, or a field its type.
pub fn evolve(old: &Schema, new: &Schema) -> Result<Evolution, Incompatible> {
    let mut reasons = Vec::new();
    let types: Vec<TypeChange> = new
        .types()
        .iter()
        .map(|ty| change(old, new, ty, &mut reasons))
        .collect();
    if !reasons.is_empty() {
        return Err(Incompatible { reasons });
    }
    Ok(Evolution {
        unchanged: old == new,
        removed_types: missing(old, new),
        added_types: missing(new, old),
        removed_fields: removed_fields(old, new, &types),
        types,
    })
}

/// Types of `of` whose names are not in `from`.
fn missing(of: &Schema, from: &Schema) -> Vec<TypeId> {
    of.ids()
        .filter(|id| from.find(&of.get(*id).name).is_none())
        .collect()
}

/// Fields of old types that nothing in their new ones comes from.
fn removed_fields(old: &Schema, new: &Schema, types: &[TypeChange]) -> Vec<String> {
    let mut removed = Vec::new();
    for (after, change) in new.types().iter().zip(types) {
        let Some(before) = change.old else { continue };
        let before = old.get(before).fields();
        let mut stays = vec![false; before.len()];
        change
            .fields
            .iter()
            .flatten()
            .for_each(|at| stays[*at] = true);
        let gone = before.iter().zip(stays).filter(|(_, stays)| !stays);
        removed.extend(gone.map(|(field, _)| format!("{}.{}", after.name, field.name)));
    }
    removed
}

fn change(old: &Schema, new: &Schema, ty: &TypeSchema, reasons: &mut Vec<String>) -> TypeChange {
    let Some(old_id) = old.find(&ty.name) else {
        return TypeChange {
            old: None,
            fields: vec![None; ty.fields().len()],
        };
    };
    let before = old.get(old_id);
    check_kind((old, before), (new, ty), reasons);
    let positions: HashMap<&str, usize> = before
        .fields()
        .iter()
        .enumerate()
        .map(|(position, field)| (field.name.as_str(), position))
        .collect();
    let fields: Vec<Option<usize>> = ty
        .fields()
        .iter()
        .map(|field| positions.get(field.name.as_str()).copied())
        .collect();
    for (field, position) in ty.fields().iter().zip(&fields) {
        let Some(was) = position.and_then(|p| before.fields().get(p)) else {
            continue;
        };
        let (was, is) = (type_name(old, was.ty), type_name(new, field.ty));
        if was != is {
            reasons.push(format!(
                "type {}: field {} changes from {was} to {is}; publish it under a new field name, or a new dataset",
                ty.name, field.name
            ));
        }
    }
    TypeChange {
        old: Some(old_id),
        fields,
    }
}

/// Compares everything but the fields.
fn check_kind(
    (old, before): (&Schema, &TypeSchema),
    (new, after): (&Schema, &TypeSchema),
    reasons: &mut Vec<String>,
) {
    let was = traits(old, before);
    let is = traits(new, after);
    for ((what, was), (_, is)) in was.into_iter().zip(is) {
        if was == is {
            continue;
        }
        reasons.push(format!(
            "type {}: {what} changes from {was} to {is}; publish it under a new type name, or a new dataset",
            after.name
        ));
        // Types of different kinds have nothing else to compare.
        if before.kind_name() != after.kind_name() {
            break;
        }
    }
}

/// What may never change about a type, named; equally many for types of one kind.
fn traits(schema: &Schema, ty: &TypeSchema) -> Vec<(&'static str, String)> {
    let name = |id: &TypeId| schema.get(*id).name.clone();
    let mut traits = vec![("kind", ty.kind_name().to_owned())];
    match &ty.kind {
        TypeKind::Object(object) => {
            let paths = object
                .primary_key
                .as_ref()
                .map_or(&[][..], |key| &key.paths);
            traits.push((
                "primary key",
                key_text(schema, schema.find(&ty.name), paths),
            ));
        }
        TypeKind::List { element } => traits.push(("element type", name(element))),
        TypeKind::Set { element, hash_key } => {
            traits.push(("element type", name(element)));
            traits.push(("hash key", key_text(schema, Some(*element), hash_key)));
        }
        TypeKind::Map {
            key,
            value,
            hash_key,
        } => {
            traits.push(("key type", name(key)));
            traits.push(("value type", name(value)));
            traits.push(("hash key", key_text(schema, Some(*key), hash_key)));
        }
    }
    traits
}

fn type_name(schema: &Schema, ty: FieldType) -> String {
    match ty {
        FieldType::Reference(to) => schema.get(to).name.clone(),
        scalar => scalar.keyword().to_owned(),
    }
}

/// A key spelled out in field names, since positions move and `country` may stand for
/// `country.value`.
fn key_text(schema: &Schema, start: Option<TypeId>, paths: &[FieldPath]) -> String {
    let Some(start) = start.filter(|_| !paths.is_empty()) else {
        return "none".to_owned();
    };
    let paths: Vec<String> = paths
        .iter()
        .map(|path| path_text(schema, start, path))
        .collect();
    format!("({})", paths.join(", "))
}

fn path_text(schema: &Schema, start: TypeId, path: &FieldPath) -> String {
    let mut names = Vec::with_capacity(path.steps.len());
    let mut at = start;
    for step in &path.steps {
        let Some(field) = schema.get(at).fields().get(usize::from(*step)) else {
            break;
        };
        names.push(field.name.as_str());
        if let FieldType::Reference(to) = field.ty {
            at = to;
        }
    }
    names.join(".")
}
