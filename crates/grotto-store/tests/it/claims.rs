//! Writers whose first commit is their fence. Owns nothing.

use grotto_store::{Dataset, EntryKind, ErrorKind, Writer};

use crate::kit::{acquire, commit, fields, memory, named};

async fn claimed(dataset: &Dataset, writer: &str) -> Writer {
    let (writer, _) = Writer::prepare(dataset.clone(), named(writer))
        .await
        .unwrap();
    writer.claim().await.unwrap();
    writer
}

#[tokio::test]
async fn the_first_commit_under_a_claimed_epoch_is_the_fence() {
    let dataset = memory();
    let old = acquire(&dataset, "daemon").await;
    commit(&old, "2").await.unwrap();
    let one_shot = claimed(&dataset, "one-shot").await;
    assert_eq!((one_shot.epoch(), one_shot.next_version()), (Some(2), 3));
    one_shot.heartbeat().await;
    assert_eq!(
        dataset.leader_hint().await.unwrap(),
        None,
        "it is not the writer yet"
    );
    let entry = commit(&one_shot, "3").await.unwrap();
    assert_eq!(
        (entry.version, entry.kind, entry.epoch),
        (3, EntryKind::Commit, 2)
    );
    assert_eq!(
        one_shot.fence().await.unwrap(),
        entry,
        "there is nothing left to fence"
    );
    assert_eq!(
        commit(&old, "late").await.unwrap_err().kind(),
        ErrorKind::Fenced
    );
    let next = commit(&one_shot, "4").await.unwrap();
    assert_eq!((next.version, next.epoch), (4, 2), "its reign goes on");
}

#[tokio::test]
async fn the_first_version_of_a_dataset_is_1() {
    let dataset = memory();
    let entry = commit(&claimed(&dataset, "a").await, "x").await.unwrap();
    assert_eq!((entry.version, entry.epoch, entry.parent), (1, 1, 0));
    assert_eq!(entry.links.0[0].from, 0);
}

#[tokio::test]
async fn of_two_that_claimed_one_commits_and_the_other_is_fenced_for_good() {
    let dataset = memory();
    acquire(&dataset, "before").await;
    let (first, second) = (claimed(&dataset, "a").await, claimed(&dataset, "b").await);
    let (lost, won) = (
        fields(&first, "x").await.unwrap(),
        fields(&second, "y").await.unwrap(),
    );
    let entry = second.commit(won).await.unwrap();
    for _ in 0..2 {
        let error = first.commit(lost.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Fenced, "{error}");
    }
    assert!(first.is_fenced());
    assert_eq!(dataset.head().await.unwrap(), Some(entry));
}
