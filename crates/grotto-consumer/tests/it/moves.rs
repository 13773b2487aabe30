//! Where refreshes lead: forward, back, over fences, by snapshot.

use crate::kit::{DATASET, Kit, PAIRS, assert_same, newest_round, rounds};
use grotto_consumer::{Consumer, ErrorKind, StepKind};
use grotto_store::CommitFields;
use std::sync::Arc;
use std::time::Duration;

const LONG: std::time::Duration = std::time::Duration::from_secs(60);

async fn open(kit: &Kit) -> Consumer {
    Consumer::builder(DATASET, kit.store.clone())
        .open()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_dataset_that_was_never_written_is_the_empty_state_if_one_waits_for_it() {
    let kit = Kit::new();
    let consumer = Consumer::builder(DATASET, kit.store.clone())
        .wait_for_dataset(true)
        .start()
        .await
        .unwrap();
    assert_eq!((consumer.version(), consumer.state().total()), (0, 0));
    let mut publisher = kit.publisher().await;
    let entry = publisher.publish(1).await;
    consumer.wait_for(entry.version, LONG).await.unwrap();
    assert_same(&consumer.state(), &publisher.state());
    consumer.shutdown().await;
}

#[tokio::test]
async fn deltas_lead_forward_and_every_version_is_exact() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = open(&kit).await;
    for every in [3, 1, 499, 7] {
        publisher.publish(every).await;
        let report = consumer.refresh().await.unwrap().unwrap();
        assert_eq!(report.steps.len(), 1);
        assert_eq!(report.steps[0].kind, StepKind::Delta);
        assert_same(&consumer.state(), &publisher.state());
    }
    assert!(consumer.refresh().await.unwrap().is_none());
}

#[tokio::test]
async fn the_report_names_the_ordinals_that_came_and_went() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = open(&kit).await;
    let before = consumer.state();
    publisher.publish(100).await;
    publisher.publish(100).await;
    let report = consumer.refresh().await.unwrap().unwrap();
    assert_eq!(
        (report.from, report.to),
        (before.version(), publisher.state().version())
    );
    let after = consumer.state();
    for (name, change) in &report.ordinals {
        let ty = after.type_id(name).unwrap();
        assert_eq!((change.added.len(), change.removed.len()), (5, 5), "{name}");
        for ordinal in &change.added {
            assert_eq!(after.record(ty, *ordinal).unwrap().word(1), after.version());
        }
        for ordinal in &change.removed {
            assert_eq!(
                before.record(ty, *ordinal).unwrap().word(1),
                before.version()
            );
        }
    }
    assert_eq!(report.ordinals.len(), 2);
    assert!(report.bytes() > 0);
}

#[tokio::test]
async fn a_snapshot_on_the_way_reports_the_same_changes_as_deltas() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let by_delta = open(&kit).await;
    let by_snapshot = open(&kit).await;
    publisher.publish(50).await;
    let delta = publisher.delta_of(publisher.state().version());
    publisher.snapshot().await;
    let expected = by_delta.refresh().await.unwrap().unwrap();
    std::fs::remove_file(kit.file(&delta)).unwrap();
    let report = by_snapshot.refresh().await.unwrap().unwrap();
    assert_eq!(report.steps[0].kind, StepKind::Snapshot);
    assert_eq!(report.ordinals, expected.ordinals);
    assert_same(&by_snapshot.state(), &publisher.state());
}

#[tokio::test]
async fn a_new_consumer_starts_from_the_newest_snapshot() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    publisher.publish_many(60).await;
    publisher.snapshot().await;
    publisher.publish_many(3).await;
    let consumer = open(&kit).await;
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn a_consumer_that_slept_through_hundreds_of_versions_catches_up() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = open(&kit).await;
    publisher.publish_many(100).await;
    let report = consumer.refresh().await.unwrap().unwrap();
    assert_eq!(report.steps.len(), 100);
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn fences_move_the_version_and_nothing_else() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = open(&kit).await;
    let before = rounds(&consumer.state());
    let _next = kit.publisher().await;
    let report = consumer.refresh().await.unwrap().unwrap();
    assert_eq!(report.steps[0].kind, StepKind::Skip);
    assert!(report.ordinals.is_empty());
    assert_eq!(consumer.version(), publisher.state().version() + 1);
    assert_eq!(rounds(&consumer.state()), before);
}

