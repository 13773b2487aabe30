//! What the planner promises: the cheapest way, both directions, around broken blobs.

use super::*;
use bytes::Bytes;
use grotto_format::log::{EntryBlobs, FORMAT, InlineBlobs, Links, StepNonce};

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

/// The cheapest plan where eight requests are made at a time and 100 bytes come while one is answered.
fn plan(current: Option<u64>, target: u64, known: &Known) -> Option<Plan> {
    let weights = PlanWeights {
        round_bytes: 100,
        width: 8,
    };
    super::plan(current, target, known, weights)
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
fn many_small_deltas_give_way_to_a_snapshot_that_is_had_sooner() {
    // 80 deltas of 10 bytes in ten rounds of 100: as much as 1,700 bytes in one.
    let mut known = chain(80, 10);
    known.learn_snapshot(80, &blob("s80", 1_699));
    assert_eq!(shape(plan(None, 80, &known)), "s80");
    let mut known = chain(80, 10);
    known.learn_snapshot(80, &blob("s80", 1_701));
    assert_eq!(plan(None, 80, &known).unwrap().steps.len(), 80);
}

#[test]
fn what_is_asked_for_at_once_costs_one_wait() {
    let mut known = chain(8, 10);
    known.learn_snapshot(8, &blob("s8", 81));
    assert_eq!(plan(None, 8, &known).unwrap().steps.len(), 8);
    let mut known = chain(9, 10);
    known.learn_snapshot(9, &blob("s9", 189));
    assert_eq!(shape(plan(None, 9, &known)), "s9");
}

/// A commit whose delta of so many bytes rides in its entry.
fn inline_commit(version: u64, length: usize) -> LogEntry {
    let blobs = InlineBlobs {
        delta: Bytes::from(vec![7; length]),
        reverse: None,
    };
    let own = Link {
        inline: true,
        reverse_bytes: None,
        ..step(version - 1, version - 1, length as u64)
    };
    LogEntry {
        format: FORMAT,
        dataset: "cities".to_owned(),
        dataset_id: String::new(),
        version,
        kind: EntryKind::Commit,
        epoch: 1,
        nonce: String::new(),
        writer: String::new(),
        time_ms: 0,
        parent: version - 1,
        state_version: version,
        commits: version,
        blobs: Some(EntryBlobs::Inline(blobs)),
        snapshot: None,
        links: Links(vec![own]),
        state_checksum: 0,
        types: BTreeMap::new(),
        schema_hash: 0,
        sources: BTreeMap::new(),
        tags: BTreeMap::new(),
        signature: None,
    }
}

#[test]
fn a_delta_inside_an_entry_costs_the_request_for_the_entry_until_it_is_read() {
    // Nine deltas of 10 bytes: two rounds, and 290 bytes in all, if each is asked for.
    let links = || {
        let mut known = chain(8, 10);
        known.learn_link(&inline_commit(9, 10).links.0[0]);
        known.learn_snapshot(9, &blob("s9", 150));
        known
    };
    assert_eq!(shape(plan(None, 9, &links())), "s9");
    // The bytes of the ninth are there: one round, 190 bytes, against 250.
    let mut known = links();
    known.learn_entry(&inline_commit(9, 10));
    let chosen = plan(None, 9, &known).unwrap();
    assert_eq!((chosen.steps.len(), chosen.bytes), (9, 90));
}

#[test]
fn blobs_of_many_entries_do_not_pile_up() {
    let mut known = Known::new();
    let length = 64 << 10;
    for version in (1..=1_000).rev() {
        known.learn_entry(&inline_commit(version, length));
    }
    let chosen = plan(None, 1_000, &known).unwrap();
    assert_eq!((chosen.steps.len(), chosen.bytes), (1_000, 64_000 << 10));
    let blobs = chosen.steps.iter().filter_map(Step::blob);
    let held = blobs.filter(|blob| !blob.needs_request()).count();
    assert_eq!(held as u64, super::MOST_HELD / length as u64);
    // What is learned again is counted once.
    known.learn_entry(&inline_commit(1_000, length));
    assert_eq!(known.held, super::MOST_HELD);
}

#[test]
fn what_an_entry_holds_is_kept_both_ways_and_counted_once() {
    let mut entry = inline_commit(2, 10);
    let held = InlineBlobs {
        delta: Bytes::from(vec![7; 10]),
        reverse: Some(Bytes::from(vec![7; 5])),
    };
    entry.blobs = Some(EntryBlobs::Inline(held));
    entry.links.0[0].reverse_bytes = Some(5);
    let mut known = Known::new();
    for _ in 0..3 {
        known.learn_entry(&entry);
        assert_eq!(known.held, 15);
    }
    for (from, target) in [(1, 2), (2, 1)] {
        let chosen = plan(Some(from), target, &known).unwrap();
        assert!(!chosen.steps[0].blob().unwrap().needs_request());
    }
}

#[test]
fn ten_thousand_small_deltas_lose_against_a_snapshot_of_a_hundred_megabytes() {
    let mut known = chain(10_000, 100);
    known.learn_snapshot(9_990, &blob("s", 100 << 20));
    let chosen = super::plan(Some(0), 10_000, &known, PlanWeights::default()).unwrap();
    assert_eq!(chosen.steps.len(), 11);
    // One that is not worth the wait is not taken: 313 rounds against one.
    let mut known = chain(10_000, 100);
    known.learn_snapshot(9_990, &blob("s", 700 << 20));
    let chosen = super::plan(Some(0), 10_000, &known, PlanWeights::default()).unwrap();
    assert_eq!(chosen.steps.len(), 10_000);
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

#[test]
fn where_all_is_equal_no_snapshot_is_loaded() {
    let mut known = chain(3, 10);
    known.learn_snapshot(1, &blob("s1", 10));
    assert_eq!(shape(plan(None, 3, &known)), "d1 d2 d3");
}

#[test]
fn of_two_ways_over_the_same_versions_the_cheaper_one_is_taken() {
    // A log that was written anew after it lost its end: a link tells of a step where now a fence lies.
    let mut known = chain(5, 10);
    known.learn_link(&step(3, 5, 10));
    assert_eq!(shape(plan(Some(2), 6, &known)), "d3 >5 d6");
    assert_eq!(shape(plan(Some(6), 3, &known)), "r6 >3");
}

#[test]
fn a_blob_must_say_what_its_step_says() {
    use grotto_format::blob::{BlobHeader, BlobKind as HeaderKind};
    let says = |dataset: &str, kind, from, to| BlobHeader {
        dataset: dataset.to_owned(),
        kind,
        from,
        to,
        from_checksum: 0,
        to_checksum: 0,
        from_schema_hash: 0,
        schema_hash: 0,
        schema_text: None,
        types: Vec::new(),
        sections: Vec::new(),
    };
    let step = Step::Delta {
        from: 2,
        to: 3,
        blob: Source::linked(&step(2, 2, 7), BlobKind::Delta).unwrap(),
    };
    let right = says("cities", HeaderKind::Delta, 2, 3);
    assert_eq!(step.check_header("cities", &right), Ok(()));
    for wrong in [
        says("towns", HeaderKind::Delta, 2, 3),
        says("cities", HeaderKind::Reverse, 2, 3),
        says("cities", HeaderKind::Delta, 1, 3),
        says("cities", HeaderKind::Delta, 2, 4),
    ] {
        assert!(step.check_header("cities", &wrong).is_err(), "{wrong:?}");
    }
}
