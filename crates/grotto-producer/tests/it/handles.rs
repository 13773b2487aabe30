//! Cycles that are filled by a handle, and errors of the caller's own.

use crate::kit::{SCHEMA, Trouble, TroubledStore, names, put};
use futures::{StreamExt, stream};
use grotto_format::Schema;
use grotto_producer::{AnyError, ErrorKind, Producer, Result};
use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::num::ParseIntError;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// As a user's crate has one.
#[derive(Debug, PartialEq)]
struct OutOfStock(u32);

impl fmt::Display for OutOfStock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shelf {} is empty", self.0)
    }
}

impl std::error::Error for OutOfStock {}

#[tokio::test]
async fn an_error_of_the_callers_own_comes_back_as_the_source() {
    let producer = TroubledStore::new().producer(0).await;
    let failed = producer.run_cycle(|cycle| {
        cycle.add_json("City", r#"{"id":1}"#, 1)?;
        Err(OutOfStock(7))?;
        Ok(())
    });
    let failed = failed.await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::UserError);
    assert_eq!(failed.message(), "the closure that fills the cycle failed");
    let source = failed.source().and_then(|below| below.downcast_ref());
    assert_eq!(source, Some(&OutOfStock(7)));
    let failed = producer.run_incremental(|_| {
        let _: i64 = "seven".parse()?;
        Ok(())
    });
    let failed = failed.await.unwrap_err();
    assert!(failed.inner::<ParseIntError>().is_some(), "{failed:?}");
    assert_eq!(producer.state().total(), 0);
}

