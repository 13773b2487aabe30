//! The order of sets and maps with a hash key.
//!
//! Owns: checking it, which takes the records that the elements stand for. Never looks at other types.

use super::super::Changes;
use super::{falls, unsound};
use crate::error::StateResult;
use crate::state::State;
use crate::view::ElementOrder;
use grotto_format::schema::TypeId;

/// Fewer records than this for each thread are not worth one.
const SMALL: usize = 1 << 12;

/// Refuses a set or map whose elements are not in the order of their hash, or come twice.
pub(crate) fn check_orders(state: &State, changes: &Changes, threads: usize) -> StateResult<()> {
    for (id, change) in state.schema.ids().zip(&changes.types) {
        let Some(order) = ElementOrder::of(&state.schema, id) else {
            continue;
        };
        let parts = threads.min(change.added.len() / SMALL).max(1);
        let part = |number: usize| {
            let cut = |part: usize| change.added.len() * part / parts;
            let mine = &change.added[cut(number)..cut(number + 1)];
            mine.iter()
                .try_for_each(|ordinal| check_order(state, id, &order, *ordinal))
        };
        std::thread::scope(|scope| {
            let part = &part;
            let others: Vec<_> = (1..parts).map(|n| scope.spawn(move || part(n))).collect();
            let mut result = part(0);
            for other in others {
                match other.join() {
                    Ok(other) => result = result.and(other),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            result
        })?;
    }
    Ok(())
}

fn check_order(
    state: &State,
    id: TypeId,
    order: &ElementOrder<'_>,
    ordinal: u32,
) -> StateResult<()> {
    let Some(record) = state.row(id, ordinal) else {
        return Ok(());
    };
    let place = |element: u32| (order.hash(&record, element), element);
    let elements = record.elements(0).step_by(order.stride());
    match falls(elements.map(place)) {
        Some((before, after)) => {
            let reason = format!(
                "expected elements in the order of their hash, found #{} ({:016x}) after #{} ({:016x})",
                after.1, after.0, before.1, before.0
            );
            Err(unsound(&state.schema.get(id).name, ordinal, reason))
        }
        None => Ok(()),
    }
}
