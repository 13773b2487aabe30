//! What the planner promises: the cheapest way, both directions, around broken blobs.

use super::*;
use grotto_format::log::StepNonce;

fn blob(name: &str, length: u64) -> BlobRef {
    BlobRef {
        name: name.to_owned(),
        length,
        checksum: 0,
    }
}

/// A step over fences: `since..=from` share a state, the next version is another.
fn step(since: u64, from: u64, length: u64) -> Link {
    Link {
        since,
        from,
        epoch: 1,
        nonce: StepNonce(7),
        delta_bytes: length,
        reverse_bytes: Some(length),
        inline: false,
    }
}

/// Versions 1..=last by deltas of `length` bytes each.
fn chain(last: u64, length: u64) -> Known {
    let mut known = Known::new();
    for version in 1..=last {
        known.learn_link(&step(version - 1, version - 1, length));
    }
    known
}

/// The name of the blob of a step.
fn name(kind: char, version: u64) -> String {
    let kind = match kind {
        'd' => BlobKind::Delta,
        _ => BlobKind::Reverse,
    };
    StepNonce(7).name(kind, version, 1)
}

fn short(step: &Step) -> String {
    match step {
        Step::Delta { to, .. } => format!("d{to}"),
        Step::Reverse { from, .. } => format!("r{from}"),
        other => other
            .blob()
            .map_or_else(String::new, |b| b.name().to_owned()),
    }
}

/// A plan as text: `s5` snapshot, `d6` delta, `r6` reverse (named by its upper version), `>7` skip.
fn shape(plan: Option<Plan>) -> String {
    let Some(plan) = plan else {
        return "unreachable".to_owned();
    };
    let names = plan.steps.iter().map(|step| match step {
        Step::Skip { to, .. } => format!(">{to}"),
        other => short(other),
    });
    names.collect::<Vec<_>>().join(" ")
}

#[test]
fn at_the_target_nothing_is_to_do() {
    assert_eq!(plan(Some(3), 3, &chain(5, 1)), Some(Plan::default()));
    assert_eq!(plan(None, 0, &Known::new()), Some(Plan::default()));
}

#[test]
fn deltas_lead_forward_and_from_the_empty_state() {
    assert_eq!(shape(plan(Some(3), 5, &chain(5, 1))), "d4 d5");
    assert_eq!(shape(plan(None, 2, &chain(5, 1))), "d1 d2");
}

#[test]
fn the_plan_tells_its_bytes_and_its_steps_connect() {
    let plan = plan(Some(2), 4, &chain(5, 7)).unwrap();
    assert_eq!(plan.bytes, 14);
    let expected = Step::Delta {
        from: 2,
        to: 3,
        blob: Source::linked(&step(2, 2, 7), BlobKind::Delta).unwrap(),
    };
    assert_eq!(plan.steps[0], expected);
    assert_eq!(plan.steps[1].to(), 4);
}

#[test]
fn reverse_deltas_lead_back() {
    assert_eq!(shape(plan(Some(5), 3, &chain(5, 1))), "r5 r4");
}

#[test]
fn without_a_reverse_delta_an_older_snapshot_leads_back() {
    let mut known = chain(5, 1);
    known.learn_snapshot(2, &blob("s2", 10));
    known.exclude(name('r', 4));
    assert_eq!(shape(plan(Some(5), 3, &known)), "s2 d3");
}

#[test]
fn a_smaller_snapshot_wins_over_the_chain() {
    let mut known = chain(20, 10);
    known.learn_snapshot(18, &blob("s18", 50));
    assert_eq!(shape(plan(Some(2), 20, &known)), "s18 d19 d20");
    assert_eq!(shape(plan(Some(17), 20, &known)), "d18 d19 d20");
}

#[test]
fn a_snapshot_past_the_target_serves_with_reverse_deltas() {
    let mut known = chain(9, 10);
    known.learn_snapshot(8, &blob("s8", 5));
    assert_eq!(shape(plan(None, 7, &known)), "s8 r8");
}

#[test]
fn a_long_chain_gives_way_to_a_snapshot_of_up_to_twice_the_bytes() {
    let mut known = chain(40, 10);
    known.learn_snapshot(40, &blob("s40", 800));
    assert_eq!(shape(plan(None, 40, &known)), "s40");
    let mut known = chain(40, 10);
    known.learn_snapshot(40, &blob("s40", 801));
    assert_eq!(plan(None, 40, &known).unwrap().steps.len(), 40);
    let mut known = chain(32, 10);
    known.learn_snapshot(32, &blob("s32", 600));
    assert_eq!(plan(None, 32, &known).unwrap().steps.len(), 32);
}

#[test]
fn excluded_blobs_are_planned_around_or_the_target_is_unreachable() {
    let mut known = chain(5, 1);
    known.learn_snapshot(4, &blob("s4", 100));
    known.learn_snapshot(1, &blob("s1", 100));
    known.exclude(name('d', 3));
    assert_eq!(shape(plan(Some(2), 5, &known)), "s4 d5");
    known.exclude("s4");
    assert_eq!(shape(plan(Some(2), 5, &known)), "unreachable");
    assert_eq!(shape(plan(Some(2), 9, &known)), "unreachable");
}

#[test]
fn fences_are_skipped_forward_back_and_from_within() {
    // 1 fence, 2 commit, 3 and 4 fences, 5 commit.
    let mut known = Known::new();
    known.learn_link(&step(0, 1, 1));
    known.learn_link(&step(2, 4, 1));
    assert_eq!(shape(plan(None, 5, &known)), ">1 d2 >4 d5");
    assert_eq!(shape(plan(Some(3), 5, &known)), ">4 d5");
    assert_eq!(shape(plan(Some(5), 2, &known)), "r5 >2");
    assert_eq!(shape(plan(Some(5), 3, &known)), "r5 >3");
    assert_eq!(shape(plan(Some(2), 3, &known)), ">3");
}

#[test]
fn a_hostile_range_of_versions_costs_nothing() {
    let mut known = Known::new();
    known.learn_link(&step(0, u64::MAX - 1, u64::MAX));
    let plan = plan(None, u64::MAX, &known).unwrap();
    assert_eq!(plan.steps.len(), 2);
}

#[test]
fn equal_bytes_are_broken_by_fewer_steps() {
    let mut known = chain(3, 10);
    known.learn_snapshot(3, &blob("s3", 30));
    assert_eq!(shape(plan(None, 3, &known)), "s3");
}
