//! Turns declarations into a schema.
//!
//! Owns: what makes a set of declarations a schema: limits, unique names, known types, keys that
//! lead to a scalar. Never reads text (see `parse`).

use std::collections::HashMap;

use super::declare::{Declaration, DeclaredField, DeclaredKind, Name, is_name};
use super::parse::{scalar_hint, shortened};
use super::{
    Field, FieldPath, FieldType, KeySpec, ObjectSchema, Schema, SchemaError, TypeId, TypeKind,
    TypeSchema, nearest, through,
};
use crate::flat::MAX_DEPTH;

/// Most types in a schema.
pub const MAX_TYPES: usize = 4096;
/// Most fields in a type.
pub const MAX_FIELDS: usize = 1024;
/// Longest name of a type or field, in bytes.
pub const MAX_NAME: usize = 255;
/// Most paths in a key.
pub const MAX_KEY_PATHS: usize = 32;

pub(super) fn resolve(declarations: &[Declaration]) -> Result<Schema, SchemaError> {
    let resolver = Resolver::new(declarations)?;
    let mut types = Vec::with_capacity(declarations.len());
    for declaration in declarations {
        let kind = resolver.kind(declaration)?;
        types.push(TypeSchema {
            name: declaration.name.text.clone(),
            kind,
        });
    }
    for (at, declaration) in declarations.iter().enumerate() {
        let key = resolver.key(&types, declaration, TypeId(position(at)))?;
        match &mut types[at].kind {
            TypeKind::Object(object) => object.primary_key = key.map(|paths| KeySpec { paths }),
            TypeKind::Set { hash_key, .. } | TypeKind::Map { hash_key, .. } => {
                *hash_key = key.unwrap_or_default();
            }
            TypeKind::List { .. } => {}
        }
    }
    through::check(&types, declarations)?;
    let by_name = resolver
        .ids
        .iter()
        .map(|(name, id)| ((*name).to_owned(), *id))
        .collect();
    Ok(Schema {
        types,
        by_name,
        hash: std::sync::OnceLock::new(),
        referenced: std::sync::OnceLock::new(),
    })
}

struct Resolver<'d> {
    ids: HashMap<&'d str, TypeId>,
    /// Per type: positions of its fields by name.
    fields: Vec<HashMap<&'d str, u16>>,
}

