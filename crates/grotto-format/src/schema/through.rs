//! Keys that lead through records which have a key themselves.
//!
//! Owns: the rule that such a path may only use what identifies those records. A reference to a
//! record with a key stays as it is when the rest of that record changes, so nothing else of it may
//! decide about a key or the order of a set. Never resolves a path (see `resolve`).

use super::declare::{Declaration, DeclaredKind};
use super::parse::shortened;
use super::{FieldPath, FieldType, SchemaError, TypeId, TypeKind, TypeSchema};

/// Refuses the first key path that uses more of a keyed record than its primary key.
pub(super) fn check(types: &[TypeSchema], declarations: &[Declaration]) -> Result<(), SchemaError> {
    for (at, (ty, declaration)) in types.iter().zip(declarations).enumerate() {
        let (paths, start, entered) = match &ty.kind {
            TypeKind::Object(object) => {
                let own = TypeId(u16::try_from(at).unwrap_or(u16::MAX));
                let paths = object.primary_key.as_ref();
                (paths.map_or(&[][..], |key| &key.paths), own, false)
            }
            TypeKind::Set { element, hash_key } => (hash_key.as_slice(), *element, true),
            TypeKind::Map { key, hash_key, .. } => (hash_key.as_slice(), *key, true),
            TypeKind::List { .. } => continue,
        };
        for (number, path) in paths.iter().enumerate() {
            if let Some((keyed, steps)) = misused(types, start, entered, path) {
                return Err(refusal(types, declaration, number, path, keyed, steps));
            }
        }
    }
    Ok(())
}

/// The keyed type of whose records a path uses something else than a key path, and the steps that
/// are left there. `entered` tells whether the path begins at a record that is referred to.
fn misused<'p>(
    types: &[TypeSchema],
    start: TypeId,
    entered: bool,
    path: &'p FieldPath,
) -> Option<(TypeId, &'p [u16])> {
    let (mut at, mut left, mut entered) = (start, path.steps.as_slice(), entered);
    loop {
        let ty = types.get(at.index())?;
        if entered
            && let Some(key) = ty.key()
            && !key.paths.iter().any(|part| part.steps == left)
        {
            return Some((at, left));
        }
        let (step, rest) = left.split_first()?;
        let FieldType::Reference(to) = ty.fields().get(usize::from(*step))?.ty else {
            return None;
        };
        (at, left, entered) = (to, rest, true);
    }
}

fn refusal(
    types: &[TypeSchema],
    declaration: &Declaration,
    number: usize,
    path: &FieldPath,
    keyed: TypeId,
    steps: &[u16],
) -> SchemaError {
    let (mut names, mut at) = (Vec::new(), keyed);
    for step in steps {
        let Some(field) = types[at.index()].fields().get(usize::from(*step)) else {
            break;
        };
        names.push(field.name.as_str());
        if let FieldType::Reference(to) = field.ty {
            at = to;
        }
    }
    let target = &types[keyed.index()];
    let parts = target.key().map_or(&[][..], |key| &key.paths);
    let parts: Vec<&str> = parts.iter().map(|part| part.text.as_str()).collect();
    let (owner, keyed) = (&declaration.name.text, &target.name);
    let message = format!(
        "type {owner}, key path {}: expected of {keyed} only its primary key ({}), found \"{}\", which may change while the \
         reference stays; use the primary key, or have the value outside of {keyed} too",
        shortened(&path.text),
        shortened(&parts.join(", ")),
        shortened(&names.join("."))
    );
    let declared = match &declaration.kind {
        DeclaredKind::Object { primary_key, .. } => primary_key,
        DeclaredKind::Set { hash_key, .. } | DeclaredKind::Map { hash_key, .. } => hash_key,
        DeclaredKind::List { .. } => &None,
    };
    let place = declared.as_ref().and_then(|paths| paths.get(number));
    SchemaError::at(place.unwrap_or(&declaration.name), message)
}
