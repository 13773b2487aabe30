//! Whether a state that a cycle leads to can also be published whole.
//!
//! Owns: the limits that only a snapshot would meet, found before the version exists: one that could
//! not become a snapshot would have to be reached from its deltas for ever. Never encodes anything.

use crate::error::{StateError, StateResult};
use crate::state::State;
use grotto_format::Limits;
use grotto_format::limits::CELL_WEIGHT;
use grotto_format::schema::TypeId;

/// Refuses a state without a snapshot. Looks at tables, not at records: blocks were weighed when
/// they were written.
pub(super) fn check(before: &State, next: &State, limits: &Limits) -> StateResult<()> {
    check_sections(next, limits)?;
    if before.schema_hash() != next.schema_hash() {
        check_columns(next, limits)?;
    }
    Ok(())
}

/// The fewest sections that a snapshot can have: chunks hold only so many records and values.
fn check_sections(next: &State, limits: &Limits) -> StateResult<()> {
    let fewest = |(position, live): (usize, u64)| {
        let columns = next.infos[position].kinds.len();
        let rows = (limits.chunk_cells / columns.max(1)).min(limits.chunk_rows);
        live.div_ceil(rows.max(1) as u64) * (1 + columns as u64)
    };
    let types = || next.types.iter().map(|ty| ty.live).enumerate();
    let sections: u64 = types().map(fewest).sum();
    if sections <= limits.sections {
        return Ok(());
    }
    let most = types().max_by_key(|one| fewest(*one));
    let (name, live, fields) = most.map_or(("", 0, 0), |(position, live)| {
        let ty = next.schema.get(TypeId(position as u16));
        (ty.name.as_str(), live, next.infos[position].kinds.len())
    });
    Err(StateError::Limit(format!(
        "expected a state whose snapshot has at most {} sections, found at least {sections}; most are of \
         type {name}, {live} records of {fields} columns: use fewer fields, or spread the records over \
         several datasets",
        limits.sections
    )))
}

/// Fields that are new widen blocks that nobody touches: they must not become too heavy by that.
fn check_columns(next: &State, limits: &Limits) -> StateResult<()> {
    for (position, ty) in next.types.iter().enumerate().filter(|(_, ty)| ty.live > 0) {
        let id = TypeId(position as u16);
        let columns = next.infos[position].kinds.len();
        let most = limits.block_weight / CELL_WEIGHT / columns.max(1) as u64;
        let rows = 1 << ty.span;
        // Few records do not fill a block.
        let fits = rows <= most
            || next
                .ordinals(id)
                .last()
                .is_none_or(|last| u64::from(last) < most);
        if !fits {
            let name = &next.schema.get(id).name;
            return Err(StateError::Limit(format!(
                "type {name}: expected at most {} fields while its blocks hold {rows} records, found {columns}: \
                 bring the records under a new type name, which chooses blocks for its own records",
                limits.block_weight / CELL_WEIGHT / rows
            )));
        }
    }
    Ok(())
}
