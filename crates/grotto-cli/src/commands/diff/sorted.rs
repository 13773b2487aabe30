//! Records as values that can be compared.
//!
//! Owns: the order within sets and maps, which are stored in an order that means nothing. Never:
//! touches a list.

use crate::failure::Outcome;
use crate::records::Printer;
use grotto::schema::{FieldType, Schema, TypeId, TypeKind};
use grotto::state::Record;
use serde_json::Value;

/// A record as a value in which sets and maps are sorted.
pub(super) fn value(record: &Record<'_>, printer: &mut Printer) -> Outcome<Value> {
    let mut value = printer.value(record)?;
    sort(record.state().schema(), record.type_id(), &mut value);
    Ok(value)
}

fn sort(schema: &Schema, id: TypeId, value: &mut Value) {
    match (&schema.get(id).kind, value) {
        (TypeKind::Object(object), Value::Object(members)) => {
            for field in &object.fields {
                if let (FieldType::Reference(to), Some(value)) =
                    (field.ty, members.get_mut(&field.name))
                {
                    sort(schema, to, value);
                }
            }
        }
        (TypeKind::List { element }, Value::Array(elements)) => {
            elements
                .iter_mut()
                .for_each(|value| sort(schema, *element, value));
        }
        (TypeKind::Set { element, .. }, Value::Array(elements)) => {
            elements
                .iter_mut()
                .for_each(|value| sort(schema, *element, value));
            elements.sort_by_cached_key(Value::to_string);
        }
        (TypeKind::Map { value: target, .. }, Value::Object(entries)) => {
            entries
                .values_mut()
                .for_each(|value| sort(schema, *target, value));
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
                        sort(schema, id, value);
                    }
                }
            }
            entries.sort_by_cached_key(Value::to_string);
        }
        _ => {}
    }
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
}