#[tokio::test]
async fn going_back_uses_reverse_deltas_and_stays_until_told_to_follow() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    let first = publisher.publish(1).await;
    publisher.publish(2).await;
    publisher.publish(3).await;
    let consumer = open(&kit).await;
    let report = consumer.refresh_to(first.version).await.unwrap().unwrap();
    assert!(
        report
            .steps
            .iter()
            .all(|step| step.kind == StepKind::Reverse),
        "{:?}",
        report.steps
    );
    assert_eq!(newest_round(&consumer.state()), first.version as i64);
    assert_eq!(consumer.state().checksum(), first.state_checksum);
    publisher.publish(5).await;
    assert!(consumer.refresh().await.unwrap().is_none());
    assert_eq!(consumer.version(), first.version);
    consumer.follow().await.unwrap().unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn going_there_and_back_again_changes_nothing() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = open(&kit).await;
    let first = consumer.state();
    publisher.publish_many(5).await;
    consumer.refresh().await.unwrap().unwrap();
    let report = consumer.refresh_to(first.version()).await.unwrap().unwrap();
    assert_eq!(report.ordinals.len(), 2);
    assert_same(&consumer.state(), &first);
}

#[tokio::test]
async fn without_reverse_deltas_an_older_snapshot_leads_back() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.reverse = false;
    publisher.publish(1).await;
    publisher.snapshot().await;
    let target = publisher.publish(2).await;
    publisher.publish(3).await;
    let consumer = open(&kit).await;
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let versions = Arc::clone(&seen);
    consumer.on_refresh(move |report| versions.lock().unwrap().push((report.from, report.to)));
    let report = consumer.refresh_to(target.version).await.unwrap().unwrap();
    assert_eq!(report.to, target.version);
    assert_eq!(consumer.state().checksum(), target.state_checksum);
    assert_eq!(
        *seen.lock().unwrap(),
        [(target.version + 1, target.version)]
    );
}

#[tokio::test]
async fn one_version_can_be_opened_and_an_unknown_one_cannot() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let wanted = publisher.publish(2).await;
    publisher.publish(3).await;
    let at = |version| Consumer::builder(DATASET, kit.store.clone()).open_at(version);
    let consumer = at(wanted.version).await.unwrap();
    assert_eq!(consumer.state().checksum(), wanted.state_checksum);
    let error = at(99).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(
        error.message().contains("version 99 is not in the log"),
        "{error}"
    );
}

#[tokio::test]
async fn a_failed_pin_leaves_the_consumer_following() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = open(&kit).await;
    consumer.refresh_to(77).await.unwrap_err();
    publisher.publish(2).await;
    assert!(consumer.refresh().await.unwrap().is_some());
}

#[tokio::test]
async fn readers_never_see_a_mixture_while_versions_arrive() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let builder =
        Consumer::builder(DATASET, kit.store.clone()).poll_interval(Duration::from_millis(1));
    let consumer = Arc::new(builder.start().await.unwrap());
    let reader = Arc::clone(&consumer);
    let last = publisher.state().version() + 30;
    let reads = std::thread::spawn(move || {
        let mut versions = std::collections::BTreeSet::new();
        let mut newest = 0;
        while newest < last {
            let state = reader.state();
            assert!(
                state.version() >= newest,
                "went back from {newest} to {}",
                state.version()
            );
            newest = state.version();
            assert_eq!(rounds(&state).len(), PAIRS as usize);
            assert_eq!(newest_round(&state), newest as i64);
            versions.insert(newest);
        }
        versions.len()
    });
    publisher.publish_many(30).await;
    consumer.wait_for(last, LONG).await.unwrap();
    assert!(
        tokio::task::spawn_blocking(move || reads.join().unwrap())
            .await
            .unwrap()
            > 1
    );
}

#[tokio::test]
async fn a_listener_that_panics_does_not_end_the_refresh() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = open(&kit).await;
    consumer.on_refresh(|_| panic!("a bug of the listener"));
    publisher.publish(2).await;
    assert!(consumer.refresh().await.unwrap().is_some());
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn metrics_follow_the_versions() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = open(&kit).await;
    let version = publisher.state().version();
    let text = consumer.metrics_text();
    assert!(
        text.contains(&format!(
            "grotto_consumer_current_version{{dataset=\"pairs\"}} {version}"
        )),
        "{text}"
    );
    assert!(
        text.contains(&format!(
            "grotto_consumer_newest_version{{dataset=\"pairs\"}} {version}"
        )),
        "{text}"
    );
    assert!(
        text.contains(&format!(
            "grotto_consumer_records{{dataset=\"pairs\"}} {}",
            2 * PAIRS
        )),
        "{text}"
    );
    assert!(!text.contains("grotto_consumer_errors_total{"), "{text}");
}

#[tokio::test]
async fn a_version_that_only_moves_positions_is_known_and_changes_nothing() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = open(&kit).await;
    let before = consumer.state();
    let moved = CommitFields {
        sources: [("feed".to_owned(), 5)].into(),
        positions_only: true,
        ..CommitFields::default()
    };
    let entry = publisher.writer.commit(moved).await.unwrap();
    let report = consumer.refresh().await.unwrap().unwrap();
    assert_eq!((report.to, report.bytes()), (entry.version, 0));
    assert_eq!(report.steps[0].kind, StepKind::Skip);
    assert_eq!(consumer.version(), entry.version);
    assert_eq!(rounds(&consumer.state()), rounds(&before));
}