#[tokio::test]
async fn an_error_of_this_library_stays_what_it_is() {
    let producer = TroubledStore::new().producer(0).await;
    let refused = producer.run_cycle(|cycle| Ok(cycle.add_json("City", "{", 3)?));
    let refused = refused.await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.message().starts_with("record 3: "), "{refused}");
    let refused = producer.run_incremental(|cycle| {
        // An error of a state, which is not the one error of the library yet.
        cycle.before().type_id("Town")?;
        Ok(())
    });
    let refused = refused.await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(
        refused.message().starts_with("version 0: type Town is not"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_transaction_that_fails_leaves_nothing_and_says_why() {
    let producer = TroubledStore::new().producer(0).await;
    let fill = |cycle: &mut grotto_producer::IncrementalCycle| {
        let failed: Result<()> = cycle.transaction(|cycle| {
            cycle.upsert_json("City", r#"{"id":1}"#, 1)?;
            cycle.set_position("rows", 9);
            Err(OutOfStock(1))?
        });
        let failed = failed.unwrap_err();
        assert_eq!(failed.message(), "the closure of the transaction failed");
        assert!(failed.inner::<OutOfStock>().is_some());
        cycle.set_position("lines", 2);
        cycle.upsert_json("City", r#"{"id":2,"name":"two"}"#, 2)?;
        Ok::<(), AnyError>(())
    };
    producer.run_incremental(fill).await.unwrap().unwrap();
    let positions = [("lines".to_owned(), 2)];
    assert_eq!(producer.positions(), positions.into(), "none of the failed");
    assert_eq!(names(&producer.state()), [(2, "two".to_owned())]);
}

#[tokio::test]
async fn a_transaction_that_panics_leaves_nothing_in_a_cycle_that_goes_on() {
    let producer = TroubledStore::new().producer(0).await;
    let mut cycle = producer.begin_incremental().await.unwrap();
    let panicked = std::panic::catch_unwind(AssertUnwindSafe(|| {
        cycle.transaction(|cycle| -> Result<(), AnyError> {
            cycle.upsert_json("City", r#"{"id":1}"#, 1)?;
            cycle.set_position("rows", 9);
            panic!("a bug of the caller")
        })
    }));
    panicked.unwrap_err();
    cycle
        .upsert_json("City", r#"{"id":2,"name":"two"}"#, 2)
        .unwrap();
    cycle.commit().await.unwrap().unwrap();
    assert_eq!(names(&producer.state()), [(2, "two".to_owned())]);
    assert!(producer.positions().is_empty());
}

#[tokio::test]
async fn an_error_of_the_engine_is_one_of_the_library() {
    let producer = TroubledStore::new().producer(0).await;
    let other = Schema::parse("City @PrimaryKey(id) { string id; }").unwrap();
    put(&producer, 1, "one").await.unwrap().unwrap();
    let refused = producer.run_incremental(move |cycle| {
        cycle.before().evolved(&Arc::new(other.clone()))?;
        Ok(())
    });
    assert_eq!(refused.await.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_handle_is_filled_from_a_stream_and_from_what_is_borrowed() {
    let producer = TroubledStore::new().producer(0).await;
    let rows = vec![(1, "one"), (2, "two")];
    let mut cycle = producer.begin_cycle().await.unwrap();
    for (id, name) in &rows {
        let text = format!(r#"{{"id":{id},"name":"{name}"}}"#);
        cycle.add_json("City", &text, 1).unwrap();
    }
    let first = cycle.commit().await.unwrap().unwrap();
    assert_eq!((first.records, producer.state().total()), (2, 2));

    let mut cycle = producer.begin_incremental().await.unwrap();
    let mut lines = stream::iter([r#"{"id":3,"name":"three"}"#, r#"{"id":1,"name":"uno"}"#]);
    while let Some(line) = lines.next().await {
        tokio::task::yield_now().await;
        cycle.upsert_json("City", line, 1).unwrap();
    }
    assert!(cycle.delete_from("City", 2_i64).unwrap());
    cycle.set_position("lines", 2);
    let second = cycle.commit().await.unwrap().unwrap();
    assert_eq!(second.version, first.version + 1);
    assert_eq!(producer.positions().get("lines"), Some(&2));
    let expected = [(1, "uno".to_owned()), (3, "three".to_owned())];
    assert_eq!(names(&producer.state()), expected);
}

#[tokio::test]
async fn a_handle_that_changes_nothing_publishes_nothing() {
    let producer = TroubledStore::new().producer(0).await;
    put(&producer, 1, "one").await.unwrap().unwrap();
    let version = producer.version();
    let cycle = producer.begin_incremental().await.unwrap();
    assert!(cycle.commit().await.unwrap().is_none());
    let mut cycle = producer.begin_cycle().await.unwrap();
    let same = r#"{"id":1,"name":"one"}"#;
    cycle.add_json("City", same, 1).unwrap();
    assert!(cycle.commit().await.unwrap().is_none());
    assert_eq!(producer.version(), version);
}

#[tokio::test]
async fn a_handle_that_is_dropped_leaves_the_committed_state() {
    let producer = TroubledStore::new().producer(0).await;
    put(&producer, 1, "one").await.unwrap().unwrap();
    let mut cycle = producer.begin_incremental().await.unwrap();
    let changed = r#"{"id":1,"name":"uno"}"#;
    cycle.upsert_json("City", changed, 1).unwrap();
    drop(cycle);
    put(&producer, 2, "two").await.unwrap().unwrap();
    let expected = [(1, "one".to_owned()), (2, "two".to_owned())];
    assert_eq!(names(&producer.state()), expected);
}

#[tokio::test]
async fn a_second_cycle_waits_for_the_handle() {
    let producer = TroubledStore::new().producer(0).await;
    let mut open = producer.begin_incremental().await.unwrap();
    let other = producer.clone();
    let mut second = Box::pin(async move { put(&other, 2, "two").await });
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(second.as_mut().poll(&mut context), Poll::Pending));
    open.upsert_json("City", r#"{"id":1,"name":"one"}"#, 1)
        .unwrap();
    let first = open.commit().await.unwrap().unwrap();
    let second = second.await.unwrap().unwrap();
    assert_eq!(second.version, first.version + 1);
    assert_eq!(producer.state().total(), 2);
}

#[tokio::test]
async fn a_refused_record_may_be_left_out_but_a_second_one_of_a_key_fails_the_commit() {
    let producer = TroubledStore::new().producer(0).await;
    let mut cycle = producer.begin_cycle().await.unwrap();
    cycle.add_json("City", r#"{"id":"x"}"#, 1).unwrap_err();
    cycle.add_json("City", r#"{"id":1}"#, 2).unwrap();
    assert_eq!(cycle.commit().await.unwrap().unwrap().records, 1);
    let mut cycle = producer.begin_cycle().await.unwrap();
    for position in 1..=2 {
        // Whether this call tells it or the commit does is the timing of workers.
        let _told_later = cycle.add_json("City", r#"{"id":7}"#, position);
    }
    let refused = cycle.commit().await.unwrap_err();
    assert!(refused.message().contains("duplicate key 7"), "{refused}");
    assert_eq!(producer.state().total(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_dropped_is_settled_by_the_next_cycle() {
    let store = TroubledStore::new();
    let producer = store.producer(0).await;
    put(&producer, 1, "one").await.unwrap().unwrap();
    let mut cycle = producer.begin_incremental().await.unwrap();
    let two = r#"{"id":2,"name":"two"}"#;
    cycle.upsert_json("City", two, 1).unwrap();
    store.cause(Trouble::LandsAndHangs, "/log/");
    let mut commit = Box::pin(cycle.commit());
    tokio::select! {
        biased;
        permit = store.met.acquire() => permit.unwrap().forget(),
        _ = &mut commit => panic!("expected the commit to hang"),
    }
    store.heal();
    drop(commit);
    let settled = producer.settle_pending().await.unwrap().unwrap();
    assert_eq!(settled.version, producer.version());
    assert_eq!(producer.state().total(), 2);
}

#[tokio::test]
async fn only_a_full_handle_is_given_when_the_newest_version_is_lost() {
    let store = TroubledStore::new();
    put(&store.producer(0).await, 1, "one").await.unwrap();
    store.lose("/delta/").await;
    let schema = Schema::parse(SCHEMA).unwrap();
    let builder = Producer::builder("cities", store.store()).schema(schema);
    let producer = builder.start_over(true).open().await.unwrap();
    let refused = producer.begin_incremental().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    let metrics = producer.metrics_text();
    let counted = r#"grotto_producer_failed_cycles_total{dataset="cities"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
    let mut cycle = producer.begin_cycle().await.unwrap();
    cycle.add_json("City", r#"{"id":2}"#, 1).unwrap();
    cycle.commit().await.unwrap().unwrap();
    assert_eq!(producer.state().total(), 1);
}

#[tokio::test]
async fn a_shutdown_waits_for_the_open_cycle_and_refuses_the_next() {
    let store = TroubledStore::new();
    let producer = store.producer(1).await;
    let mut open = producer.begin_incremental().await.unwrap();
    let ending = producer.clone();
    let mut shutdown = Box::pin(async move { ending.shutdown().await });
    let mut context = Context::from_waker(Waker::noop());
    assert!(shutdown.as_mut().poll(&mut context).is_pending());
    let mut late = Box::pin(put(&producer, 2, "two"));
    assert!(late.as_mut().poll(&mut context).is_pending());
    let one = r#"{"id":1,"name":"one"}"#;
    open.upsert_json("City", one, 1).unwrap();
    open.commit().await.unwrap().unwrap();
    shutdown.await;
    let refused = late.await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert_eq!(refused.message(), "the producer was shut down");
    assert_eq!(store.paths("cities/snapshot").await.len(), 1, "waited for");
    assert_eq!(producer.state().total(), 1);
    producer.shutdown().await;
    assert!(producer.snapshot().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_gives_up_what_does_not_end() {
    let store = TroubledStore::new();
    let producer = store.producer(1).await;
    store.cause(Trouble::Hangs, "/snapshot/");
    put(&producer, 1, "one").await.unwrap().unwrap();
    let mut open = producer.begin_cycle().await.unwrap();
    open.add_json("City", r#"{"id":2}"#, 1).unwrap();
    let version = producer.version();
    producer.shutdown().await;
    let late = open.commit().await.unwrap_err();
    assert_eq!(late.message(), "the producer was shut down");
    assert_eq!((producer.version(), producer.state().total()), (version, 1));
    let given_up = producer.finish().await.unwrap_err();
    assert!(
        given_up.message().contains("the snapshot stopped"),
        "{given_up}"
    );
    producer.shutdown().await;
}
