//! Random cycles against a map: however a consumer gets to a version, it holds the same.

use crate::kit::{Kit, assert_same, publish, rounds};
use grotto_consumer::Consumer;
use grotto_env::{Random, SeededRandom};
use std::collections::BTreeMap;

/// Pairs of one version by id.
type Model = BTreeMap<i64, u64>;

/// Publishes random versions and returns what each of them holds.
async fn random_versions(kit: &Kit, seed: u64, count: usize) -> BTreeMap<u64, Model> {
    let random = SeededRandom::new(seed);
    let producer = kit.producer().await;
    let mut model = Model::new();
    let mut versions = BTreeMap::new();
    for turn in 0..count {
        let below = |limit: u64| random.next_u64() % limit;
        let gone: Vec<i64> = model
            .keys()
            .copied()
            .filter(|_| turn > 0 && below(8) == 0)
            .collect();
        let written: Vec<i64> = (0..1 + below(60)).map(|_| below(400) as i64).collect();
        let round = producer.version() + 1;
        for id in &gone {
            model.remove(id);
        }
        model.extend(written.iter().map(|id| (*id, round)));
        if gone.is_empty() {
            publish(&producer, written).await;
        } else {
            let cycle = producer.run_incremental(move |cycle| {
                for id in gone {
                    cycle.delete_from("Left", id)?;
                    cycle.delete_from("Right", id)?;
                }
                for id in written {
                    let note = format!("note of round {round}, group {}", id % 3);
                    cycle.upsert_json(
                        "Left",
                        &format!(r#"{{"id":{id},"round":{round},"note":"{note}"}}"#),
                        0,
                    )?;
                    cycle.upsert_json("Right", &format!(r#"{{"id":{id},"round":{round}}}"#), 0)?;
                }
                Ok(())
            });
            assert_eq!(cycle.await.unwrap().unwrap().version, round);
        }
        versions.insert(round, model.clone());
        if turn % 9 == 4 {
            producer.snapshot().await.unwrap();
        }
    }
    versions
}

#[tokio::test]
async fn every_way_to_a_version_leads_to_the_same_state() {
    for seed in [1, 2, 3] {
        println!("seed {seed}");
        let kit = Kit::new();
        let versions = random_versions(&kit, seed, 30).await;
        let build = || kit.consumer().state_dir(kit.state_dir());
        let heap = kit.consumer().open().await.unwrap();
        for (version, model) in &versions {
            // Step by step on the heap, from scratch each time, and by a directory that restarts.
            heap.refresh_to(*version).await.unwrap();
            let fresh = kit.consumer().open_at(*version).await.unwrap();
            let files = build().open_at(*version).await.unwrap();
            assert_eq!(&rounds(&heap.state()), model);
            assert_same(&fresh.state(), &heap.state());
            assert_same(&files.state(), &heap.state());
            files.shutdown().await;
        }
    }
}

#[tokio::test]
async fn jumping_about_in_history_is_exact_and_reports_what_changed() {
    let kit = Kit::new();
    let versions = random_versions(&kit, 7, 30).await;
    let random = SeededRandom::new(8);
    let consumer = kit.consumer().open().await.unwrap();
    let numbers: Vec<u64> = versions.keys().copied().collect();
    for _ in 0..40 {
        let target = numbers[(random.next_u64() % numbers.len() as u64) as usize];
        let before = consumer.state();
        if let Some(report) = consumer.refresh_to(target).await.unwrap() {
            assert_eq!((report.from, report.to), (before.version(), target));
            assert_changes(&consumer, &before, &report);
        }
        assert_eq!(rounds(&consumer.state()), versions[&target]);
    }
}

/// The reported ordinals are exactly those whose record differs.
fn assert_changes(
    consumer: &Consumer,
    before: &grotto_state::State,
    report: &grotto_consumer::RefreshReport,
) {
    let after = consumer.state();
    let Ok(right) = after.type_id("Right") else {
        return;
    };
    let content = |state: &grotto_state::State| -> BTreeMap<u32, (u64, u64)> {
        state
            .scan(right)
            .map(|record| (record.ordinal(), (record.word(0), record.word(1))))
            .collect()
    };
    let (old, new) = (content(before), content(&after));
    let added = new
        .iter()
        .filter(|(ordinal, record)| old.get(*ordinal) != Some(*record));
    let removed = old
        .iter()
        .filter(|(ordinal, record)| new.get(*ordinal) != Some(*record));
    let expected: (Vec<u32>, Vec<u32>) = (
        added.map(|(o, _)| *o).collect(),
        removed.map(|(o, _)| *o).collect(),
    );
    let found = report.ordinals.get("Right").cloned().unwrap_or_default();
    assert_eq!(
        (found.added, found.removed),
        expected,
        "{} to {}",
        report.from,
        report.to
    );
}