/// A position as it is stored. The limits above are far below the bound.
fn position(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

impl<'d> Resolver<'d> {
    fn new(declarations: &'d [Declaration]) -> Result<Self, SchemaError> {
        let mut ids = HashMap::new();
        let mut fields = Vec::with_capacity(declarations.len());
        for (at, declaration) in declarations.iter().enumerate() {
            let name = &declaration.name;
            if at == MAX_TYPES {
                return Err(SchemaError::at(
                    name,
                    format!("expected at most {MAX_TYPES} types, found more"),
                ));
            }
            check_name(name, "a type")?;
            if FieldType::from_keyword(&name.text).is_some() {
                let message = format!(
                    "expected the name of a type, found the scalar type {}",
                    name.text
                );
                return Err(SchemaError::at(name, message));
            }
            if let Some(TypeId(first)) = ids.insert(name.text.as_str(), TypeId(position(at))) {
                let first = place(&declarations[usize::from(first)].name);
                let message = format!(
                    "expected each type once, found a second {}{first}",
                    name.text
                );
                return Err(SchemaError::at(name, message));
            }
            fields.push(match &declaration.kind {
                DeclaredKind::Object { fields, .. } => field_positions(&name.text, fields)?,
                _ => HashMap::new(),
            });
        }
        Ok(Self { ids, fields })
    }

    /// The kind of a declared type, its key left out: keys need all types.
    fn kind(&self, declaration: &Declaration) -> Result<TypeKind, SchemaError> {
        let owner = &declaration.name.text;
        Ok(match &declaration.kind {
            DeclaredKind::Object { fields, .. } => {
                let fields = fields.iter().map(|f| self.field(owner, f));
                let fields = fields.collect::<Result<_, _>>()?;
                TypeKind::Object(ObjectSchema {
                    fields,
                    primary_key: None,
                    left_out: Vec::new(),
                })
            }
            DeclaredKind::List { element } => TypeKind::List {
                element: self.element(owner, element)?,
            },
            DeclaredKind::Set { element, .. } => TypeKind::Set {
                element: self.element(owner, element)?,
                hash_key: Vec::new(),
            },
            DeclaredKind::Map { key, value, .. } => TypeKind::Map {
                key: self.element(owner, key)?,
                value: self.element(owner, value)?,
                hash_key: Vec::new(),
            },
        })
    }

    fn field(&self, owner: &str, field: &DeclaredField) -> Result<Field, SchemaError> {
        let ty = match FieldType::from_keyword(&field.ty.text) {
            Some(scalar) => scalar,
            None => {
                let user = format!("type {owner}, field {}", field.name.text);
                FieldType::Reference(self.id(&user, &field.ty)?)
            }
        };
        Ok(Field {
            name: field.name.text.clone(),
            ty,
        })
    }

    fn element(&self, owner: &str, name: &Name) -> Result<TypeId, SchemaError> {
        self.id(&format!("type {owner}"), name)
    }

    fn id(&self, user: &str, name: &Name) -> Result<TypeId, SchemaError> {
        self.ids.get(name.text.as_str()).copied().ok_or_else(|| {
            let hint = scalar_hint(&name.text)
                .unwrap_or_else(|| nearest::hint(&name.text, sorted(self.ids.keys()).into_iter()));
            let found = shortened(&name.text);
            let message = format!("{user}: expected a declared type, found \"{found}\"{hint}");
            SchemaError::at(name, message)
        })
    }

    /// The paths of the key of a type, if it has one.
    fn key(
        &self,
        types: &[TypeSchema],
        declaration: &Declaration,
        id: TypeId,
    ) -> Result<Option<Vec<FieldPath>>, SchemaError> {
        let (paths, start) = match (&declaration.kind, &types[id.index()].kind) {
            (DeclaredKind::Object { primary_key, .. }, _) => (primary_key, id),
            (DeclaredKind::Set { hash_key, .. }, TypeKind::Set { element, .. }) => {
                (hash_key, *element)
            }
            (DeclaredKind::Map { hash_key, .. }, TypeKind::Map { key, .. }) => (hash_key, *key),
            _ => return Ok(None),
        };
        let Some(paths) = paths else { return Ok(None) };
        let owner = &declaration.name;
        if paths.is_empty() || paths.len() > MAX_KEY_PATHS {
            let count = paths.len();
            let message = format!(
                "type {}: expected 1 to {MAX_KEY_PATHS} paths in the key, found {count}",
                owner.text
            );
            return Err(SchemaError::at(owner, message));
        }
        let mut resolved: Vec<FieldPath> = Vec::with_capacity(paths.len());
        for path in paths {
            let next = self.path(types, &owner.text, start, path)?;
            if resolved.iter().any(|earlier| earlier.steps == next.steps) {
                let message = format!(
                    "type {}: expected each key path once, found \"{}\" again",
                    owner.text,
                    shortened(&path.text)
                );
                return Err(SchemaError::at(path, message));
            }
            resolved.push(next);
        }
        Ok(Some(resolved))
    }

    fn path(
        &self,
        types: &[TypeSchema],
        owner: &str,
        start: TypeId,
        path: &Name,
    ) -> Result<FieldPath, SchemaError> {
        let walked = self
            .walk(types, start, &path.text)
            .and_then(|(steps, leaf)| follow(types, steps, leaf));
        match walked {
            Ok((steps, leaf)) => Ok(FieldPath {
                text: path.text.clone(),
                steps,
                leaf,
            }),
            Err(reason) => {
                let text = shortened(&path.text);
                let message = format!("type {owner}, key path {text}: expected {reason}");
                Err(SchemaError::at(path, message))
            }
        }
    }

    /// Follows the names of a path; an error says what was expected and found.
    fn walk(
        &self,
        types: &[TypeSchema],
        start: TypeId,
        text: &str,
    ) -> Result<(Vec<u16>, FieldType), String> {
        let (mut steps, mut leaf) = (Vec::new(), FieldType::Reference(start));
        for word in text.split('.') {
            let FieldType::Reference(id) = leaf else {
                let (word, found) = (shortened(word), leaf.keyword());
                return Err(format!(
                    "a scalar field only at the end, not before {word}, found one of type {found}"
                ));
            };
            let ty = &types[id.index()];
            let Some(object) = ty.object() else {
                let kind = ty.kind_name();
                return Err(format!(
                    "only object types on the way, found {kind} {}",
                    ty.name
                ));
            };
            let Some(&step) = self.fields[id.index()].get(word) else {
                let hint = nearest::hint(word, object.fields.iter().map(|f| f.name.as_str()));
                let found = shortened(word);
                return Err(format!("a field of {}, found \"{found}\"{hint}", ty.name));
            };
            steps.push(step);
            leaf = object.fields[usize::from(step)].ty;
        }
        Ok((steps, leaf))
    }
}

/// Follows a reference at the end, which stands for the only field of its target.
fn follow(
    types: &[TypeSchema],
    mut steps: Vec<u16>,
    mut leaf: FieldType,
) -> Result<(Vec<u16>, FieldType), String> {
    while let FieldType::Reference(to) = leaf {
        let target = &types[to.index()];
        let [only] = target.fields() else {
            let fields = match target.object() {
                Some(object) => format!(" of {} fields", object.fields.len()),
                None => String::new(),
            };
            let (kind, name) = (target.kind_name(), &target.name);
            return Err(format!(
                "a scalar field or a type of one field at the end, found {kind} {name}{fields}"
            ));
        };
        steps.push(0);
        leaf = only.ty;
        // A type whose only field refers to itself leads nowhere.
        if steps.len() > MAX_DEPTH {
            break;
        }
    }
    if steps.len() > MAX_DEPTH {
        return Err(format!("at most {MAX_DEPTH} steps, found more"));
    }
    Ok((steps, leaf))
}

fn field_positions<'d>(
    owner: &str,
    fields: &'d [DeclaredField],
) -> Result<HashMap<&'d str, u16>, SchemaError> {
    let mut positions = HashMap::with_capacity(fields.len());
    for (at, field) in fields.iter().enumerate() {
        let name = &field.name;
        if at == MAX_FIELDS {
            let message = format!("type {owner}: expected at most {MAX_FIELDS} fields, found more");
            return Err(SchemaError::at(name, message));
        }
        check_name(name, "a field")?;
        if let Some(first) = positions.insert(name.text.as_str(), position(at)) {
            let first = place(&fields[usize::from(first)].name);
            let message = format!(
                "type {owner}: expected each field once, found a second {}{first}",
                name.text
            );
            return Err(SchemaError::at(name, message));
        }
    }
    Ok(positions)
}

/// Names from code may be anything; those from a text are names already.
fn check_name(name: &Name, what: &str) -> Result<(), SchemaError> {
    if is_name(&name.text) && name.text.len() <= MAX_NAME {
        return Ok(());
    }
    let found = shortened(&name.text);
    let message = format!(
        "expected the name of {what} in 1 to 255 letters, digits, \"_\" or \"$\", found {found:?}"
    );
    Err(SchemaError::at(name, message))
}

fn place(first: &Name) -> String {
    match first.line {
        0 => String::new(),
        line => format!(" (the first is on line {line})"),
    }
}

/// Hints must not depend on the order of a hash map.
fn sorted<'s>(names: impl Iterator<Item = &'s &'s str>) -> Vec<&'s str> {
    let mut names: Vec<&str> = names.copied().collect();
    names.sort_unstable();
    names
}
