//! Tests of a host whose store shows older entries than those that it wrote: it is behind, or it was restored.

use super::hosts::{Host, LEASE, end, of, published, two_hosts};
use super::overtaken::overtaken;
use super::{put, until_is};
use crate::kit::Trouble;
use grotto_producer::pipeline::Condition;

/// A host that led, was overtaken and led again, and log entries since its second reign began.
async fn led_again(one: &Host, two: &Host) -> Vec<String> {
    let store = &one.store;
    let mut entries = Vec::new();
    for (host, id, name) in [(one, 11, "Bern"), (two, 12, "Basel"), (one, 13, "Chur")] {
        entries = store.paths("cities/log").await;
        let leader = host.lead().await;
        put(&leader, id, name).await.published().await.unwrap();
        end(&leader).await;
    }
    let all = store.paths("cities/log").await;
    all.into_iter()
        .filter(|entry| !entries.contains(entry))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_store_that_answers_with_what_it_had_sets_nothing_aside_that_is_published() {
    let (store, one, two) = two_hosts();
    let newest = led_again(&one, &two).await;
    store.fall_behind(newest);
    let back = one.lead().await;
    put(&back, 4, "Olten").await.published().await.unwrap();
    assert_eq!(one.set_aside(), [""; 0]);
    let all = of(&[(4, "Olten"), (11, "Bern"), (12, "Basel"), (13, "Chur")]);
    assert_eq!(published(&store).await, all);
}

#[tokio::test(start_paused = true)]
async fn a_standby_sets_aside_once_the_store_shows_who_overtook_it() {
    let (store, one, two) = two_hosts();
    let reign = led_again(&one, &two).await;
    let (old, new) = overtaken(&one, &two).await;
    drop(old);
    store.heal();
    put(&new, 4, "Olten").await.published().await.unwrap();
    // Entries sort by their versions.
    let all = store.paths("cities/log").await;
    store.fall_behind(all.into_iter().filter(|entry| *entry >= reign[0]).collect());
    let waiting = one.stand_by();
    tokio::pin!(waiting);
    assert!(tokio::time::timeout(LEASE / 2, &mut waiting).await.is_err());
    assert_eq!(one.set_aside(), [""; 0]);
    store.fall_behind(Vec::new());
    assert!(tokio::time::timeout(LEASE / 2, &mut waiting).await.is_err());
    let lines = one.set_aside();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    drop(new);
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_that_opens_its_dataset_again_is_not_fenced_by_an_entry_from_before_it_led() {
    let (store, one, two) = two_hosts();
    let mut newest = led_again(&one, &two).await;
    let before = store.paths("cities/log").await;
    let leader = one.lead().await;
    put(&leader, 4, "Olten").await.published().await.unwrap();
    let written = store.paths("cities/log").await;
    newest.extend(
        written
            .iter()
            .filter(|entry| !before.contains(entry))
            .cloned(),
    );
    let next = format!("cities/log/{:020}.json", written.len() + 1);
    store.plant(&next, b"no entry".to_vec()).await;
    put(&leader, 5, "Zug").await;
    until_is(&leader, Condition::Degraded).await;
    assert!(leader.producer().is_none(), "it is opened again");
    store.remove(&next).await;
    store.fall_behind(newest);
    put(&leader, 6, "Chur").await.published().await.unwrap();
    assert_eq!(one.set_aside(), [""; 0]);
    assert_eq!(published(&store).await.len(), 6);
}

/// The log is restored to what it was before one host led again, which has acknowledged a record that nobody published,
/// and the other one publishes since.
async fn restored() -> (Host, Host) {
    let (store, one, two) = two_hosts();
    for (host, id, name) in [(&one, 1, "Bern"), (&two, 2, "Basel")] {
        let leader = host.lead().await;
        put(&leader, id, name).await.published().await.unwrap();
        end(&leader).await;
    }
    let kept = store.paths("cities/log").await;
    for again in [false, false, true] {
        let leader = one.lead().await;
        if again {
            store.cause(Trouble::Fails, "");
            put(&leader, 2, "lost").await;
        }
        end(&leader).await;
    }
    store.heal();
    for entry in store.paths("cities/log").await {
        if !kept.contains(&entry) {
            store.remove(&entry).await;
        }
    }
    let other = two.lead().await;
    put(&other, 2, "Biel").await.published().await.unwrap();
    end(&other).await;
    (one, two)
}

#[tokio::test(start_paused = true)]
async fn what_a_host_had_is_not_published_over_what_others_wrote_since_the_log_was_restored() {
    let (one, two) = restored().await;
    let back = one.lead().await;
    put(&back, 4, "Olten").await.published().await.unwrap();
    let all = of(&[(1, "Bern"), (2, "Biel"), (4, "Olten")]);
    assert_eq!(published(&two.store).await, all);
    assert_eq!(one.set_aside().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_standby_believes_a_restored_log_after_a_lease() {
    let (one, two) = restored().await;
    let leader = two.lead().await;
    put(&leader, 4, "Olten").await.published().await.unwrap();
    let waiting = one.stand_by();
    tokio::pin!(waiting);
    assert!(tokio::time::timeout(LEASE / 2, &mut waiting).await.is_err());
    assert_eq!(one.set_aside(), [""; 0], "the store may be behind");
    assert!(tokio::time::timeout(LEASE, &mut waiting).await.is_err());
    assert_eq!(one.set_aside().len(), 1);
}
