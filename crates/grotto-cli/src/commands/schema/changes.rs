//! `grotto schema diff`: what changes from one schema to another.
//!
//! Owns: the words for it. Never: decides what may change; the engine does, with the same rules for every cycle.

use crate::failure::{Failure, Outcome};
use crate::output::Out;
use grotto::Schema;
use grotto::schema::{Evolution, evolve};
use serde_json::json;

pub(super) fn run(old: &Schema, new: &Schema, out: &mut Out) -> Outcome<()> {
    let evolution = evolve(old, new).map_err(|refused| {
        let message = format!("no dataset can follow: {}", refused.reasons.join("; "));
        Failure::invalid(message).hint("what changes its meaning needs a name of its own")
    })?;
    let added = added_fields(new, &evolution);
    let name = |schema: &Schema, id: &grotto::schema::TypeId| schema.get(*id).name.clone();
    let added_types: Vec<String> = evolution
        .added_types
        .iter()
        .map(|id| name(new, id))
        .collect();
    let removed_types: Vec<String> = evolution
        .removed_types
        .iter()
        .map(|id| name(old, id))
        .collect();
    if out.is_json() {
        return out.json(&json!({
            "unchanged": evolution.unchanged,
            "types": { "added": added_types, "removed": removed_types },
            "fields": { "added": added, "removed": evolution.removed_fields },
            "needs_full_cycle": !evolution.removed_fields.is_empty(),
        }));
    }
    let lists = [
        ("+ type", &added_types),
        ("- type", &removed_types),
        ("+ field", &added),
        ("- field", &evolution.removed_fields),
    ];
    for (what, names) in lists {
        names
            .iter()
            .try_for_each(|name| out.line(format_args!("{what} {name}")))?;
    }
    let same = lists.iter().all(|(_, names)| names.is_empty());
    out.line(
        match (
            evolution.unchanged,
            same,
            evolution.removed_fields.is_empty(),
        ) {
            (true, ..) => "no change",
            (_, true, _) => "only the order changes: a dataset can follow with any cycle",
            (_, _, true) => "a dataset can follow with any cycle",
            (_, _, false) => {
                "a dataset can follow with a full cycle, as a removed field changes every record"
            }
        },
    )
}

/// Fields of types that stay which the old schema does not have.
fn added_fields(new: &Schema, evolution: &Evolution) -> Vec<String> {
    let types = new.types().iter().zip(&evolution.types);
    let stays = types.filter(|(_, change)| change.old.is_some());
    stays
        .flat_map(|(ty, change)| {
            let fields = ty.fields().iter().zip(&change.fields);
            let added = fields.filter(|(_, old)| old.is_none());
            added.map(|(field, _)| format!("{}.{}", ty.name, field.name))
        })
        .collect()
}
