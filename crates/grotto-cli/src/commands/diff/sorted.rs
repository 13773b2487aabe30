//! Records as values that can be compared.
//!
//! Owns: the order within sets and maps, which are stored in an order that means nothing, and what is
//! left of nested records with a key: a reference to one means the record with that key, whatever it
//! holds. Never: touches the order of a list.

use crate::failure::Outcome;
use crate::records::Printer;
use grotto::engine::state::Record;
use grotto::schema::{FieldType, Schema, TypeId, TypeKind};
use serde_json::Value;

/// A record as a value in which sets and maps are sorted, and nested records with a key are their key.
pub(super) fn value(record: &Record<'_>, printer: &mut Printer) -> Outcome<Value> {
    let mut value = printer.value(record)?;
    sort(record.state().schema(), record.type_id(), &mut value);
    Ok(value)
}

/// Leaves of a nested record with a key what its key consists of.
fn nested(schema: &Schema, id: TypeId, value: &mut Value) {
    match schema.get(id).key() {
        Some(key) => {
            let paths: Vec<&[u16]> = key.paths.iter().map(|path| path.steps.as_slice()).collect();
            keep(schema, id, value, &paths);
        }
        None => sort(schema, id, value),
    }
}

/// Leaves of a value what is on one of the paths. A wrapped value is not an object, and at the end of
/// its path.
fn keep(schema: &Schema, id: TypeId, value: &mut Value, paths: &[&[u16]]) {
    let Value::Object(members) = value else {
        return;
    };
    let position = |name: &str| {
        schema
            .get(id)
            .object()
            .and_then(|object| object.position(name))
    };
    members.retain(|name, value| {
        let Some(position) = position(name) else {
            return false;
        };
        let on_path = paths.iter().filter_map(|path| path.split_first());
        let below = on_path.filter(|(step, _)| usize::from(**step) == position);
        let below: Vec<&[u16]> = below.map(|(_, rest)| rest).collect();
        if let Some(FieldType::Reference(to)) = schema.get(id).fields().get(position).map(|f| f.ty)
        {
            keep(schema, to, value, &below);
        }
        !below.is_empty()
    });
}

fn sort(schema: &Schema, id: TypeId, value: &mut Value) {
    match (&schema.get(id).kind, value) {
        (TypeKind::Object(object), Value::Object(members)) => {
            for field in &object.fields {
                if let (FieldType::Reference(to), Some(value)) =
                    (field.ty, members.get_mut(&field.name))
                {
                    nested(schema, to, value);
                }
            }
        }
        (TypeKind::List { element }, Value::Array(elements)) => {
            elements
                .iter_mut()
                .for_each(|value| nested(schema, *element, value));
        }
        (TypeKind::Set { element, .. }, Value::Array(elements)) => {
            elements
                .iter_mut()
                .for_each(|value| nested(schema, *element, value));
            elements.sort_by_cached_key(in_any_order);
        }
        (TypeKind::Map { value: target, .. }, Value::Object(entries)) => {
            entries
                .values_mut()
                .for_each(|value| nested(schema, *target, value));
        }
        (
            TypeKind::Map {
                key, value: target, ..
            },
            Value::Array(entries),
        ) => {
            for entry in entries.iter_mut() {
                for (part, id) in [("key", *key), ("value", *target)] {
                    if let Some(value) = entry.get_mut(part) {
                        nested(schema, id, value);
                    }
                }
            }
            entries.sort_by_cached_key(in_any_order);
        }
        _ => {}
    }
}

/// The text of a value with fields by name: a field that another version has elsewhere changes no order.
fn in_any_order(value: &Value) -> String {
    let mut value = value.clone();
    value.sort_all_objects();
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_order_of_sets_and_maps_does_not_matter_and_that_of_lists_does() {
        let schema = Schema::parse(
            "A { SetOfL s; MapOfP m; } SetOfL Set<L>; L List<S>; S { string value; }
             P { int x; int y; } MapOfP Map<P, SetOfL>;",
        )
        .unwrap();
        let check = |a: &Value, b: &Value, equal: bool| {
            let (mut a, mut b) = (a.clone(), b.clone());
            sort(&schema, TypeId(0), &mut a);
            sort(&schema, TypeId(0), &mut b);
            assert_eq!(a == b, equal, "{a} {b}");
        };
        let one = json!({ "s": [["a", "b"], ["c"]], "m": [{ "key": { "x": 1 }, "value": [["d"], ["e"]] }, { "key": { "x": 2 }, "value": [] }] });
        let other = json!({ "s": [["c"], ["a", "b"]], "m": [{ "key": { "x": 2 }, "value": [] }, { "key": { "x": 1 }, "value": [["e"], ["d"]] }] });
        check(&one, &other, true);
        check(
            &one,
            &json!({ "s": [["b", "a"], ["c"]], "m": one["m"] }),
            false,
        );
    }

    #[test]
    fn a_nested_record_with_a_key_is_the_record_with_that_key() {
        let schema = Schema::parse(
            "A @PrimaryKey(id) { int id; K k; Ks ks; M m; } K @PrimaryKey(n, in.x) { int n; In in; A more; }
             In { int x; int y; } Ks Set<K>; M Map<S, K>; S { string value; }",
        )
        .unwrap();
        let a = |x: i32, y: i32, more: Value| {
            let k = json!({ "n": 1, "in": { "x": x, "y": y }, "more": more });
            let mut a = json!({ "id": 1, "k": k, "ks": [k, { "n": 5, "in": { "x": 2 } }], "m": { "s": k } });
            sort(&schema, TypeId(0), &mut a);
            a
        };
        assert_eq!(a(1, 8, json!({ "id": 3 })), a(1, 9, json!(null)));
        assert_ne!(a(1, 8, json!(null)), a(2, 8, json!(null)));
    }
}
