//! States of other versions than the served one.

use super::*;
use crate::faults::{Fault, FaultStore};

#[tokio::test]
async fn any_version_can_be_visited_while_another_is_served() {
    let (_kit, mut publisher, consumer) = two_versions().await;
    let mut states = vec![publisher.state()];
    for round in 0..4_i64 {
        publisher.publish_change(&[round, 900], &[round + 1]).await;
        states.push(publisher.state());
    }
    consumer.refresh_to(states[2].version()).await.unwrap();
    for state in &states {
        let visited = consumer.state_at(state.version()).await.unwrap();
        assert_same(&visited, state);
        assert_eq!(consumer.version(), states[2].version());
    }
    let none = consumer.state_at(999).await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::Missing);
}

#[tokio::test]
async fn a_visit_that_meets_a_bad_blob_goes_around_it() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    publisher.snapshot().await;
    let wanted = publisher.state();
    publisher.publish_change(&[1], &[]).await;
    let back = publisher.publish_change(&[2], &[3]).await;
    let store = FaultStore::new(&kit.folder.path().join("store"));
    let consumer = Consumer::builder(DATASET, store.store())
        .open()
        .await
        .unwrap();
    crate::kit::flip(&kit.file(&publisher.reverse_of(back.version)), 40);
    let visited = consumer.state_at(wanted.version()).await.unwrap();
    assert_same(&visited, &wanted);
    store.cause(Fault::Fails, "log/");
    let away = consumer.state_at(wanted.version()).await.unwrap_err();
    assert_eq!(away.kind(), ErrorKind::Unavailable);
}
