//! The versions between what is served and a target, by what the log says of their records.
//!
//! Owns: whether each of them is within the limits of the one before. Never: asks the log.
//!
//! A way without a jump is one that a consumer which looked at each version would have gone: so nothing is left out of
//! the comparison that such a consumer compares. A type that goes and comes back has no records in between; from
//! nothing there is no growth, and from then on it is compared again.

use super::Guards;
use grotto_state::State;
use std::collections::BTreeMap;

/// Records by type.
pub(super) type Counts = BTreeMap<String, u64>;

/// Records of the types that a state keeps.
pub(super) fn kept_counts(state: &State) -> Counts {
    let schema = state.schema();
    let kept = state.filter().map(|filter| filter.kept_of(schema));
    let is_kept = |position: usize| {
        let kept = kept.as_ref().and_then(|kept| kept.get(position));
        kept.copied().unwrap_or(true)
    };
    let named = schema.ids().zip(schema.types()).enumerate();
    let kept = named.filter(|(position, _)| is_kept(*position));
    kept.map(|(_, (id, ty))| (ty.name.clone(), state.count(id)))
        .collect()
}

/// The position of the first step that is past a limit, and which. Only types of the first state are compared: those
/// that come on the way may be ones that are not kept.
pub(super) fn first_jump(
    guards: &Guards,
    mut before: Counts,
    steps: impl IntoIterator<Item = Counts>,
) -> Option<(usize, String)> {
    for (at, step) in steps.into_iter().enumerate() {
        let names = before.keys();
        let counted = names.map(|name| (name.clone(), step.get(name).copied().unwrap_or(0)));
        let after: Counts = counted.collect();
        if let Some(reason) = guards.judge_records(&before, &after) {
            return Some((at, reason));
        }
        before = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use grotto_format::schema::Schema;
    use grotto_state::{HashSeed, TypeFilter};
    use std::sync::Arc;

    fn counts(of: &[(&str, u64)]) -> Counts {
        of.iter()
            .map(|(name, n)| ((*name).to_owned(), *n))
            .collect()
    }

    /// Where the jump is on a way of the type `T` beside one that never changes.
    fn jump(first: u64, steps: &[Option<u64>]) -> Option<(usize, String)> {
        let of = |step: &Option<u64>| match step {
            Some(records) => counts(&[("Other", 5_000), ("T", *records)]),
            None => counts(&[("Other", 5_000)]),
        };
        let guards = Guards {
            min_growth: 900,
            ..Guards::default()
        };
        first_jump(&guards, of(&Some(first)), steps.iter().map(of))
    }

    #[test]
    fn steps_within_the_limits_are_no_jump_and_the_first_past_them_is() {
        assert_eq!(jump(1_000, &[Some(1_900), Some(3_700), Some(7_000)]), None);
        let (at, reason) = jump(1_000, &[Some(1_900), Some(4_000), Some(90_000)]).unwrap();
        assert_eq!(at, 1);
        assert!(
            reason.contains("4000 records of T instead of 1900"),
            "{reason}"
        );
        assert_eq!(jump(5_000, &[Some(4_000), None]).unwrap().0, 1);
    }

    #[test]
    fn a_type_that_goes_and_comes_back_is_compared_again_from_then_on() {
        // It goes from below what is compared, and comes back from nothing.
        assert_eq!(jump(900, &[None, Some(5_000), Some(9_000)]), None);
        let (at, reason) = jump(900, &[None, Some(5_000), Some(50_000)]).unwrap();
        assert_eq!(at, 2);
        assert!(
            reason.contains("50000 records of T instead of 5000"),
            "{reason}"
        );
        assert_eq!(jump(0, &[Some(5_000), Some(50_000)]).unwrap().0, 1);
    }

    #[test]
    fn only_types_that_are_kept_are_counted() {
        let schema = Schema::parse("A { long a; B b; } B { long b; } C { long c; }").unwrap();
        let counted = |filter: Option<TypeFilter>| {
            let empty = State::empty_of(HashSeed::new([1, 2]), filter.map(Arc::new));
            let state = empty.evolved(&Arc::new(schema.clone())).unwrap();
            kept_counts(&state).into_keys().collect::<Vec<_>>()
        };
        assert_eq!(counted(None), ["A", "B", "C"]);
        assert_eq!(counted(Some(TypeFilter::of(["A"]))), ["A", "B"]);
        assert_eq!(counted(Some(TypeFilter::of(["A.a", "C"]))), ["A", "C"]);
    }

    #[test]
    fn types_that_come_on_the_way_may_be_ones_that_are_not_kept() {
        let guards = Guards::default();
        let steps = [
            counts(&[("Other", 5_000), ("New", 5_000)]),
            counts(&[("Other", 5_000), ("New", 500_000)]),
        ];
        assert_eq!(
            first_jump(&guards, counts(&[("Other", 5_000)]), steps),
            None
        );
    }
}
